"""The rows that an INSERT or REPLACE is about to write, as a query of ours.

Arguments can mean them: VALUES(column) or a row alias in ON DUPLICATE KEY UPDATE, a
column of RETURNING, and an earlier column in the same row.
Source: MySQL manual, "INSERT Statement"; MariaDB Knowledge Base, "INSERT...RETURNING".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aurora_ml_proxy.plan.blocks import (
    Span,
    end_of_group,
    first_word,
    mark,
    word,
)
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.template import Template, cut, joined
from aurora_ml_proxy.plan.tokens import Statement

_OPTIONS = frozenset(b"LOW_PRIORITY DELAYED HIGH_PRIORITY IGNORE INTO".split())


@dataclass(frozen=True, slots=True)
class Inserted:
    """The parts of an INSERT or REPLACE, in token indexes."""

    table: Span
    columns: tuple[Span, ...]
    """None are named in `INSERT INTO t VALUES (...)`."""
    rows: tuple[tuple[Span, ...], ...]
    """The values of each row, of VALUES or SET."""
    query: Span | None
    """The SELECT of an INSERT ... SELECT, with its WITH."""
    alias: bytes
    """The row's own name: `VALUES (...) AS alias`."""
    duplicate: Span | None
    """What stands behind ON DUPLICATE KEY UPDATE."""
    returning: Span | None


def read_inserted(statement: Statement) -> Inserted | None:
    """The parts of an INSERT or REPLACE; None for other statements."""
    start = first_word(statement)
    if word(statement, start) not in (b"INSERT", b"REPLACE"):
        return None
    end = end_of_group(statement, start)
    i = start + 1
    while word(statement, i) in _OPTIONS:
        i += 1
    table_first = i
    while mark(statement, i + 1) == b".":
        i += 2
    table = (table_first, i)
    i += 1
    if word(statement, i) == b"PARTITION":
        i = statement.closing.get(i + 1, i) + 1
    columns: tuple[Span, ...] = ()
    if mark(statement, i) == b"(" and word(statement, i + 1) not in (b"SELECT", b"WITH"):
        columns = tuple(listed(statement, i))
        i = statement.closing[i] + 1
    tails = {
        word(statement, j): j
        for j in range(end - 1, i, -1)
        if statement.depth[j] == statement.depth[start] and _is_tail(statement, j)
    }
    stop = min(tails.values(), default=end)
    rows: list[tuple[Span, ...]] = []
    query, alias = None, b""
    if word(statement, i) in (b"VALUES", b"VALUE"):
        i += 1
        while i < stop:
            if word(statement, i) == b"ROW":
                i += 1
            if mark(statement, i) != b"(":
                break
            rows.append(tuple(listed(statement, i)))
            i = statement.closing[i] + 1
            if mark(statement, i) != b",":
                break
            i += 1
        if word(statement, i) == b"AS" and i + 1 < stop:
            token = statement.tokens[i + 1]
            alias = statement.sql[token.start : token.end]
            if mark(statement, i + 2) == b"(":
                columns = tuple(listed(statement, i + 2))
    elif word(statement, i) == b"SET":
        pairs = _assignments(statement, i + 1, stop - 1)
        columns = tuple(name for name, _ in pairs)
        rows.append(tuple(value for _, value in pairs))
    elif i < stop:
        query = (i, stop - 1)
    duplicate, returning = None, None
    if (at := tails.get(b"ON")) is not None:
        until = tails.get(b"RETURNING", end)
        duplicate = (at + 4, until - 1)
    if (at := tails.get(b"RETURNING")) is not None:
        returning = (at + 1, end - 1)
    return Inserted(table, columns, tuple(rows), query, alias, duplicate, returning)


def _is_tail(statement: Statement, i: int) -> bool:
    if mark(statement, i - 1) == b".":
        return False
    if word(statement, i) == b"ON":
        return word(statement, i + 1) == b"DUPLICATE"
    return word(statement, i) == b"RETURNING"


def listed(statement: Statement, opening: int) -> list[Span]:
    """What commas part between an opening parenthesis and its closing one."""
    return commas(statement, opening + 1, statement.closing[opening] - 1)


def commas(statement: Statement, first: int, last: int) -> list[Span]:
    """What commas part between two tokens, on the level of the first."""
    if first > last:
        return []
    found, start = [], first
    for i in range(first, last + 1):
        if mark(statement, i) == b"," and statement.depth[i] == statement.depth[first]:
            found.append((start, i - 1))
            start = i + 1
    found.append((start, last))
    return found


def _assignments(statement: Statement, first: int, last: int) -> list[tuple[Span, Span]]:
    return [
        ((pair[0], equals - 1), (equals + 1, pair[1]))
        for pair in commas(statement, first, last)
        if (equals := equals_sign(statement, pair)) is not None
    ]


def equals_sign(statement: Statement, span: Span) -> int | None:
    """Where the = of an assignment stands."""
    for i in range(span[0], span[1] + 1):
        if mark(statement, i) in (b"=", b":="):
            return i
    return None


def rows_query(
    statement: Statement, inserted: Inserted, calls: Sequence[Call]
) -> Template | None:
    """`WITH aml_new(columns) AS (the rows)`; None when the columns have no names."""
    if not inserted.columns:
        return None
    names = joined(b",", (_name(statement, span) for span in inserted.columns))
    if inserted.query is not None:
        body = cut(statement, *inserted.query, calls)
    else:
        if any(len(row) != len(inserted.columns) for row in inserted.rows):
            return None
        body = joined(
            b" UNION ALL SELECT ",
            (
                joined(b",", (_value(statement, span, calls) for span in row))
                for row in inserted.rows
            ),
        )
        body = (b"SELECT ", *body)
    return (b"aml_new(", *names, b") AS (", *body, b")")


def _name(statement: Statement, span: Span) -> Template:
    return (statement.source(span[1], span[1]),)


def _value(statement: Statement, span: Span, calls: Sequence[Call]) -> Template:
    if span[0] == span[1] and word(statement, span[0]) == b"DEFAULT":
        return (b"NULL",)
    return cut(statement, *span, calls)
