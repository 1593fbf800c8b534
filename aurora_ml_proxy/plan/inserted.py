"""The parts of an INSERT or REPLACE.

In: a statement. Out: where its table, columns, rows and tails stand.
Source: MySQL manual, "INSERT Statement"; MariaDB Knowledge Base, "INSERT...RETURNING".
"""

from dataclasses import dataclass

from aurora_ml_proxy.plan.blocks import first_word
from aurora_ml_proxy.plan.spans import (
    Span,
    commas,
    end_of_group,
    equals_sign,
    listed,
    mark,
    word,
)
from aurora_ml_proxy.plan.tokens import Statement

_OPTIONS = frozenset(b"LOW_PRIORITY DELAYED HIGH_PRIORITY IGNORE INTO".split())


@dataclass(frozen=True, slots=True)
class Inserted:
    """The parts of an INSERT or REPLACE, in token indexes."""

    table: Span
    columns: tuple[Span, ...]
    """None are named in `INSERT INTO t VALUES (...)`."""
    rows: tuple[tuple[Span, ...], ...]
    """The values of each row, of VALUES or SET; no row without any."""
    query: Span | None
    """The SELECT of an INSERT ... SELECT, with its WITH."""
    alias: bytes
    """The row's own name: `VALUES (...) AS alias`."""
    updates: tuple[tuple[Span, Span], ...]
    """ON DUPLICATE KEY UPDATE: the columns and what they become."""
    returning: Span | None


def read_inserted(statement: Statement) -> Inserted | None:
    """The parts of an INSERT or REPLACE; None for anything else, and without a table."""
    start = first_word(statement)
    if word(statement, start) not in (b"INSERT", b"REPLACE"):
        return None
    end = end_of_group(statement, start)
    table = _read_table(statement, start + 1)
    if table[1] >= end:
        return None
    i = table[1] + 1
    if word(statement, i) == b"PARTITION":
        i = statement.closing.get(i + 1, i) + 1
    columns: tuple[Span, ...] = ()
    if mark(statement, i) == b"(" and word(statement, i + 1) not in (b"SELECT", b"WITH"):
        columns = tuple(listed(statement, i))
        i = statement.closing[i] + 1
    tails = _tails(statement, i, end, statement.depth[start])
    stop = min(tails.values(), default=end)
    rows: tuple[tuple[Span, ...], ...] = ()
    query, alias = None, b""
    if word(statement, i) in (b"VALUES", b"VALUE"):
        rows, i = _read_rows(statement, i + 1, stop)
        alias, renamed = _read_alias(statement, i, stop)
        columns = renamed or columns
    elif word(statement, i) == b"SET":
        behind = next((j for j in range(i + 1, stop) if _is_alias(statement, j, i)), stop)
        alias, renamed = _read_alias(statement, behind, stop)
        pairs = _assignments(statement, i + 1, behind - 1)
        columns = renamed or tuple(name for name, _ in pairs)
        rows = (tuple(value for _, value in pairs),) if pairs else ()
    elif i < stop:
        query = (i, stop - 1)
    updates: tuple[tuple[Span, Span], ...] = ()
    if (at := tails.get(b"ON")) is not None:
        behind = tails.get(b"RETURNING", end)
        updates = tuple(_assignments(statement, at + 4, behind - 1))
    returning = None
    if (at := tails.get(b"RETURNING")) is not None and at + 1 < end:
        returning = (at + 1, end - 1)
    return Inserted(table, columns, rows, query, alias, updates, returning)


def _read_table(statement: Statement, i: int) -> Span:
    while word(statement, i) in _OPTIONS:
        i += 1
    first = i
    while mark(statement, i + 1) == b".":
        i += 2
    return first, i


def _tails(statement: Statement, i: int, end: int, level: int) -> dict[bytes, int]:
    """Where ON DUPLICATE KEY UPDATE and RETURNING stand, which end what is before."""
    return {
        word(statement, j): j
        for j in range(end - 1, i, -1)
        if statement.depth[j] == level and _is_tail(statement, j)
    }


def _is_tail(statement: Statement, i: int) -> bool:
    if mark(statement, i - 1) == b".":
        return False
    if word(statement, i) == b"ON":
        return word(statement, i + 1) == b"DUPLICATE"
    return word(statement, i) == b"RETURNING"


def _read_rows(
    statement: Statement, i: int, stop: int
) -> tuple[tuple[tuple[Span, ...], ...], int]:
    """The values of `(…), ROW (…), …`, and the first token behind them."""
    rows: list[tuple[Span, ...]] = []
    while i < stop:
        i += word(statement, i) == b"ROW"
        if mark(statement, i) != b"(":
            break
        if row := tuple(listed(statement, i)):
            rows.append(row)
        i = statement.closing[i] + 1
        if mark(statement, i) != b",":
            break
        i += 1
    return tuple(rows), i


def _is_alias(statement: Statement, i: int, start: int) -> bool:
    """Whether this AS is behind the assignments of SET, and in none of them."""
    return word(statement, i) == b"AS" and statement.depth[i] == statement.depth[start]


def _read_alias(
    statement: Statement, i: int, stop: int
) -> tuple[bytes, tuple[Span, ...]]:
    """The name of the rows, and the names of their columns: `AS alias(columns)`."""
    if word(statement, i) != b"AS" or i + 1 >= stop:
        return b"", ()
    columns: tuple[Span, ...] = ()
    if mark(statement, i + 2) == b"(":
        columns = tuple(listed(statement, i + 2))
    return statement.source(i + 1, i + 1), columns


def _assignments(statement: Statement, first: int, last: int) -> list[tuple[Span, Span]]:
    return [
        ((pair[0], equals - 1), (equals + 1, pair[1]))
        for pair in commas(statement, first, last)
        if (equals := equals_sign(statement, pair)) is not None
    ]
