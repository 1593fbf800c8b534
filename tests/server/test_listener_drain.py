"""The end of a listener, on a loop of the test's own: nobody is forgotten."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from aurora_ml_proxy.config import Settings
from aurora_ml_proxy.server.connection import Connection
from aurora_ml_proxy.server.listener import Listener
from aurora_ml_proxy.server.tasks import TaskSet


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
