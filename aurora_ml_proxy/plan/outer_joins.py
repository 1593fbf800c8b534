"""Which conditions of WHERE an outer join's ON may be narrowed by.

Where a table has no row that matches, an outer join puts NULL in its columns; WHERE sees
those rows, and ON does not. A condition that is never true of NULL drops them, whichever
table its columns are of: then only rows that pass it matter to ON.
"""

from collections.abc import Sequence

from aurora_ml_proxy.plan.spans import Span, end_of_group, keyword_at, listed, mark
from aurora_ml_proxy.plan.tokens import Kind, Statement, identifier

_STRICT = frozenset(
    b"ABS CEIL CEILING CHAR_LENGTH CURDATE CURRENT_DATE CURRENT_TIMESTAMP DATE DATE_ADD "
    b"DATE_FORMAT DATE_SUB DATEDIFF DAY DAYOFWEEK FLOOR HOUR LEFT LENGTH LOCATE LOWER "
    b"MINUTE MOD MONTH NOW REPLACE RIGHT ROUND SECOND SUBSTR SUBSTRING TRIM UPPER WEEK "
    b"WEEKDAY YEAR".split()
)
"""Functions that give NULL when an argument is NULL."""

_OPERATORS = frozenset(b"AND DIV ESCAPE LIKE MOD NOT REGEXP RLIKE BINARY".split())
"""Words behind which a parenthesis holds no arguments; they give NULL for NULL too."""

_TAKES_NULL = frozenset(
    b"ALL ANY CASE EXISTS IS MEMBER NULL OR OVER OVERLAPS SELECT SOME XOR || <=> := { ?"
    b" ROW DEFAULT".split()
)
"""What may make something true of NULL, or is not worth a closer look."""

_NAMES = (Kind.WORD, Kind.QUOTED)

_AMONG_LITERALS = frozenset(b"AND DATE INTERVAL TIMESTAMP TRUE FALSE , . - +".split())


def narrowing(
    statement: Statement, conditions: Sequence[Span], behind: Span
) -> list[Span]:
    """Those of the conditions that are surely not true when a column in them is NULL.

    Args:
        behind: the rest of FROM behind a call: what the server joins later, it may read
            when the call is evaluated already.
    """
    later = {
        identifier(statement.tokens[i], statement.sql)
        for i in range(behind[0], behind[1] + 1)
        if _is_name(statement, i) and b"." not in _marks_around(statement, i)
    }
    return [
        c
        for c in conditions
        if _rejects_null(statement, c) and not later & _qualifiers(statement, c)
    ]


def _qualifiers(statement: Statement, span: Span) -> set[bytes]:
    """The tables that a condition names in front of its columns."""
    return {
        identifier(statement.tokens[i], statement.sql)
        for i in range(span[0], span[1] + 1)
        if _is_name(statement, i) and mark(statement, i + 1) == b"."
    }


def _is_name(statement: Statement, i: int) -> bool:
    return statement.tokens[i].kind in _NAMES


def _marks_around(statement: Statement, i: int) -> tuple[bytes, bytes]:
    return mark(statement, i - 1), mark(statement, i + 1)


def _rejects_null(statement: Statement, span: Span) -> bool:
    first, last = span
    commas_of_arguments: set[int] = set()
    i = first
    while i <= last:
        text = mark(statement, i) or keyword_at(statement, i)
        if text in _TAKES_NULL or (text == b"," and i not in commas_of_arguments):
            return False
        if text in (b"IN", b"BETWEEN"):
            # `5 IN (5, NULL)` is true, and so is `5 NOT BETWEEN NULL AND 3`.
            end = _end_of_literals(statement, i + 1, last, text)
            if end is None:
                return False
            i = end
        elif mark(statement, i + 1) == b"(" and _is_name(statement, i):
            if text not in _STRICT | _OPERATORS:
                return False
            commas_of_arguments |= {end + 1 for _, end in listed(statement, i + 1)}
        i += 1
    return True


def _end_of_literals(
    statement: Statement, first: int, last: int, keyword: bytes
) -> int | None:
    """The last token of what stands behind IN or BETWEEN; None if it is no literals."""
    end = min(end_of_group(statement, first) - 1, last)
    if keyword == b"IN":
        if mark(statement, first) != b"(":
            return None
        end = statement.closing[first]
        inside = range(first + 1, end)
    else:
        inside = range(first, end + 1)
    return end if all(_is_literal(statement, i) for i in inside) else None


def _is_literal(statement: Statement, i: int) -> bool:
    token = statement.tokens[i]
    if token.kind in (Kind.WORD, Kind.MARK):
        return token.text in _AMONG_LITERALS
    return token.kind in (Kind.STRING, Kind.NUMBER)
