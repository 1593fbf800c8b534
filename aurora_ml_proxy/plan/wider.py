"""When all else misses: more rows than the statement can need.

The server may evaluate conditions in any order, and merge derived tables. So these are
rows before any condition that holds a call, then before any condition at all, and then
those of each table alone.
"""

from collections.abc import Callable, Iterator
from functools import partial

from aurora_ml_proxy.plan.arguments import is_column_or_literal, is_constant
from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.equal_columns import of_equal_columns
from aurora_ml_proxy.plan.groups import is_on_own_groups
from aurora_ml_proxy.plan.joins import factors
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import in_with, with_lists, without_conditions
from aurora_ml_proxy.plan.spans import Span, has_word
from aurora_ml_proxy.plan.template import Substitute, Template, joined

_PICKS = frozenset((b"LIMIT", b"GROUP", b"FETCH"))

_MAX_FACTORS = 8
"""Tables of a FROM that are tried one by one."""


def wider(
    outline: Outline, index: int, block: Block, substitute: Substitute | None = None
) -> Iterator[Query]:
    """Queries for rows of a block and of those around it.

    Args:
        substitute: for names in the call's arguments.
    """
    if is_on_own_groups(outline, outline.calls[index], block):
        return
    around: Block | None = block
    while around is not None:
        yield from _wide(outline, index, around, substitute)
        around = around.parent
    yield from _wide(outline, index, block, substitute, without_any=True)
    yield from _across(outline, index, block, substitute)
    yield from of_equal_columns(outline, index)


def _wide(
    outline: Outline,
    index: int,
    block: Block,
    substitute: Substitute | None,
    *,
    without_any: bool = False,
) -> Iterator[Query]:
    """
    Args:
        without_any: leave out conditions without a call, too: the server may merge a
            derived table and evaluate its conditions last.
    """
    span = block.parts.get(b"FROM")
    if span is None:
        return
    cut_down = _cut_down(outline, without_any=without_any)
    lists = [cut_down(listed) for listed in dict.fromkeys(block.withs)]
    ask = partial(select, outline, index, substitute=substitute)
    front = in_with(block, lists)
    if lists or b"WHERE" in block.parts or outline.has_call(span):
        yield ask((b" FROM ", *cut_down(span)), front=front)
    for factor in _factors(outline, span):
        yield ask((b" FROM ", *cut_down(factor)), front=front)
        if _picks_rows(outline, factor):
            behind = (b" FROM ", *outline.cut(factor))
            yield ask(behind, front=with_lists(outline, block))


def _across(
    outline: Outline, index: int, block: Block, substitute: Substitute | None
) -> Iterator[Query]:
    """Every row of a block with every row of one around it, whose columns it may mean;
    and every row of each of its tables with every row of the others."""
    inner = block.parts.get(b"FROM")
    if inner is None or _is_of_one_table(outline, index):
        return
    for without_any in (False, True):
        cut_down = _cut_down(outline, without_any=without_any)
        lists = [cut_down(listed) for listed in dict.fromkeys(block.withs)]
        front = in_with(block, lists)
        ask = partial(
            select, outline, index, front=front, substitute=substitute, is_bounded=True
        )
        around = block.parent
        while around is not None:
            if (outer := around.parts.get(b"FROM")) is not None:
                tables = _factors(outline, outer)
                for spans in ([outer], *([table] for table in tables), tables):
                    found = map(cut_down, [inner, *spans])
                    yield ask((b" FROM ", *joined(b",", found)))
            around = around.parent
        if tables := _factors(outline, inner):
            yield ask((b" FROM ", *joined(b",", map(cut_down, tables))))


def _is_of_one_table(outline: Outline, index: int) -> bool:
    """Whether the arguments are columns of one table and literals, nothing else."""
    statement = outline.statement
    tables = set()
    for first, last in outline.calls[index].arguments:
        if is_constant(statement, first, last):
            continue
        if not is_column_or_literal(statement, first, last):
            return False
        tables.add(statement.source(first, last - 2) if first < last else b"")
    return len(tables) == 1 and b"" not in tables


def _cut_down(outline: Outline, *, without_any: bool) -> Callable[[Span], Template]:
    return partial(without_conditions, outline, without_any=without_any)


def _factors(outline: Outline, span: Span) -> list[Span]:
    """The tables of a FROM that has several, but not too many."""
    found = factors(outline.statement, span)
    return found if 1 < len(found) <= _MAX_FACTORS else []


def _picks_rows(outline: Outline, factor: Span) -> bool:
    """Whether a table has other rows, and not fewer, with its conditions: a LIMIT."""
    return outline.has_call(factor) and has_word(outline.statement, factor, _PICKS)
