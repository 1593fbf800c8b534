"""Runs a random statement and looks at all that it did; says what two looks disagree in.

In: a `Statement` and a client. Out: an `Outcome`, or lines that tell of a difference.
A statement runs in a transaction that is rolled back, so that the next one finds the
tables as this one did.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pymysql
from support.oracle import RawClient, _column
from support.random_schema import FIRST_FREE_ID, LOG, VARIABLES
from support.random_sql import Statement
from support.servers import Server

SESSION = (
    "SET sql_mode = CONCAT(@@sql_mode, ',ONLY_FULL_GROUP_BY')",
    "SET group_concat_max_len = 4000",
    VARIABLES,
)

COLUMN_FIELDS = (
    *("db", "table", "org_table", "name", "org_name", "charset", "length", "type"),
    *("flags", "decimals"),
)

SYNTAX_NOTES = (b"1287", b"3720")
"""Deprecated syntax: VALUES(), := and N'…'."""

ANSWER_TIMEOUT_S = 30
_NO_ANSWER = (2006, 2013, 2014, 2027)
"""The client library's own errors: no answer came, or no sense could be made of it."""

Rows = tuple[tuple[bytes | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement gave, and what it left behind."""

    error: tuple[Any, ...] | None
    columns: tuple[tuple[Any, ...], ...]
    rows: Rows
    affected_rows: int
    insert_id: int
    warning_count: int
    warnings: Rows
    left: tuple[Rows | tuple[Any, ...], ...]
    """The rows of each of the statement's checks, or its error."""


class RandomClient(RawClient):
    """A client whose session is as random statements want it."""

    def __init__(self, server: Server, host: str, port: int, **options: Any) -> None:
        super().__init__(server, host, port, read_timeout=ANSWER_TIMEOUT_S, **options)
        for statement in SESSION:
            self.run(statement)

    def run(self, statement: str) -> Any:
        """Runs a statement that succeeds; its result."""
        self.connection.query(statement.encode())
        return self.connection._result

    def abandon(self) -> None:
        """Leaves without a word, whatever the connection's state."""
        self.connection._force_close()

    def look(self, statement: Statement) -> Outcome:
        """Runs the statement, reads what it may have changed, and undoes it."""
        for sql in statement.before:
            self.run(sql)
        self.run("START TRANSACTION")
        outcome = self._outcome(statement)
        self.run("ROLLBACK")
        for sql in statement.after:
            self.run(sql)
        return outcome

    def _outcome(self, statement: Statement) -> Outcome:
        self.run("SELECT 1 FROM fb LIMIT 0")  # no old warnings
        error: tuple[Any, ...] | None = None
        columns: tuple[tuple[Any, ...], ...] = ()
        rows: Rows = ()
        affected, insert_id, warnings = 0, 0, 0
        try:
            result = self.run(statement.sql)
            affected, warnings = result.affected_rows, result.warning_count
            insert_id = result.insert_id or 0
            if result.description is not None:
                columns = tuple(_column(field) for field in result.fields)
                rows = tuple(result.rows)
        except pymysql.MySQLError as failure:
            if not self.connection.open or failure.args[0] in _NO_ANSWER:
                raise
            error = failure.args
        shown = tuple(self.run("SHOW WARNINGS").rows)
        left = tuple(self._check(check) for check in statement.checks)
        return Outcome(error, columns, rows, affected, insert_id, warnings, shown, left)

    def _check(self, check: str) -> tuple[Any, ...]:
        try:
            return tuple(self.run(check).rows)
        except pymysql.MySQLError as failure:
            return tuple(failure.args)


def differences(
    server: Server, statement: Statement, wanted: Outcome, got: Outcome
) -> Iterator[str]:
    """A line for every field that differs, with both sides."""
    errno, other = ((one.error or (0,))[0] for one in (wanted, got))
    if errno != other and is_own_error(got):
        return  # one clear error, of which the caller counts how many there are
    if _ALIKE.get(errno, errno) != _ALIKE.get(other, other):
        yield f"error {errno} or {other}: direct {wanted.error}, proxied {got.error}"
        return
    yield from _columns(server, statement, wanted, got)
    if statement.ordered or len(wanted.rows) != len(got.rows):
        if wanted.rows != got.rows:
            yield f"rows: direct {_cut(wanted.rows)}, proxied {_cut(got.rows)}"
    elif Counter(wanted.rows) != Counter(got.rows):
        only = _only(wanted.rows, got.rows)
        yield f"rows: only direct {only[0]}, only proxied {only[1]}"
    for name in ("affected_rows", "insert_id"):
        a, b = getattr(wanted, name), getattr(got, name)
        if a != b:
            yield f"{name}: direct {a}, proxied {b}"
    if _warned(wanted) != _warned(got):
        yield (
            f"warnings: direct {wanted.warning_count} {_cut(wanted.warnings)}, "
            f"proxied {got.warning_count} {_cut(got.warnings)}"
        )
    for check, a, b in zip(statement.checks, wanted.left, got.left, strict=True):
        if Counter(a) != Counter(b):
            only = _only(a, b)
            yield f"after it, {check}: direct {only[0]}, proxied {only[1]}"


def numbered_alike(statement: Statement, wanted: Outcome, got: Outcome) -> Outcome:
    """`got` with the AUTO_INCREMENT numbers that it would have without failed tries.

    A server does not give back the numbers of a statement that failed, and the proxy may
    have to send one twice (docs/inline.md).
    """
    shift = _first_new_id(statement, got) - _first_new_id(statement, wanted)
    if shift <= 0:
        return got
    left = tuple(
        _shifted(rows, shift) if f"FROM {LOG.name} " in check else rows
        for check, rows in zip(statement.checks, got.left, strict=True)
    )
    insert_id = got.insert_id and got.insert_id - shift
    rows = _shifted(got.rows, shift)  # of RETURNING id
    return replace(got, insert_id=insert_id, rows=rows, left=left)


def _first_new_id(statement: Statement, outcome: Outcome) -> int:
    ids = [
        int(row[0])
        for check, rows in zip(statement.checks, outcome.left, strict=True)
        if f"FROM {LOG.name} " in check
        for row in rows
    ]
    return min((number for number in ids if number >= FIRST_FREE_ID), default=0)


def _shifted(rows: tuple[Any, ...], shift: int) -> tuple[Any, ...]:
    """Rows that start with a number."""
    return tuple(
        row if int(row[0]) < FIRST_FREE_ID else (b"%d" % (int(row[0]) - shift), *row[1:])
        for row in rows
    )


_ALIKE = dict.fromkeys((1267, 1270, 1271), 1267) | {1056: 1055}
"""Illegal mixes of collations, and wrong groups: a server says what it meets first."""


def is_own_error(got: Outcome) -> bool:
    """Whether the proxy itself has said that it cannot answer (1020, 1235)."""
    return got.error is not None and _OWN_ERROR.match(str(got.error[1])) is not None


_OWN_ERROR = re.compile("aws_comprehend_detect_sentiment(_confidence)?: ")


def _warned(outcome: Outcome) -> tuple[int, set[bytes | None]]:
    """How many warnings there were, and which notes about the syntax.

    These come once for each time that an argument is written in the statement that the
    server gets (docs/functions.md).
    """
    notes = [row[1] for row in outcome.warnings if row[1] in SYNTAX_NOTES]
    # An ERR packet has no count of warnings.
    count = len(outcome.warnings) if outcome.error else outcome.warning_count
    return count - len(notes), set(notes)


def _columns(
    server: Server, statement: Statement, wanted: Outcome, got: Outcome
) -> Iterator[str]:
    if " RETURNING " in statement.sql and not wanted.rows and not got.rows:
        return  # MariaDB gives no result at all where it sees that no row matches
    if len(wanted.columns) != len(got.columns):
        yield f"columns: {len(wanted.columns)} {len(got.columns)}"
        return
    both = zip(wanted.columns, got.columns, strict=True)
    for number, (a, b) in enumerate(both, 1):
        for name, x, y in zip(COLUMN_FIELDS, a, b, strict=True):
            if name in _COMPARED and _family(name, x) != _family(name, y):
                yield f"column {number}'s {name}: direct {x!r}, proxied {y!r}"


_COMPARED = frozenset(("name", "charset", "type"))
"""The rest of a definition depends on whether the rows have been in a temporary table,
which a stored function needs where an expression does not. The corpus compares it."""

_FAMILIES = {
    **dict.fromkeys((1, 2, 3, 8, 9), "integer"),
    **dict.fromkeys((249, 250, 251, 252, 253, 254), "string"),
}
"""Column types whose width depends on it as well."""


def _family(name: str, value: Any) -> Any:
    return _FAMILIES.get(value, value) if name == "type" else value


def _only(wanted: tuple[Any, ...], got: tuple[Any, ...]) -> tuple[str, str]:
    """The rows of each side that the other has not."""
    a, b = Counter(wanted), Counter(got)
    return _cut(list((a - b).elements())), _cut(list((b - a).elements()))


def _cut(what: object) -> str:
    text = repr(what)
    return text if len(text) <= 600 else f"{text[:600]}… ({len(text)} characters)"
