"""When all else misses: more rows than the statement can need.

The server may evaluate conditions in any order, and merge derived tables. So these are
rows before any condition that holds a call, then before any condition at all, and then
those of each table alone.
"""

from collections.abc import Iterator
from functools import partial

from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.groups import is_on_own_groups
from aurora_ml_proxy.plan.joins import all_conditions, factors
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import in_with, without_calls

_MAX_FACTORS = 8
"""Tables of a FROM that are tried one by one."""


def wider(outline: Outline, index: int, block: Block) -> Iterator[Query]:
    """Queries for rows of a block and of those around it."""
    if is_on_own_groups(outline, outline.calls[index], block):
        return
    around: Block | None = block
    while around is not None:
        yield from _wide(outline, index, around)
        around = around.parent
    yield from _wide(outline, index, block, without_any=True)


def _wide(
    outline: Outline, index: int, block: Block, *, without_any: bool = False
) -> Iterator[Query]:
    """
    Args:
        without_any: leave out conditions without a call, too: the server may merge a
            derived table and evaluate its conditions last.
    """
    span = block.parts.get(b"FROM")
    if span is None:
        return
    conditions = all_conditions(outline.statement, outline.blocks)
    cut_down = partial(
        without_calls, outline, conditions=conditions, without_any=without_any
    )
    lists = [cut_down(listed) for listed in dict.fromkeys(block.withs)]
    ask = partial(select, outline, index, front=in_with(block, lists))
    if lists or b"WHERE" in block.parts or outline.has_call(span):
        yield ask((b" FROM ", *cut_down(span)))
    found = factors(outline.statement, span)
    if 1 < len(found) <= _MAX_FACTORS:
        for factor in found:
            yield ask((b" FROM ", *cut_down(factor)))
