"""Query attributes, which a client may put in front of a COM_QUERY's statement.

Source: MySQL manual, "COM_QUERY"; with CLIENT_QUERY_ATTRIBUTES the payload is
`lenenc(count) lenenc(1) [null bitmap, 1, {type, name}…, values…] statement`.
"""

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.packets import read_lenenc, read_lenenc_bytes
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_QUERY_ATTRIBUTES,
    Capabilities,
    ColumnType,
)

NO_ATTRIBUTES = b"\x00\x01"

_FIXED_BYTES = {
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
"""Bytes of a binary value; times and dates have a length byte, the rest are lenenc."""

_LENGTH_BYTE = frozenset(
    (ColumnType.DATE, ColumnType.DATETIME, ColumnType.TIMESTAMP, ColumnType.TIME)
)


def split_attributes(payload: bytes, capabilities: Capabilities) -> tuple[bytes, bytes]:
    """What stands behind COM_QUERY: its attributes, as they came, and the statement.

    Raises: MalformedPacket.
    """
    if not capabilities & CLIENT_QUERY_ATTRIBUTES:
        return b"", payload
    try:
        end = _end_of_attributes(payload)
    except (IndexError, ValueError):  # ValueError: a type that there is not
        raise MalformedPacket("the query attributes make no sense") from None
    if end > len(payload):
        raise MalformedPacket("the query attributes are cut off")
    return payload[:end], payload[end:]


def _end_of_attributes(payload: bytes) -> int:
    count, pos = read_lenenc(payload, 0)
    _, pos = read_lenenc(payload, pos)
    if not count:
        return pos
    nulls = payload[pos : pos + (count + 7) // 8]
    pos += len(nulls) + 1
    types = []
    for _ in range(count):
        types.append(payload[pos])
        _, pos = read_lenenc_bytes(payload, pos + 2)
    for i, kind in enumerate(types):
        if nulls[i // 8] >> i % 8 & 1:
            continue
        if (size := _FIXED_BYTES.get(ColumnType(kind))) is not None:
            pos += size
        elif kind in _LENGTH_BYTE:
            pos += 1 + payload[pos]
        else:
            _, pos = read_lenenc_bytes(payload, pos)
    return pos
