"""Calls outside of every block, and the rows that an INSERT or REPLACE writes.

Arguments can mean those rows: VALUES(column) or a row alias in ON DUPLICATE KEY UPDATE, a
column of RETURNING, and an earlier column in the same row. They are a common table here,
`aml_new`.
Source: MySQL manual, "INSERT ... ON DUPLICATE KEY UPDATE Statement"; MariaDB Knowledge
Base, "INSERT...RETURNING".
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import partial

from aurora_ml_proxy.plan.aliases import assigned_before, folded_at, mentions, renaming
from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Block, Phase
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.inserted import Inserted
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import rows, with_lists, without_conditions
from aurora_ml_proxy.plan.spans import Span, mark, word
from aurora_ml_proxy.plan.template import Substitute, Template, joined

_NEW = b"aml_new"

_ONE_ROW: Template = (b" LIMIT 1",)


def of_inserted_rows(outline: Outline, index: int) -> Iterator[Query]:
    """Queries for a call outside of every block."""
    inserted = outline.inserted
    if inserted is not None:
        row = _row_of(outline, index, inserted)
        if row is not None:
            yield _beside(outline, index, inserted, row)
        else:
            yield from _of_new_rows(outline, index, inserted)
    yield select(outline, index, _ONE_ROW, distinct=False)


def beside_rows(outline: Outline, index: int, block: Block) -> Iterator[Query]:
    """Queries for a call in a subquery of ON DUPLICATE KEY UPDATE or RETURNING, which
    means columns of the table or of the new rows."""
    inserted, inner = outline.inserted, block.parts.get(b"FROM")
    if inserted is None or inner is None or not (inserted.updates or inserted.returning):
        return
    tables = [without_conditions(outline, inner), outline.cut(inserted.table)]
    new = _new_rows(outline, inserted)
    for substitute in _readings(outline, index, inserted):
        ask = partial(select, outline, index, substitute=substitute)
        yield ask((b" FROM ", *joined(b",", tables)))
        if new is not None:
            front = (b"WITH ", *new, b" ")
            yield ask((b" FROM ", *joined(b",", [*tables, (_NEW,)])), front=front)
            yield ask((b" FROM ", *joined(b",", [tables[0], (_NEW,)])), front=front)


def _row_of(outline: Outline, index: int, inserted: Inserted) -> tuple[Span, ...] | None:
    """The row of VALUES or SET that a call is a value of."""
    token = outline.calls[index].first
    behind = bisect_right(inserted.rows, token, key=lambda row: row[0][0])
    row = inserted.rows[behind - 1] if behind else ((0, -1),)
    return row if token <= row[-1][1] else None


def _beside(
    outline: Outline, index: int, inserted: Inserted, row: tuple[Span, ...]
) -> Query:
    """Columns in an argument are those of the same row before it."""
    pairs = zip(inserted.columns, row, strict=False)
    names = assigned_before(outline, outline.calls[index], pairs, ())
    substitute = renaming(outline.statement, names)
    return select(outline, index, _ONE_ROW, distinct=False, substitute=substitute)


def _of_new_rows(outline: Outline, index: int, inserted: Inserted) -> Iterator[Query]:
    """Columns are those of rows to be written, of rows that are there, or of both."""
    table = outline.cut(inserted.table)
    new = _new_rows(outline, inserted)
    front = () if new is None else (b"WITH ", *new, b" ")
    means_new = _means_new_rows(outline, index, inserted)
    for substitute in _readings(outline, index, inserted):
        ask = partial(select, outline, index, substitute=substitute)
        if not means_new:
            yield ask((b" FROM ", *table))
        if new is not None:
            yield ask((b" FROM ", _NEW), front=front)
        for block in outline.blocks:
            if inserted.query is not None and block.level == 0 and block.parent is None:
                behind = rows(outline, block, Phase.LIST)
                yield ask(behind, front=with_lists(outline, block))
        yield ask((b" FROM ", *table))
        if new is not None:
            yield ask((b" FROM ", *table, b"," + _NEW), front=front)
    if new is not None and inserted.updates:
        # A row may be a duplicate of one that the statement itself has written.
        ask = partial(select, outline, index, front=front)
        yield ask(
            (b" FROM ", _NEW),
            substitute=_new_values(outline, inserted, is_table_new=True),
        )


def _means_new_rows(outline: Outline, index: int, inserted: Inserted) -> bool:
    """Whether a call is of RETURNING, or has VALUES(column) or the like in it."""
    call = outline.calls[index]
    if _is_returned(inserted, call):
        return True
    new_values = _new_values(outline, inserted, is_table_new=False)
    return any(new_values(i) is not None for i in range(call.first, call.last + 1))


def _is_returned(inserted: Inserted, call: Call) -> bool:
    first, last = inserted.returning or (0, -1)
    return first <= call.first <= last


def _readings(outline: Outline, index: int, inserted: Inserted) -> list[Substitute]:
    """What the names in a call may mean, the likelier first: a column of ON DUPLICATE KEY
    UPDATE, or what the assignments before the call have made of it."""
    call = outline.calls[index]
    is_returned = _is_returned(inserted, call)
    plain = _new_values(outline, inserted, is_table_new=is_returned)
    there = _new_values(outline, inserted, is_table_new=False)
    tables = (folded_at(outline.statement, inserted.table[1]),)
    assigned = assigned_before(outline, call, inserted.updates, tables, there)
    span = call.first, call.last
    if not mentions(outline.statement, span, assigned, tables):
        return [plain]
    renamed = renaming(outline.statement, assigned, tables)
    return [lambda i: renamed(i) or there(i), plain]


def _new_rows(outline: Outline, inserted: Inserted) -> Template | None:
    """`aml_new(columns) AS (the rows)`; None when the columns have no names."""
    if not inserted.columns:
        return None
    if any(len(row) != len(inserted.columns) for row in inserted.rows):
        return None
    last = (span[1] for span in inserted.columns)  # of `t.column`
    names = joined(b",", ((outline.statement.source(i, i),) for i in last))
    if inserted.query is not None:
        body = outline.cut(inserted.query)
    else:
        body = joined(b" UNION ALL ", (_row(outline, row) for row in inserted.rows))
    return (_NEW + b"(", *names, b") AS (", *body, b")")


def _row(outline: Outline, row: tuple[Span, ...]) -> Template:
    return (b"SELECT ", *joined(b",", (_value(outline, span) for span in row)))


def _value(outline: Outline, span: Span) -> Template:
    if span[0] == span[1] and word(outline.statement, span[0]) == b"DEFAULT":
        return (b"NULL",)
    return outline.cut(span)


def _new_values(
    outline: Outline, inserted: Inserted, *, is_table_new: bool
) -> Substitute:
    """VALUES(column), VALUE(column) and alias.column as columns of `aml_new`.

    Args:
        is_table_new: columns of the table itself are those of new rows, too.
    """
    statement = outline.statement
    table = folded_at(statement, inserted.table[1])

    def substitute(i: int) -> tuple[int, Template] | None:
        is_values = word(statement, i) in (b"VALUES", b"VALUE")
        if is_values and mark(statement, i + 1) == b"(":
            last = statement.closing[i + 1]
            return last, (_NEW + b".", statement.source(last - 1, last - 1))
        is_table = mark(statement, i + 1) == b"." and folded_at(statement, i) == table
        if is_table and is_table_new:
            return i, (_NEW,)
        if inserted.alias and statement.source(i, i) == inserted.alias:
            return i, (_NEW,)
        return None

    return substitute
