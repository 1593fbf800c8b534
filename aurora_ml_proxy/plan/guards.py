"""Conditions without a call, put in front of those with one.

The server may evaluate conditions in any order, and then meets texts that no harvest has
read. Guards tell it the order.
"""

from collections.abc import Iterator, Sequence

from aurora_ml_proxy.plan.aggregates import is_aggregate
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.joins import (
    factors,
    is_outer_joined,
    on_conditions,
    shared_columns,
)
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.spans import Span, has_word
from aurora_ml_proxy.plan.template import Edit, Template, joined

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
            subquery = _subquery(outline, block) if _is_joined(outline, block) else None
            inner = _inner_conditions(outline, block, joins)
            yield from _guard(outline, where, inner, subquery)
        for condition in joins:
            if outline.has_call(condition):
                yield from _guard(outline, condition, (), _subquery(outline, block))


def _inner_conditions(
    outline: Outline, block: Block, joins: Sequence[Span]
) -> Sequence[Template]:
    """What is true of every row that WHERE has to see: nothing, behind an outer join."""
    statement = outline.statement
    if b"FROM" not in block.parts or is_outer_joined(statement, outline.blocks, block):
        return ()
    shared = shared_columns(statement, block.parts[b"FROM"])
    found: list[Template] = [(b"(" + equality + b")",) for equality in shared]
    return [*found, *(outline.anded([c]) for j in joins for c in guards(outline, j))]


def _subquery(outline: Outline, block: Block) -> bytes:
    """What a subquery of conditions starts with.

    In the argument of an aggregate MariaDB takes the columns of a WHERE in it for columns
    of the block that are not grouped (error 1140); HAVING without groups is the same.
    """
    if outline.is_mariadb and _is_aggregated(outline, block):
        return b"(SELECT 1 FROM DUAL HAVING "
    return b"(SELECT 1 FROM DUAL WHERE "


def _is_aggregated(outline: Outline, block: Block) -> bool:
    """Whether a block stands in the argument of an aggregate."""
    statement = outline.statement
    return any(
        is_aggregate(statement, i) and statement.closing[i + 1] > block.last
        for i in range(block.first)
    )


def _joins(outline: Outline, block: Block) -> list[Span]:
    if b"FROM" not in block.parts:
        return []
    return on_conditions(outline.statement, outline.blocks, block)


def _is_joined(outline: Outline, block: Block) -> bool:
    span = block.parts.get(b"FROM")
    is_inner = block.parent is not None  # its conditions may mean columns around it
    return span is not None and (is_inner or len(factors(outline.statement, span)) > 1)


def _guard(
    outline: Outline, span: Span, joins: Sequence[Template], subquery: bytes | None
) -> Iterator[Edit]:
    """`a AND f(x)='N'` as `(a) AND CASE WHEN (a) THEN (a AND f(x)='N') END`.

    CASE is opaque to the server: it evaluates the condition first, and what is behind
    THEN on no other row. Of several tables, though, the server evaluates CASE as soon as
    it has read those that are left in it when constants are put in; a subquery of the
    conditions, those of the joins among them, waits for all.

    Args:
        subquery: what that subquery starts with; None where CASE is enough.
    """
    own = guards(outline, span)
    conditions = [*joins, *(outline.anded([c]) for c in own)]
    if not conditions:
        return
    tokens = outline.statement.tokens
    start, end = tokens[span[0]].start, tokens[span[1]].end
    front = (*outline.anded(own), b" AND ") if own else ()
    first = joined(b" AND ", conditions)
    if subquery is not None:
        first = (subquery, *first, b")")
    yield start, start, (*front, b"CASE WHEN ", *first, b" THEN (")
    yield end, end, (b") END ",)
