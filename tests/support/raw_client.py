"""A client that is anything but well-behaved: it stops wherever a test says."""

import hashlib
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager

PROTOCOL_41, SSL, SECURE_CONNECTION, PLUGIN_AUTH = 0x200, 0x800, 0x8000, 0x80000
CAPABILITIES = 0x1 | PROTOCOL_41 | 0x2000 | SECURE_CONNECTION | PLUGIN_AUTH
TIMEOUT_S = 30


def frame(payload: bytes, seq: int) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([seq & 0xFF]) + payload


@contextmanager
def dial(port: int, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection((host, port), TIMEOUT_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def read_packet(sock: socket.socket) -> tuple[int, bytes] | None:
    """Sequence number and payload; None when the peer has closed."""
    header = _exactly(sock, 4)
    if header is None:
        return None
    payload = _exactly(sock, int.from_bytes(header[:3], "little"))
    return None if payload is None else (header[3], payload)


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        try:
            more = sock.recv(size - len(data))
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    return data


def is_closed(sock: socket.socket) -> bool:
    """Whether the peer closes, once all it says is read."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def reset(sock: socket.socket) -> None:
    """Close with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def ssl_request() -> bytes:
    return frame(_head(SSL), 1)


def _head(more: int = 0) -> bytes:
    return struct.pack("<IIB", CAPABILITIES | more, 1 << 24, 45) + bytes(23)


def login(
    user: str, answer: bytes, plugin: str, *, seq: int = 1, ssl: bool = False
) -> bytes:
    return frame(
        _head(SSL if ssl else 0)
        + user.encode()
        + b"\0"
        + bytes([len(answer)])
        + answer
        + plugin.encode()
        + b"\0",
        seq,
    )


def native(password: str, nonce: bytes) -> bytes:
    """The answer of mysql_native_password."""
    once = hashlib.sha1(password.encode()).digest()
    twice = hashlib.sha1(nonce + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, twice, strict=True))


def nonce_of(greeting: bytes) -> bytes:
    at = greeting.index(b"\0", 1) + 5
    return greeting[at : at + 8] + greeting[at + 27 : at + 39]


def trusting() -> ssl.SSLContext:
    """Verifies nothing."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
