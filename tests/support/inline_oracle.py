"""The oracle for ML calls in any position: what a client sees, and what differs.

In: cases and a session's settings. Out: what one side has shown, and differences field
by field. The sides take turns on the same tables, since a schema's name shows in column
definitions and plans.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pymysql
from support.inline_corpus import ELSEWHERE, QUIET, Case
from support.inline_tables import FUNCTIONS, SCHEMA, Rows, State, Tables, in_order
from support.oracle import _column
from support.servers import Server

READ_TIMEOUT_S = 30

_NOT_LOCKED, _OUT_OF_RANGE = 1100, 1690
_SHOWS_SQL = (b"1003", b"1690")

COLUMN_FIELDS = (
    *("schema", "table", "org_table", "name", "org_name", "charset", "length"),
    *("type", "flags", "decimals"),
)


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
    sections: tuple[str, ...] = ()
    inside: bool = False
    """Whether the tables left behind are also read by the session itself."""
    no_schema: bool = False
    """Whether the client has no default schema."""
    counts_first: bool = True
    """ROW_COUNT() and the like are asked before SHOW WARNINGS, else after it when there
    are warnings; each disturbs the other."""
    kinds: tuple[str, ...] = ("mariadb", "mysql")


@dataclass(frozen=True, slots=True)
class Result:
    """One result of a statement: rows, or none."""

    columns: tuple[tuple[Any, ...], ...]
    rows: Rows
    affected_rows: int
    insert_id: int | None
    message: bytes
    warning_count: int
    status: int | None


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


class _Connection(pymysql.connections.Connection):
    """Keeps what the client throws away: the status behind the last row."""

    last_status: int | None = None

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
            self._connection.query(self._encode(statement))
            results.append(self._result())
            while self._connection._result.has_next:
                self._connection.next_result()
                results.append(self._result())
        except pymysql.MySQLError as failure:
            error = (*failure.args, getattr(failure, "sqlstate", None))
        except OSError as failure:
            error = (type(failure).__name__, str(failure))
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
                state[name] = in_order(self._ask(f"SELECT * FROM {name}".encode()))
            except (pymysql.MySQLError, OSError) as failure:
                state[name] = failure.args
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
    schema = SCHEMA
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
            shown.append(Shown(steps, inside, left_behind))
            client.end_case()
            if writes:
                tables.put_back(left_behind)
    finally:
        client.close()
    tables.check()
    return shown


def differences(direct: Shown, proxied: Shown) -> Iterator[tuple[str, str]]:
    """What differs: the field, and how, in a line or a few."""
    for number, (wanted, got) in enumerate(
        zip(direct.steps, proxied.steps, strict=True), 1
    ):
        where = f"step {number} " if len(direct.steps) > 1 else ""
        for field, text in _step_differences(wanted, got):
            yield field, f"{where}{field}: {text}"
    for title in ("inside", "left_behind"):
        for field, text in _state_differences(
            getattr(direct, title), getattr(proxied, title)
        ):
            yield f"tables {title}", f"tables {title}: {field}: {text}"


def _step_differences(direct: Step, proxied: Step) -> Iterator[tuple[str, str]]:
    if _comparable_error(direct) != _comparable_error(proxied):
        yield "error", _both(direct.error, proxied.error)
        if direct.error is None or proxied.error is None:
            return  # all the rest differs by that
    if len(direct.results) != len(proxied.results):
        yield "results", _both(len(direct.results), len(proxied.results))
    for wanted, got in zip(direct.results, proxied.results, strict=False):
        yield from _result_differences(wanted, got, is_ordered(direct.statement))
    if direct.counts != proxied.counts:
        names = "ROW_COUNT, FOUND_ROWS, LAST_INSERT_ID, warning_count"
        yield "counts", f"({names}) {_both(direct.counts, proxied.counts)}"
    if (wanted := _comparable(direct.warnings)) != (got := _comparable(proxied.warnings)):
        yield "warnings", _rows_difference(wanted, got, ordered=True)


def _result_differences(
    direct: Result, proxied: Result, ordered: bool
) -> Iterator[tuple[str, str]]:
    if len(direct.columns) != len(proxied.columns):
        yield "columns", _both(len(direct.columns), len(proxied.columns))
    else:
        for number, pair in enumerate(
            zip(direct.columns, proxied.columns, strict=True), 1
        ):
            for name, wanted, got in zip(COLUMN_FIELDS, *pair, strict=True):
                if wanted != got:
                    yield f"column {name}", f"of column {number} {_both(wanted, got)}"
    if not ordered:
        direct_rows, proxied_rows = in_order(direct.rows), in_order(proxied.rows)
    else:
        direct_rows, proxied_rows = direct.rows, proxied.rows
    if direct_rows != proxied_rows:
        yield "rows", _rows_difference(direct_rows, proxied_rows, ordered)
    for field in fields(Result)[2:]:
        wanted, got = getattr(direct, field.name), getattr(proxied, field.name)
        if wanted != got:
            yield field.name, _both(wanted, got)


def _state_differences(direct: State, proxied: State) -> Iterator[tuple[str, str]]:
    for name in sorted(direct.keys() | proxied.keys()):
        wanted, got = direct.get(name), proxied.get(name)
        if wanted is None or got is None:
            yield name, f"only {'proxied' if wanted is None else 'direct'}"
        elif wanted != got:
            if len(wanted) == len(got) == 2 and wanted[0] != got[0]:
                yield name, "as created " + _both(wanted[0], got[0])
            rows = [state[1] if len(state) == 2 else state for state in (wanted, got)]
            if rows[0] != rows[1]:
                yield name, _rows_difference(*rows, ordered=False)


def _comparable_error(step: Step) -> tuple[Any, ...] | None:
    """Without the expression that is out of range: the call in it is a CASE by then."""
    if step.error is not None and step.error[0] == _OUT_OF_RANGE:
        return (step.error[0], str(step.error[1]).partition(" in '")[0])
    return step.error


def _comparable(warnings: Rows) -> Rows:
    """Without what shows the statement that the server got: EXPLAIN's note, 1690."""
    return tuple((*row[:2], None) if row[1] in _SHOWS_SQL else row for row in warnings)


def _rows_difference(direct: Any, proxied: Any, ordered: bool) -> str:
    missing, more = list(direct), []
    for row in proxied:
        if row in missing:
            missing.remove(row)
        else:
            more.append(row)
    if ordered and not missing and not more:
        return f"in another order, {_both(direct, proxied)}"
    return (
        f"{len(direct)} direct, {len(proxied)} proxied"
        f"\n      only direct  {_shown(missing)}\n      only proxied {_shown(more)}"
    )


def _both(direct: Any, proxied: Any) -> str:
    return f"direct {_shown(direct)} proxied {_shown(proxied)}"


def _shown(value: Any) -> str:
    """Bytes as the text that they mostly are."""
    if isinstance(value, bytes):
        return repr(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_shown, value))})"
    return repr(value)


_NESTED = re.compile(r"\([^()]*\)")
_NOT_CODE = re.compile(
    r"""/\*(?!!).*?\*/|--[ \t].*?$|'(?:''|\\.|[^'\\])*'|"(?:""|\\.|[^"\\])*"|`[^`]*`""",
    re.DOTALL | re.MULTILINE,
)


def is_ordered(statement: str) -> bool:
    """Whether the order of the rows means something."""
    if re.match(r"\s*(EXPLAIN|SHOW|DESC|ANALYZE)", statement, re.IGNORECASE):
        return True
    text = _NOT_CODE.sub(" ", statement)
    while (flat := _NESTED.sub(" ", text)) != text:
        text = flat
    return re.search(r"\bORDER\s+BY\b", text, re.IGNORECASE) is not None


def report(case: Case, direct: Shown, proxied: Shown) -> str:
    """The case with all its differences; nothing without any."""
    lines = [f"    {text}" for _, text in differences(direct, proxied)]
    if not lines:
        return ""
    return "\n".join([f"{case.name} (line {case.line})", ";;\n".join(case.steps), *lines])


def summary(
    cases: Sequence[Case], direct: Sequence[Shown], proxied: Sequence[Shown], lines: int
) -> str:
    """How many cases differ by which field, and a line for each; nothing without any."""
    counts: dict[str, int] = {}
    found = []
    for case, *sides in zip(cases, direct, proxied, strict=True):
        different = list(differences(*sides))
        for field in {field for field, _ in different}:
            counts[field] = counts.get(field, 0) + 1
        if different:
            first = " ".join(different[0][1].split())
            more = f" (+{len(different) - 1})" if len(different) > 1 else ""
            found.append(f"{case.name}{more} {first}"[:200])
    if not found:
        return ""
    by_field = ", ".join(f"{n} {field}" for field, n in sorted(counts.items()))
    left_out = f"… and {len(found) - lines} more" if len(found) > lines else ""
    head = f"{len(found)} of {len(cases)} cases differ: {by_field}"
    return "\n".join([head, *found[:lines], left_out]).rstrip()
