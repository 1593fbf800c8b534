"""Aggregates of a subquery whose arguments mean columns of the block around only.

`WHERE f((SELECT MAX(t.a) FROM s)) = …`: an aggregate belongs to the block that its
columns are of, where that may have one; a WHERE or SET may not, a select list of ours
may. So the argument gets a column of the subquery itself.
Source: MySQL manual, "Aggregate Function Descriptions", "Correlated Subqueries".
"""

from aurora_ml_proxy.plan.aggregates import is_aggregate
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.spans import mark, word
from aurora_ml_proxy.plan.template import Substitute, Template

_ONE_ROW = b" CROSS JOIN (SELECT 1 AS aml_one) aml_inner "
_OWN_COLUMN = b"IF(aml_inner.aml_one,"

_HAVE_AGGREGATES = frozenset((b"SELECT", b"HAVING", b"ORDER", b"WINDOW"))

_BEHIND_ARGUMENT = frozenset((b",", b"ORDER", b"SEPARATOR", b"LIMIT"))


def kept_inside(outline: Outline, call: Call, block: Block) -> Substitute | None:
    """What keeps aggregates in the subqueries of a call's arguments; None without any.

    Args:
        block: the one that the call stands in.
    """
    if block.is_select and block.part_at(call.first) in _HAVE_AGGREGATES:
        return None
    found: dict[int, tuple[int, Template]] = {}
    for inner in outline.blocks:
        if not call.first < inner.first < call.last or b"FROM" not in inner.parts:
            continue
        opened = _in_list(outline, inner)
        if opened:
            found |= opened
            behind = inner.parts[b"FROM"][1] + 1
            found[behind] = behind, (_ONE_ROW, outline.statement.source(behind, behind))
    return found.get if found else None


def _in_list(outline: Outline, inner: Block) -> dict[int, tuple[int, Template]]:
    """The edits of a block's own aggregates, by their first tokens."""
    statement = outline.statement
    found: dict[int, tuple[int, Template]] = {}
    for i in range(inner.first, inner.parts[b"FROM"][0]):
        if not is_aggregate(statement, i) or outline.block_at(i) is not inner:
            continue
        first = i + 2 + (word(statement, i + 2) == b"DISTINCT")
        if mark(statement, first) == b"*":
            continue
        end = closing = statement.closing[i + 1]
        for j in range(closing - 1, first, -1):
            is_own = statement.depth[j] == statement.depth[first]
            if is_own and (mark(statement, j) or word(statement, j)) in _BEHIND_ARGUMENT:
                end = j
        found[i] = first - 1, (statement.source(i, first - 1), b" " + _OWN_COLUMN)
        found[end] = end, (b",NULL)", statement.source(end, end))
    return found
