"""The listening sockets: accept, count, turn away, drain."""

import asyncio
import logging
import os
import socket
import stat
from pathlib import Path

from aurora_ml_proxy import metrics
from aurora_ml_proxy.config import ConfigError, Listen
from aurora_ml_proxy.errors import ShuttingDown, TooManyConnections
from aurora_ml_proxy.server.connection import Connection, turn_away, upstream_answers
from aurora_ml_proxy.server.dial import set_options
from aurora_ml_proxy.server.service import Service
from aurora_ml_proxy.server.tasks import TaskSet

log = logging.getLogger(__name__)

BACKLOG = 1024
_ACCEPTS_AT_ONCE = 64
"""Connections taken from the queue before other events have their turn."""
_PAUSE_S = 1.0
"""Seconds without accepting when there are no file descriptors left; asyncio's own."""


class Listener:
    """Accepts clients, and knows the connections that it made of them."""

    def __init__(self, service: Service, tasks: TaskSet) -> None:
        self.service = service
        """For new connections; replaced on reload."""
        self.is_draining = False
        self.upstream_is_up: bool | None = None
        """What the last connection found, for /readyz."""
        self.addresses: list[str] = []
        self._tasks = tasks
        self._sockets: list[socket.socket] = []
        self._socket_path: Path | None = None
        self._connections: dict[Connection, Service] = {}
        self._empty = asyncio.Event()

    async def listen(self) -> None:
        """Start to accept. Raises: ConfigError when an address cannot be had."""
        settings = self.service.settings.listen
        where = f"listen: {settings.host}:{settings.port}"
        try:
            await self._listen_tcp(settings)
            if settings.socket is not None:
                where = f"listen.socket: {settings.socket}"
                self._listen_unix(settings.socket)
        except OSError as error:
            self.stop_listening()
            raise ConfigError(f"{where}: {error.strerror or error}") from None
        self._watch()

    def _watch(self) -> None:
        """Take clients as they come."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.add_reader(sock.fileno(), self._accept, sock)

    async def _listen_tcp(self, settings: Listen) -> None:
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(
            settings.host,
            settings.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, _, _, _, address in dict.fromkeys(infos):
            sock = socket.socket(family, socket.SOCK_STREAM)
            self._sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
            sock.setblocking(False)
            host, port = sock.getsockname()[:2]
            self.addresses.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    def _listen_unix(self, path: Path) -> None:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_alive(path):
            path.unlink()  # left by a process that did not end properly
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sockets.append(sock)
        sock.bind(str(path))
        self._socket_path = path
        os.chmod(path, 0o777)  # as mysqld's: the login decides who gets in
        sock.listen(BACKLOG)
        sock.setblocking(False)
        self.addresses.append(str(path))

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                sock, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:  # out of file descriptors
                self._pause(error)
                return
            sock.setblocking(False)
            set_options(sock)
            limit = self.service.settings.listen.max_connections
            if len(self._connections) >= limit:
                self._tasks.spawn(
                    turn_away(sock, TooManyConnections("Too many connections"))
                )
            elif self.is_draining:
                self._tasks.spawn(_turn_away_from_shutdown(sock))
            else:
                connection = Connection(sock, self.service, self._upstream_seen)
                self._connections[connection] = self.service
                self._empty.clear()
                self._tasks.spawn(self._run(connection, sock))

    def _pause(self, error: OSError) -> None:
        """Look away for a while: clients that wait would wake us again and again."""
        log.error("cannot accept clients for %g s: %s", _PAUSE_S, error.strerror)
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock.fileno())
        loop.call_later(_PAUSE_S, self._watch)

    async def _run(self, connection: Connection, sock: socket.socket) -> None:
        metrics.CONNECTIONS.inc()
        try:
            if self.is_draining:  # since it was accepted: it had no task to cancel yet
                await _turn_away_from_shutdown(sock)
            else:
                await connection.run()
        finally:
            metrics.CONNECTIONS.dec()
            await self._retire(self._connections.pop(connection))
            if not self._connections:
                self._empty.set()

    def replace_service(self, service: Service) -> None:
        """Use another config for new connections; the old one ends with its last."""
        old, self.service = self.service, service
        self._tasks.spawn(self._retire(old))

    async def _retire(self, service: Service) -> None:
        """Give back what a replaced service holds, if no connection uses it any more."""
        users = (used for used in self._connections.values() if used is service)
        if service is not self.service and next(users, None) is None:
            await service.context.engine.close()

    async def try_upstream(self) -> bool:
        """Whether the upstream answers at this moment."""
        self.upstream_is_up = await upstream_answers(self.service)
        return self.upstream_is_up

    def _upstream_seen(self, is_up: bool) -> None:
        self.upstream_is_up = is_up

    def stop_listening(self) -> None:
        """Take no new clients."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            if sock.fileno() >= 0:
                loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()
        if self._socket_path is not None:
            self._socket_path.unlink(missing_ok=True)
            self._socket_path = None

    async def drain(self) -> None:
        """Let commands and transactions end, for `listen.drain_timeout_s` at most."""
        self.is_draining = True
        self.stop_listening()
        for connection in list(self._connections):
            try:
                connection.drain()
            except Exception:  # one must not keep the others from their end
                log.exception("a connection failed to drain")
        try:
            async with asyncio.timeout(self.service.settings.listen.drain_timeout_s):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            log.warning("drain timeout: %d connections cut", len(self._connections))
            for connection in list(self._connections):
                connection.close()


async def _turn_away_from_shutdown(sock: socket.socket) -> None:
    await turn_away(sock, ShuttingDown("Server shutdown in progress"))


def _is_alive(path: Path) -> bool:
    """Whether a process listens on this unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except BlockingIOError:
            return True  # so many wait for it that its queue is full
        except OSError:
            return False
        return True
