"""The names of select items: whether one has an alias, and the server's name if not."""

import re

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.tokens import Kind, Statement

_MAX_NAME_BYTES = 255
"""Where both servers cut the name that they give an item, in bytes of UTF-8."""

_SUPPLEMENTARY = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
"""Characters that a name cannot have: the servers' names are utf8mb3, and write '?'."""

_EXECUTABLE = re.compile(rb"/\*M?!")


PARAMETER = re.compile(rb"@aurora_ml_parameter_(\d+)_ ?")
"""What stands for a `?` while a prepared statement is planned: a user variable."""


def parameter(index: int) -> bytes:
    """The variable for a parameter; what follows it, if anything, is another token."""
    return b"@aurora_ml_parameter_%d_ " % index


def generated_name(statement: Statement, first: int, last: int) -> bytes:
    """The name that the server gives an item without an alias: its own text.

    Raises: UnsupportedStatement for an executable comment in it, of which each server
        keeps other spaces.
    """
    start = statement.tokens[first].start
    name = PARAMETER.sub(b"?", statement.sql[start : statement.tokens[last].end])
    if _EXECUTABLE.search(name):
        raise UnsupportedStatement(
            "a select item with an ML call, without an alias and with /*! ... */ "
            "inside, has no certain name; give it an alias"
        )
    if not statement.charset.startswith("utf8"):
        return name[:_MAX_NAME_BYTES]
    name = _SUPPLEMENTARY.sub(b"?", name)[:_MAX_NAME_BYTES]
    return name.decode("utf-8", "ignore").encode()


def quote_name(name: bytes) -> bytes:
    """A name between back quotes, which every sql_mode understands."""
    return b"`" + name.replace(b"`", b"``") + b"`"


_OPERATORS = frozenset(
    b"AND OR XOR NOT DIV MOD LIKE RLIKE REGEXP IN BETWEEN IS ESCAPE COLLATE BINARY OVER "
    b"INTERVAL CASE WHEN THEN ELSE AS MEMBER OF SOUNDS DISTINCT ALL EXISTS ANY "
    b"SOME".split()
)
"""Words behind which an operand stands, and no alias."""

_UNITS = frozenset(
    b"MICROSECOND SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR SECOND_MICROSECOND "
    b"MINUTE_MICROSECOND MINUTE_SECOND HOUR_MICROSECOND HOUR_SECOND HOUR_MINUTE "
    b"DAY_MICROSECOND DAY_SECOND DAY_MINUTE DAY_HOUR YEAR_MONTH".split()
)

_INTRODUCERS = frozenset(b"N X B DATE TIME TIMESTAMP BINARY".split())


def alias_of(statement: Statement, first: int, last: int) -> int | None:
    """The token that is an item's alias; None when it has none."""
    tokens = statement.tokens
    token = tokens[last]
    if last == first or token.kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING):
        return None
    before = tokens[last - 1]
    if before.kind is Kind.WORD and before.text == b"AS":
        return last
    if before.kind is Kind.MARK and before.text not in (b")", b"?", b"}"):
        return None
    if before.kind is Kind.WORD and before.text in _OPERATORS:
        return None
    if token.kind is Kind.STRING:
        is_introduced = before.kind is Kind.WORD and (
            before.text in _INTRODUCERS or before.text.startswith(b"_")
        )
        return None if is_introduced or before.kind is Kind.STRING else last
    if token.kind is Kind.WORD and _goes_on(statement, first, last):
        return None
    return last


def _goes_on(statement: Statement, first: int, last: int) -> bool:
    """Whether the last word is END of a CASE or the unit of an INTERVAL."""
    level = statement.depth[first]
    words = [
        statement.tokens[i].text
        for i in range(first, last)
        if statement.tokens[i].kind is Kind.WORD and statement.depth[i] == level
    ]
    text = statement.tokens[last].text
    if text == b"END":
        return words.count(b"CASE") > words.count(b"END")
    return text in _UNITS and b"INTERVAL" in words
