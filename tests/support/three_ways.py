"""Three ways to feed a parser: whole, byte by byte, and with more behind it."""

from collections.abc import Iterator

WAYS = ("whole", "byte by byte", "with more behind it")


def chunks(data: bytes, way: str, more: bytes = b"") -> Iterator[bytes]:
    """The data as a parser of that way is fed."""
    if way == "byte by byte":
        for byte in data:
            yield bytes((byte,))
    elif way == "whole":
        yield data
    else:
        yield data + more
