"""A statement's bytes, cut into tokens as the server's lexer would.

Comments are no tokens, but an executable comment that this server executes is opened up.
Source: MySQL manual, "Language Structure" (literals, identifiers, comments); MariaDB
Knowledge Base, "Comment Syntax".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import blake2b

from aurora_ml_proxy.plan.dialect import Dialect, mask_multibyte


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted identifier"
    STRING = "string"
    NUMBER = "number"
    VARIABLE = "variable"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Token:
    """A span of the statement."""

    kind: Kind
    start: int
    end: int
    text: bytes
    """Upper case for words, else as written (multibyte characters masked)."""


def is_semicolon(token: Token) -> bool:
    """Whether this token ends a statement."""
    return token.kind is Kind.MARK and token.text == b";"


def number(token: Token) -> int:
    """The value of a number token; of one that no column can hold, 10 to the 20th."""
    digits = token.text.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= 20 else 10**20


class Unreadable(ValueError):
    """A string or comment has no end: only the server can say what is wrong."""


_GRAMMAR = r"""
  (?P<space>   \s+ )
| (?P<comment> \#[^\n\0]* | --(?=[\s\x00-\x1f]|\Z)[^\n\0]* )
| (?P<version> /\*M?!(?P<digits>[0-9]{5,6})? )
| (?P<block>   /\* )
| (?P<close>   \*/ )
| (?P<string>  %(string)s )
| (?P<quoted>  %(quoted)s )
| (?P<variable> @@?(?: `(?:[^`]|``)*` | '[^']*' | "[^"]*" | [\w.$\x80-\xff]* ) )
| (?P<number>  [0-9]+ (?![\w$\x80-\xff]) )
| (?P<word>    [\w$\x80-\xff]+ )
| (?P<open>    ['"`] )
| (?P<odd>     \x00 | --(?=[\x7f-\xff]) )
| (?P<mark>    := | \|\| | && | <=> | . )
"""

_ESCAPED = r"""'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'"""
_PLAIN = r"""'[^']*(?:''[^']*)*'"""


@lru_cache(maxsize=4)
def _grammar(ansi_quotes: bool, no_backslash_escapes: bool) -> re.Pattern[bytes]:
    single = _PLAIN if no_backslash_escapes else _ESCAPED
    double = single.replace("'", '"')
    backquoted = r"`[^`]*(?:``[^`]*)*`"
    if ansi_quotes:
        string, quoted = single, backquoted + "|" + _PLAIN.replace("'", '"')
    else:
        string, quoted = single + "|" + double, backquoted
    text = _GRAMMAR % {"string": string, "quoted": quoted}
    return re.compile(text.encode(), re.VERBOSE | re.DOTALL)


_BLOCK_END = re.compile(rb"/\*|\*/")


def _end_of_block(text: bytes, pos: int, *, nested: bool) -> int:
    """Where a comment that is not executed ends; `pos` is behind its opening."""
    depth = 1
    while match := _BLOCK_END.search(text, pos):
        pos = match.end()
        if match[0] == b"*/":
            depth -= 1
            if not depth:
                return pos
        elif nested:
            depth += 1
    raise Unreadable("a comment has no end")


def _is_executed(opening: bytes, digits: bytes | None, dialect: Dialect) -> bool:
    """Whether the server runs what stands in an executable comment."""
    if opening.startswith(b"/*M") and not dialect.is_mariadb:
        return False
    version = int(digits or b"0")
    if dialect.is_mariadb and opening.startswith(b"/*!") and 50700 <= version <= 99999:
        return False  # "MariaDB ignores MySQL-style executable comments" of 5.7 and on
    return version <= dialect.version


def tokenize(sql: bytes, dialect: Dialect) -> list[Token]:
    """The tokens of a statement, or of several with their semicolons.

    Raises: Unreadable.
    """
    return list(read_tokens(sql, dialect))


def read_tokens(sql: bytes, dialect: Dialect) -> Iterator[Token]:
    """As `tokenize`, but what is in front of an unreadable place comes out.

    Raises: Unreadable.
    """
    text = mask_multibyte(sql, dialect.charset)
    grammar = _grammar(dialect.ansi_quotes, dialect.no_backslash_escapes)
    pos, opened = 0, 0
    while pos < len(text):
        match = grammar.match(text, pos)
        assert match is not None, "the grammar's last line takes any byte"
        group, start, pos = match.lastgroup, pos, match.end()
        match group:
            case "space" | "comment":
                continue
            case "version":
                if _is_executed(match[0], match["digits"], dialect):
                    opened += 1
                else:
                    pos = _end_of_block(text, pos, nested=True)
            case "block":
                pos = _end_of_block(text, pos, nested=False)
            case "close" if opened:
                opened -= 1
            case "close":
                # `2 */* a comment */ 3` is a product: the slash opens the comment.
                pos = start + 1
                yield Token(Kind.MARK, start, pos, b"*")
            case "open":
                raise Unreadable("a quoted text has no end")
            case "odd":
                # The lexer ends at a NUL; whether DEL and what is above it makes two
                # dashes a comment differs from character set to character set.
                raise Unreadable("a NUL or two odd dashes")
            case "word":
                yield Token(Kind.WORD, start, pos, match[0].upper())
            case _:
                kind = _KINDS[group or "mark"]
                yield Token(kind, start, pos, match[0])
    if opened:
        raise Unreadable("a comment has no end")


_KINDS = {
    "string": Kind.STRING,
    "quoted": Kind.QUOTED,
    "variable": Kind.VARIABLE,
    "number": Kind.NUMBER,
    "mark": Kind.MARK,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with its tokens and its parentheses paired."""

    sql: bytes
    tokens: list[Token]
    charset: str
    """The character set of `sql`."""
    closing: dict[int, int] = field(default_factory=dict)
    """Index of an opening parenthesis to the index of its closing one."""
    depth: list[int] = field(default_factory=list)
    """How many parentheses are open at a token; a parenthesis counts as outside."""

    def source(self, first: int, last: int) -> bytes:
        """The text from one token to another, both included, comments left out.

        Where something stood between two tokens, something stands between them here:
        `COUNT (x)` is not `COUNT(x)`.
        """
        parts: list[bytes] = []
        for i in range(first, last + 1):
            token = self.tokens[i]
            if i > first and self.tokens[i - 1].end < token.start:
                parts.append(b" ")
            parts.append(self.sql[token.start : token.end])
        return b"".join(parts)


def read_statement(sql: bytes, dialect: Dialect) -> Statement:
    """The statement cut into tokens. Raises: Unreadable, also for odd parentheses."""
    tokens = tokenize(sql, dialect)
    statement = Statement(sql, tokens, dialect.charset)
    opened: list[int] = []
    for i, token in enumerate(tokens):
        if token.kind is Kind.MARK and token.text == b")":
            if not opened:
                raise Unreadable("a parenthesis was not opened")
            statement.closing[opened.pop()] = i
        statement.depth.append(len(opened))
        if token.kind is Kind.MARK and token.text == b"(":
            opened.append(i)
    if opened:
        raise Unreadable("a parenthesis is not closed")
    return statement


def identifier(token: Token, sql: bytes) -> bytes:
    """The name that a word or a quoted token spells, in lower case, to compare by."""
    raw = sql[token.start : token.end]
    if token.kind is Kind.WORD:
        return raw.lower()
    quote = raw[:1]
    return raw[1:-1].replace(quote * 2, quote).lower()


def digest(statement: Statement) -> str:
    """16 hex digits that are the same for statements that differ in literals only."""
    literals = (Kind.STRING, Kind.NUMBER)
    words = (b"?" if t.kind in literals else t.text for t in statement.tokens)
    return blake2b(b" ".join(words), digest_size=8).hexdigest()
