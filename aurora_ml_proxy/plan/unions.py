"""ORDER BY of a UNION, whose columns are those of the UNION's result."""

from collections.abc import Iterator

from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import with_lists
from aurora_ml_proxy.plan.spans import keyword_at, mark, word
from aurora_ml_proxy.plan.tokens import Statement


def of_union(outline: Outline, index: int, block: Block) -> Iterator[Query]:
    """A call's arguments of each row of a UNION, of which `block` is the last SELECT."""
    start = _first_select(outline.statement, block)
    if start is None:
        return
    order_by = block.parts[b"ORDER"][0] - 2
    body = (b" FROM (", *outline.cut((start, order_by - 1)), b") aml_union")
    yield select(outline, index, body, front=with_lists(outline, block))


def of_union_in_parentheses(
    outline: Outline, index: int, block: Block | None
) -> Iterator[Query]:
    """The same for `(SELECT …) UNION (SELECT …) ORDER BY …`, of which no SELECT is the
    last; `block` is the one around."""
    token = outline.calls[index].first
    for union in outline.sorted_unions:
        if union.order_by[0] <= token <= union.order_by[1]:
            front = with_lists(outline, block) if block is not None else ()
            body = (b" FROM (", *outline.cut(union.body), b") aml_union")
            yield select(outline, index, body, front=front)


def _first_select(statement: Statement, block: Block) -> int | None:
    """Where the first SELECT of a UNION starts, its parentheses included."""
    levels = range(block.first)
    outside = (i for i in reversed(levels) if statement.depth[i] < block.level)
    for i in range(next(outside, -1) + 1, block.first + 1):
        if (
            statement.depth[i] == block.level
            and b"SELECT" in (keyword_at(statement, i), _behind_parentheses(statement, i))
            and not any(first <= i <= last for first, last in block.withs)
        ):
            return i
    return None


def _behind_parentheses(statement: Statement, i: int) -> bytes:
    """The word behind the opening parentheses at a token."""
    if mark(statement, i) != b"(":
        return b""
    while mark(statement, i) == b"(":
        i += 1
    return word(statement, i)
