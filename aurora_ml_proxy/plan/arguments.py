"""The arguments of a call as SQL that the server evaluates for us."""

import re

from aurora_ml_proxy.functions import (
    LANGUAGES,
    MAX_BATCH_SIZE,
    wrong_batch_size,
    wrong_language,
)
from aurora_ml_proxy.plan.aggregates import is_aggregate
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.spans import mark, word
from aurora_ml_proxy.plan.template import Template
from aurora_ml_proxy.plan.tokens import Kind, Statement, number

_OF_ASCII = frozenset(b"_ASCII _LATIN1 _UTF8MB4 _BINARY".split())
"""What may stand before a literal, leaves its letters as they are, and is warned of by no
server."""

_LITERAL_LANGUAGE = re.compile(rb"(['\"])([A-Za-z-]+)\1")


def as_utf8(text: Template, *, is_literal: bool) -> Template:
    """The server's own conversion to a string, as bytes that no session charset touches.

    Binary values stay as they are and are checked here: the servers turn what is not
    UTF-8 into '?' (MariaDB) or NULL (MySQL), and both would be a wrong answer. A literal
    without a character set would be utf16 where collation_connection is, and MySQL
    compares that with no CHARSET().
    """
    converted: Template = (b"CAST(CONVERT(", *text, b" USING utf8mb4) AS BINARY)")
    if is_literal:
        return converted
    return (
        *(b"IF(CHARSET(", *text, b")=_utf8mb4'binary',CAST(", *text, b" AS BINARY),"),
        *converted,
        b")",
    )


def is_text_literal(statement: Statement, first: int, last: int) -> bool:
    """Whether this is a string or a number written out, which is never binary."""
    tokens = statement.tokens[first : last + 1]
    if len(tokens) == 2 and tokens[0].text == b"N":
        tokens = tokens[1:]
    return len(tokens) == 1 and tokens[0].kind in (Kind.STRING, Kind.NUMBER)


def is_column_or_literal(statement: Statement, first: int, last: int) -> bool:
    """Whether an expression is a column or a literal: the same wherever it stands."""
    tokens = statement.tokens[first : last + 1]
    if len(tokens) == 1:
        return tokens[0].kind not in (Kind.VARIABLE, Kind.MARK)
    return all(
        token.text == b"." if i % 2 else token.kind in (Kind.WORD, Kind.QUOTED)
        for i, token in enumerate(tokens)
    )


def literal_language(statement: Statement, call: Call) -> str | None:
    """The language when it is written out; None when the server has to say it."""
    first, last = call.arguments[1]
    if last == first + 1 and word(statement, first) in _OF_ASCII:
        first = last
    token = statement.tokens[first]
    if first != last or token.kind is not Kind.STRING:
        return None
    match = _LITERAL_LANGUAGE.fullmatch(token.text)
    language = match[2].decode() if match else ""
    if language not in LANGUAGES:
        raise wrong_language(call.function.name)
    return language


def literal_batch_size(statement: Statement, call: Call) -> int | None:
    """max_batch_size when it is written out or left out; None when the server has to
    say it."""
    if len(call.arguments) < 3:
        return MAX_BATCH_SIZE
    first, last = call.arguments[2]
    token = statement.tokens[first]
    if first != last or token.kind not in (Kind.NUMBER, Kind.STRING):
        return None
    if token.kind is Kind.STRING or not 1 <= number(token) <= MAX_BATCH_SIZE:
        raise wrong_batch_size(call.function.name)
    return number(token)


_CONSTANTS = frozenset((b"NULL", b"TRUE", b"FALSE"))

_OF_ROWS = frozenset((b"SELECT", b"VALUES", b"VALUE", b"GROUPING"))
"""Words with a parenthesis behind that give something of a row, as aggregates do."""


def is_constant(statement: Statement, first: int, last: int) -> bool:
    """Whether an expression is of literals and user variables only."""
    return all(_is_constant_token(statement, i) for i in range(first, last + 1))


def _is_constant_token(statement: Statement, i: int) -> bool:
    token = statement.tokens[i]
    if token.kind is Kind.QUOTED:
        return False
    if token.kind is not Kind.WORD or token.text in _CONSTANTS:
        return True
    if mark(statement, i + 1) == b"(":
        return token.text not in _OF_ROWS and not is_aggregate(statement, i)
    if token.text.startswith(b"_") and word(statement, i + 1) in (b"X", b"B"):
        i += 1  # _utf16 x'0048'
    behind = statement.tokens[i + 1].kind if i + 1 < len(statement.tokens) else None
    is_introducer = token.text in (b"N", b"X", b"B") or token.text.startswith(b"_")
    return is_introducer and behind is Kind.STRING
