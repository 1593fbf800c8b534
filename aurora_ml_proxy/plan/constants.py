"""Calls of literals, and when a server computes them.

MySQL computes an expression of literals while it prepares a statement, and then decides
by its value: that there is nothing to do, or which columns matter to ONLY_FULL_GROUP_BY.
It computes no stored function then. COUNT(DISTINCT …) of NULL is 0 or 1, and WITH ROLLUP
over no row has the literals themselves or NULL, as that may be. So such a call gets a
zero that is known only when the statement runs.
"""

from aurora_ml_proxy.plan.aggregates import is_rolled_up
from aurora_ml_proxy.plan.blocks import Phase
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.outline import Outline

_KNOWN_WHEN_RUN = b"+0*CONNECTION_ID()"
"""Replicated as it is, and the same as often as it is asked for."""

_KNOWN_FOR_EACH_ROW = b"+0*RAND()"
"""Not replicated, and equal to no other: for conditions of queries."""


def zero_of(outline: Outline, call: Call, *, is_query: bool) -> bytes:
    """What is added to a number in a call's expression; nothing on MariaDB."""
    if outline.is_mariadb or not outline.is_constant(call):
        return b""
    return (
        _KNOWN_FOR_EACH_ROW
        if is_query and _empties_a_rollup(outline, call)
        else (_KNOWN_WHEN_RUN)
    )


def _empties_a_rollup(outline: Outline, call: Call) -> bool:
    """Whether a call may decide that a query WITH ROLLUP has no rows."""
    block = outline.block_at(call.first)
    if block is None or block.phase(call.first) is Phase.LIST:
        return False
    return any(is_rolled_up(outline.statement, b) for b in outline.blocks)
