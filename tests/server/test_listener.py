"""Where the proxy listens: TCP, IPv6, a unix socket; and how many it takes in."""

import asyncio
import logging
import os
import resource
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest
from support.fake_server import FakeServer, Talk, fake_server
from support.proxy_process import serve, write_config
from support.servers import Account, Server
from support.watching import (
    clients_of,
    connect,
    connected,
    cpu_s,
    rows_of,
    sockets,
    steady,
    until,
)

from aurora_ml_proxy.config import Settings
from aurora_ml_proxy.server.connection import Connection
from aurora_ml_proxy.server.listener import Listener
from aurora_ml_proxy.server.tasks import TaskSet

ANYBODY = Account("anybody", "", "native")


def ping(connection) -> None:
    connection.ping(reconnect=False)


@pytest.fixture
def upstream():
    def answer(talk: Talk) -> None:
        talk.log_in()
        while True:
            talk.read()
            talk.send(b"\x00\x00\x00\x02\x00\x00\x00")

    with fake_server(answer) as server:
        yield server


def test_one_client_too_many(upstream: FakeServer, proxy) -> None:
    port = proxy(upstream, {"listen": {"max_connections": 2}}).port
    with connected(port, ANYBODY) as one, connected(port, ANYBODY):
        for _ in range(3):
            with pytest.raises(pymysql.err.OperationalError) as caught:
                connect(port, ANYBODY)
            assert caught.value.args == (1040, "Too many connections")
        ping(one)
        one.close()

        def room() -> bool:
            try:
                with connected(port, ANYBODY) as again:
                    ping(again)
            except pymysql.err.OperationalError:
                return False
            return True

        assert until(room)


def test_a_client_that_is_turned_away_costs_the_upstream_nothing(
    upstream: FakeServer, proxy
) -> None:
    running = proxy(upstream, {"listen": {"max_connections": 1}})
    with connected(running.port, ANYBODY):
        before = sockets(running.pid)
        for _ in range(50):
            with pytest.raises(pymysql.err.OperationalError):
                connect(running.port, ANYBODY)
        assert len(upstream.talks) == 1
        assert until(lambda: sockets(running.pid) == before)


def test_no_file_descriptors_left(upstream: FakeServer, proxy) -> None:
    """The proxy waits for one to come back: it neither spins nor fills its log."""
    running = proxy(upstream)
    files = len(os.listdir(f"/proc/{running.pid}/fd"))
    _, hard = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (files + 5, hard))
    waiting = []
    with connected(running.port, ANYBODY) as first:
        for _ in range(10):
            sock = socket.create_connection(("127.0.0.1", running.port))
            waiting.append(sock)
        assert until(lambda: "cannot accept" in running.log)
        used = cpu_s(running.pid)
        steady(lambda: None, for_s=1.0)
        assert cpu_s(running.pid) - used < 0.3
        ping(first)
        assert running.log.count("cannot accept") < 5
        for sock in waiting:
            sock.close()
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (1024, hard))
        with connected(running.port, ANYBODY) as again:
            ping(again)


def test_no_file_descriptor_left_for_the_upstream(upstream: FakeServer, proxy) -> None:
    running = proxy(upstream)
    files = len(os.listdir(f"/proc/{running.pid}/fd"))
    _, hard = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (files + 1, hard))
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(running.port, ANYBODY)
    assert caught.value.args[0] == 1429
    assert "Too many open files" in caught.value.args[1]
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (1024, hard))


@pytest.mark.mysql
def test_a_unix_socket(mariadb10: Server, proxy, tmp_path: Path) -> None:
    path = tmp_path / "mysql.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    running = proxy(mariadb10, {"listen": {"socket": str(path)}})
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    account = mariadb10.account("ed25519", require_ssl=False)
    native = mariadb10.account("native")
    assert account.user != native.user
    with connected(0, native, unix_socket=str(path)) as connection:
        assert rows_of(connection, "SELECT CURRENT_USER()") == ((f"{native.user}@%",),)
    with connected(running.port, native) as connection:
        assert rows_of(connection, "SELECT 1") == ((1,),)
    assert until(lambda: clients_of(mariadb10) == 0)
    running.process.terminate()
    running.process.wait(10)
    assert not path.exists()


def test_a_socket_that_another_process_listens_on(tmp_path: Path) -> None:
    path = tmp_path / "mysql.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        config = write_config(
            tmp_path / "proxy.toml", listen={"port": 0, "socket": str(path)}
        )
        status, complaint = serve(config)
        assert status == 2
        assert complaint == (
            f"aurora-ml-proxy: listen.socket: {path}: Address already in use\n"
        )
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_socket_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "mysql.sock"
    config = write_config(
        tmp_path / "proxy.toml", listen={"port": 0, "socket": str(path)}
    )
    status, complaint = serve(config)
    assert status == 2
    assert complaint == (
        f"aurora-ml-proxy: listen.socket: {path}: No such file or directory\n"
    )


def test_a_file_is_not_taken_for_a_stale_socket(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    config = write_config(
        tmp_path / "proxy.toml", listen={"port": 0, "socket": str(path)}
    )
    status, complaint = serve(config)
    assert status == 2 and "Address already in use" in complaint
    assert path.read_text() == "data"


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = write_config(
            tmp_path / "proxy.toml",
            listen={"port": port, "socket": str(tmp_path / "s.sock")},
        )
        status, complaint = serve(config)
    assert status == 2
    assert complaint == (
        f"aurora-ml-proxy: listen: 127.0.0.1:{port}: Address already in use\n"
    )
    assert not (tmp_path / "s.sock").exists()


def test_a_host_that_is_none(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "proxy.toml", listen={"port": 0, "host": "no-such-host.invalid"}
    )
    status, complaint = serve(config)
    assert status == 2
    assert complaint.startswith("aurora-ml-proxy: listen: no-such-host.invalid:0: ")
    assert complaint.count("\n") == 1


def test_ipv6(upstream: FakeServer, proxy) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 here")
    running = proxy(upstream, {"listen": {"host": "::1"}})
    assert "listening on [::1]:" in running.log
    with connected(running.port, ANYBODY, host="::1") as connection:
        ping(connection)
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        connect(running.port, ANYBODY)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A listener before an upstream that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        settings = Settings(
            listen={"port": 0, "drain_timeout_s": 3},
            upstream={"port": upstream.getsockname()[1]},
        )
        service: Any = SimpleNamespace(
            settings=settings, client_tls=None, upstream_tls=None, upstream_hostname=""
        )
        tasks = TaskSet()
        listener = Listener(service, tasks)
        await listener.listen()
        # The tests accept by hand, to have it in the very tick of the drain.
        asyncio.get_running_loop().remove_reader(listener._sockets[0].fileno())
        try:
            yield listener
        finally:
            listener.stop_listening()
            await tasks.cancel_all()


async def dialled(listener: Listener) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    host, port = listener.addresses[0].split(":")
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    return sock


async def test_a_client_that_is_accepted_as_the_drain_begins_is_turned_away() -> None:
    async with listening() as listener:
        with await dialled(listener) as sock:
            listener._accept(listener._sockets[0])
            assert listener._connections
            async with asyncio.timeout(2):
                await listener.drain()
                told = await asyncio.get_running_loop().sock_recv(sock, 100)
            # 1053, in place of a greeting
            assert told[4:7] == b"\xff\x1d\x04"


async def test_a_connection_that_cannot_drain_does_not_keep_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drained = []

    def drain(self: Connection) -> None:
        drained.append(self)
        self.close()
        if len(drained) == 1:
            raise RuntimeError("Cannot call write() after write_eof()")

    monkeypatch.setattr(Connection, "drain", drain)
    async with listening() as listener:
        with await dialled(listener), await dialled(listener):
            listener._accept(listener._sockets[0])
            assert len(listener._connections) == 2
            await asyncio.sleep(0)  # their tasks begin
            with caplog.at_level(logging.ERROR):
                async with asyncio.timeout(2):
                    await listener.drain()
    assert len(drained) == 2
    assert "a connection failed to drain" in caplog.text
