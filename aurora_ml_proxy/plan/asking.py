"""What is asked of a row: the columns that hold a call's arguments.

In: a call. Out: columns for a query of ours and what they are.
"""

from collections.abc import Sequence

from aurora_ml_proxy.functions import MAX_BATCH_SIZE
from aurora_ml_proxy.plan.arguments import (
    as_utf8,
    is_text_literal,
    literal_batch_size,
    literal_language,
)
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Asked, Query
from aurora_ml_proxy.plan.settings import with_settings
from aurora_ml_proxy.plan.spans import Span
from aurora_ml_proxy.plan.template import Substitute, Template, Text, joined


def columns(
    outline: Outline,
    index: int,
    substitute: Substitute | None = None,
    *,
    first: int = 0,
) -> tuple[list[Template], Asked]:
    """The columns of one call, and what they are.

    Args:
        index: the call's number.
        first: where in the row its columns start.
    """
    statement, call = outline.statement, outline.calls[index]

    def bytes_of(argument: Span) -> Template:
        text = outline.cut(argument, substitute)
        return as_utf8(text, is_literal=is_text_literal(statement, *argument))

    text = bytes_of(call.arguments[0])
    found: list[Template] = [(Text(text, ()),)]
    language: str | int | None = literal_language(statement, call)
    if language is None:
        language = first + len(found)
        spoken = bytes_of(call.arguments[1])
        found = [(Text(text, (b"CONCAT(", *spoken, b",X'3A',", *text, b")")),), spoken]
    size, size_column = literal_batch_size(statement, call), None
    if size is None:
        size_column = first + len(found)
        value = outline.cut(call.arguments[2], substitute)
        found.append((b"COALESCE(", *value, b")"))
    known, size = outline.known[index], size or MAX_BATCH_SIZE
    return found, Asked(known, call.function, first, language, size, size_column)


def columns_of_many(
    outline: Outline, indexes: Sequence[int]
) -> tuple[list[Template], tuple[Asked, ...]]:
    """The columns of several calls, side by side."""
    found: list[Template] = []
    asked: list[Asked] = []
    for index in indexes:
        more, one = columns(outline, index, first=len(found))
        found += more
        asked.append(one)
    return found, tuple(asked)


_MOST_ROWS, _TIME_S = 1000, 1
"""What a query that joins everything with everything may give, and may take."""


def select(
    outline: Outline,
    index: int,
    rows: Template,
    *,
    front: Template = (),
    distinct: bool = True,
    substitute: Substitute | None = None,
    settings: Sequence[bytes] = (),
    is_bounded: bool = False,
) -> Query:
    """A query for one call's columns.

    Args:
        rows: what stands behind the select list.
        front: what stands before SELECT.
        settings: MariaDB's, for this query only.
        is_bounded: give up when it takes long, and after a thousand rows.
    """
    found, _ = columns(outline, index, substitute)
    keyword = b"SELECT DISTINCT " if distinct else b"SELECT "
    if is_bounded:
        rows = (*rows, b" LIMIT %d" % _MOST_ROWS)
    if is_bounded and outline.is_mariadb:
        settings = (*settings, b"max_statement_time=%d" % _TIME_S)
    elif is_bounded:
        hint = b"/*+ MAX_EXECUTION_TIME(%d) */ " % (1000 * _TIME_S)
        keyword = keyword.replace(b" ", b" " + hint, 1)
    sql = (*front, keyword, *joined(b",", found), *rows)
    query = with_settings(outline, sql, *settings)
    return Query(query, len(found), is_bounded=is_bounded)
