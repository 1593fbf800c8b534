"""The tables that a statement changes.

In: a statement. Out: every name among which they are, for lists of tables; and how the
statement itself names them, for what only the session knows: its temporary tables.
"""

from collections.abc import Iterator, Sequence

from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.inserted import Inserted
from aurora_ml_proxy.plan.joins import factors
from aurora_ml_proxy.plan.select import decoded
from aurora_ml_proxy.plan.spans import Span, mark, word
from aurora_ml_proxy.plan.tokens import Kind, Statement, identifier

_STARTS_QUERY = frozenset(b"SELECT WITH VALUES TABLE".split())


def names_of_targets(
    statement: Statement, inserted: Inserted | None
) -> tuple[bytes, ...]:
    """Names among which are the tables that the statement changes, in UTF-8."""
    first, last = 0, len(statement.tokens) - 1
    if inserted is not None:
        first, last = inserted.table
    names = {
        identifier(token, statement.sql)
        for token in statement.tokens[first : last + 1]
        if token.kind in (Kind.WORD, Kind.QUOTED)
    }
    return tuple(sorted(decoded(name, statement.charset).encode() for name in names))


def targets(
    statement: Statement, inserted: Inserted | None, blocks: Sequence[Block]
) -> tuple[bytes, ...]:
    """The tables among which are those that it changes, as the statement names them."""
    if inserted is not None:
        return (statement.source(*inserted.table),)
    changed = next((b for b in blocks if _is_head(b)), None)
    if changed is None:
        return ()
    found = _names(statement, changed.parts[b"FROM"])
    return tuple(dict.fromkeys(statement.source(*span) for span in found))


def _is_head(block: Block) -> bool:
    """Whether this is the block of an UPDATE or a DELETE."""
    return not block.is_select and b"FROM" in block.parts


def _names(statement: Statement, span: Span) -> Iterator[Span]:
    """The tables of a FROM, also between parentheses; derived ones are left out."""
    for first, last in factors(statement, span):
        if mark(statement, first) == b"(":
            if word(statement, first + 1) not in _STARTS_QUERY:
                yield from _names(statement, (first + 1, statement.closing[first] - 1))
        elif (end := _end_of_name(statement, first, last)) is not None:
            yield first, end


def _end_of_name(statement: Statement, first: int, last: int) -> int | None:
    """The last token of `table` or `schema.table`; None for JSON_TABLE(…)."""
    if statement.tokens[first].kind not in (Kind.WORD, Kind.QUOTED):
        return None
    end = first
    while end + 2 <= last and mark(statement, end + 1) == b".":
        end += 2
    return None if mark(statement, end + 1) == b"(" else end
