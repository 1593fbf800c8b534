"""Query attributes, which a client may put in front of a COM_QUERY's statement.

Source: MySQL manual, "COM_QUERY"; with CLIENT_QUERY_ATTRIBUTES the payload is
`lenenc(count) lenenc(1) [null bitmap, 1, {type, name}…, values…] statement`.
"""

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.binary import end_of_value, is_null
from aurora_ml_proxy.protocol.packets import read_lenenc, read_lenenc_bytes
from aurora_ml_proxy.protocol.vocabulary import CLIENT_QUERY_ATTRIBUTES, Capabilities

NO_ATTRIBUTES = b"\x00\x01"


def split_attributes(payload: bytes, capabilities: Capabilities) -> tuple[bytes, bytes]:
    """What stands behind COM_QUERY: its attributes, as they came, and the statement.

    Raises: MalformedPacket.
    """
    if not capabilities & CLIENT_QUERY_ATTRIBUTES:
        return b"", payload
    try:
        end = _end_of_attributes(payload)
    except IndexError:
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
        if not is_null(nulls, i):
            pos = end_of_value(kind, payload, pos)
    return pos
