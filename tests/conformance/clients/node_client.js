// One script, three node drivers: prints what the driver sees, a JSON line a step.
//
// node_client.js DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
//   DRIVER mysql2, mariadb or mysql; TLS 0 or 1; MODE text or prepared
//   STEPS is the path of everything.steps or ml.steps
// NODE_PATH says where the drivers are; COMPRESS is set where the connection is to be compressed.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const [driver, host, port, user, password, tls, mode, database, steps] = process.argv.slice(2);
const prepared = mode === 'prepared';
const compress = 'COMPRESS' in process.env;
const ssl = tls === '1' ? { rejectUnauthorized: false } : undefined;
const common = { host, port: Number(port), user, database };

const plain = (key, value) => (typeof value === 'bigint' ? `bigint ${value}`
  : value && value.type === 'Buffer' ? { bytes: Buffer.from(value.data).toString('hex') } : value);
const show = (step, values) => console.log(JSON.stringify({ step, ...values }, plain));
const fault = (error) => ({
  error: error.code, errno: error.errno, sqlState: error.sqlState, message: error.sqlMessage || error.message,
});

function described(rows, fields) {
  const column = (field) => field && [
    typeof field.name === 'function' ? field.name() : field.name, field.columnType ?? field.type,
    field.flags, field.characterSet ?? field.charsetNr, field.columnLength ?? field.length, field.decimals ?? field.scale,
  ];
  return {
    rows,
    columns: Array.isArray(fields) ? fields.map((f) => (Array.isArray(f) ? f.map(column) : column(f))) : undefined,
  };
}

// Each driver: log in; query(sql, args, text), text for what is not prepared in any mode; the rest is its own.
// `several` allows several statements in a packet.
const drivers = {
  mysql2: class {
    async open(secret) {
      this.pool = require('mysql2/promise').createPool({
        ...common, password: secret, ssl, compress, charset: 'utf8mb4', connectionLimit: 1, multipleStatements: true,
      });
      this.connection = await this.pool.getConnection();
    }
    async query(sql, args, text) {
      const [rows, fields] = await this.connection[prepared && !text ? 'execute' : 'query'](sql, args);
      return described(rows, fields);
    }
    begin() { return this.connection.beginTransaction(); }
    commit() { return this.connection.commit(); }
    rollback() { return this.connection.rollback(); }
    async reset() {
      await this.connection.changeUser({ user, password, database });
      this.connection.release();
      this.connection = await this.pool.getConnection();
      return 'changeUser()';
    }
    async close() {
      this.connection.release();
      await this.pool.end();
    }
  },

  mariadb: class {
    async open(secret) {
      const options = {
        ...common, password: secret, ssl: ssl || false, compress, allowPublicKeyRetrieval: true, logger: { warning: () => {} },
        multipleStatements: true,
      };
      // A pool does not say why it could not log in.
      await (await require('mariadb').createConnection(options)).end();
      this.pool = require('mariadb').createPool({ ...options, connectionLimit: 1, resetAfterUse: true });
      this.connection = await this.pool.getConnection();
    }
    async query(sql, args, text) {
      const result = await this.connection[prepared && !text ? 'execute' : 'query'](sql, args);
      return Array.isArray(result) && result.meta ? described([...result], result.meta) : described(result);
    }
    async batch(sql, many) { return described(await this.connection.batch(sql, many)); }
    begin() { return this.connection.beginTransaction(); }
    commit() { return this.connection.commit(); }
    rollback() { return this.connection.rollback(); }
    async reset() {
      await this.connection.release();
      this.connection = await this.pool.getConnection();
      return 'resetAfterUse';
    }
    async close() {
      await this.connection.release();
      await this.pool.end();
    }
  },

  mysql: class {
    async open(secret) {
      this.connection = require('mysql').createConnection({
        ...common, password: secret, ssl, charset: 'UTF8MB4_GENERAL_CI', multipleStatements: true,
      });
      // After a refused login it sends COM_QUIT into a closed socket.
      this.connection.on('error', () => {});
      await this.ask('connect');
    }
    ask(method, ...args) {
      return new Promise((resolve, reject) => {
        this.connection[method](...args, (error, rows, fields) => (error ? reject(error) : resolve(described(rows, fields))));
      });
    }
    query(sql, args) { return this.ask('query', sql, args); }
    begin() { return this.ask('beginTransaction'); }
    commit() { return this.ask('commit'); }
    rollback() { return this.ask('rollback'); }
    async reset() {
      await this.ask('changeUser', { user, password, database });
      return 'changeUser()';
    }
    close() { return this.ask('end'); }
  },
};

const BIG = 'x'.repeat(9000000) + 'é'.repeat(4000000);
const ARGUMENTS = {
  i: (word) => (Number.isSafeInteger(Number(word)) ? Number(word) : word),
  f: Number,
  d: String,
  s: String,
  t: String,
  b: (word) => Buffer.from(word, 'hex'),
  null: () => null,
  big: () => BIG,
};

function* stepsOf(file) {
  for (const paragraph of fs.readFileSync(file, 'utf8').split('\n\n')) {
    const lines = paragraph.split('\n').filter((line) => line && !line.startsWith('#'));
    if (lines.length) {
      const [, kind, name] = lines[0].match(/^(\w+) ?(.*)$/);
      const args = lines.filter((line) => line.startsWith('> ')).map((line) => line.match(/^> (\w+) ?(.*)$/).slice(1));
      yield { kind, name, args, sql: lines.slice(1).filter((line) => !line.startsWith('> ')).join('\n') };
    }
  }
}

async function take(connection, { kind, name, sql, args }) {
  const values = kind === 'batch' ? [] : args.map(([type, word]) => ARGUMENTS[type](word));
  switch (kind) {
    case 'rows': case 'change': case 'call':
      return show(name, await connection.query(sql, values));
    case 'text': case 'multi':
      return show(name, await connection.query(sql, undefined, true));
    case 'digest': {
      const { rows, columns } = await connection.query(sql, values);
      const text = JSON.stringify(rows, plain);
      return show(name, { rows: rows.length, columns, digest: crypto.createHash('sha256').update(text).digest('hex') });
    }
    case 'batch': {
      const [from, to] = args[0].map(Number);
      const many = Array.from({ length: to - from }, (_, i) => [`batch ${from + i}`, from + i]);
      if (connection.batch) {
        return show(name, await connection.batch(sql, many));
      }
      // Sent without waiting: the answers come in the order of the questions.
      const all = await Promise.allSettled(many.map((one) => connection.query(sql, one)));
      return show(name, { all: all.map(({ value, reason }) => (reason ? fault(reason) : value.rows)) });
    }
    case 'reset':
      return show('reset', { how: await connection.reset() });
    default: // begin, commit, rollback
      return connection[kind]();
  }
}

async function main() {
  const { version } = JSON.parse(fs.readFileSync(path.join(process.env.NODE_PATH, driver, 'package.json')));
  show('client', { version });
  const connection = new drivers[driver]();
  try {
    const other = new drivers[driver]();
    await other.open(`${password}wrong`);
  } catch (error) {
    show('wrong password', fault(error));
  }
  try {
    await connection.open(password);
  } catch (error) {
    show('log in', fault(error));
    process.exit();
  }
  for (const step of stepsOf(steps)) {
    try {
      await take(connection, step);
    } catch (error) {
      show(step.name, fault(error));
    }
  }
  await connection.close();
  show('closed');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
