"""A relay of TCP that counts what it carries, to see a wire from outside.

In: where to connect. Out: a `Relay` that listens; `up` and `down` are the bytes so far.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Relay:
    """Listens on `port`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.up = self.down = 0
        """Bytes from the client, and to it."""
        self._start(self._accept)

    def reset(self) -> None:
        """Count anew."""
        self.up = self.down = 0

    def close(self) -> None:
        """Hang up on everybody."""
        for sock in (self._listener, *self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(10)
        for sock in (self._listener, *self._sockets):
            sock.close()

    def _start(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            self._start(self._carry, client, server, "up")
            self._start(self._carry, server, client, "down")

    def _carry(self, here: socket.socket, there: socket.socket, way: str) -> None:
        try:
            while data := here.recv(1 << 16):
                setattr(self, way, getattr(self, way) + len(data))
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@contextmanager
def relay(host: str, port: int) -> Iterator[Relay]:
    """A relay to that address."""
    made = Relay(host, port)
    try:
        yield made
    finally:
        made.close()
