"""Walks over a statement's tokens: what stands where, and what commas part.

A span is the first and the last token of something, both included; it is empty when the
last comes before the first. Looking beside the statement finds nothing, and no error:
what people send need not make sense.
"""

from aurora_ml_proxy.plan.tokens import Kind, Statement, is_semicolon

Span = tuple[int, int]
"""The first and the last token of a part, both included."""


def word(statement: Statement, i: int) -> bytes:
    """The word at a token; nothing where another kind of token, or none, stands."""
    return _text(statement, i, Kind.WORD)


def mark(statement: Statement, i: int) -> bytes:
    """The mark at a token; nothing where another kind of token, or none, stands."""
    return _text(statement, i, Kind.MARK)


def _text(statement: Statement, i: int, kind: Kind) -> bytes:
    if not 0 <= i < len(statement.tokens):
        return b""
    token = statement.tokens[i]
    return token.text if token.kind is kind else b""


def keyword_at(statement: Statement, i: int) -> bytes:
    """The word at a token; nothing where it is a name: `t.select` is a column."""
    return word(statement, i) if mark(statement, i - 1) != b"." else b""


def has_word(statement: Statement, span: Span, words: frozenset[bytes]) -> bool:
    """Whether one of the keywords stands in a span."""
    return any(keyword_at(statement, i) in words for i in range(span[0], span[1] + 1))


def holds_several(statement: Statement) -> bool:
    """Whether more stands behind the first semicolon than semicolons."""
    tokens = statement.tokens
    first = next((i for i, t in enumerate(tokens) if is_semicolon(t)), len(tokens))
    return not all(map(is_semicolon, tokens[first:]))


def end_of_group(statement: Statement, i: int) -> int:
    """The first token behind `i` that is outside its parentheses; or a semicolon."""
    level = statement.depth[i]
    for j in range(i + 1, len(statement.tokens)):
        if statement.depth[j] < level or is_semicolon(statement.tokens[j]):
            return j
    return len(statement.tokens)


def listed(statement: Statement, opening: int) -> list[Span]:
    """What commas part between an opening parenthesis and its closing one."""
    return commas(statement, opening + 1, statement.closing[opening] - 1)


def commas(statement: Statement, first: int, last: int) -> list[Span]:
    """What commas part between two tokens, on the level of the first."""
    if first > last:
        return []
    found, start = [], first
    for i in range(first, last + 1):
        if mark(statement, i) == b"," and statement.depth[i] == statement.depth[first]:
            found.append((start, i - 1))
            start = i + 1
    found.append((start, last))
    return found


def equals_sign(statement: Statement, span: Span) -> int | None:
    """Where the = of an assignment stands."""
    for i in range(span[0], span[1] + 1):
        if mark(statement, i) in (b"=", b":="):
            return i
    return None
