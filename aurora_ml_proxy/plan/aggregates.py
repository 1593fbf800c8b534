"""Aggregates and windows: what is evaluated on groups of rows, told by its words."""

from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.spans import Span, has_word, mark, word
from aurora_ml_proxy.plan.tokens import Statement

_AGGREGATES = frozenset(
    b"COUNT SUM AVG MIN MAX GROUP_CONCAT JSON_ARRAYAGG JSON_OBJECTAGG BIT_AND BIT_OR "
    b"BIT_XOR STD STDDEV STDDEV_POP STDDEV_SAMP VAR_POP VAR_SAMP VARIANCE "
    b"ST_COLLECT".split()
)

_ROLLS_UP = frozenset((b"ROLLUP", b"CUBE", b"GROUPING"))


def is_aggregate(statement: Statement, i: int) -> bool:
    """Whether an aggregate is called here."""
    return word(statement, i) in _AGGREGATES and mark(statement, i + 1) == b"("


def is_on_groups(statement: Statement, i: int) -> bool:
    """Whether this makes an expression one of several rows: an aggregate or a window."""
    return word(statement, i) == b"OVER" or is_aggregate(statement, i)


def has_aggregate(statement: Statement, span: Span) -> bool:
    """Whether an aggregate or a window stands in a span, on any level."""
    return any(is_on_groups(statement, i) for i in range(span[0], span[1] + 1))


def is_rolled_up(statement: Statement, block: Block) -> bool:
    """Whether GROUP BY makes rows of its own: WITH ROLLUP, GROUPING SETS."""
    span = block.parts.get(b"GROUP")
    return span is not None and has_word(statement, span, _ROLLS_UP)
