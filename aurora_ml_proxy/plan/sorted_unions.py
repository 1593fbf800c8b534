"""`(SELECT …) UNION (SELECT …) ORDER BY …`: a sort that is of none of its SELECTs."""

from collections.abc import Iterator
from dataclasses import dataclass

from aurora_ml_proxy.plan.spans import Span, end_of_group, keyword_at, mark, word
from aurora_ml_proxy.plan.tokens import Statement


@dataclass(frozen=True, slots=True)
class SortedUnion:
    """SELECTs in parentheses, and the ORDER BY behind them."""

    body: Span
    order_by: Span


@dataclass(slots=True)
class _Group:
    """What stands between parentheses, or outside of all."""

    first: int
    has_with: bool = False
    has_select: bool = False


def read_sorted_unions(statement: Statement) -> Iterator[SortedUnion]:
    """Every one of a statement."""
    groups = [_Group(0)]
    for i in range(len(statement.tokens)):
        match mark(statement, i) or keyword_at(statement, i):
            case b"(":
                groups.append(_Group(i + 1))
            case b")":
                groups.pop()
            case b"WITH":
                groups[-1].has_with = True
            case b"SELECT":
                groups[-1].has_select = True
            case b"ORDER" if word(statement, i + 1) == b"BY":
                if _sorts_parentheses(statement, groups[-1]):
                    end = end_of_group(statement, i)
                    yield SortedUnion((groups[-1].first, i - 1), (i + 2, end - 1))


def _sorts_parentheses(statement: Statement, group: _Group) -> bool:
    starts = mark(statement, group.first) == b"(" or group.has_with
    return starts and not group.has_select
