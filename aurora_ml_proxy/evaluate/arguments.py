"""The values of a call's arguments, checked as docs/functions.md says, before a call.

Source: Aurora User Guide, "Using Amazon Comprehend for sentiment detection"; the limits
of BatchDetectSentiment.
"""

from typing import Literal

from aurora_ml_proxy.errors import TextNotUtf8, TextTooLong
from aurora_ml_proxy.functions import (
    LANGUAGES,
    MAX_BATCH_SIZE,
    MAX_TEXT_BYTES,
    wrong_batch_size,
    wrong_language,
)

LongText = Literal["error", "truncate", "null"]


def read_language(value: bytes, function: str) -> str:
    """The language that the server gave. Raises: WrongArgument."""
    language = value.decode("latin-1")
    if language not in LANGUAGES:
        raise wrong_language(function)
    return language


def read_batch_size(value: bytes | None, function: str) -> int:
    """The batch size that the server gave. Raises: WrongArgument, also for NULL."""
    try:
        size = int(value or b"")
    except ValueError:
        raise wrong_batch_size(function) from None
    if not 1 <= size <= MAX_BATCH_SIZE:
        raise wrong_batch_size(function)
    return size


def read_text(value: bytes, function: str) -> str:
    """The text as the service takes it. Raises: TextNotUtf8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise TextNotUtf8(
            f"{function}: a binary argument is not UTF-8 text; "
            "convert it with CONVERT(CAST(... AS CHAR CHARSET ...) USING utf8mb4)"
        ) from None


def cut_text(value: bytes) -> bytes:
    """The first 5,000 bytes at most, no character split."""
    cut = value[:MAX_TEXT_BYTES]
    if len(value) > MAX_TEXT_BYTES:
        return cut.decode("utf-8", "ignore").encode()
    return cut


def text_too_long(value: bytes, function: str) -> TextTooLong:
    """The error for a text over the limit, with `long_text = "error"`."""
    return TextTooLong(
        f"{function}: a text of {len(value)} bytes of UTF-8 is over the limit of "
        f"{MAX_TEXT_BYTES}; shorten it, or set long_text to truncate or null"
    )
