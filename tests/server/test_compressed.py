"""A compressed link on a real transport; the session is a list of what it was called."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.envelopes import envelope, forged, opened

from aurora_ml_proxy.protocol.compression import (
    PIECE_BYTES,
    Agreed,
    Algorithm,
    Compression,
)
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD
from aurora_ml_proxy.server import compressed
from aurora_ml_proxy.server.compressed import CompressedLink
from aurora_ml_proxy.server.links import Link

PING = write_packet(b"\x0e", 0)


class FakeSession:
    """Keeps what it is given; stops the link after `wants` calls."""

    def __init__(self, wants: int = 1 << 30) -> None:
        self.wants = wants
        self.received: list[bytes] = []
        self.has_ended = False
        self.is_lost = asyncio.Event()
        self.woken = asyncio.Event()
        self.link: CompressedLink

    def data(self, data: bytes) -> None:
        self.received.append(data)
        if len(self.received) >= self.wants:
            self.link.pause_reading()
        self.woken.set()

    def ended(self) -> None:
        self.has_ended = True
        self.woken.set()

    async def until_woken(self) -> None:
        async with asyncio.timeout(10):
            await self.woken.wait()
        self.woken.clear()


@asynccontextmanager
async def linked(
    session: FakeSession, rest: bytes = b""
) -> AsyncIterator[tuple[CompressedLink, socket.socket]]:
    """A link that a session has, and the client's end of it."""
    here, there = socket.socketpair()
    there.setblocking(False)
    bare = Link(0, 1 << 20)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: bare, here)
    bare.data_received(rest)
    link = session.link = CompressedLink(bare, Compression(Agreed(Algorithm.ZLIB)))
    nothing = lambda: None  # noqa: E731
    link.hand_over(session.data, session.ended, nothing, nothing, session.is_lost.set)
    with there:
        yield link, there
        link.abort()
        await session.is_lost.wait()


async def said(sock: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(sock, 1 << 16)


async def test_what_came_before_the_session_is_inflated_as_well():
    session = FakeSession()
    async with linked(session, rest=envelope(PING, 0)[:5]) as (_, client):
        client.send(envelope(PING, 0)[5:] + envelope(PING, 0))
        await session.until_woken()
        assert b"".join(session.received) == PING * 2


async def test_what_the_session_writes_comes_in_envelopes():
    async with linked(FakeSession()) as (link, client):
        link.write(write_packet(b"a" * 100, 1))
        link.write_eof()
        [found] = opened(await said(client), "zlib")
        assert found.is_compressed and found.stream == write_packet(b"a" * 100, 1)
        assert await said(client) == b""


async def test_a_session_that_wants_no_more_gets_no_more_until_it_resumes():
    session = FakeSession(wants=1)
    async with linked(session) as (link, client):
        client.send(envelope(PING, 0) * 3)
        client.shutdown(socket.SHUT_WR)
        for count in (1, 2, 3):
            await session.until_woken()
            await asyncio.sleep(0)
            assert (len(session.received), session.has_ended) == (count, False)
            link.resume_reading()
            link.resume_reading()
        await session.until_woken()
        assert (len(session.received), session.has_ended) == (3, True)


async def test_a_bomb_is_inflated_as_fast_as_the_session_takes_it():
    session = FakeSession(wants=3)
    async with linked(session) as (_, client):
        bomb = envelope(bytes(MAX_PAYLOAD), 0, "zlib")
        client.send(bomb[: 15 << 10])
        client.send(bomb[15 << 10 :])
        await session.until_woken()
        assert sum(map(len, session.received)) == 3 * PIECE_BYTES


async def test_other_connections_get_their_turn_while_much_is_inflated():
    session = FakeSession()
    async with linked(session) as (_, client):
        client.send(envelope(bytes(MAX_PAYLOAD), 0, "zlib"))
        await session.until_woken()
        assert sum(map(len, session.received)) <= compressed.TURN_BYTES
        while sum(map(len, session.received)) < MAX_PAYLOAD:
            await session.until_woken()


@pytest.mark.parametrize("packed", [os.urandom(80), b""], ids=["noise", "nothing"])
async def test_nonsense_is_answered_by_an_error_and_the_end(packed):
    session = FakeSession()
    async with linked(session) as (_, client):
        client.send(envelope(PING, 0) + forged(packed, 0, 200))
        told = await said(client)
        while more := await said(client):
            told += more
        assert b"".join(e.stream for e in opened(told, "zlib"))[4:7] == b"\xff\x2b\x07"
        assert session.received == [PING]


async def test_a_client_that_is_gone_is_not_heard_any_more():
    session = FakeSession(wants=1)
    async with linked(session) as (link, client):
        client.send(envelope(PING, 0) * 2)
        await session.until_woken()
        link.abort()
        await session.is_lost.wait()
        link.resume_reading()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert session.received == [PING]
