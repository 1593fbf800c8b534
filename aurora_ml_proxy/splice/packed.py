"""Texts that one value of a harvest's row holds: `hex(text):hex(language):size.` each."""

from collections.abc import Iterator


def read_packed(value: bytes) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Text, language and batch size of each item; what the server cut off is left out."""
    value = value.replace(b"\0", b"")  # in a wide character set
    for item in value.split(b".")[:-1]:
        parts = item.split(b":")
        if len(parts) == 3:
            text, language, size = parts
            yield bytes.fromhex(text.decode()), bytes.fromhex(language.decode()), size
