"""A session behind the proxy over a table of texts, for what goes wrong in it.

In: a server, a proxy that asks a fake Comprehend. Out: a `Session` to ask through, and
what the table holds as seen by root.
"""

import threading
from contextlib import ExitStack
from typing import Any, Self

import pymysql
from support.fakes import Fake
from support.proxies import Proxy
from support.servers import Server
from support.watching import connected, rows_of

from aurora_ml_proxy.backends.oracle import expected

SCHEMA = "inline_faults"
ROWS = 60
CALL = "aws_comprehend_detect_sentiment(t, 'en')"
UPDATE = f"UPDATE fb SET s = {CALL}"


def create_texts(server: Server) -> None:
    """Makes `fb` anew: sixty distinct texts without answers."""
    rows = ", ".join(f"({i}, 'text {i}')" for i in range(1, ROWS + 1))
    server.run_as_root(
        f"CREATE DATABASE IF NOT EXISTS {SCHEMA} CHARACTER SET utf8mb4",
        f"DROP TABLE IF EXISTS {SCHEMA}.fb",
        f"CREATE TABLE {SCHEMA}.fb (id INT PRIMARY KEY, t LONGTEXT, s VARCHAR(20), n INT)"
        " ENGINE=InnoDB",
        f"INSERT INTO {SCHEMA}.fb (id, t) VALUES {rows}",
    )


def label(text: str) -> str:
    """What the fake answers."""
    return expected(text, "en").label


class Asking(threading.Thread):
    """A statement under way; `error` is what it failed with, as the driver tells it."""

    def __init__(self, connection: Any, sql: str) -> None:
        super().__init__(daemon=True)
        self._connection, self._sql = connection, sql
        self.rows: Any = None
        self.error: tuple[Any, ...] = ()
        self.start()

    def run(self) -> None:
        try:
            self.rows = rows_of(self._connection, self._sql)
        except (pymysql.err.MySQLError, OSError, ValueError) as error:
            self.error = error.args or (type(error),)

    def ended(self, timeout_s: float = 20) -> Self:
        self.join(timeout_s)
        assert not self.is_alive(), f"{self._sql} hangs"
        return self


class Session:
    """A connection through the proxy, and others beside it."""

    def __init__(self, server: Server, proxy: Proxy, fake: Fake) -> None:
        self.server, self.proxy, self.fake = server, proxy, fake
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.connection = self.another()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def another(self, **options: Any) -> Any:
        """One more connection through the proxy."""
        account = self.server.account()
        options = {"database": SCHEMA, **options}
        made = connected(self.proxy.port, account, **options)
        return self._stack.enter_context(made)

    def run(self, sql: str) -> Any:
        return rows_of(self.connection, sql)

    def error_of(self, sql: str) -> int:
        """The number of the error that the statement fails with."""
        try:
            rows_of(self.connection, sql)
        except pymysql.err.MySQLError as error:
            return int(error.args[0])
        raise AssertionError(f"{sql} has not failed")

    def starts(self, sql: str) -> Asking:
        return Asking(self.connection, sql)

    def as_root(self, *statements: str) -> Any:
        return self.server.run_as_root(f"USE {SCHEMA}", *statements)

    def labels(self) -> dict[int, str | None]:
        """The answers in the table."""
        return dict(self.as_root("SELECT id, s FROM fb"))

    def is_untouched(self) -> bool:
        return set(self.labels().values()) == {None}

    def is_right(self) -> bool:
        """Whether each row holds the answer to its own text."""
        rows = self.as_root("SELECT t, s FROM fb")
        return all(s == label(t) for t, s in rows)

    def is_usable(self) -> bool:
        return self.run("SELECT 1") == ((1,),)

    def warnings(self) -> list[tuple[str, int, str]]:
        return list(self.run("SHOW WARNINGS"))
