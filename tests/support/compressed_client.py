"""A `WireClient` that compresses, and takes sequence numbers as strictly as libmysql.

In: what a `WireClient` is told. Out: the packets in the envelopes, as they came.
"""

import socket
from collections.abc import Callable
from typing import Any

from support.envelopes import envelope, opened
from support.wire_client import WHOLE, Closed, WireClient, frame

CAPABILITY = {"zlib": 1 << 5, "zstd": 1 << 26}


class CompressedClient(WireClient):
    """One connection; inside it, numbers are what a careless client makes of them."""

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        capabilities: int,
        database: str = "",
        tls: bool = False,
        *,
        algorithm: str,
        answer: Callable[[str, bytes], bytes] = lambda plugin, scramble: b"",
    ) -> None:
        self.login_tail = b"\x03" if algorithm == "zstd" else b""
        flags = capabilities | CAPABILITY[algorithm]
        super().__init__(host, port, user, flags, database, tls, answer)
        self.envelopes = Envelopes(self.socket, algorithm)
        self.socket: Any = self.envelopes

    def send(self, payload: bytes, sequence: int = 0) -> None:
        if sequence == 0 and isinstance(self.socket, Envelopes):
            self.envelopes.begin()
        super().send(payload, sequence)

    def say_at_once(self, payloads: list[bytes]) -> None:
        self.envelopes.begin()
        self.envelopes.is_strict = False  # a client that sends ahead cannot be
        super().say_at_once(payloads)
        self.envelopes.is_strict = True

    def say_byte_by_byte(self, payload: bytes) -> None:
        self.envelopes.begin()
        super().say_byte_by_byte(payload)


class Envelopes:
    """A socket that puts what it sends into envelopes, and opens those that come."""

    def __init__(self, sock: socket.socket, algorithm: str) -> None:
        self._socket = sock
        self._algorithm = algorithm
        self._seq = 0
        self.is_strict = True

    def begin(self) -> None:
        """A command comes."""
        self._seq = 0

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), WHOLE):
            part = data[start : start + WHOLE]
            algorithm = self._algorithm if len(part) >= 50 else None
            self._socket.sendall(envelope(part, self._seq, algorithm))
            self._seq += 1

    def send_as_it_is(self, data: bytes) -> None:
        """Envelopes that somebody else has made."""
        self._socket.sendall(data)

    def recv(self, size: int) -> bytes:
        header = self._exactly(7)
        if not header:
            return b""
        rest = self._exactly(int.from_bytes(header[:3], "little"))
        [found] = opened(header + rest, self._algorithm)
        if self.is_strict:
            assert found.seq == self._seq & 0xFF, "packets out of order"
        self._seq = found.seq + 1
        return found.stream

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more and data:
                raise Closed
            if not more:
                break
            data += more
        return data

    def close(self) -> None:
        self._socket.close()


def careless(payload: bytes) -> bytes:
    """A command in packets that are all called 0, as MariaDB's C library has them."""
    data = bytearray(frame(payload))
    for at in range(0, len(data), 4 + WHOLE):
        data[at + 3] = 0
    return bytes(data)
