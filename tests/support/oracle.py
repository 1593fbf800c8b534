"""The oracle: a server with stored functions of the ML functions' names.

Any statement, run straight against that server and through the proxy, must agree in all
that a client sees: rows, column definitions, warnings, error numbers and messages.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from support.prepared_connection import PreparedConnection
from support.servers import Server

from aurora_ml_proxy.backends.oracle import sql_functions

SCHEMA = "oracle"

_TABLE = """
CREATE TABLE fb (
    id INT PRIMARY KEY AUTO_INCREMENT,
    t TEXT,
    v VARCHAR(200) CHARACTER SET latin1,
    u VARCHAR(100) CHARACTER SET utf16,
    b VARBINARY(100),
    lang VARCHAR(10),
    n INT,
    d DOUBLE,
    dt DATETIME,
    dc DECIMAL(10,3),
    product VARCHAR(20)
)"""

_ROWS = """
INSERT INTO fb (t, v, u, b, lang, n, d, dt, dc, product) VALUES
('I love it', 'café', '你好', 'bytes', 'en', 1, 1.5, '2020-01-02 03:04:05', 1.5, 'a'),
('I hate it', 'x', 'y', 'z', 'fr', 2, 1e-20, '2021-01-01', 2, 'a'),
(NULL, NULL, NULL, NULL, 'en', NULL, NULL, NULL, NULL, 'b'),
('', '', '', '', 'en', 0, 0, '2000-01-01', 0, 'b'),
('good ', 'Good', 'good', 'GOOD', NULL, -5, -2.25, '1999-12-31', -1.5, 'b'),
('It is — 好 😀', 'z', 'w', 'q', 'de', 7, 3e10, '2024-02-29', 99.999, 'c')"""


def create_oracle(server: Server) -> None:
    """Makes the schema with the functions and the table."""
    account = server.account()
    connection = pymysql.connect(
        host=server.host,
        port=server.port,
        user=account.user,
        password=account.password,
        charset="utf8mb4",
        autocommit=True,
        **({} if server.tls else {"ssl_disabled": True}),
    )
    server.run_as_root("SET GLOBAL log_bin_trust_function_creators = 1")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {SCHEMA}")
        cursor.execute(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {SCHEMA}")
        for statement in (*sql_functions(), _TABLE, _ROWS):
            cursor.execute(statement)


_NAMES = {
    "F": "aws_comprehend_detect_sentiment",
    "G": "aws_comprehend_detect_sentiment_confidence",
    "f": "AWS_Comprehend_detect_sentiment",
    "g": "AWS_COMPREHEND_DETECT_SENTIMENT_CONFIDENCE",
}


def read_corpus(path: Path) -> list[str]:
    """The statements of a data file: paragraphs, without the lines of comment."""
    statements = []
    for paragraph in re.split(r"\n\s*\n", path.read_text()):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        if text := "\n".join(lines):
            statements.append(expand(text))
    return statements


def expand(text: str) -> str:
    """F( and G( for the names of the functions, f( and g( in mixed case."""
    return re.sub(
        r"\b([FGfg])(\s*)\(", lambda match: _NAMES[match[1]] + match[2] + "(", text
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a client sees of one statement."""

    error: tuple[Any, ...] | None
    columns: tuple[tuple[Any, ...], ...]
    rows: tuple[tuple[bytes | None, ...], ...]
    affected_rows: int
    warning_count: int
    warnings: tuple[tuple[bytes | None, ...], ...]
    status: int


class RawClient:
    """A client that shows bytes as they come, and every field of a definition.

    Args:
        prepared: whether statements are prepared by the server, with parameters for their
            literals where it takes them.
    """

    def __init__(
        self,
        server: Server,
        host: str,
        port: int,
        *,
        prepared: bool = False,
        **options: Any,
    ) -> None:
        account = server.account()
        self._prepared = prepared
        self.connection: Any = PreparedConnection(
            host=host,
            port=port,
            user=account.user,
            password=account.password,
            database=SCHEMA,
            autocommit=True,
            conv={},
            use_unicode=False,
            charset="utf8mb4",
            ssl_disabled=True,
            **options,
        )
        self.connection.encoding = "latin-1"  # names and messages, byte for byte

    def close(self) -> None:
        self.connection.close()

    def query(self, statement: bytes) -> None:
        """Runs a statement, prepared if that is asked for."""
        self.connection.prepares = self.connection.with_parameters = self._prepared
        try:
            self.connection.query(statement)
        finally:
            self.connection.prepares = False

    def see(self, statement: bytes) -> Seen:
        """Runs a statement and SHOW WARNINGS after it."""
        self.connection.query(b"SELECT 1 FROM fb LIMIT 0")  # no old warnings
        error, columns, rows, affected, warnings, status = None, (), (), 0, 0, 0
        try:
            self.query(statement)
            result = self.connection._result
            affected, warnings = result.affected_rows, result.warning_count
            status = result.server_status
            if result.description is not None:
                columns = tuple(_column(field) for field in result.fields)
                rows = tuple(result.rows)
        except pymysql.MySQLError as failure:
            error = failure.args
        self.connection.query(b"SHOW WARNINGS")
        shown = tuple(self.connection._result.rows)
        return Seen(error, columns, rows, affected, warnings, shown, status)


def _column(field: Any) -> tuple[Any, ...]:
    return (
        field.db,
        field.table_name,
        field.org_table,
        field.name,
        field.org_name,
        field.charsetnr,
        field.length,
        field.type_code,
        field.flags,
        field.scale,
    )
