"""What is asked about a change before its texts are paid for, besides preparing it.

In: an outline. Out: an EXPLAIN of the change on no row, by which the upstream says that
it is read-only, that a table is locked against it, or what MariaDB does not look at while
it prepares; and the table that a CREATE TABLE would make, which may be there already.

The change itself cannot be explained: that locks rows which the optimizer reads.
"""

from aurora_ml_proxy.plan.blocks import Block, first_word
from aurora_ml_proxy.plan.inserted import Inserted
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.spans import (
    Span,
    commas,
    equals_sign,
    has_word,
    mark,
    word,
)
from aurora_ml_proxy.plan.template import Template, joined
from aurora_ml_proxy.plan.tokens import Statement

_SUBQUERY = frozenset((b"SELECT",))
_MATCH = frozenset((b"MATCH",))

_ON_NO_ROW = b" WHERE 1=0"


def rehearsal(outline: Outline) -> Template:
    """The EXPLAIN; nothing for other statements, and where it could lock a row."""
    if first_word(outline.statement):
        return ()  # behind a WITH
    if outline.inserted is not None:
        return _of_insert(outline, outline.inserted)
    head = next((b for b in outline.blocks if not b.is_select), None)
    if head is None or b"FROM" not in head.parts:
        return ()
    if has_word(outline.statement, head.parts[b"FROM"], _SUBQUERY):
        return ()
    return _of_head(outline, head)


def _of_insert(outline: Outline, inserted: Inserted) -> Template:
    table = outline.statement.source(*inserted.table)
    if inserted.alias:
        return (b"EXPLAIN INSERT INTO ", table, b" VALUES ()")
    columns = [outline.statement.source(*column) for column in inserted.columns]
    count = _columns_of_query(outline, inserted.query) or len(columns)
    names = (b" (", b",".join(columns), b")") if columns else ()
    values = b",".join([b"NULL"] * count)
    return (b"EXPLAIN INSERT INTO ", table, *names, b" VALUES (", values, b")")


def _columns_of_query(outline: Outline, query: Span | None) -> int | None:
    """How many columns a query gives; None when a star makes that unknown."""
    if query is None:
        return None
    blocks = [b for b in outline.blocks if query[0] <= b.first <= query[1]]
    if not blocks:
        return None
    first = min(blocks, key=lambda b: (b.level, b.first))  # CTEs stand further inside
    items = first.items
    if any(item.is_star for item in items) or not items:
        return None
    # MATCH a, b AGAINST … may have commas of its own.
    is_odd = has_word(outline.statement, (items[0].first, items[-1].last), _MATCH)
    return None if is_odd else len(items)


def _of_head(outline: Outline, head: Block) -> Template:
    statement = outline.statement
    front = (b"EXPLAIN ", *outline.cut((head.first, head.parts[b"FROM"][1])))
    if b"SET" in head.parts:
        pairs = commas(statement, *head.parts[b"SET"])
        assigned = [_assigned(statement, pair) for pair in pairs]
        if None in assigned:
            return ()
        nulls = joined(b",", ((name or b"", b"=NULL") for name in assigned))
        front = (*front, b" SET ", *nulls)
    return (*front, _ON_NO_ROW, *_order_by(outline, head))


def _assigned(statement: Statement, pair: Span) -> bytes | None:
    equals = equals_sign(statement, pair)
    return None if equals in (None, pair[0]) else statement.source(pair[0], equals - 1)


def _order_by(outline: Outline, head: Block) -> Template:
    span = head.parts.get(b"ORDER")
    if span is None or has_word(outline.statement, span, _SUBQUERY):
        return ()
    return (b" ORDER BY ", *outline.cut(span))


def created_table(statement: Statement) -> bytes:
    """The table of a CREATE TABLE that leaves one alone which is there already."""
    i = 1 + (word(statement, 1) == b"TEMPORARY")
    if word(statement, 0) != b"CREATE" or word(statement, i) != b"TABLE":
        return b""
    i += 1
    while word(statement, i) in (b"IF", b"NOT", b"EXISTS"):
        i += 1
    last = i
    while mark(statement, last + 1) == b".":
        last += 2
    return statement.source(i, last) if last < len(statement.tokens) else b""
