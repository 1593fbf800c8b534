import pytest
from support.conversations import frame
from support.playbook import FakePort, Spawner, settle

from aurora_ml_proxy.protocol.packets import Packet, write_packet
from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD
from aurora_ml_proxy.session import inbox as module
from aurora_ml_proxy.session.inbox import Inbox


async def test_packets_are_awaited_and_sending_goes_on_from_their_number():
    port, spawn = FakePort(), Spawner()
    inbox = Inbox(port, next_seq=1)
    await inbox.send(b"a")
    found = []

    async def read() -> None:
        found.append(await inbox.read_packet())
        found.append(await inbox.read_packet())

    spawn(read())
    inbox.feed(frame(b"x", 2)[:3])
    await settle()
    assert found == []
    inbox.feed(frame(b"x", 2)[3:])
    await settle()
    assert found == [Packet(b"x", 2)]
    await inbox.send(b"b")
    assert port.written == frame(b"a", 1) + frame(b"b", 3)
    inbox.end()
    await settle()
    assert found == [Packet(b"x", 2), None]


async def test_a_full_inbox_stops_the_peer_until_half_is_taken(monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 1_000)
    port = FakePort()
    inbox = Inbox(port)
    inbox.feed(frame(b"x" * 2_000)[:1_500])  # more is needed to get on
    assert not port.is_paused
    inbox.feed(frame(b"x" * 2_000)[1_500:] + frame(b"y" * 800) + frame(b"z"))
    assert port.is_paused
    assert await inbox.read_packet() == Packet(b"x" * 2_000, 0)
    assert port.is_paused
    assert await inbox.read_packet() == Packet(b"y" * 800, 0)
    assert not port.is_paused
    inbox.feed(frame(b"x" * 2_000))
    assert port.is_paused
    assert inbox.payloads() == [b"z", b"x" * 2_000]
    assert not port.is_paused and inbox.take_rest() == b""


async def test_a_packet_in_parts_larger_than_the_inbox_is_read_to_its_end(monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 1_000)
    port, spawn = FakePort(), Spawner()
    inbox = Inbox(port)
    inbox.feed(write_packet(b"x" * MAX_PAYLOAD, 0)[:-4])  # the last part is on its way
    assert port.is_paused
    found = []

    async def read() -> None:
        found.append(await inbox.read_packet())

    spawn(read())
    await settle()
    assert not port.is_paused
    inbox.feed(b"\0\0\0\1")
    await settle()
    assert found == [Packet(b"x" * MAX_PAYLOAD, 1)]


async def test_tls_never_starts_here():
    with pytest.raises(AssertionError):
        await Inbox(FakePort()).start_tls()
