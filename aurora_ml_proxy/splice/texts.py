"""How a harvest reads the texts of its calls: whole, by their hashes, or only some.

A hash has 32 bytes, whatever the text has; of texts that are known by their hashes no
more need come from the server.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_PREFIX_BYTES = 8
"""Bytes of a hash that pick a text: two of a million share them once in 40 million
times, and one text too many is then read."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Every text."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """For every text its SHA-256; and behind it that of its key, where that differs."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The texts whose keys have these hashes; NULL for others."""

    hashes: frozenset[bytes]


Texts = Whole | Hashed | Wanted

WHOLE, HASHED = Whole(), Hashed()


def text_as(texts: Texts, text: bytes, key: bytes) -> bytes:
    """The SQL of a column.

    Args:
        text: the SQL of a text as bytes.
        key: that of the bytes by which a statement finds its answer; empty when it is
            the text.
    """
    match texts:
        case Whole():
            return text
        case Hashed():
            hashed = _hash(text)
            return b"CONCAT(%b,%b)" % (hashed, _hash(key)) if key else hashed
        case Wanted(hashes):
            start = b"LEFT(%b,%d)" % (_hash(key or text), _PREFIX_BYTES)
            return b"IF(%b IN (%b),%b,NULL)" % (start, _listed(hashes), text)


def _hash(text: bytes) -> bytes:
    """As bytes: in a wide character_set_connection SHA2's digits are wide."""
    return b"UNHEX(CONVERT(SHA2(%b,256) USING latin1))" % text


def _listed(hashes: Iterable[bytes]) -> bytes:
    return b",".join(
        b"X'%b'" % start.hex().encode()
        for start in sorted({digest[:_PREFIX_BYTES] for digest in hashes})
    )
