"""A fake upstream that says what its script says, one thread a connection.

In: a script, called with a `Talk` for every connection. Out: a `FakeServer` that the
proxy can be put before. It is for what a real server will not do when asked.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

NONCE = b"abcdefghijklmnopqrst"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
ACCESS_DENIED = b"\xff\x15\x04#28000Access denied for user"

_CAPABILITIES = (
    0x1  # LONG_PASSWORD
    | 0x8  # CONNECT_WITH_DB
    | 0x80  # LOCAL_FILES
    | 0x200  # PROTOCOL_41
    | 0x2000  # TRANSACTIONS
    | 0x8000  # SECURE_CONNECTION
    | 0x10000  # MULTI_STATEMENTS
    | 0x20000  # MULTI_RESULTS
    | 0x80000  # PLUGIN_AUTH
)


class Hangup(Exception):
    """The proxy has closed the connection."""


def frame(payload: bytes, seq: int) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([seq & 0xFF]) + payload


@dataclass(slots=True)
class Talk:
    """One connection, as the script sees it."""

    socket: socket.socket
    heard: list[bytes] = field(default_factory=list)
    """The payloads that came."""
    next_seq: int = 0

    def read(self) -> bytes:
        """The next payload. Raises: Hangup."""
        header = self._exactly(4)
        payload = self._exactly(int.from_bytes(header[:3], "little"))
        self.next_seq = header[3] + 1
        self.heard.append(payload)
        return payload

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise Hangup
            data += more
        return data

    def send(self, payload: bytes) -> None:
        self.socket.sendall(frame(payload, self.next_seq))
        self.next_seq += 1

    def greet(self, plugin: bytes = b"mysql_native_password") -> None:
        self.send(greeting(plugin))

    def log_in(self) -> None:
        """Greet, and let anybody in."""
        self.greet()
        self.read()
        self.send(OK)

    def read_query(self) -> bytes:
        """The next statement, after the SETs that drivers send by themselves."""
        while (payload := self.read())[1:4].upper() == b"SET":
            self.send(OK)
        return payload[1:]

    def read_until_the_end(self) -> bytes:
        """All that still comes."""
        data = b""
        while more := self.socket.recv(1 << 20):
            data += more
        return data


def greeting(plugin: bytes, version: bytes = b"8.0.99-fake") -> bytes:
    return (
        b"\x0a"
        + version
        + b"\0"
        + struct.pack("<I", 4711)
        + NONCE[:8]
        + b"\0"
        + struct.pack("<H", _CAPABILITIES & 0xFFFF)
        + b"\x2d\x02\x00"
        + struct.pack("<H", _CAPABILITIES >> 16)
        + bytes([len(NONCE) + 1])
        + bytes(10)
        + NONCE[8:]
        + b"\0"
        + plugin
        + b"\0"
    )


Script = Callable[[Talk], None]


class FakeServer:
    """Listens on host and port; what the proxy's fixtures want of a server."""

    kind = "fake"
    tls = False
    host = "127.0.0.1"

    def __init__(self, script: Script) -> None:
        self.script = script
        self.talks: list[Talk] = []
        self.failures: list[BaseException] = []
        """What scripts raised, a `Hangup` aside."""
        self._listening = socket.create_server((self.host, 0), backlog=1024)
        self.port: int = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            sock.settimeout(30)
            talk = Talk(sock)
            self.talks.append(talk)
            thread = threading.Thread(target=self._run, args=(talk,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, talk: Talk) -> None:
        with talk.socket:
            try:
                self.script(talk)
            except (Hangup, ConnectionError):
                pass
            except BaseException as failure:
                self.failures.append(failure)

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._acceptor.join()
        for talk in self.talks:
            try:
                talk.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join()


@contextmanager
def fake_server(script: Script) -> Iterator[FakeServer]:
    """A fake server for the length of a with statement."""
    server = FakeServer(script)
    try:
        yield server
    finally:
        server.stop()
    assert not server.failures, server.failures
