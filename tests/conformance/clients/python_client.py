"""One script, many Python drivers: prints what the driver sees, a JSON line a step.

python_client.py DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
    TLS 0 or 1, MODE text or prepared, STEPS all or ml
Runs in a virtual environment of its own and imports nothing of the project.
"""

import asyncio
import contextlib
import datetime
import decimal
import hashlib
import json
import ssl
import sys

DRIVER, HOST, PORT, USER, PASSWORD, TLS, MODE, DATABASE, STEPS = sys.argv[1:10]
PORT, TLS, PREPARED = int(PORT), TLS == "1", MODE == "prepared"

BIG = "x" * 9_000_000 + "é" * 4_000_000  # 17 MB in UTF-8: more than one packet
TEXT = "Grüße, 世界 🎉 \\ ' \" % ;"


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


def digest(data):
    return hashlib.sha256(data).hexdigest()


def fault(error):
    return {"error": type(error).__name__, "args": [str(arg) for arg in error.args]}


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Driver:
    """The common ground: DB-API."""

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

    def close(self):
        self.connection.close()

    def reconnect(self):
        with contextlib.suppress(Exception):
            self.close()
        self.connect(PASSWORD)


class PyMySQL(Driver):
    def connect(self, password):
        import pymysql

        tls = {"ssl": unverified()} if TLS else {"ssl_disabled": True}
        self.connection = pymysql.connect(
            host=HOST, port=PORT, user=USER, password=password, database=DATABASE,
            charset="utf8mb4", local_infile=True,
            client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS, **tls,
        )  # fmt: skip


class MySQLClient(Driver):
    def connect(self, password):
        import MySQLdb

        self.connection = MySQLdb.connect(
            host=HOST, port=PORT, user=USER, password=password, database=DATABASE,
            charset="utf8mb4", ssl_mode="REQUIRED" if TLS else "DISABLED",
        )  # fmt: skip


class Connector(Driver):
    pure = False

    def connect(self, password):
        import mysql.connector

        self.connection = mysql.connector.connect(
            host=HOST, port=PORT, user=USER, password=password, database=DATABASE,
            charset="utf8mb4", collation="utf8mb4_general_ci", use_pure=self.pure,
            ssl_disabled=not TLS, allow_local_infile=True,
        )  # fmt: skip
        self.multi = not PREPARED
        self.fragile = PREPARED

    def cursor(self):
        return self.connection.cursor(prepared=PREPARED)


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
            "CHARSET=utf8mb4;OPTION=67108864;" + ("FORCETLS=1;SSLVERIFY=0" if TLS else "")
        )
        self.fragile = True

    def execute(self, cursor, sql, args=()):
        cursor.execute(sql, *args)


class Loop(Driver):
    """An asyncio driver, stepped."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    def wait(self, awaitable):
        async def run():
            return await awaitable

        return self.loop.run_until_complete(run())

    def connect(self, password):
        module = __import__(DRIVER)
        connection = self.wait(
            module.connect(
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
        self.connection = StepByStep(connection, self)

    def cursor(self):
        cursor = self.connection.real.cursor()
        if asyncio.iscoroutine(cursor):
            cursor = self.wait(cursor)
        return StepByStep(cursor, self)


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
    "aiomysql": Loop,
    "asyncmy": Loop,
    "mysqlclient": MySQLClient,
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
    rows("version", driver, "SELECT VERSION(), USER(), CURRENT_USER(), DATABASE()")
    # The cipher of the proxy's leg to the server is not that of the client's.
    with attempt("tls", driver) as (cursor, seen):
        driver.execute(cursor, "SHOW STATUS LIKE 'Ssl_cipher'")
        seen["used"] = bool(cursor.fetchone()[1])


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


def rows(step, driver, sql, args=()):
    with attempt(step, driver) as (cursor, seen):
        driver.execute(cursor, sql, args)
        seen["columns"] = cursor.description
        seen["rows"] = [list(row) for row in cursor.fetchall()]
        seen["count"] = cursor.rowcount


def change(step, driver, sql, args=()):
    with attempt(step, driver) as (cursor, seen):
        driver.execute(cursor, sql, args)
        seen["affected"] = cursor.rowcount
        seen["id"] = getattr(cursor, "lastrowid", None)


def results(step, driver, sql):
    with attempt(step, driver, results=[]) as (cursor, seen):
        driver.execute(cursor, sql)
        while True:
            if cursor.description:
                seen["results"].append([list(row) for row in cursor.fetchall()])
            else:
                seen["results"].append(cursor.rowcount)
            if not cursor.nextset():
                break


CREATE = """\
CREATE TABLE t (
    id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(200), n INT, d DECIMAL(10,3), f DOUBLE,
    w DATETIME(6), b BLOB, j TEXT, big LONGTEXT, u BIGINT UNSIGNED, y YEAR, ti TIME,
    UNIQUE (n)
) CHARACTER SET utf8mb4"""
INSERT = "INSERT INTO t (s, n, d, f, w, b, u) VALUES (?, ?, ?, ?, ?, ?, ?)"
WHEN = datetime.datetime(2026, 2, 28, 23, 59, 58, 123456)
VALUES = [
    (TEXT, 1, decimal.Decimal("1234.500"), 1.25, WHEN, b"\x00\xff'\\", 2**63 - 1),
    (None, None, None, None, None, None, None),
    ("", 2, decimal.Decimal("-0.001"), -1e300, WHEN.replace(microsecond=0), b"", 0),
]
PROCEDURE = """\
CREATE PROCEDURE p() BEGIN
    SELECT 1; SELECT s FROM t ORDER BY id; UPDATE t SET s = 'p' WHERE n = 2;
END"""
DIGITS = "(SELECT 0 d" + "".join(f" UNION ALL SELECT {n}" for n in range(1, 8)) + ")"
MANY_ROWS = f"""\
SELECT a.d + 8*b.d + 64*c.d + 512*e.d AS n, REPEAT('row ', a.d)
FROM {DIGITS} a, {DIGITS} b, {DIGITS} c, {DIGITS} e ORDER BY n"""
ML = """\
SELECT id, aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment
FROM feedback ORDER BY id"""


def everything(driver):
    change("create", driver, CREATE)
    for values in VALUES:
        change("insert", driver, INSERT, values)
    many = "INSERT INTO t (n) VALUES (?), (?), (?)"
    change("insert many", driver, many, (10, 11, 12))
    rows("select", driver, "SELECT * FROM t ORDER BY id")
    rows("select one", driver, "SELECT s, n FROM t WHERE n = ?", (1,))
    rows("select none", driver, "SELECT s, n FROM t WHERE n = ?", (404,))
    rows("select again", driver, "SELECT s, n FROM t WHERE n = ?", (2,))
    rows("expressions", driver, "SELECT 1 AS one, 'a', NULL, 2.50, 3 > 0, ?", ("é",))
    update = "UPDATE t SET s = ? WHERE n >= ?"
    change("update", driver, update, ("changed", 10))
    change("update the same", driver, update, ("changed", 10))
    rows("warning", driver, "SELECT CAST('1x' AS SIGNED)")
    rows("warnings", driver, "SHOW WARNINGS")
    driver.connection.commit()

    change("rolled back", driver, "DELETE FROM t")
    driver.connection.rollback()
    rows("rows after rollback", driver, "SELECT COUNT(*) FROM t")
    change("committed", driver, "DELETE FROM t WHERE n = ?", (12,))
    driver.connection.commit()
    rows("rows after commit", driver, "SELECT COUNT(*) FROM t")

    change("duplicate key", driver, "INSERT INTO t (n) VALUES (?)", (1,))
    rows("no such table", driver, "SELECT * FROM nowhere")
    rows("syntax error", driver, "SELEKT 'é'")
    rows("error after rows", driver, "SELECT id, (SELECT id FROM t LIMIT 2) FROM t")
    change("same id again", driver, "INSERT INTO t (id, n) VALUES (?, ?)", (1, 99))

    change("procedure", driver, PROCEDURE)
    results("call", driver, "CALL p()")
    if driver.multi:
        multi = "SELECT 1; UPDATE t SET n = 77 WHERE n = 11; SELECT 'é'"
        results("multi", driver, multi)
        wrong = "SELECT 1; SELECT * FROM nowhere; SELECT 2"
        results("multi with an error", driver, wrong)
    rows("after multi", driver, "SELECT 'still here'")

    change("big insert", driver, "INSERT INTO t (n, big) VALUES (?, ?)", (1000, BIG))
    with attempt("big select", driver) as (cursor, seen):
        driver.execute(cursor, "SELECT n, big, 'after' FROM t WHERE n = 1000")
        n, big, after = cursor.fetchone()
        big = big.encode() if isinstance(big, str) else bytes(big)
        seen |= {"n": n, "size": len(big), "after": after, "digest": digest(big)}
    with attempt("many rows", driver) as (cursor, seen):
        driver.execute(cursor, MANY_ROWS)
        found = json.dumps([list(row) for row in cursor.fetchall()], default=plain)
        seen |= {"count": cursor.rowcount, "digest": digest(found.encode())}
    driver.connection.commit()


def ml(driver):
    rows("ml", driver, ML)


def main():
    driver = DRIVERS[DRIVER]()
    if STEPS == "ml":
        driver.connect(PASSWORD)
        ml(driver)
    else:
        log_in(driver)
        everything(driver)
    driver.close()
    show("closed")


main()
