"""The compressed protocol as a client speaks it: envelopes, written and read by hand.

Knows nothing of the code under test; zstd is the library's.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backports import zstd

DEFLATE: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "zstd": lambda data: zstd.compress(data, level=7),
}
INFLATE: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.decompress,
    "zstd": zstd.decompress,
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One, as it was on the wire."""

    seq: int
    stream: bytes
    is_compressed: bool


def envelope(data: bytes, seq: int, algorithm: str | None = None) -> bytes:
    """The data in an envelope, compressed or as it is."""
    if algorithm is None:
        head = len(data).to_bytes(3, "little") + bytes((seq & 0xFF,)) + bytes(3)
        return head + data
    packed = DEFLATE[algorithm](data)
    return forged(packed, seq, len(data))


def forged(packed: bytes, seq: int, inflated_bytes: int) -> bytes:
    """An envelope that says of itself what it likes."""
    return (
        len(packed).to_bytes(3, "little")
        + bytes((seq & 0xFF,))
        + inflated_bytes.to_bytes(3, "little")
        + packed
    )


def opened(data: bytes, algorithm: str) -> Iterator[Envelope]:
    """The envelopes in what a server has sent; none may be cut."""
    while data:
        stop = 7 + int.from_bytes(data[:3], "little")
        inflated_bytes = int.from_bytes(data[4:7], "little")
        assert len(data) >= stop
        stream = data[7:stop]
        if inflated_bytes:
            stream = INFLATE[algorithm](stream)
            assert len(stream) == inflated_bytes
        yield Envelope(data[3], stream, bool(inflated_bytes))
        data = data[stop:]
