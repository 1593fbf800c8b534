"""Several statements in one packet: where the server cuts it, and which part is ours.

In: the packet's text. Out: its statements, those without a call behind the last one with
a call in one piece. Knows nothing of how they are answered.
Source: MySQL manual, "Multiple Statement Execution Support"; which semicolons end a
statement was tried on MariaDB 10.11 and MySQL 9.7, which agree.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aurora_ml_proxy.errors import ProxyError, UnsupportedStatement
from aurora_ml_proxy.functions import FUNCTIONS, Function
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.tokens import (
    Kind,
    Token,
    Unreadable,
    is_semicolon,
    read_statement,
    read_tokens,
)

_SPACES = b" \t\n\v\f\r"

_COMPOUND = frozenset(b"IF CASE LOOP REPEAT WHILE FOR DECLARE".split())
"""First words of MariaDB's compound statements, which have semicolons inside."""

_ROUTINES = frozenset(b"PROCEDURE FUNCTION TRIGGER EVENT PACKAGE".split())
_NOT_ROUTINES = frozenset(b"TABLE VIEW INDEX SELECT".split())

_DIAGNOSTICS = frozenset((b"FOUND_ROWS", b"ROW_COUNT"))
_DIAGNOSTIC_VARIABLES = (b"WARNING_COUNT", b"ERROR_COUNT")

_KEEPS_LEXER = frozenset(
    b"SELECT INSERT REPLACE UPDATE DELETE VALUES WITH TABLE DO SHOW USE BEGIN START "
    b"COMMIT ROLLBACK SAVEPOINT RELEASE CREATE ALTER DROP TRUNCATE EXPLAIN DESCRIBE DESC "
    b"ANALYZE LOCK UNLOCK PREPARE DEALLOCATE".split()
)
"""Statements after which the next one is read as this one was."""

_LEXER_SETTINGS = (b"MODE", b"NAMES", b"CHAR", b"STATEMENT")


@dataclass(frozen=True, slots=True)
class Several:
    """The statements of one packet, the first of them still to be executed."""

    packet: bytes
    statements: tuple[bytes, ...]
    """Each as it is sent alone. The last one may be several without a call, or end in
    what only the server can read."""
    starts: tuple[int, ...]
    """Where in the packet each begins."""
    changes_lexer: tuple[bool, ...]
    """Whether the text behind a statement may have to be cut in another way."""
    reads_diagnostics: bool
    """Whether FOUND_ROWS() or its like may tell of the statement before the packet."""


def may_be_several(sql: bytes) -> bool:
    """Whether the server may find several statements in this text. A cheap test."""
    return b";" in sql.rstrip(_SPACES + b";")


def read_several(
    sql: bytes,
    dialect: Dialect,
    functions: Mapping[str, Function] = FUNCTIONS,
    concerns: Callable[[bytes], bool] = lambda _: False,
) -> Several | None:
    """The statements of a packet; None when none of them has a call.

    Args:
        concerns: whether a statement is ours without a call in it.
    Raises: UnsupportedStatement for what cannot be cut, before any is executed.
    """
    text = sql.rstrip(_SPACES + b";")
    pieces = _cut(text, dialect)
    names = [
        "an ML function"
        if concerns(piece.text)
        else _first_call(piece, dialect, functions)
        for piece in pieces
    ]
    found = [n for n, name in enumerate(names) if name]
    if not found:
        return None
    last = found[-1]
    name = names[found[0]]
    opened = next((n for n, p in enumerate(pieces) if _is_compound(p.tokens)), last + 1)
    if opened <= last:
        raise UnsupportedStatement(
            f"{names[last]}: a call among several statements in one packet, in or behind "
            "one that has semicolons inside; send the statements one by one"
        )
    if any(_wants_file(piece.tokens) for piece in pieces):
        raise UnsupportedStatement(
            f"{name}: a call in one packet with LOAD DATA LOCAL; send the statements one "
            "by one"
        )
    kept = pieces[: last + 2]
    statements = [piece.text for piece in kept]
    if len(pieces) > len(kept):
        statements[-1] = text[kept[-1].start :]
    return Several(
        text,
        tuple(statements),
        tuple(piece.start for piece in kept),
        tuple(_changes_lexer(piece.tokens) for piece in kept),
        _reads_diagnostics(pieces),
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    text: bytes
    tokens: Sequence[Token]


def _cut(sql: bytes, dialect: Dialect) -> list[_Piece]:
    """The server cuts at a semicolon, and the spaces behind it off."""
    pieces: list[_Piece] = []
    start = _skip_spaces(sql, 0)
    tokens: list[Token] = []
    try:
        for token in read_tokens(sql, dialect):
            if not is_semicolon(token):
                tokens.append(token)
            elif not tokens:
                break  # a statement of nothing: a syntax error of all that follows
            else:
                pieces.append(_Piece(start, sql[start : token.start], tokens))
                start, tokens = _skip_spaces(sql, token.end), []
    except Unreadable:
        pass  # the server executes what is in front of it
    pieces.append(_Piece(start, sql[start:], tokens))
    return pieces


def _skip_spaces(sql: bytes, start: int) -> int:
    while sql[start : start + 1] and sql[start] in _SPACES:
        start += 1
    return start


def _first_call(
    piece: _Piece, dialect: Dialect, functions: Mapping[str, Function]
) -> str | None:
    """The name of the first function that a statement calls."""
    lowered = piece.text.lower()
    if not any(name.lower().encode() in lowered for name in functions):
        return None
    try:
        calls = find_calls(read_statement(piece.text, dialect), functions)
    except Unreadable:
        return None
    except ProxyError:
        return "an ML function"  # with too few arguments, say: when its turn comes
    return calls[0].function.name if calls else None


def _reads_diagnostics(pieces: Sequence[_Piece]) -> bool:
    """What FOUND_ROWS() tells stays until the first query of the packet is over."""
    for piece in pieces:
        words = {token.text.upper() for token in piece.tokens}
        if words & _DIAGNOSTICS or any(w.endswith(_DIAGNOSTIC_VARIABLES) for w in words):
            return True
        if b"SELECT" in words:
            return False
    return False


def _words(tokens: Sequence[Token], count: int) -> list[bytes]:
    return [token.text for token in tokens[:count] if token.kind is Kind.WORD]


def _is_compound(tokens: Sequence[Token]) -> bool:
    """Whether semicolons may stand inside the statement that starts here."""
    words = _words(tokens, 24)
    if not words or tokens[0].kind is not Kind.WORD:
        return False
    if words[0] in (b"CREATE", b"ALTER"):
        for word in words:
            if word in _NOT_ROUTINES:
                return False
            if word in _ROUTINES:
                return True
        return False
    if words[0] == b"BEGIN":
        return len(tokens) > 1 and words[1:2] != [b"WORK"]
    has_label = len(tokens) > 1 and tokens[1].text == b":"
    return has_label or words[0] in _COMPOUND


def _wants_file(tokens: Sequence[Token]) -> bool:
    return _words(tokens, 1) == [b"LOAD"] and b"LOCAL" in _words(tokens, 6)


def _changes_lexer(tokens: Sequence[Token]) -> bool:
    """Whether sql_mode or character_set_client may be others after this statement."""
    words = _words(tokens, 1)
    if words and words[0] in _KEEPS_LEXER:
        return False
    if words != [b"SET"]:
        return True
    names = (token.text.upper() for token in tokens if token.kind is not Kind.STRING)
    return any(setting in name for name in names for setting in _LEXER_SETTINGS)
