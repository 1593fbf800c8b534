"""Connecting to the upstream, and what is said when it cannot be had."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from aurora_ml_proxy.config import ConfigError, Upstream
from aurora_ml_proxy.errors import UpstreamUnavailable
from aurora_ml_proxy.server.dial import dial, refuse_trusted_socket


async def test_tcp_sends_at_once_and_notices_dead_peers() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        await dial(Upstream(port=server.getsockname()[1])) as sock,
    ):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.gettimeout() == 0


async def test_every_address_of_a_name_is_tried() -> None:
    """localhost may be ::1 first, where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        upstream = Upstream(host="localhost", port=server.getsockname()[1])
        with await dial(upstream) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"


async def test_an_address_that_swallows_packets_does_not_keep_the_next_one_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as dead, socket.create_server(("127.0.0.1", 0)) as alive:
        dead.bind(("127.0.0.1", 0))
        dead.listen(0)
        full = []
        for _ in range(3):
            full.append(sock := socket.socket())
            sock.setblocking(False)
            sock.connect_ex(dead.getsockname())
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname())
            for server in (dead, alive)
        ]

        async def getaddrinfo(*_: object, **__: object) -> object:
            return addresses

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        with await dial(Upstream(host="two", connect_timeout_s=2)) as sock:
            assert sock.getpeername() == alive.getsockname()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for sock in full:
            sock.close()


async def test_a_name_that_refuses_at_every_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        with pytest.raises(UpstreamUnavailable, match=r"\(Connection refused\)"):
            await dial(Upstream(host="localhost", port=port))


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with await dial(Upstream(socket=path)) as sock:
            assert sock.family == socket.AF_UNIX


async def test_no_unix_socket_there(tmp_path: Path) -> None:
    with pytest.raises(UpstreamUnavailable, match=r"nowhere' \(No such file"):
        await dial(Upstream(socket=tmp_path / "nowhere"))


async def test_an_address_that_swallows_packets() -> None:
    """A full queue of a listener drops what comes: as an unplugged machine does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        upstream = Upstream(port=server.getsockname()[1], connect_timeout_s=0.3)
        waiting = []
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(UpstreamUnavailable, match=r"no answer within 0\.3 s"):
            for _ in range(5):
                waiting.append(await dial(upstream))
        assert loop.time() - started < 2
        for sock in waiting:
            sock.close()


def test_root_may_not_use_a_unix_socket() -> None:
    refuse_trusted_socket(Upstream())
    if os.geteuid() == 0:
        with pytest.raises(ConfigError, match=r"^upstream\.socket: refused"):
            refuse_trusted_socket(Upstream(socket=Path("/run/mysqld/mysqld.sock")))
