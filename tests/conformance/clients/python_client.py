"""One script, many Python drivers: prints what the driver sees, a JSON line a step.

python_client.py DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
    TLS 0 or 1, MODE text or prepared, STEPS the path of everything.steps or ml.steps
    $COMPRESS is set where the connection is to be compressed
Runs in a virtual environment of its own and imports nothing of the project.
"""

import asyncio
import contextlib
import datetime
import decimal
import hashlib
import importlib.metadata
import json
import os
import pathlib
import ssl
import sys

DRIVER, HOST, PORT, USER, PASSWORD, TLS, MODE, DATABASE, STEPS = sys.argv[1:10]
PORT, TLS, PREPARED = int(PORT), TLS == "1", MODE == "prepared"
COMPRESS = "COMPRESS" in os.environ

BIG = "x" * 9_000_000 + "é" * 4_000_000  # 17 MB in UTF-8: more than one packet


def show(step, **values):
    print(json.dumps({"step": step, **values}, default=plain, ensure_ascii=False))


def plain(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, type):
        return value.__name__
    return f"{type(value).__name__} {value}"


def fault(error):
    return {"error": type(error).__name__, "args": [str(arg) for arg in error.args]}


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Driver:
    """The common ground: DB-API."""

    package = ""
    multi = True
    """Whether it can send several statements at once."""
    fragile = False
    """Whether it loses its place after some errors, and is to log in again."""

    def connect(self, password):
        raise NotImplementedError

    def cursor(self):
        return self.connection.cursor()

    def execute(self, cursor, sql, args=()):
        cursor.execute(sql.replace("?", "%s") if args else sql, args or None)

    def execute_many(self, cursor, sql, many):
        cursor.executemany(sql.replace("?", "%s"), many)

    def close(self):
        self.connection.close()

    def reconnect(self):
        with contextlib.suppress(Exception):
            self.close()
        self.connect(PASSWORD)

    def version(self):
        return importlib.metadata.version(self.package)

    def reset(self):
        """The connection given back and taken again; how, or None for no way."""
        return None


class PyMySQL(Driver):
    package = "PyMySQL"

    def connect(self, password):
        import pymysql

        tls = {"ssl": unverified()} if TLS else {"ssl_disabled": True}
        self.connection = pymysql.connect(
            host=HOST, port=PORT, user=USER, password=password, database=DATABASE,
            charset="utf8mb4", local_infile=True,
            client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS, **tls,
        )  # fmt: skip


class SQLAlchemy(Driver):
    """PyMySQL in SQLAlchemy's pool; its parameters are those of `text()`."""

    package = "SQLAlchemy"
    multi = False

    def connect(self, password):
        import sqlalchemy

        url = sqlalchemy.URL.create(
            "mysql+pymysql", USER, password, HOST, PORT, DATABASE, {"charset": "utf8mb4"}
        )
        tls = {"ssl": unverified()} if TLS else {"ssl_disabled": True}
        self.engine = sqlalchemy.create_engine(url, pool_size=1, connect_args=tls)
        self.connection = self.engine.connect()

    def cursor(self):
        return SQLAlchemyCursor(self.connection)

    def execute(self, cursor, sql, args=()):
        cursor.execute(sql, args)

    def execute_many(self, cursor, sql, many):
        cursor.execute_many(sql, many)

    def reset(self):
        # It is the same one, as the pool holds no more.
        self.connection.close()
        self.connection = self.engine.connect()
        return "ROLLBACK, by the pool"


class SQLAlchemyCursor:
    """As much of a DB-API cursor as the steps ask for."""

    def __init__(self, connection):
        self.connection = connection

    def execute(self, sql, args):
        self._run(sql, {f"p{i}": value for i, value in enumerate(args)})

    def execute_many(self, sql, many):
        self._run(sql, [{f"p{i}": v for i, v in enumerate(args)} for args in many])

    def _run(self, sql, parameters):
        from sqlalchemy import text

        names = iter(range(sql.count("?")))
        named = "".join(f":p{next(names)}" if c == "?" else c for c in sql)
        try:
            self.result = self.connection.execute(text(named), parameters)
        except Exception as error:
            # In autobegin, an error leaves the transaction as it is.
            raise error.orig if hasattr(error, "orig") else error from None
        self.description = self.result.cursor and self.result.cursor.description
        self.rowcount = self.result.rowcount
        self.lastrowid = None if self.result.returns_rows else self.result.lastrowid

    def fetchall(self):
        return self.result.fetchall()

    def nextset(self):
        return None

    def close(self):
        if hasattr(self, "result"):
            self.result.close()


class MySQLClient(Driver):
    package = "mysqlclient"

    def connect(self, password):
        import MySQLdb

        self.connection = MySQLdb.connect(
            host=HOST, port=PORT, user=USER, password=password, database=DATABASE,
            charset="utf8mb4", ssl_mode="REQUIRED" if TLS else "DISABLED",
            compress=COMPRESS,
        )  # fmt: skip

    def reset(self):
        self.connection.change_user(USER, PASSWORD, DATABASE)
        return "change_user()"


class MariaDB(Driver):
    package = "mariadb"

    def connect(self, password):
        import mariadb

        self.fragile = PREPARED
        mariadb._CONNECTION_POOLS.clear()
        self.pool = mariadb.ConnectionPool(
            pool_name="one", pool_size=1, host=HOST, port=PORT, user=USER,
            password=password, database=DATABASE, client_flag=1 << 16,
            ssl=TLS, ssl_verify_cert=False, compress=COMPRESS,
        )  # fmt: skip
        self.connection = self.pool.get_connection()

    def cursor(self):
        return self.connection.cursor(binary=PREPARED)

    def execute(self, cursor, sql, args=()):
        cursor.execute(sql, args or None)

    def execute_many(self, cursor, sql, many):
        cursor.executemany(sql, many)

    def close(self):
        self.connection.close()
        self.pool.close()

    def reset(self):
        self.connection.close()
        self.connection = self.pool.get_connection()
        return "ConnectionPool(pool_reset_connection=True)"


class Connector(Driver):
    package = "mysql-connector-python"
    pure = False

    def connect(self, password):
        from mysql.connector.pooling import MySQLConnectionPool

        options = dict(
            host=HOST, port=PORT, user=USER, password=password, database=DATABASE,
            charset="utf8mb4", collation="utf8mb4_general_ci", use_pure=self.pure,
            ssl_disabled=not TLS, allow_local_infile=True, compress=COMPRESS,
        )  # fmt: skip
        self.pool = MySQLConnectionPool(pool_name="one", pool_size=1, **options)
        self.connection = self.pool.get_connection()
        self.multi = not PREPARED
        self.fragile = PREPARED

    def cursor(self):
        return self.connection.cursor(prepared=PREPARED)

    def reset(self):
        self.connection.close()
        self.connection = self.pool.get_connection()
        return "MySQLConnectionPool(pool_reset_session=True)"


class PureConnector(Connector):
    pure = True


class Odbc(Driver):
    """Debian 12's driver prepares everything on the server, whatever one asks for."""

    def connect(self, password):
        import pyodbc

        pyodbc.pooling = False
        self.connection = pyodbc.connect(
            "DRIVER={MariaDB Unicode};"
            f"SERVER={HOST};PORT={PORT};UID={USER};PWD={password};DATABASE={DATABASE};"
            # Several statements; 2048 is compression.
            f"CHARSET=utf8mb4;OPTION={67108864 + 2048 * COMPRESS};"
            + ("FORCETLS=1;SSLVERIFY=0" if TLS else "")
        )
        self.fragile = True

    def version(self):
        return self.connection.getinfo(7)  # SQL_DRIVER_VER

    def execute(self, cursor, sql, args=()):
        cursor.execute(sql, *args)

    def execute_many(self, cursor, sql, many):
        cursor.executemany(sql, many)


class Loop(Driver):
    """An asyncio driver, stepped."""

    def __init__(self):
        self.package = DRIVER
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    def wait(self, awaitable):
        async def run():
            return await awaitable

        return self.loop.run_until_complete(run())

    def connect(self, password):
        module = __import__(DRIVER)
        self.pool = self.wait(
            module.create_pool(
                minsize=1,
                maxsize=1,
                host=HOST,
                port=PORT,
                user=USER,
                password=password,
                db=DATABASE,
                charset="utf8mb4",
                ssl=unverified() if TLS else None,
                client_flag=1 << 16,  # CLIENT_MULTI_STATEMENTS
            )
        )
        self.connection = StepByStep(self.wait(self.pool.acquire()), self)

    def cursor(self):
        cursor = self.connection.real.cursor()
        if asyncio.iscoroutine(cursor):
            cursor = self.wait(cursor)
        return StepByStep(cursor, self)

    def close(self):
        self._release()
        self.pool.close()
        self.wait(self.pool.wait_closed())

    def reset(self):
        self._release()
        self.connection = StepByStep(self.wait(self.pool.acquire()), self)
        return "none, by the pool"

    def _release(self):
        async def release():
            released = self.pool.release(self.connection.real)
            if hasattr(released, "__await__"):
                await released

        self.wait(release())


class StepByStep:
    """Attributes of an asyncio object, with its coroutine methods run to the end."""

    def __init__(self, real, driver):
        self.real, self.driver = real, driver

    def __getattr__(self, name):
        value = getattr(self.real, name)
        if not callable(value):
            return value

        def call(*args):
            async def run():
                result = value(*args)
                return await result if hasattr(result, "__await__") else result

            return self.driver.wait(run())

        return call


DRIVERS = {
    "pymysql": PyMySQL,
    "sqlalchemy": SQLAlchemy,
    "aiomysql": Loop,
    "asyncmy": Loop,
    "mysqlclient": MySQLClient,
    "mariadb": MariaDB,
    "connector": Connector,
    "connector-pure": PureConnector,
    "odbc": Odbc,
}


def log_in(driver):
    try:
        driver.connect(PASSWORD + "wrong")
    except Exception as error:
        show("wrong password", **fault(error))
    try:
        driver.connect(PASSWORD)
    except Exception as error:
        show("log in", **fault(error))
        sys.exit()


@contextlib.contextmanager
def attempt(step, driver, **values):
    """A step: what it puts into the dict is shown, and so is an error."""
    cursor = None
    try:
        cursor = driver.cursor()
        yield cursor, values
    except Exception as error:
        values |= fault(error)
    try:
        if cursor is not None:
            cursor.close()
    except Exception as error:
        values["close"] = fault(error)
    show(step, **values)
    if driver.fragile and ("error" in values or "close" in values):
        driver.reconnect()


def rows(step, driver, sql, args):
    with attempt(step, driver) as (cursor, seen):
        driver.execute(cursor, sql, args)
        seen["columns"] = cursor.description
        seen["rows"] = [list(row) for row in cursor.fetchall()]
        seen["count"] = cursor.rowcount


def digest(step, driver, sql, args):
    with attempt(step, driver) as (cursor, seen):
        driver.execute(cursor, sql, args)
        found = [list(row) for row in cursor.fetchall()]
        text = json.dumps(found, default=plain).encode()
        seen |= {"rows": len(found), "digest": hashlib.sha256(text).hexdigest()}


def change(step, driver, sql, args):
    with attempt(step, driver) as (cursor, seen):
        driver.execute(cursor, sql, args)
        seen["affected"] = cursor.rowcount
        seen["id"] = getattr(cursor, "lastrowid", None)


def call(step, driver, sql, args):
    with attempt(step, driver, results=[]) as (cursor, seen):
        driver.execute(cursor, sql)
        while True:
            if cursor.description:
                seen["results"].append([list(row) for row in cursor.fetchall()])
            else:
                seen["results"].append(cursor.rowcount)
            if not cursor.nextset():
                break


def multi(step, driver, sql, args):
    if driver.multi:
        call(step, driver, sql, args)


def batch(step, driver, sql, args):
    with attempt(step, driver) as (cursor, seen):
        driver.execute_many(cursor, sql, [(f"batch {n}", n) for n in range(*args)])
        seen["affected"] = cursor.rowcount


def begin(step, driver, sql, args):
    """DB-API's transactions begin by themselves; this ends the one before."""
    driver.connection.commit()


def commit(step, driver, sql, args):
    driver.connection.commit()


def rollback(step, driver, sql, args):
    driver.connection.rollback()


def reset(step, driver, sql, args):
    driver.connection.commit()
    if how := driver.reset():
        show("reset", how=how)


KINDS = {
    "rows": rows,
    "digest": digest,
    "change": change,
    "text": change,
    "call": call,
    "multi": multi,
    "batch": batch,
    "begin": begin,
    "commit": commit,
    "rollback": rollback,
    "reset": reset,
}
ARGUMENTS = {
    "i": int,
    "f": float,
    "d": decimal.Decimal,
    "s": str,
    "t": datetime.datetime.fromisoformat,
    "b": bytes.fromhex,
    "null": lambda _: None,
    "big": lambda _: BIG,
}


def steps():
    """KIND, NAME, SQL and arguments of each step of the file."""
    for paragraph in pathlib.Path(STEPS).read_text("utf-8").split("\n\n"):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        kind, _, name = lines[0].partition(" ")
        words = [line[2:].partition(" ") for line in lines[1:] if line.startswith("> ")]
        if kind == "batch":
            args = [int(word) for word in (words[0][0], words[0][2])]
        else:
            args = [ARGUMENTS[word](value) for word, _, value in words]
        sql = "\n".join(line for line in lines[1:] if not line.startswith("> "))
        yield kind, name, sql, args


def main():
    driver = DRIVERS[DRIVER]()
    log_in(driver)
    show("client", version=driver.version())
    for kind, name, sql, args in steps():
        KINDS[kind](name, driver, sql, args)
    driver.close()
    show("closed")


main()
