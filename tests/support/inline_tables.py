"""The tables of the inline oracle: made once, read after a case, put back as they were.

In: an account's connection of our own, straight to the server. The stored functions are
there only while the direct side runs: a call that the proxy passes on is then an error
(1305), and not the right answer by chance.
"""

from typing import Any

import pymysql
from support.servers import Server

from aurora_ml_proxy.backends.oracle import sql_functions
from aurora_ml_proxy.functions import CONFIDENCE, LABEL

SCHEMA = "inline_oracle"
FUNCTIONS = "inline_functions"
"""A schema with the functions alone, for a client that names the schema of its tables."""

_TABLES = {
    "fb": """(
        id INT PRIMARY KEY AUTO_INCREMENT, t TEXT,
        v VARCHAR(100) CHARACTER SET latin1, u VARCHAR(100) CHARACTER SET utf16,
        b VARBINARY(100), lang VARCHAR(10), n INT, d DOUBLE, dt DATETIME,
        dc DECIMAL(10,3), product VARCHAR(20), mood VARCHAR(20), score DOUBLE)""",
    "items": """(
        id INT PRIMARY KEY, fb_id INT, note VARCHAR(100), price DECIMAL(8,2),
        lang VARCHAR(10), product VARCHAR(20), KEY (fb_id))""",
    "texts": """(
        id INT PRIMARY KEY, t VARCHAR(100), lang VARCHAR(10), s VARCHAR(20),
        n INT NOT NULL, KEY by_text (t), KEY by_lang (lang, t), KEY by_n (n))""",
    "log": """(
        id INT PRIMARY KEY AUTO_INCREMENT, t VARCHAR(100), s VARCHAR(20), c DOUBLE,
        hits INT NOT NULL DEFAULT 1, UNIQUE KEY (t))""",
    "parts": """(
        id INT NOT NULL, t VARCHAR(100), s VARCHAR(20))
        PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (4),
        PARTITION p1 VALUES LESS THAN (8), PARTITION p2 VALUES LESS THAN MAXVALUE)""",
    "nodes": """(
        id INT PRIMARY KEY, parent INT, t VARCHAR(100))""",
    "labels": """(
        label VARCHAR(20) PRIMARY KEY, word VARCHAR(20), weight INT)""",
    "narrow": """(
        id INT PRIMARY KEY AUTO_INCREMENT, label ENUM('POSITIVE','NEGATIVE'),
        short VARCHAR(3), must VARCHAR(20) NOT NULL, tiny TINYINT, num INT)""",
    "nothing": """(
        id INT PRIMARY KEY, t TEXT, lang VARCHAR(10), n INT)""",
    "calls": """(
        id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(20), c DOUBLE)""",
}

_ROWS = {
    "fb": """
(1,'I love it','café','你好','bytes','en',1,1.5,'2020-01-02 03:04:05',1.5,'a',NULL,NULL),
(2,'I hate it','x','y','z','fr',2,1e-20,'2021-01-01',2,'a','NEGATIVE',0.5),
(3,NULL,NULL,NULL,NULL,'en',NULL,NULL,NULL,NULL,'b',NULL,NULL),
(4,'','','','','en',0,0,'2000-01-01',0,'b','MIXED',0.75),
(5,'good ','Good','good','GOOD',NULL,-5,-2.25,'1999-12-31',-1.5,'b','POSITIVE',1),
(6,'It is — 好 😀','z','w','q','de',7,3e10,'2024-02-29',99.999,'c','NEUTRAL',0.25),
(7,'Good','good','Good','good','en',7,0.5,'2024-02-29',1,'c',NULL,NULL),
(8,'good','GOOD','x','Good','en',8,0.25,'2022-02-22',2,'d','x',2),
(9,'I love it','Café','bad','bad','de',9,1.5,'2022-02-22',3,'a',NULL,0),
(10,'so so','so so','so so','so so','fr',10,-1,'2022-02-23',4,'d','POSITIVE',0.1),
(11,'so so','müde','ß','not bad','en',11,100,NULL,4.125,'e','NEGATIVE',NULL),
(12,'never again','ÿ','é','never','es',12,0.125,'2023-03-03',5,NULL,'',0.5)""",
    "items": """
(1,1,'I love it',10.5,'en','a'),(2,1,'too dear',20,'en','b'),(3,2,'so so',30.25,'fr','a'),
(4,5,NULL,1,'en','c'),(5,6,'',0,'de','c'),(6,99,'nobody','5.5','en','d'),
(7,NULL,'good',7,NULL,'e'),(8,8,'Good',8,'en',NULL),(9,12,'never again',9.99,'es','d')""",
    "texts": """
(1,'I love it','en',NULL,1),(2,'I hate it','en',NULL,2),(3,'so so','fr',NULL,3),
(4,'so so','en',NULL,4),(5,NULL,'en',NULL,5),(6,'','en',NULL,6),(7,'good ','en',NULL,7),
(8,'Good','en',NULL,8),(9,'good','de',NULL,9),(10,'never again',NULL,NULL,10)""",
    "log": """
(1,'I love it','old',0.5,3),(2,'so so','old',NULL,1),(3,'NEGATIVE','old',0,2)""",
    "parts": """
(1,'I love it',NULL),(2,'I hate it',NULL),(3,'so so',NULL),(4,NULL,NULL),(5,'good ',NULL),
(6,'Good',NULL),(7,'',NULL),(8,'never again',NULL),(9,'good',NULL),
(10,'I love it',NULL)""",
    "nodes": """
(1,NULL,'root'),(2,1,'I love it'),(3,1,'I hate it'),(4,2,'so so'),(5,2,NULL),
(6,3,'good '),(7,4,'Good'),(8,7,'never again')""",
    "labels": """
('POSITIVE','yes',3),('NEGATIVE','no',-3),('NEUTRAL','so so',0),('MIXED',NULL,1)""",
    "narrow": "(1,'POSITIVE','abc','x',1,1)",
    "calls": "(1,'first',0)",
}

_PROCEDURES = (
    "CREATE PROCEDURE p(IN x VARCHAR(20)) INSERT INTO calls (s) VALUES (x)",
    "CREATE PROCEDURE p2(IN x VARCHAR(20), IN y DOUBLE, OUT z VARCHAR(50)) "
    "BEGIN INSERT INTO calls (s, c) VALUES (x, y); SET z = CONCAT(x, '/', y); END",
    "CREATE PROCEDURE shown(IN x VARCHAR(20)) BEGIN SELECT x, LENGTH(x) AS l; "
    "SELECT id FROM fb WHERE mood = x ORDER BY id; END",
)

Rows = tuple[tuple[bytes | None, ...], ...]

State = dict[str, tuple[Any, Rows]]
"""By table: how it is created, or the error of reading it, and its rows."""


def in_order(rows: Rows) -> Rows:
    """The rows sorted by their bytes, where the server's order means nothing."""
    return tuple(sorted(rows, key=lambda row: [(x is None, x or b"") for x in row]))


class Tables:
    """The schemas on one server, and the connection that looks after them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        account = server.account()
        self._connection: Any = pymysql.connect(
            host=server.host,
            port=server.port,
            user=account.user,
            password=account.password,
            charset="utf8mb4",
            autocommit=True,
            read_timeout=60,
            conv={},
            use_unicode=False,
            ssl_disabled=True,
        )
        server.run_as_root("SET GLOBAL log_bin_trust_function_creators = 1")
        self._run("SET SESSION lock_wait_timeout = 10")
        self._run("SET SESSION innodb_lock_wait_timeout = 1")
        self._run("SET SESSION sql_log_bin = 0")  # much of MySQL's time
        for schema in (SCHEMA, FUNCTIONS):
            self._run(f"DROP DATABASE IF EXISTS {schema}")
            self._run(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
        self._run(f"USE {SCHEMA}")
        for statement in _PROCEDURES:
            self._run(statement)
        self._pristine: State = {}
        for name in _TABLES:
            self._make(name)
        self._pristine = self.left_behind()

    def close(self) -> None:
        self._connection.close()

    @staticmethod
    def shadowing(name: str) -> tuple[str, ...]:
        """The statements that make a temporary table over one of ours."""
        return (
            f"DROP TEMPORARY TABLE IF EXISTS {name}",
            f"CREATE TEMPORARY TABLE {name} {_TABLES[name]}",
            f"INSERT INTO {name} VALUES {_ROWS[name]}",
        )

    def functions(self, there: bool) -> None:
        """Makes the stored functions, or takes them away."""
        for schema in (FUNCTIONS, SCHEMA):
            self._run(f"USE {schema}")
            for function in (LABEL, CONFIDENCE):
                self._run(f"DROP FUNCTION IF EXISTS {function.name}")
            for statement in sql_functions() if there else ():
                self._run(statement)

    def names(self) -> list[str]:
        """Every table that is there, and every view."""
        return sorted(row[0].decode() for row in self._run("SHOW TABLES"))

    def left_behind(self) -> State:
        """How every table is created, and its rows."""
        state: State = {}
        for name in self.names():
            created = self._run(f"SHOW CREATE TABLE `{name}`")[0][1]
            state[name] = (created, in_order(self._run(f"SELECT * FROM `{name}`")))
        return state

    def put_back(self, state: State | None = None) -> None:
        """Makes the tables as they were; `state` is what is known to be there."""
        there = self.left_behind() if state is None else state
        for name in there.keys() - self._pristine.keys():
            self._run(f"DROP TABLE `{name}`")
        for name, pristine in self._pristine.items():
            if name not in there or there[name][0] != pristine[0]:
                self._make(name)
            elif there[name] != pristine:
                self._run(f"DELETE FROM {name}")
                self._fill(name)
        for path in self.server.directory.glob("data/**/inline_*.txt"):
            path.unlink()

    def check(self) -> None:
        """Sees that cases which only read have left all as it was."""
        there = self.left_behind()
        if there != self._pristine:
            self.put_back(there)
            names = [name for name in there if there[name] != self._pristine.get(name)]
            raise AssertionError(f"a case that reads has written: {names}")

    def meanwhile(self, statement: str) -> tuple[Any, ...] | None:
        """Runs a statement in this other session; its error."""
        try:
            self._run(statement)
        except pymysql.MySQLError as failure:
            return tuple(failure.args)
        return None

    def count(self) -> None:
        """Brings the statistics up to date, on which plans depend."""
        self._run(f"ANALYZE TABLE {', '.join(_TABLES)}")

    def _make(self, name: str) -> None:
        self._run(f"DROP TABLE IF EXISTS {name}")
        self._run(f"CREATE TABLE {name} {_TABLES[name]}")
        self._fill(name)

    def _fill(self, name: str) -> None:
        if name in _ROWS:
            self._run(f"INSERT INTO {name} VALUES {_ROWS[name]}")

    def _run(self, statement: str) -> Any:
        self._connection.query(statement.encode())
        return tuple(self._connection._result.rows or ())
