"""Columns that a condition makes equal: a server may evaluate a call on any of them.

`WHERE f(a.n) = 'x' AND a.n = b.n` may become f(b.n), on rows of b that have no partner in
a. Names are all that is known here, so an equal name is taken for the same column.
"""

from collections.abc import Iterator
from functools import partial

from aurora_ml_proxy.plan.aliases import folded_at
from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.joins import factors
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import in_with, without_conditions
from aurora_ml_proxy.plan.spans import Span, commas, mark, word
from aurora_ml_proxy.plan.tokens import Kind, Statement

_NO_COLUMNS = frozenset(b"NULL TRUE FALSE SELECT CASE NOT EXISTS ANY SOME ALL".split())


def of_equal_columns(outline: Outline, index: int) -> Iterator[Query]:
    """Queries for a call's text, with each column that is equal to it in its place."""
    statement = outline.statement
    text = outline.calls[index].arguments[0]
    if _column_from(statement, text[0]) != text:
        return
    name = folded_at(statement, text[1])
    for one, other in _pairs(statement):
        for column, replaced in ((one, other), (other, one)):
            if folded_at(statement, column[1]) == name:
                yield from _of_column(outline, index, replaced)
    for column in _shared(statement):
        if folded_at(statement, column[1]) == name:
            yield from _of_column(outline, index, column)


def _pairs(statement: Statement) -> Iterator[tuple[Span, Span]]:
    """The columns on both sides of each `=` and `IN (SELECT`."""
    for i in range(1, len(statement.tokens)):
        behind = i + 1
        if word(statement, i) == b"IN" and word(statement, i + 2) == b"SELECT":
            behind = i + 3
        elif mark(statement, i) != b"=":
            continue
        one, other = _column_to(statement, i - 1), _column_from(statement, behind)
        if one is not None and other is not None:
            yield one, other


def _column_from(statement: Statement, first: int) -> Span | None:
    """The column that is named from a token on."""
    last = first
    while mark(statement, last + 1) == b".":
        last += 2
    is_named = _is_name(statement, first) and _is_name(statement, last)
    return (first, last) if is_named and mark(statement, last + 1) != b"(" else None


def _column_to(statement: Statement, last: int) -> Span | None:
    """The column whose name ends at a token."""
    first = last
    while mark(statement, first - 1) == b".":
        first -= 2
    return _column_from(statement, first) if first >= 0 else None


def _is_name(statement: Statement, i: int) -> bool:
    if i >= len(statement.tokens) or word(statement, i) in _NO_COLUMNS:
        return False
    return statement.tokens[i].kind in (Kind.WORD, Kind.QUOTED)


def _shared(statement: Statement) -> Iterator[Span]:
    """The columns of each JOIN … USING (columns)."""
    for i in range(len(statement.tokens)):
        if word(statement, i) == b"USING" and mark(statement, i + 1) == b"(":
            yield from commas(statement, i + 2, statement.closing[i + 1] - 1)


def _of_column(outline: Outline, index: int, column: Span) -> Iterator[Query]:
    """A column of the table that has it, of each table where USING names it."""
    block = outline.block_at(column[0])
    if block is not None and b"FROM" in block.parts:
        for factor in factors(outline.statement, block.parts[b"FROM"]):
            yield _ask(outline, index, block, column, factor)


def _ask(outline: Outline, index: int, block: Block, column: Span, tables: Span) -> Query:
    cut_down = partial(without_conditions, outline)
    lists = [cut_down(listed) for listed in dict.fromkeys(block.withs)]
    text = outline.calls[index].arguments[0]
    return select(
        outline,
        index,
        (b" FROM ", *cut_down(tables)),
        front=in_with(block, lists),
        substitute={text[0]: (text[1], outline.cut(column))}.get,
    )
