"""How a row is cut and filled: a row of text, and a row of a prepared statement.

In: a row with NULL in each place to fill and the appended columns at its end. Out: where
those places are and what the appended columns hold; then the row with the cells in it.
A hot path: one pass over each row, and no object a column.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Protocol

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.functions import Sentiment
from aurora_ml_proxy.protocol.binary import (
    FIXED_BYTES,
    ROW_HEADER,
    end_of_value,
    integer_text,
    is_null,
)
from aurora_ml_proxy.protocol.packets import (
    read_lenenc,
    read_lenenc_bytes,
    write_lenenc_bytes,
)
from aurora_ml_proxy.protocol.vocabulary import INTEGER_TYPES
from aurora_ml_proxy.splice.numbers import format_double

Cells = tuple[bytes | None, bytes | None]
"""An answer's label and its confidence, as they stand in a row."""

Cut = tuple[list[int], int, list[bytes | None]]
"""Where the columns to fill are, where the user's end, the appended values."""


class RowFormat(Protocol):
    """What a spliced result needs of a row's format."""

    def cut(self, payload: bytes) -> Cut:
        """Raises: MalformedPacket; IndexError for a row that is cut off."""
        ...

    def fill(
        self, payload: bytes, cuts: list[int], end: int, cells: Sequence[bytes | None]
    ) -> bytes:
        """The row with a cell in each place, without the appended columns."""
        ...

    def cells(self, answer: Sentiment | None) -> Cells:
        """An answer as it stands in rows."""
        ...


class TextRows:
    """Rows of COM_QUERY: every value is a length-encoded string, and NULL is 0xFB.

    Args:
        is_filled: for each of the user's columns, whether it is to be filled.
        charset: Python's name of character_set_results.
        number_charset: of the character set that numbers are written in.
    """

    def __init__(
        self, is_filled: Sequence[bool], appended: int, charset: str, number_charset: str
    ) -> None:
        self._is_filled = tuple(is_filled)
        self._appended = appended
        self._charset = charset
        self._number_charset = number_charset

    def cut(self, payload: bytes) -> Cut:
        """See `RowFormat`."""
        pos, cuts = 0, []
        for is_filled in self._is_filled:
            length = payload[pos]
            if is_filled:
                cuts.append(pos)
            if length < 0xFB:
                pos += 1 + length
            else:
                size, pos = read_lenenc(payload, pos)
                pos += size or 0
        end = pos
        values: list[bytes | None] = []
        for _ in range(self._appended):
            length = payload[pos]
            if length < 0xFB:
                pos += 1 + length
                values.append(payload[pos - length : pos])
                continue
            size, pos = read_lenenc(payload, pos)
            if size is None:
                values.append(None)
            else:
                pos += size
                values.append(payload[pos - size : pos])
        if pos != len(payload):
            raise MalformedPacket("a row of the upstream has another length")
        return cuts, end, values

    def fill(
        self, payload: bytes, cuts: list[int], end: int, cells: Sequence[bytes | None]
    ) -> bytes:
        """See `RowFormat`."""
        pos = 0
        parts: list[bytes] = []
        for cut, cell in zip(cuts, cells, strict=True):
            parts += (payload[pos:cut], cell or b"")
            pos = cut + 1  # the placeholder is NULL: one byte
        parts.append(payload[pos:end])
        return b"".join(parts)

    def cells(self, answer: Sentiment | None) -> Cells:
        """See `RowFormat`."""
        if answer is None:
            return b"\xfb", b"\xfb"
        confidence = format_double(answer.confidence).encode(self._number_charset)
        label = answer.label.encode(self._charset)
        return write_lenenc_bytes(label), write_lenenc_bytes(confidence)


_DOUBLE = Struct("<d")


class BinaryRows:
    """Rows of COM_STMT_EXECUTE: a bitmap of NULLs, then the values that are not NULL.

    Args:
        is_filled: for each of the user's columns, whether it is to be filled.
        columns: the type and the flags of each column, the appended ones included.
        charset: Python's name of character_set_results.
    """

    def __init__(
        self,
        is_filled: Sequence[bool],
        columns: Sequence[tuple[int, int]],
        charset: str,
    ) -> None:
        self._charset = charset
        self._is_filled = tuple(is_filled)
        self._count = len(self._is_filled)
        self._columns = tuple(columns)
        self._kinds = tuple(kind for kind, _ in columns)
        self._start = 1 + (len(columns) + ROW_HEADER + 7) // 8
        self._nulls_size = (self._count + ROW_HEADER + 7) // 8
        self._kept = (1 << (self._count + ROW_HEADER)) - 1
        self._bits = [
            1 << (index + ROW_HEADER)
            for index, is_filled in enumerate(self._is_filled)
            if is_filled
        ]

    def cut(self, payload: bytes) -> Cut:
        """See `RowFormat`."""
        pos, cuts = self._start, []
        nulls = payload[1:pos]
        for index, is_filled in enumerate(self._is_filled):
            if is_filled:
                cuts.append(pos)
            if not is_null(nulls, index + ROW_HEADER):
                pos = end_of_value(self._kinds[index], payload, pos)
        end = pos
        values: list[bytes | None] = []
        for index in range(self._count, len(self._columns)):
            kind, flags = self._columns[index]
            if is_null(nulls, index + ROW_HEADER):
                values.append(None)
            elif kind in FIXED_BYTES:
                stop = end_of_value(kind, payload, pos)
                value = payload[pos:stop]
                values.append(
                    integer_text(value, flags) if kind in INTEGER_TYPES else b""
                )
                pos = stop
            else:
                text, pos = read_lenenc_bytes(payload, pos)
                values.append(text)
        if pos != len(payload):
            raise MalformedPacket("a row of the upstream has another length")
        return cuts, end, values

    def fill(
        self, payload: bytes, cuts: list[int], end: int, cells: Sequence[bytes | None]
    ) -> bytes:
        """See `RowFormat`."""
        pos = self._start
        nulls = int.from_bytes(payload[1:pos], "little") & self._kept
        parts = [b"", b""]
        for cut, cell, bit in zip(cuts, cells, self._bits, strict=True):
            parts.append(payload[pos:cut])
            pos = cut
            if cell is not None:
                nulls &= ~bit
                parts.append(cell)
        parts.append(payload[pos:end])
        parts[:2] = b"\0", nulls.to_bytes(self._nulls_size, "little")
        return b"".join(parts)

    def cells(self, answer: Sentiment | None) -> Cells:
        """See `RowFormat`."""
        if answer is None:
            return None, None
        label = answer.label.encode(self._charset)
        return write_lenenc_bytes(label), _DOUBLE.pack(answer.confidence)
