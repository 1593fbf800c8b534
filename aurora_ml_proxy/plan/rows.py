"""The rows of a block, as far as they are there before a phase: FROM and WHERE.

In: a block and a phase. Out: the text of WITH, FROM and WHERE. Conditions that hold a
call are left out where the call is evaluated at that phase or later.
"""

from collections.abc import Sequence

from aurora_ml_proxy.plan.blocks import Block, Phase
from aurora_ml_proxy.plan.joins import (
    conditions_of_rows,
    is_outer_joined,
    on_conditions,
)
from aurora_ml_proxy.plan.outer_joins import narrowing
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.spans import Span
from aurora_ml_proxy.plan.template import Template, joined

_NO_CONDITION: Template = (b"1=1",)


def with_lists(outline: Outline, block: Block) -> Template:
    """The WITH lists that a block knows."""
    lists = (outline.cut(span) for span in dict.fromkeys(block.withs))
    return in_with(block, lists_of=list(lists))


def in_with(block: Block, lists_of: Sequence[Template]) -> Template:
    """Lists of common tables behind their WITH."""
    if not lists_of:
        return ()
    keyword = b"WITH RECURSIVE " if block.is_recursive else b"WITH "
    return (keyword, *joined(b", ", lists_of), b" ")


def rows(
    outline: Outline,
    block: Block,
    phase: Phase,
    *,
    token: int | None = None,
    for_lateral: bool = False,
) -> Template:
    """FROM and WHERE of a block, as far as they are evaluated before a phase.

    Args:
        token: what is evaluated at that phase stands there.
        for_lateral: what a LATERAL table means are rows of the tables before it,
            whatever conditions with calls make of them in the end.
    """
    span = block.parts.get(b"FROM")
    if span is None:
        return ()
    if phase is Phase.FROM:
        return _joined_rows(outline, block, span, token or span[0], for_lateral)
    tables: Template = (b" FROM ", *outline.cut(span))
    if phase is Phase.WHERE:
        return (*tables, *_where(outline, _free_where(outline, block)))
    if b"WHERE" not in block.parts:
        return tables
    return (*tables, b" WHERE ", *outline.cut(block.parts[b"WHERE"]))


def _joined_rows(
    outline: Outline, block: Block, span: Span, token: int, for_lateral: bool
) -> Template:
    statement = outline.statement
    if for_lateral:
        conditions = conditions_of_rows(statement, outline.blocks, span)
    else:
        conditions = on_conditions(statement, outline.blocks, block)
    tables = without_calls(outline, span, conditions)
    free = _free_where(outline, block)
    if is_outer_joined(statement, outline.blocks, block):
        free = narrowing(statement, free, (token, span[1]))
    return (b" FROM ", *tables, *_where(outline, free))


def _free_where(outline: Outline, block: Block) -> list[Span]:
    return outline.free(block.parts[b"WHERE"]) if b"WHERE" in block.parts else []


def _where(outline: Outline, conditions: Sequence[Span]) -> Template:
    return (b" WHERE ", *outline.anded(conditions)) if conditions else ()


def without_conditions(
    outline: Outline, span: Span, *, without_any: bool = False
) -> Template:
    """The tables of a span with more rows: without the conditions that hold a call, or
    without any."""
    conditions = conditions_of_rows(outline.statement, outline.blocks, span)
    return without_calls(outline, span, conditions, without_any=without_any)


def without_calls(
    outline: Outline,
    span: Span,
    conditions: Sequence[Span],
    *,
    without_any: bool = False,
) -> Template:
    """A text whose conditions are without those that hold a call, or without any."""
    left_out = {c[0]: c for c in conditions if without_any or outline.has_call(c)}
    pieces: list[Template] = []
    start = i = span[0]
    while i <= span[1]:
        condition = left_out.get(i)
        i += 1
        if condition is None:
            continue
        if start < condition[0]:
            pieces.append(outline.cut((start, condition[0] - 1)))
        free = [] if without_any else outline.free(condition)
        pieces.append(outline.anded(free) or _NO_CONDITION)
        start = i = condition[1] + 1
    if start <= span[1]:
        pieces.append(outline.cut((start, span[1])))
    return joined(b" ", pieces)
