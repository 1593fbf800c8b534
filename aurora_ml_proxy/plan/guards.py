"""Conditions without a call, put in front of those with one.

The server may evaluate conditions in any order, and then meets texts that no harvest has
read. Guards tell it the order.
"""

from collections.abc import Iterator, Sequence

from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.joins import OUTER_JOINS, factors, on_conditions
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.spans import Span, has_word
from aurora_ml_proxy.plan.template import Edit

_SUBQUERY = frozenset((b"SELECT",))


def guards(outline: Outline, span: Span) -> list[Span]:
    """Conditions that are cheap and safe to evaluate twice, first of all."""
    statement = outline.statement
    return [c for c in outline.free(span) if not has_word(statement, c, _SUBQUERY)]


def guarded(outline: Outline, *, but: Span | None = None) -> Iterator[Edit]:
    """Guards for every WHERE and ON that holds a call.

    Args:
        but: the condition that is replaced as a whole.
    """
    for block in outline.blocks:
        joins = _joins(outline, block)
        where = block.parts.get(b"WHERE")
        if where is not None and where != but and outline.has_call(where):
            inner = [] if _is_outer(outline, block) else joins
            yield from _guard(outline, where, inner, is_joined=_is_joined(outline, block))
        for condition in joins:
            if outline.has_call(condition):
                yield from _guard(outline, condition, [], is_joined=True)


def _joins(outline: Outline, block: Block) -> list[Span]:
    if b"FROM" not in block.parts:
        return []
    return on_conditions(outline.statement, outline.blocks, block)


def _is_outer(outline: Outline, block: Block) -> bool:
    span = block.parts.get(b"FROM")
    return span is not None and has_word(outline.statement, span, OUTER_JOINS)


def _is_joined(outline: Outline, block: Block) -> bool:
    span = block.parts.get(b"FROM")
    is_inner = block.parent is not None  # its conditions may mean columns around it
    return span is not None and (is_inner or len(factors(outline.statement, span)) > 1)


def _guard(
    outline: Outline, span: Span, joins: Sequence[Span], *, is_joined: bool
) -> Iterator[Edit]:
    """`a AND f(x)='N'` as `(a) AND CASE WHEN (a) THEN (a AND f(x)='N') END`.

    CASE is opaque to the server: it evaluates the condition first, and what is behind
    THEN on no other row. Of several tables, though, the server evaluates CASE as soon as
    it has read those that are left in it when constants are put in; a subquery of the
    conditions, those of the joins among them, waits for all.
    """
    own = guards(outline, span)
    all_free = [*(c for join in joins for c in guards(outline, join)), *own]
    if not all_free:
        return
    tokens = outline.statement.tokens
    start, end = tokens[span[0]].start, tokens[span[1]].end
    front = (*outline.anded(own), b" AND ") if own else ()
    first = outline.anded(all_free)
    if is_joined:
        first = (b"(SELECT 1 FROM DUAL WHERE ", *first, b")")
    yield start, start, (*front, b"CASE WHEN ", *first, b" THEN (")
    yield end, end, (b") END ",)
