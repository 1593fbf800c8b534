"""Compression: a client's envelopes to the bytes of its packets, and back.

An envelope has seven bytes of header (length, sequence number, length when inflated) and
a piece of the stream of packets, which it may cut anywhere.
Source: MySQL manual, "Compressed Packet" and "Compression"; net_serv.cc of both servers.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from types import ModuleType

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.numbering import Numbering
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_COMPRESS,
    CLIENT_ZSTD_COMPRESSION_ALGORITHM,
    Capabilities,
)

zstd: ModuleType | None
try:
    # Python 3.14 has it; the package is the same module for older ones.
    from compression import zstd  # type: ignore[import-not-found,no-redef]
except ImportError:
    try:
        from backports import zstd
    except ImportError:  # a Python built without it
        zstd = None

HEADER_BYTES = 7

MIN_COMPRESS_BYTES = 50
"""Shorter pieces go as they are: MIN_COMPRESS_LENGTH of servers and clients."""

PIECE_BYTES = 256 << 10
"""Bytes that are inflated, or put into one envelope, at a time. The stream of an
envelope may be 1,000 times its size; whoever takes the pieces can stop in its middle."""

ZLIB_LEVEL = 1
"""Servers use 6. All clients share one event loop: 64 KiB of rows take it 0.1 ms with 1,
0.3 to 20 ms with 6, and are of about the same size."""

MAX_ZSTD_LEVEL = 6
"""A client may ask for 22, which takes 100 ms for 64 KiB. The level is only a wish: any
zstd reads any."""

MAX_ZSTD_WINDOW_LOG = 24
"""A frame names the memory that reads it; no envelope holds more than 16 MiB."""

_HEADER = Struct("<II")
"""Length and sequence number, then the length when inflated: the last byte is cut off."""

Read = Callable[[int], bytes]
"""The next bytes of an envelope's stream, not more than so many; none at its end."""


class Algorithm(Enum):
    """How envelopes are compressed; the values are for the log."""

    ZLIB = "zlib"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a login has agreed on."""

    algorithm: Algorithm
    level: int = ZLIB_LEVEL


AVAILABLE = CLIENT_COMPRESS | (
    CLIENT_ZSTD_COMPRESSION_ALGORITHM if zstd else Capabilities(0)
)
"""The capabilities that can be offered here."""


def agree(capabilities: Capabilities, zstd_level: int) -> Agreed | None:
    """What the capabilities of both peers mean; None for no compression.

    zlib goes before zstd, as in the server.
    """
    if capabilities & CLIENT_COMPRESS:
        return Agreed(Algorithm.ZLIB)
    if capabilities & CLIENT_ZSTD_COMPRESSION_ALGORITHM:
        return Agreed(Algorithm.ZSTD, max(1, min(zstd_level, MAX_ZSTD_LEVEL)))
    return None


class Compression:
    """One client's stream: envelopes in, pieces of packets out; and back.

    Sequence numbers are a server's: an envelope to the client has the number behind that
    of the last one, from whichever side. A new command starts at 0 again. Clients that
    check them (libmysql, go-sql-driver, PHP) send nothing ahead of a response; those that
    do (MariaDB's connectors) don't check.
    """

    def __init__(self, agreed: Agreed) -> None:
        self._compress, self._open = _codec(agreed)
        self._numbering = Numbering()
        self._buffer = bytearray()
        self._read: Read = _stored(b"")
        self._left = 0
        """Bytes of the open envelope's stream that were not handed out."""
        self._next_seq = 0
        self._client_seq = -1
        """Of the client's last envelope."""
        self._has_answered = False
        """Whether the client was sent one since."""
        self._is_reply = False
        """Whether the client goes on with a command that was answered."""

    def feed(self, data: bytes) -> None:
        """Take what the client has sent."""
        self._buffer += data

    def next_piece(self) -> bytes | None:
        """The next bytes of the client's packets, or None: feed me more.

        Raises: MalformedPacket.
        """
        while not self._left:
            if not self._open_envelope():
                return None
        piece = self._inflate(min(self._left, PIECE_BYTES))
        self._left -= len(piece)
        if not piece or (not self._left and self._inflate(1)):
            raise MalformedPacket("a compressed packet is not as long as it says")
        return self._numbering.renumber(piece, is_reply=self._is_reply)

    def _inflate(self, max_bytes: int) -> bytes:
        try:
            return self._read(max_bytes)
        except Exception as error:  # zlib.error, ZstdError: each library has its own
            raise MalformedPacket("a packet is not what it was compressed to") from error

    def _open_envelope(self) -> bool:
        buffer = self._buffer
        if len(buffer) < HEADER_BYTES:
            return False
        stop = HEADER_BYTES + int.from_bytes(buffer[:3], "little")
        if len(buffer) < stop:
            return False
        payload = bytes(buffer[HEADER_BYTES:stop])
        self._turn(buffer[3])
        inflated_bytes = int.from_bytes(buffer[4:7], "little")
        del buffer[:stop]
        self._read = self._open(payload) if inflated_bytes else _stored(payload)
        self._left = inflated_bytes or len(payload)
        return True

    def _turn(self, seq: int) -> None:
        """Tell by its envelope's number what the client is about to say."""
        if self._has_answered and seq and seq == self._next_seq & 0xFF:
            self._is_reply = True
        elif (self._has_answered and not seq) or seq != (self._client_seq + 1) & 0xFF:
            self._is_reply = False
        # Else it is more of the same; 0 comes behind 255.
        self._client_seq, self._next_seq = seq, seq + 1
        self._has_answered = False

    def wrap(self, data: bytes) -> bytes:
        """Whole packets or parts of them, in envelopes for the client."""
        self._numbering.note_answer(data)
        self._has_answered = True
        wrapped = []
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            inflated_bytes = len(piece)
            if inflated_bytes >= MIN_COMPRESS_BYTES:
                compressed = self._compress(piece)
            else:
                compressed = piece
            if len(compressed) >= inflated_bytes:
                compressed, inflated_bytes = piece, 0
            number = (self._next_seq & 0xFF) << 24
            wrapped.append(_HEADER.pack(len(compressed) | number, inflated_bytes)[:-1])
            wrapped.append(compressed)
            self._next_seq += 1
        return b"".join(wrapped)


def _stored(payload: bytes) -> Read:
    """The stream of an envelope that is not compressed."""
    pos = 0

    def read(max_bytes: int) -> bytes:
        nonlocal pos
        piece = payload[pos : pos + max_bytes]
        pos += len(piece)
        return piece

    return read


def _codec(agreed: Agreed) -> tuple[Callable[[bytes], bytes], Callable[[bytes], Read]]:
    """How to compress, and how to open what a client has compressed."""
    if agreed.algorithm is Algorithm.ZLIB:
        return _zlib_compress, _zlib_stream
    assert zstd is not None, "it was not offered"
    return _zstd_codec(zstd, agreed.level)


def _zlib_compress(data: bytes) -> bytes:
    return zlib.compress(data, ZLIB_LEVEL)


def _zlib_stream(payload: bytes) -> Read:
    inflate = zlib.decompressobj()
    rest = payload

    def read(max_bytes: int) -> bytes:
        nonlocal rest
        piece = inflate.decompress(rest, max_bytes)
        rest = inflate.unconsumed_tail
        return piece

    return read


def _zstd_codec(
    zstd: ModuleType, level: int
) -> tuple[Callable[[bytes], bytes], Callable[[bytes], Read]]:
    options = {zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW_LOG}

    def compress(data: bytes) -> bytes:
        compressed: bytes = zstd.compress(data, level=level)
        return compressed

    def stream(payload: bytes) -> Read:
        inflate = zstd.ZstdDecompressor(options=options)
        rest = payload

        def read(max_bytes: int) -> bytes:
            nonlocal rest
            if inflate.eof:
                return b""
            piece: bytes = inflate.decompress(rest, max_length=max_bytes)
            rest = b""  # it keeps what it has not read
            return piece

        return read

    return compress, stream
