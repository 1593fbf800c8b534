"""Packets: three bytes of length, one of sequence, then the payload.

"Protocol::Packet" of the MySQL manual; a payload of 2^24-1 bytes goes on in the next
packet, and one of exactly that size ends with an empty packet.
"""

from dataclasses import dataclass
from struct import Struct

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD


@dataclass(frozen=True, slots=True)
class Packet:
    """One whole payload, its continuations joined."""

    payload: bytes
    seq: int
    """The sequence number of its last packet."""


class PacketReader:
    """Bytes in, packets out, however the stream is cut."""

    def __init__(self, max_payload_bytes: int | None = None) -> None:
        self._buffer = bytearray()
        self._joined = bytearray()
        self._max_payload_bytes = max_payload_bytes

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._buffer += data

    def next_packet(self) -> Packet | None:
        """The next whole packet, or None: feed me more.

        Raises: MalformedPacket when it is larger than it may be.
        """
        buffer = self._buffer
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[:3], "little")
            if self._max_payload_bytes and length > self._max_payload_bytes:
                raise MalformedPacket(f"a packet of {length} bytes is too large here")
            if len(buffer) < 4 + length:
                return None
            seq = buffer[3]
            payload = bytes(buffer[4 : 4 + length])
            del buffer[: 4 + length]
            if length == MAX_PAYLOAD:
                self._joined += payload
                continue
            if self._joined:
                payload = bytes(self._joined) + payload
                self._joined.clear()
            return Packet(payload, seq)
        return None

    @property
    def held_bytes(self) -> int:
        """Bytes that have arrived and were not handed out."""
        return len(self._buffer)

    @property
    def has_packet(self) -> bool:
        """Whether `next_packet` or `payloads` would get on with what has arrived."""
        buffer = self._buffer
        return len(buffer) >= 4 and len(buffer) >= 4 + int.from_bytes(
            buffer[:3], "little"
        )

    def payloads(self, max_bytes: int = 64 << 10) -> list[bytes]:
        """The payloads of the next whole packets, about as many as make `max_bytes`.

        Raises: MalformedPacket.
        """
        found: list[bytes] = []
        if not self._joined:
            # One pass over the buffer: to delete its front for every row is slower.
            data = bytes(self._buffer[:max_bytes])
            pos, end = 0, len(data)
            while pos + 4 <= end:
                length = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16
                stop = pos + 4 + length
                if stop > end:
                    break
                found.append(data[pos + 4 : stop])
                pos = stop
            del self._buffer[:pos]
        if not found and (packet := self.next_packet()) is not None:
            found.append(packet.payload)
        return found

    def take_rest(self) -> bytes:
        """What has arrived and is no whole packet yet; the reader is empty after it."""
        if self._joined:
            raise MalformedPacket("a packet of several parts is not finished")
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


_HEADER = Struct("<I")
"""Three bytes of length and one of sequence, as one little-endian number."""


def write_packet(payload: bytes, seq: int) -> bytes:
    """The payload in as many packets as it needs, numbered from `seq`, modulo 256."""
    if len(payload) < MAX_PAYLOAD:
        return _HEADER.pack(len(payload) | (seq & 0xFF) << 24) + payload
    parts = []
    for start in range(0, len(payload) + 1, MAX_PAYLOAD):
        part = payload[start : start + MAX_PAYLOAD]
        parts.append(_HEADER.pack(len(part) | (seq & 0xFF) << 24) + part)
        seq += 1
    return b"".join(parts)


def packet_count(payload_bytes: int) -> int:
    """How many packets a payload of this size takes."""
    return payload_bytes // MAX_PAYLOAD + 1


def read_lenenc(data: bytes, pos: int) -> tuple[int | None, int]:
    """A length-encoded integer and the position behind it; None is NULL (0xFB).

    Raises: MalformedPacket when the bytes end too early.
    """
    try:
        first = data[pos]
        if first < 0xFB:
            return first, pos + 1
        if first == 0xFB:
            return None, pos + 1
        size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    except (IndexError, KeyError):
        raise MalformedPacket("no length-encoded integer here") from None
    stop = pos + 1 + size
    if stop > len(data):
        raise MalformedPacket("a length-encoded integer is cut off")
    return int.from_bytes(data[pos + 1 : stop], "little"), stop


def read_lenenc_bytes(data: bytes, pos: int) -> tuple[bytes | None, int]:
    """A length-encoded string, None for NULL, and the position behind it.

    Raises: MalformedPacket when the bytes end too early.
    """
    length, pos = read_lenenc(data, pos)
    if length is None:
        return None, pos
    if pos + length > len(data):
        raise MalformedPacket("a length-encoded string is cut off")
    return data[pos : pos + length], pos + length


def read_null_terminated(data: bytes, pos: int) -> tuple[bytes, int]:
    """A string that ends with NUL, and the position behind the NUL.

    Raises: MalformedPacket when there is no NUL.
    """
    stop = data.find(b"\0", pos)
    if stop < 0:
        raise MalformedPacket("a string has no end")
    return data[pos:stop], stop + 1


def write_lenenc(value: int) -> bytes:
    """A length-encoded integer."""
    if value < 0xFB:
        return bytes((value,))
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def write_lenenc_bytes(value: bytes | None) -> bytes:
    """A length-encoded string; None is NULL."""
    if value is None:
        return b"\xfb"
    return write_lenenc(len(value)) + value
