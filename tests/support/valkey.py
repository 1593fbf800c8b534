"""A private Valkey or Redis on a free port, for the tests of the shared cache.

The machine's own valkey-server or redis-server where there is one, else an unpacked one
(`scripts/get-server.sh valkey`), run with the loader it was built with.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from support.children import dies_with_us

SCRIPT = Path(__file__).parents[2] / "scripts" / "get-server.sh"
START_TIMEOUT_S = 20


class ValkeyUnavailable(Exception):
    """This machine cannot have one; the message says why in one line."""


@dataclass(slots=True)
class ValkeyServer:
    """A server that answers on 127.0.0.1:port, without a password."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Empty, as it keeps nothing on disk."""
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --save".split()
        self.process = subprocess.Popen(
            dies_with_us(*self.command, *options, ""),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > give_up_s:
                self.stop()
                raise ValkeyUnavailable("valkey-server does not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; what it knew is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it take connections and commands, and answer none."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *words: bytes) -> bytes:
        """The start of the reply to one command, as it comes over the wire."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.sendall(b"*%d\r\n" % len(words))
            sock.sendall(b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
            return sock.recv(1 << 20)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask(b"PING") == b"+PONG\r\n"
        return False


def make_valkey() -> ValkeyServer:
    """A server that is not started yet. Raises: ValkeyUnavailable."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    return ValkeyServer(_command(), port)


def _command() -> list[str]:
    for name in ("valkey-server", "redis-server"):
        if (program := shutil.which(name)) is not None:
            return [program]
    found = subprocess.run([str(SCRIPT), "valkey"], capture_output=True, text=True)
    if found.returncode:
        lines = found.stderr.strip().splitlines() or ["no reason given"]
        raise ValkeyUnavailable(f"valkey: {lines[-1]}")
    tree = Path(found.stdout.strip())
    [libraries] = tree.glob("usr/lib/*-linux-gnu")
    loader = next(libraries.glob("ld-linux*.so.*"))
    path = os.pathsep.join((str(libraries), str(tree / "lib" / libraries.name)))
    program = str(tree / "usr/bin/valkey-server")
    return [str(loader), "--library-path", path, program]
