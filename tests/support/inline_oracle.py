"""The oracle for ML calls in any position: runs cases, and keeps all that a client sees.

In: cases and a session's settings. Out: what one side has shown. The sides take turns on
the same tables, since a schema's name shows in column definitions and plans.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from support.inline_corpus import ELSEWHERE, QUIET, Case
from support.inline_tables import FUNCTIONS, SCHEMA, Rows, State, Tables, in_order
from support.oracle import _column
from support.prepared_connection import PreparedConnection
from support.servers import Server

READ_TIMEOUT_S = 30

_NOT_LOCKED = 1100


@dataclass(frozen=True, slots=True)
class Session:
    """The settings under which the corpus is run."""

    start: tuple[str, ...] = ()
    """Statements at the start of the session."""
    before: tuple[str, ...] = ()
    """Statements before each case; a ROLLBACK comes behind it."""
    encoding: str = "utf-8"
    """What the statements are written in."""
    three_bytes: bool = False
    """Whether that has no characters beyond the Basic Multilingual Plane."""
    whole: bool = False
    """Whether every section is run; else each fourth case, and the sections named."""
    in_every_run: bool = True
    """Whether a whole session is run with every run, or with `make matrix` only."""
    sections: tuple[str, ...] = ()
    inside: bool = False
    """Whether the tables left behind are also read by the session itself."""
    no_schema: bool = False
    """Whether the client has no default schema."""
    counts_first: bool = True
    """ROW_COUNT() and the like are asked before SHOW WARNINGS, else after it when there
    are warnings; each disturbs the other."""
    kinds: tuple[str, ...] = ("mariadb", "mysql")
    prepared: bool = False
    """Whether statements are prepared by the server, and rows are binary."""
    parameters: bool = False
    """Whether plain literals become parameters where the server allows it."""
    name: str = ""


Columns = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One result of a statement: rows, or none."""

    columns: Columns
    rows: Rows
    affected_rows: int
    insert_id: int | None
    message: bytes
    warning_count: int
    status: int | None
    prepared_columns: Columns = ()
    """As PREPARE has described them."""
    prepared: tuple[Any, ...] = ()
    """Errors of PREPAREs before the one that worked, and its number of parameters."""


@dataclass(frozen=True, slots=True)
class Step:
    """All that a client sees of one statement."""

    statement: str
    error: tuple[Any, ...] | None
    results: tuple[Result, ...] = ()
    counts: Rows = ()
    """ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID() and @@warning_count."""
    warnings: Rows = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """All that is seen of one case."""

    steps: tuple[Step, ...]
    inside: State
    """The tables as the session itself sees them at the end, where that is asked."""
    left_behind: State
    """The tables as others see them."""
    kind: str = ""
    """Of the server."""
    session: str = ""
    """The session's name."""


class _Connection(PreparedConnection):
    """Keeps what the client throws away: the status behind the last row."""

    def _read_packet(self, *arguments: Any) -> Any:
        packet = super()._read_packet(*arguments)
        if packet.is_eof_packet():
            self.last_status = int.from_bytes(packet.get_all_data()[3:5], "little")
        return packet


class Client:
    """One side: a client that runs cases, and shows bytes as they come."""

    def __init__(
        self, server: Server, address: Any, schema: str | None, session: Session
    ):
        account = server.account()
        self._session = session
        self._quiet = False
        self._options: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "user": account.user,
            "password": account.password,
            "database": schema,
            "autocommit": True,
            "conv": {},
            "use_unicode": False,
            "charset": "utf8mb4",
            "ssl_disabled": True,
            "read_timeout": READ_TIMEOUT_S,
        }
        self._connect()

    def close(self) -> None:
        self._connection.close()

    def prepare_case(self) -> None:
        """Runs the session's statements before a case."""
        for statement in self._session.before:
            self._ask(statement.encode())

    def end_case(self) -> None:
        """Ends what the case has begun; a connection that is lost is made again."""
        try:
            self._ask(b"ROLLBACK")
            self._ask(b"UNLOCK TABLES")
            self._ask(b"SET last_insert_id = 0")
        except (pymysql.MySQLError, OSError):
            self._connect()

    def step(self, statement: str) -> Step:
        """Runs one statement."""
        error: tuple[Any, ...] | None = None
        results: list[Result] = []
        if not self._quiet:
            self._clear_warnings()
        self._quiet = statement.startswith(QUIET)
        statement = statement.removeprefix(QUIET)
        try:
            self._connection.prepares = self._session.prepared
            self._connection.with_parameters = self._session.parameters
            self._connection.query(self._encode(statement))
            results.append(self._result())
            while self._connection._result.has_next:
                self._connection.next_result()
                results.append(self._result())
        except pymysql.MySQLError as failure:
            error = (*failure.args, getattr(failure, "sqlstate", None))
        except OSError as failure:
            error = (type(failure).__name__, str(failure))
        finally:
            self._connection.prepares = False
        if self._quiet:
            return Step(statement, error, tuple(results))
        try:
            counts, warnings = self._look(error, results)
        except (pymysql.MySQLError, OSError) as failure:
            error = (*(error or ()), "and afterwards", *failure.args)
            counts, warnings = (), ()
            self._connect()
        return Step(statement, error, tuple(results), counts, warnings)

    def inside(self, names: Sequence[str]) -> State:
        """The tables as this session sees them."""
        state: State = {}
        for name in names:
            try:
                rows = self._ask(f"SELECT * FROM {SCHEMA}.{name}".encode())
                state[name] = (None, in_order(rows))
            except (pymysql.MySQLError, OSError) as failure:
                state[name] = (failure.args, ())
        return state

    def _encode(self, statement: str) -> bytes:
        if self._session.three_bytes:
            statement = "".join(c if ord(c) < 0x10000 else "?" for c in statement)
        return statement.encode(self._session.encoding, "replace")

    def _connect(self) -> None:
        self._connection: Any = _Connection(**self._options)
        self._connection.encoding = "latin-1"  # names and messages, byte for byte
        for statement in self._session.start:
            self._ask(statement.encode())

    def _ask(self, statement: bytes) -> Rows:
        self._connection.query(statement)
        return tuple(self._connection._result.rows or ())

    def _clear_warnings(self) -> None:
        try:
            self._ask(f"SELECT 1 FROM {SCHEMA}.nothing LIMIT 0".encode())
        except pymysql.MySQLError as failure:
            if failure.args[0] != _NOT_LOCKED:
                self._connect()

    def _result(self) -> Result:
        result = self._connection._result
        has_rows = result.description is not None
        return Result(
            tuple(_column(field) for field in result.fields) if has_rows else (),
            tuple(result.rows) if has_rows else (),
            result.affected_rows,
            result.insert_id,
            result.message or b"",
            result.warning_count,
            self._connection.last_status if has_rows else result.server_status,
            tuple(map(_column, self._connection.prepared_columns)),
            self._connection.prepared,
        )

    def _look(
        self, error: tuple[Any, ...] | None, results: list[Result]
    ) -> tuple[Rows, Rows]:
        counts = b"SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID(), @@warning_count"
        warned = error is not None or any(result.warning_count for result in results)
        if self._session.counts_first or not warned:
            first, second = self._ask(counts), self._ask(b"SHOW WARNINGS")
            return first, second
        second, first = self._ask(b"SHOW WARNINGS"), self._ask(counts)
        return first, second


def choose_for(session: Session, kind: str, cases: Sequence[Case]) -> list[Case]:
    """The cases that are run in a session on a kind of server."""
    cases = [case for case in cases if case.is_for(kind)]
    if session.before:
        # A statement that the server refuses may have ended the transaction.
        cases = [case for case in cases if not case.refused]
    if session.no_schema:
        return [case for case in cases if case.section in session.sections]
    if session.whole:
        return cases
    offset = sum(map(ord, "".join(session.start + session.before))) % 4
    return [
        case
        for index, case in enumerate(cases)
        if index % 4 == offset or case.section in session.sections
    ]


def run_side(
    tables: Tables, address: Any, session: Session, cases: Sequence[Case], direct: bool
) -> list[Shown]:
    """Runs the cases on one side, each on the tables as they were made.

    Args:
        address: what has the host and the port.
        direct: the stored functions are there, else the proxy answers the calls.
    """
    schema: str | None = SCHEMA
    if session.no_schema:
        schema = FUNCTIONS if direct else None
    tables.functions(there=direct)
    tables.put_back()
    client = Client(tables.server, address, schema, session)
    shown = []
    try:
        for case in cases:
            client.prepare_case()
            if case.section == "explain":
                tables.count()
            steps = tuple(
                Step(statement, tables.meanwhile(statement))
                if statement.startswith(ELSEWHERE)
                else client.step(statement)
                for statement in case.steps
            )
            inside = client.inside(tables.names()) if session.inside else {}
            writes = case.writes or bool(session.before)
            left_behind = tables.left_behind() if writes else {}
            shown.append(
                Shown(steps, inside, left_behind, tables.server.kind, session.name)
            )
            client.end_case()
            if writes:
                tables.put_back(left_behind)
    finally:
        client.close()
    tables.check()
    return shown
