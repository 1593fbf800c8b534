"""SQL with places for answers: what is sent once the answers are known.

A template is cut from the user's own text by byte span; nothing of it is generated anew.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.tokens import Statement, is_semicolon


@dataclass(frozen=True, slots=True)
class Lenient:
    """The answer of a call, NULL where it is not known, whatever the rendering."""

    call: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether the answer of a call is not known for a row."""

    call: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """The answer of a call whose arguments have other names in a query of ours."""

    call: int
    key: "Template"
    """What its answer is found by there."""


@dataclass(frozen=True, slots=True)
class Text:
    """The text that a call asks about, or what stands for it, as the rendering says."""

    text: "Template"
    """The SQL of its bytes."""
    key: "Template"
    """The SQL of the bytes by which the call finds its answer; empty when they are the
    text's."""


Piece = bytes | int | Lenient | Unknown | Renamed | Text
"""Text, or the number of a call: its answer, which fails or is NULL where it is not
known, as the rendering says."""

Template = tuple[Piece, ...]

Edit = tuple[int, int, Template]
"""A span of the statement, in bytes, and what stands there instead."""


def outermost(calls: Sequence[Call], first: int, last: int) -> Iterable[int]:
    """The numbers of the calls between two tokens that are in no other call there.

    Args:
        calls: in the order of the text; a statement may have thousands.
    """
    end = first
    for index in range(bisect_left(calls, first, key=_first_of), len(calls)):
        call = calls[index]
        if call.first > last:
            return
        if end <= call.first and call.last <= last:
            yield index
            end = call.last + 1


def _first_of(call: Call) -> int:
    return call.first


Substitute = Callable[[int], tuple[int, Template] | None]
"""For a token: the last token and the text of what stands in their place; or None."""


def cut(
    statement: Statement,
    first: int,
    last: int,
    calls: Sequence[Call],
    substitute: Substitute | None = None,
) -> Template:
    """The text from one token to another, comments left out, calls as their numbers."""
    pieces: list[Piece] = []
    starts = {calls[index].first: index for index in outermost(calls, first, last)}
    tokens = statement.tokens
    plain = i = first

    def put(upto: int, behind: int, template: Template) -> None:
        # Where nothing parts two tokens nothing may: `5--f(x)` is no comment.
        gap = b" " if upto and tokens[upto - 1].end < tokens[upto].start else b""
        if upto > plain:
            pieces.append(statement.source(plain, upto - 1) + gap)
        pieces.extend(template)
        if behind <= last:
            pieces.append(b" ")

    while i <= last:
        if i in starts:
            behind = calls[starts[i]].last + 1
            put(i, behind, (starts[i],))
        elif substitute is not None and (found := substitute(i)) is not None:
            behind = found[0] + 1
            put(i, behind, found[1])
        else:
            i += 1
            continue
        plain = i = behind
    if plain <= last:
        pieces.append(statement.source(plain, last))
    return tuple(pieces)


def edit(sql: bytes, edits: Iterable[Edit]) -> Template:
    """The statement with spans replaced; spans do not overlap."""
    pieces: list[Piece] = []
    pos = 0
    for start, end, template in sorted(edits, key=lambda e: e[:2]):
        pieces += [sql[pos:start], *template]
        pos = end
    pieces.append(sql[pos:])
    return tuple(piece for piece in pieces if piece != b"")


def without_rest(statement: Statement) -> list[Edit]:
    """Cuts off the semicolon and what is behind it.

    A comment there is a statement of its own, with a result of its own, to a session
    with CLIENT_MULTI_STATEMENTS.
    """
    for token in statement.tokens:
        if is_semicolon(token):
            return [(token.start, len(statement.sql), ())]
    return []


def joined(separator: bytes, templates: Iterable[Template]) -> Template:
    """Templates with a text between them."""
    pieces: list[Piece] = []
    for n, template in enumerate(templates):
        if n:
            pieces.append(separator)
        pieces += template
    return tuple(pieces)


def text_of(template: Template) -> bytes:
    """The text of a template without calls."""
    return b"".join(_text_of(piece) for piece in template)


def _text_of(piece: Piece) -> bytes:
    match piece:
        case bytes():
            return piece
        case Text(text):
            return text_of(text)
        case _:
            return b""


def has_text_only(template: Template) -> bool:
    """Whether no call is in a template."""
    return all(_is_text_only(piece) for piece in template)


def _is_text_only(piece: Piece) -> bool:
    if isinstance(piece, Text):
        return has_text_only(piece.text) and has_text_only(piece.key)
    return isinstance(piece, bytes)
