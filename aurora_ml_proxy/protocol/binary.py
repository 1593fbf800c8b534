"""Values of the binary protocol: of parameters, of query attributes, of rows.

Source: MySQL manual, "Binary Protocol Value" and "Binary Protocol Resultset Row". A type
that is not known has its length in front, as every type has that was added so far.
"""

from collections.abc import Sequence

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.packets import read_lenenc, read_lenenc_bytes
from aurora_ml_proxy.protocol.vocabulary import ColumnType

FIXED_BYTES: dict[int, int] = {
    ColumnType.NULL: 0,
    ColumnType.TINY: 1,
    ColumnType.BOOL: 1,
    ColumnType.SHORT: 2,
    ColumnType.YEAR: 2,
    ColumnType.LONG: 4,
    ColumnType.INT24: 4,
    ColumnType.FLOAT: 4,
    ColumnType.LONGLONG: 8,
    ColumnType.DOUBLE: 8,
}
"""Types of which every value has as many bytes."""

LENGTH_BYTE: frozenset[int] = frozenset(
    (ColumnType.DATE, ColumnType.DATETIME, ColumnType.TIMESTAMP, ColumnType.TIME)
)
"""Types whose values have one byte of length in front; the rest are length-encoded."""

ROW_HEADER = 2
"""Bits in front of the first column's in a row's bitmap of NULLs."""

UNSIGNED_FLAG = 32
"""In a column definition's flags."""


def end_of_value(kind: int, data: bytes, pos: int) -> int:
    """The position behind a value that is not NULL; it may be behind the data's end.

    Raises: MalformedPacket; IndexError where the data ends before its length.
    """
    size = FIXED_BYTES.get(kind)
    if size is not None:
        return pos + size
    if kind in LENGTH_BYTE:
        return pos + 1 + data[pos]
    length, pos = read_lenenc(data, pos)
    return pos + (length or 0)


def temporal_text(kind: int, value: bytes) -> bytes:
    """A date or a time without its fraction, as servers write it.

    Args:
        kind: one of LENGTH_BYTE.
        value: with its length byte in front.
    Raises: IndexError.
    """
    size = value[0]
    if kind == ColumnType.TIME:
        if not size:
            return b"00:00:00"
        days = int.from_bytes(value[2:6], "little")
        sign = b"-" if value[1] else b""
        return sign + b"%02d:%02d:%02d" % (24 * days + value[6], value[7], value[8])
    year = int.from_bytes(value[1:3], "little")
    date = b"%04d-%02d-%02d" % (year, value[3], value[4]) if size else b"0000-00-00"
    if kind == ColumnType.DATE:
        return date
    time = b"%02d:%02d:%02d" % tuple(value[5:8]) if size > 4 else b"00:00:00"
    return date + b" " + time


def is_null(nulls: bytes, index: int) -> bool:
    """Whether a bit of a bitmap of NULLs is set."""
    return bool(nulls[index >> 3] >> (index & 7) & 1)


def write_nulls(values: Sequence[bytes | None], offset: int = 0) -> bytes:
    """The bitmap of NULLs of parameters; of a row's columns with `offset` ROW_HEADER."""
    bits = 0
    for index, value in enumerate(values, start=offset):
        if value is None:
            bits |= 1 << index
    return bits.to_bytes((len(values) + offset + 7) // 8, "little")


def read_binary_row(payload: bytes, kinds: Sequence[int]) -> list[bytes | None]:
    """The values of a row: strings without their length, all others as they came.

    Args:
        kinds: the columns' types.
    Raises: MalformedPacket.
    """
    pos = 1 + (len(kinds) + ROW_HEADER + 7) // 8
    nulls = payload[1:pos]
    values: list[bytes | None] = []
    try:
        for index, kind in enumerate(kinds, start=ROW_HEADER):
            if is_null(nulls, index):
                values.append(None)
            elif kind in FIXED_BYTES or kind in LENGTH_BYTE:
                stop = end_of_value(kind, payload, pos)
                values.append(payload[pos:stop])
                pos = stop
            else:
                value, pos = read_lenenc_bytes(payload, pos)
                values.append(value)
    except IndexError:
        raise MalformedPacket("a row of the upstream is cut off") from None
    if pos != len(payload):
        raise MalformedPacket("a row of the upstream has another length")
    return values


def integer_text(value: bytes, flags: int) -> bytes:
    """An integer of a row as decimal digits.

    Args:
        flags: those of its column's definition.
    """
    is_signed = not flags & UNSIGNED_FLAG
    return b"%d" % int.from_bytes(value, "little", signed=is_signed)
