"""Texts that one value of a harvest's row holds: `hex(text):hex(language):size.` each."""

from binascii import unhexlify
from collections.abc import Iterator


def read_packed(value: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Text, language and batch size of each item; what the server cut off is left out.

    An item that makes no sense is left out too: its text is then missing, and is read
    again in another way.
    """
    value = value.replace(b"\0", b"")  # in a wide character set
    for item in value.split(b".")[:-1]:
        parts = item.split(b":")
        if len(parts) == 3:
            text, language, size = parts
            try:
                yield unhexlify(text), unhexlify(language), size
            except ValueError:
                continue
