"""The tables of a FROM and the ON conditions between them."""

from collections.abc import Sequence

from aurora_ml_proxy.plan.blocks import Block, Phase, block_of
from aurora_ml_proxy.plan.spans import Span, keyword_at, listed, mark, word
from aurora_ml_proxy.plan.tokens import Kind, Statement

_JOINING = frozenset(
    b"JOIN INNER LEFT RIGHT CROSS NATURAL STRAIGHT_JOIN FULL OUTER".split()
)

_OUTER_JOINS = frozenset((b"LEFT", b"RIGHT", b"FULL"))


def is_outer_joined(statement: Statement, blocks: Sequence[Block], block: Block) -> bool:
    """Whether a FROM has an outer join of its own, not one of a derived table in it."""
    first, last = block.parts.get(b"FROM", (0, -1))
    return any(
        word(statement, i) in _OUTER_JOINS
        and _starts_join(statement, i)
        and block_of(blocks, i) is block
        for i in range(first, last + 1)
    )


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


def conditions_of_rows(
    statement: Statement, blocks: Sequence[Block], span: Span
) -> list[Span]:
    """Every WHERE and ON in a span that decides which rows its tables have: not those of
    a subquery in an expression, which decide what its value is.

    Args:
        span: of a FROM, or of a WITH list.
    """
    found: list[Span] = []
    for block in blocks:
        is_inside = _is_inside(block, span)
        if is_inside and not _makes_rows(statement, blocks, block, span):
            continue
        if is_inside and b"WHERE" in block.parts:
            found.append(block.parts[b"WHERE"])
        if b"FROM" in block.parts:
            found += on_conditions(statement, blocks, block)
    return [(first, last) for first, last in found if span[0] <= first <= span[1]]


def _is_inside(block: Block, span: Span) -> bool:
    return span[0] <= block.first <= span[1]


def _makes_rows(
    statement: Statement, blocks: Sequence[Block], block: Block, span: Span
) -> bool:
    """Whether a block is a table of the span, or of such a table."""
    around: Block | None = block
    while around is not None and _is_inside(around, span):
        if not is_derived_table(statement, blocks, around):
            return False
        around = around.parent
    return True


def is_derived_table(statement: Statement, blocks: Sequence[Block], block: Block) -> bool:
    """Whether a block is a table of a FROM or of a WITH, and no subquery of an
    expression."""
    if block.parent is None:
        return True
    if block.place is not Phase.FROM:
        return False
    conditions = on_conditions(statement, blocks, block.parent)
    return not any(first <= block.first <= last for first, last in conditions)


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


def shared_columns(statement: Statement, span: Span) -> list[bytes]:
    """`a JOIN b USING (c)` as `a.c=b.c`.

    Of the first two tables only: which table before a third one has the column, nobody
    knows.
    """
    found = factors(statement, span)[:2]
    names = [name for f in found if (name := _name_of(statement, f)) is not None]
    if len({name.strip(b"`").lower() for name in names}) < 2:
        return []  # of two schemas, say: the name alone is ambiguous
    using = found[1][1] + 1
    if word(statement, using) != b"USING" or mark(statement, using + 1) != b"(":
        return []
    columns = [statement.source(*column) for column in listed(statement, using + 1)]
    return [b"%b.%b=%b.%b" % (names[0], c, names[1], c) for c in columns]


def _name_of(statement: Statement, factor: Span) -> bytes | None:
    """What a table is called in its query; None where it has more than a name."""
    first, last = factor
    end = statement.closing.get(first, first)
    while mark(statement, end + 1) == b".":
        end += 2
    if word(statement, end + 1) == b"AS":
        end += 1
    is_name = statement.tokens[last].kind in (Kind.WORD, Kind.QUOTED)
    return statement.source(last, last) if is_name and last <= end + 1 else None
