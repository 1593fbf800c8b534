"""The tables of a FROM and the ON conditions between them."""

from collections.abc import Sequence

from aurora_ml_proxy.plan.blocks import Block, block_of
from aurora_ml_proxy.plan.spans import Span, keyword_at, mark, word
from aurora_ml_proxy.plan.tokens import Statement

_JOINING = frozenset(
    b"JOIN INNER LEFT RIGHT CROSS NATURAL STRAIGHT_JOIN FULL OUTER".split()
)

OUTER_JOINS = frozenset((b"LEFT", b"RIGHT", b"FULL"))


def on_conditions(
    statement: Statement, blocks: Sequence[Block], block: Block
) -> list[Span]:
    """What stands behind each ON of a block's FROM."""
    first, last = block.parts[b"FROM"]
    return [
        (i + 1, end)
        for i in range(first, last + 1)
        if keyword_at(statement, i) == b"ON"
        and block_of(blocks, i) is block
        and (end := _end_of_condition(statement, i, last)) > i
    ]


def all_conditions(statement: Statement, blocks: Sequence[Block]) -> list[Span]:
    """Every WHERE and ON of a statement."""
    found = [b.parts[b"WHERE"] for b in blocks if b"WHERE" in b.parts]
    for block in blocks:
        if b"FROM" in block.parts:
            found += on_conditions(statement, blocks, block)
    return found


def _end_of_condition(statement: Statement, on: int, last: int) -> int:
    """The last token of the condition behind the token `on`."""
    level = statement.depth[on]
    for i in range(on + 1, last + 1):
        if statement.depth[i] < level:
            return i - 1
        if statement.depth[i] == level and (
            _starts_join(statement, i)
            or mark(statement, i) == b","
            or keyword_at(statement, i) == b"ON"
        ):
            return i - 1
    return last


def _starts_join(statement: Statement, i: int) -> bool:
    """Whether a join's keyword stands here; LEFT(…) is a function."""
    if word(statement, i) in (b"LEFT", b"RIGHT") and mark(statement, i + 1) == b"(":
        return False
    return keyword_at(statement, i) in _JOINING


def factors(statement: Statement, span: Span) -> list[Span]:
    """The tables of a FROM, each with its alias and hints, conditions left out."""
    found: list[Span] = []
    start: int | None = span[0]
    for i in range(span[0], span[1] + 1):
        if statement.depth[i] != statement.depth[span[0]]:
            continue
        is_join = _starts_join(statement, i) or mark(statement, i) == b","
        if is_join or keyword_at(statement, i) in (b"ON", b"USING"):
            if start is not None and start < i:
                found.append((start, i - 1))
            start = i + 1 if is_join else None
    if start is not None and start <= span[1]:
        found.append((start, span[1]))
    return found
