// One script, three node drivers: prints what the driver sees, a JSON line a step.
//
// node_client.js DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
//   DRIVER mysql2, mariadb or mysql; TLS 0 or 1; MODE text or prepared; STEPS all or ml
// NODE_PATH says where the drivers are.
'use strict';
const crypto = require('crypto');
const [driver, host, port, user, password, tls, mode, database, steps] = process.argv.slice(2);
const prepared = mode === 'prepared';

function show(step, values) {
  const plain = (key, value) => (typeof value === 'bigint' ? `bigint ${value}`
    : value && value.type === 'Buffer' ? { bytes: Buffer.from(value.data).toString('hex') } : value);
  console.log(JSON.stringify({ step, ...values }, plain));
}
const fault = (error) => ({
  error: error.code, errno: error.errno, sqlState: error.sqlState, message: error.sqlMessage || error.message,
});

// Each driver as: { query(sql, args, text) -> { rows, columns }, end() }; text: not prepared, whatever the mode.
const common = { host, port: Number(port), user, database, multipleStatements: true };
const open = {
  async mysql2(secret) {
    const connection = await require('mysql2/promise').createConnection({
      ...common, password: secret, charset: 'utf8mb4', ssl: tls === '1' ? { rejectUnauthorized: false } : undefined,
    });
    return {
      async query(sql, args, text) {
        const [rows, fields] = await connection[prepared && !text ? 'execute' : 'query'](sql, args);
        return describe(rows, fields);
      },
      end: () => connection.end(),
    };
  },
  async mariadb(secret) {
    const connection = await require('mariadb').createConnection({
      ...common, password: secret, allowPublicKeyRetrieval: true, logger: { warning: () => {} },
      ssl: tls === '1' ? { rejectUnauthorized: false } : false,
    });
    return {
      async query(sql, args, text) {
        const result = await connection[prepared && !text ? 'execute' : 'query'](sql, args);
        if (Array.isArray(result) && result.meta) {
          return describe([...result], result.meta);
        }
        return describe(result);
      },
      end: () => connection.end(),
    };
  },
  async mysql(secret) {
    const connection = require('mysql').createConnection({
      ...common, password: secret, charset: 'UTF8MB4_GENERAL_CI', ssl: tls === '1' ? { rejectUnauthorized: false } : undefined,
    });
    // After a refused login it sends COM_QUIT into a closed socket.
    connection.on('error', () => {});
    await new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
    return {
      query: (sql, args) => new Promise((resolve, reject) => {
        connection.query(sql, args, (error, rows, fields) => (error ? reject(error) : resolve(describe(rows, fields))));
      }),
      end: () => new Promise((resolve) => connection.end(resolve)),
    };
  },
};

function describe(rows, fields) {
  const column = (field) => field && [
    typeof field.name === 'function' ? field.name() : field.name, field.columnType ?? field.type,
    field.flags, field.characterSet ?? field.charsetNr, field.columnLength ?? field.length, field.decimals ?? field.scale,
  ];
  return {
    rows,
    columns: Array.isArray(fields) ? fields.map((f) => (Array.isArray(f) ? f.map(column) : column(f))) : undefined,
  };
}

let connection;
async function step(name, sql, args, text) {
  try {
    show(name, await connection.query(sql, args, text));
  } catch (error) {
    show(name, fault(error));
  }
}

// MySQL cannot prepare everything.
const textStep = (name, sql) => step(name, sql, undefined, true);

const CREATE = `CREATE TABLE t (
  id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(200), n INT, d DECIMAL(10,3), f DOUBLE,
  w DATETIME(6), b BLOB, big LONGTEXT, u BIGINT UNSIGNED, UNIQUE (n)) CHARACTER SET utf8mb4`;
const INSERT = 'INSERT INTO t (s, n, d, f, w, b, u) VALUES (?, ?, ?, ?, ?, ?, ?)';
const VALUES = [
  ['Grüße, 世界 🎉 \\ \' " % ;', 1, '1234.500', 1.25, '2026-02-28 23:59:58.123456', Buffer.from([0, 255, 39, 92]), 9007199254740991],
  [null, null, null, null, null, null, null],
  ['', 2, '-0.001', -1e300, '2026-02-28 23:59:58', Buffer.alloc(0), 0],
];
const PROCEDURE = `CREATE PROCEDURE p() BEGIN
  SELECT 1 AS one; SELECT s FROM t ORDER BY id; UPDATE t SET s = 'p' WHERE n = 2; END`;
const DIGITS = `(SELECT 0 d${[1, 2, 3, 4, 5, 6, 7].map((n) => ` UNION ALL SELECT ${n}`).join('')})`;
const MANY_ROWS = `SELECT a.d + 8*b.d + 64*c.d + 512*e.d AS n, REPEAT('row ', a.d) AS r
  FROM ${DIGITS} a, ${DIGITS} b, ${DIGITS} c, ${DIGITS} e ORDER BY n`;
const ML = `SELECT id, aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment
FROM feedback ORDER BY id`;

async function everything() {
  await textStep('create', CREATE);
  for (const values of VALUES) await step('insert', INSERT, values);
  await step('insert many', 'INSERT INTO t (n) VALUES (?), (?), (?)', [10, 11, 12]);
  await step('select', 'SELECT * FROM t ORDER BY id');
  await step('select one', 'SELECT s, n FROM t WHERE n = ?', [1]);
  await step('select none', 'SELECT s, n FROM t WHERE n = ?', [404]);
  await step('select again', 'SELECT s, n FROM t WHERE n = ?', [2]);
  await step('expressions', "SELECT 1 AS one, 'a', NULL AS nothing, 2.50, ? AS given", ['é']);
  await step('update', 'UPDATE t SET s = ? WHERE n >= ?', ['changed', 10]);
  await step('update the same', 'UPDATE t SET s = ? WHERE n >= ?', ['changed', 10]);
  await step('warning', "SELECT CAST('1x' AS SIGNED) AS x");
  await textStep('warnings', 'SHOW WARNINGS');

  await textStep('begin', 'START TRANSACTION');
  await step('rolled back', 'DELETE FROM t');
  await textStep('rollback', 'ROLLBACK');
  await step('rows after rollback', 'SELECT COUNT(*) AS c FROM t');

  await step('duplicate key', 'INSERT INTO t (n) VALUES (?)', [1]);
  await step('no such table', 'SELECT * FROM nowhere');
  await step('syntax error', "SELEKT 'é'");
  await step('error after rows', 'SELECT id, (SELECT id FROM t LIMIT 2) AS two FROM t');

  await textStep('procedure', PROCEDURE);
  await step('call', 'CALL p()');
  if (!prepared) {
    await step('multi', "SELECT 1 AS one; UPDATE t SET n = 77 WHERE n = 11; SELECT 'é' AS e");
    await step('multi with an error', 'SELECT 1 AS one; SELECT * FROM nowhere; SELECT 2 AS two');
  }
  await step('after multi', "SELECT 'still here' AS s");

  // Sent without waiting: the answers come in the order of the questions.
  await Promise.all([1, 2, 3, 4, 5].map((n) => step(`at once ${n}`, 'SELECT ? AS n, SLEEP(0.01) AS s', [n])));

  const big = 'x'.repeat(9000000) + 'é'.repeat(4000000);
  await step('big insert', 'INSERT INTO t (n, big) VALUES (?, ?)', [1000, big]);
  try {
    const { rows } = await connection.query('SELECT n, big FROM t WHERE n = 1000');
    const digest = crypto.createHash('sha256').update(rows[0].big).digest('hex');
    show('big select', { n: rows[0].n, size: rows[0].big.length, digest });
  } catch (error) {
    show('big select', fault(error));
  }
  const { rows } = await connection.query(MANY_ROWS);
  const found = JSON.stringify(rows, (key, value) => (typeof value === 'bigint' ? `${value}` : value));
  show('many rows', { count: rows.length, digest: crypto.createHash('sha256').update(found).digest('hex') });
}

async function main() {
  if (steps === 'ml') {
    connection = await open[driver](password);
    await step('ml', ML);
  } else {
    try {
      await open[driver](`${password}wrong`);
    } catch (error) {
      show('wrong password', fault(error));
    }
    try {
      connection = await open[driver](password);
    } catch (error) {
      show('log in', fault(error));
      return;
    }
    await step('version', 'SELECT VERSION() AS v, USER() AS u, CURRENT_USER() AS c, DATABASE() AS d');
    const { rows } = await connection.query("SHOW STATUS LIKE 'Ssl_cipher'");
    // The cipher of the proxy's leg to the server is not that of the client's.
    show('tls', { used: rows[0].Value !== '' });
    await everything();
  }
  await connection.end();
  show('closed');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
