"""One connection from the greeting to the relay, however its bytes are cut."""

import select
import socket
import ssl
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from support.raw_client import (
    dial,
    frame,
    login,
    native,
    nonce_of,
    read_packet,
    ssl_request,
    trusting,
)
from support.servers import Server

from aurora_ml_proxy import metrics
from aurora_ml_proxy.protocol.packets import Packet, PacketReader
from aurora_ml_proxy.server import connection

TOTAL = "aurora_ml_proxy_logins_total"
pytestmark = pytest.mark.mysql


def logged_in_bytes(server: Server, greeting: bytes, seq: int, tls: bool) -> bytes:
    account = server.account("native")
    answer = native(account.password, nonce_of(greeting))
    return login(account.user, answer, "mysql_native_password", seq=seq, ssl=tls)


def exchange(sock: socket.socket, data: bytes, count: int) -> list[Packet]:
    """Sends all of this while it reads, until so many packets have come.

    In one thread: a TLS connection of OpenSSL must not be used by two.
    """
    not_now = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
    reader, packets, left = PacketReader(), [], memoryview(data)
    sock.setblocking(False)
    while len(packets) < count:
        readable, _, _ = select.select([sock], [sock] if left else [], [], 10)
        assert readable or left, f"silence after {len(packets)} packets"
        with suppress(*not_now):
            left = left[sock.send(left[: 64 << 10]) :] if left else left
        with suppress(*not_now):
            received = sock.recv(64 << 10)
            assert received, f"closed after {len(packets)} packets"
            reader.feed(received)
        while packet := reader.next_packet():
            packets.append(packet)
    return packets


def test_the_tls_hello_in_one_segment_with_the_request(
    mariadb10: Server, shared_proxy
) -> None:
    """A transport that is told to start TLS has read the hello already (cpython#142352);
    the proxy reads nothing but the packet it waits for."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = trusting().wrap_bio(incoming, outgoing)
    with dial(shared_proxy(mariadb10).port) as sock:
        greeting = read_packet(sock)
        assert greeting is not None
        with pytest.raises(ssl.SSLWantReadError):
            inside.do_handshake()
        sock.sendall(ssl_request() + outgoing.read())
        while True:
            try:
                inside.do_handshake()
                break
            except ssl.SSLWantReadError:
                if data := outgoing.read():
                    sock.sendall(data)
                incoming.write(sock.recv(1 << 16))
        # The end of the handshake, the login and a command in one segment, too.
        inside.write(logged_in_bytes(mariadb10, greeting[1], 2, True))
        inside.write(frame(b"\x0e", 0))
        sock.sendall(outgoing.read())
        told = b""
        while len(told) < 22:
            try:
                told += inside.read(1 << 16)
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(1 << 16))
        assert told[3:5] == b"\x03\x00"
        assert told[14:16] == b"\x01\x00"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_commands_in_plenty_behind_a_login_that_is_not_answered(
    mariadb10: Server, shared_proxy, tls: bool
) -> None:
    commands = 60
    command = frame(b"\x03" + b"DO '" + b"x" * 100_000 + b"'", 0)
    with dial(shared_proxy(mariadb10).port) as bare, ExitStack() as stack:
        sock = bare
        greeting = read_packet(sock)
        assert greeting is not None
        if tls:
            sock.sendall(ssl_request())
            sock = stack.enter_context(trusting().wrap_socket(bare))
        data = logged_in_bytes(mariadb10, greeting[1], 1 + tls, tls)
        answers = exchange(sock, data + command * commands, 1 + commands)
        assert [(packet.seq, packet.payload[:1]) for packet in answers] == [
            (seq, b"\x00") for seq in [2 + tls] + [1] * commands
        ]


@pytest.mark.parametrize("size", [1, 3])
def test_a_login_in_small_pieces(mariadb10: Server, shared_proxy, size: int) -> None:
    with dial(shared_proxy(mariadb10).port) as sock:
        greeting = read_packet(sock)
        assert greeting is not None
        data = logged_in_bytes(mariadb10, greeting[1], 1, False)
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
        told = read_packet(sock)
        assert told is not None and told[1][:1] == b"\x00"
        sock.sendall(frame(b"\x0e", 0))
        assert read_packet(sock) == (1, told[1])


async def test_a_login_that_a_defect_ended_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def carry_out(*_: object) -> None:
        raise RuntimeError("a defect")

    def failed() -> float:
        labels = {"outcome": "failed"}
        return metrics.REGISTRY.get_sample_value(TOTAL, labels) or 0.0

    before = failed()
    leg: Any = SimpleNamespace()
    monkeypatch.setattr(connection, "carry_out", carry_out)
    monkeypatch.setattr(connection, "login", lambda *_, **__: None)
    service: Any = SimpleNamespace(login_policy=None)
    with socket.socket() as sock:
        client = connection.Connection(sock, service, lambda is_up: None)
        with pytest.raises(RuntimeError, match="a defect"):
            await client._log_in(leg, leg)
    assert failed() == before + 1
