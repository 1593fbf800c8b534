"""Calls outside of every block, and the rows that an INSERT or REPLACE writes.

Arguments can mean those rows: VALUES(column) or a row alias in ON DUPLICATE KEY UPDATE, a
column of RETURNING, and an earlier column in the same row. They are a common table here,
`aml_new`.
Source: MySQL manual, "INSERT ... ON DUPLICATE KEY UPDATE Statement"; MariaDB Knowledge
Base, "INSERT...RETURNING".
"""

from collections.abc import Iterator

from aurora_ml_proxy.plan.aliases import folded_at, renaming
from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Phase
from aurora_ml_proxy.plan.inserted import Inserted
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import rows, with_lists
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


def _row_of(outline: Outline, index: int, inserted: Inserted) -> tuple[Span, ...] | None:
    """The row of VALUES or SET that a call is a value of."""
    token = outline.calls[index].first
    around = (row for row in inserted.rows if row and row[0][0] <= token <= row[-1][1])
    return next(around, None)


def _beside(
    outline: Outline, index: int, inserted: Inserted, row: tuple[Span, ...]
) -> Query:
    """Columns in an argument are those of the same row before it."""
    names = {
        folded_at(outline.statement, name[1]): (b"(", *outline.cut(value), b")")
        for name, value in zip(inserted.columns, row, strict=False)
        if value[1] < outline.calls[index].first
    }
    substitute = renaming(outline.statement, names)
    return select(outline, index, _ONE_ROW, distinct=False, substitute=substitute)


def _of_new_rows(outline: Outline, index: int, inserted: Inserted) -> Iterator[Query]:
    """Columns are those of rows to be written, of rows that are there, or of both."""
    substitute = _new_values(outline, inserted)
    table = outline.cut(inserted.table)
    new = _new_rows(outline, inserted)
    front = () if new is None else (b"WITH ", *new, b" ")

    def ask(behind: Template, front: Template = ()) -> Query:
        return select(outline, index, behind, front=front, substitute=substitute)

    if new is not None:
        yield ask((b" FROM ", _NEW), front)
    for block in outline.blocks:
        if inserted.query is not None and block.level == 0 and block.parent is None:
            yield ask(rows(outline, block, Phase.LIST), with_lists(outline, block))
    yield ask((b" FROM ", *table))
    if new is not None:
        yield ask((b" FROM ", *table, b"," + _NEW), front)


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


def _new_values(outline: Outline, inserted: Inserted) -> Substitute:
    """VALUES(column), VALUE(column) and alias.column as columns of `aml_new`."""
    statement = outline.statement
    table = folded_at(statement, inserted.table[1])

    def substitute(i: int) -> tuple[int, Template] | None:
        is_values = word(statement, i) in (b"VALUES", b"VALUE")
        if is_values and mark(statement, i + 1) == b"(":
            last = statement.closing[i + 1]
            return last, (_NEW + b".", statement.source(last - 1, last - 1))
        is_table = mark(statement, i + 1) == b"." and folded_at(statement, i) == table
        if is_table and inserted.returning:
            return i, (_NEW,)
        if inserted.alias and statement.source(i, i) == inserted.alias:
            return i, (_NEW,)
        return None

    return substitute
