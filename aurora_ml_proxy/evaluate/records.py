"""What caches and stores hold, as bytes: keys, answers, and records of answers.

A text is known by the SHA-256 of its exact bytes and is never held itself.
"""

from hashlib import sha256
from struct import Struct
from zlib import crc32

from aurora_ml_proxy.functions import LABELS, Sentiment

_SCOPE_BYTES = 16
"""128 bits keep the scopes of all services and languages apart."""

_SENTIMENT = Struct("<Bd")
"""The label's place in `LABELS`, and the confidence to the bit."""

_HEAD = Struct("<II")
"""Of a record: when the answer was given, in seconds since 1970; a checksum."""


def scope_of(*parts: str) -> bytes:
    """What tells apart the answers to one text: the service, its endpoint, a language.

    The parts are told apart as well: `("ab", "c")` is another scope than `("a", "bc")`.
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(text.encode()).digest()[:_SCOPE_BYTES]


def digest_of(text: bytes) -> bytes:
    """The part of a key that stands for the text: what SHA2(text, 256) is in SQL."""
    return sha256(text).digest()


def write_sentiment(sentiment: Sentiment) -> bytes:
    """An answer as a cache holds it."""
    return _SENTIMENT.pack(LABELS.index(sentiment.label), sentiment.confidence)


def read_sentiment(value: bytes) -> Sentiment | None:
    """None for what is no sentiment."""
    if len(value) != _SENTIMENT.size:
        return None
    label, confidence = _SENTIMENT.unpack(value)
    if label >= len(LABELS) or not 0 <= confidence <= 1:
        return None
    return Sentiment(LABELS[label], confidence)


def write_record(key: bytes, value: bytes, given_s: int) -> bytes:
    """An answer as a store holds it.

    The checksum is over the key as well: neither a flipped bit nor a row under another
    key becomes a wrong answer.
    """
    stamp = given_s.to_bytes(4, "little")
    return stamp + crc32(key + stamp + value).to_bytes(4, "little") + value


def read_record(key: bytes, record: bytes) -> tuple[bytes, int] | None:
    """The answer and when it was given; None for what is no record of this key."""
    if len(record) < _HEAD.size:
        return None
    given_s, checksum = _HEAD.unpack_from(record)
    value = record[_HEAD.size :]
    if crc32(key + record[:4] + value) != checksum:
        return None
    return value, given_s


def given_of(record: bytes) -> int:
    """When the answer of a record was given; 0 for what is no record."""
    return int.from_bytes(record[:4], "little") if len(record) >= _HEAD.size else 0
