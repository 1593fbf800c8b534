"""Clients that leave, stall or talk nonsense before they are logged in.

The upstream counts a handshake that ends in the middle against max_connect_errors, and
blocks the proxy's address after a hundred of them. So whatever the client does, the
upstream must hear a login, and refuse it.
"""

import random
import socket
import time
from collections.abc import Callable

import pytest
from support.fake_server import ACCESS_DENIED, NONCE, Talk, greeting
from support.raw_client import (
    dial,
    frame,
    is_closed,
    login,
    native,
    nonce_of,
    read_packet,
    reset,
    ssl_request,
    trusting,
)
from support.servers import Server
from support.watching import (
    clients_of,
    connect,
    rows_of,
    rss_mb,
    sockets,
    status_of,
    until,
)

MALFORMED, TIMED_OUT, OLD_CLIENT = 1835, 1159, 1251


def refuse(talk: Talk) -> None:
    """As a real server refuses an unknown user: by a switch first."""
    talk.greet()
    talk.read()
    talk.send(b"\xfemysql_native_password\0" + NONCE + b"\0")
    talk.read()
    talk.send(ACCESS_DENIED)


def at_once(sock: socket.socket) -> None:
    """Leaves without a word."""


def after_the_greeting(sock: socket.socket) -> None:
    read_packet(sock)


def by_a_reset(sock: socket.socket) -> None:
    read_packet(sock)
    reset(sock)


def in_mid_packet(sock: socket.socket) -> None:
    read_packet(sock)
    sock.sendall(login("root", b"", "mysql_native_password")[:20])


def in_mid_header(sock: socket.socket) -> None:
    read_packet(sock)
    sock.sendall(b"\x50\x00")


def with_quit(sock: socket.socket) -> None:
    """HAProxy's and others' health checks."""
    read_packet(sock)
    sock.sendall(frame(b"\x01", 0))
    assert is_closed(sock) or True


def with_garbage(sock: socket.socket) -> None:
    read_packet(sock)
    sock.sendall(random.Random(1).randbytes(5_000))
    is_closed(sock)


def with_http(sock: socket.socket) -> None:
    sock.sendall(b"GET / HTTP/1.1\r\nHost: db\r\n\r\n")
    is_closed(sock)


def with_an_endless_user_name(sock: socket.socket) -> None:
    read_packet(sock)
    sock.sendall(frame(login("x", b"", "y")[4:36] + b"a" * 100, 1))
    assert_told(sock, MALFORMED)


def as_an_old_client(sock: socket.socket) -> None:
    read_packet(sock)
    sock.sendall(frame(b"\x05\x00\x00\x00\x01root\0", 1))
    assert_told(sock, OLD_CLIENT)


def with_too_large_a_login(sock: socket.socket) -> None:
    read_packet(sock)
    sock.sendall(b"\x00\x00\x20\x01" + bytes(1 << 16))
    is_closed(sock)


def assert_told(sock: socket.socket, errno: int) -> None:
    packet = read_packet(sock)
    assert packet is not None, "closed without an error"
    assert packet[1][:3] == b"\xff" + errno.to_bytes(2, "little"), packet
    assert is_closed(sock)


LEAVERS = [
    at_once,
    after_the_greeting,
    by_a_reset,
    in_mid_packet,
    in_mid_header,
    with_quit,
    with_garbage,
    with_http,
    with_an_endless_user_name,
    as_an_old_client,
    with_too_large_a_login,
]
LEAVERS_BEFORE_TLS = ["at the request", "in mid-hello", "with no TLS", "after TLS"]


def assert_finished(talk: Talk) -> None:
    """The fake server has heard a whole login, and an answer to its switch."""
    assert until(lambda: len(talk.heard) >= 2), talk.heard
    assert len(talk.heard[0]) > 32 and talk.heard[0][32:].count(b"\0") >= 2


@pytest.mark.parametrize("leave", LEAVERS)
def test_the_upstream_hears_a_login_when_a_client_leaves(impatient, leave) -> None:
    running = impatient(refuse)
    with dial(running.port) as sock:
        leave(sock)
    assert until(lambda: running.server.talks)
    assert_finished(running.server.talks[0])


def test_the_upstream_hears_a_login_when_a_client_says_nothing(impatient) -> None:
    running = impatient(refuse)
    with dial(running.port) as sock:
        started = time.monotonic()
        read_packet(sock)
        assert_told(sock, TIMED_OUT)
        assert 0.5 < time.monotonic() - started < 3
    assert_finished(running.server.talks[0])


def test_a_client_that_sends_a_byte_now_and_then_is_timed_out(impatient) -> None:
    running = impatient(refuse)
    data = login("root", b"", "mysql_native_password")
    with dial(running.port) as sock:
        read_packet(sock)
        started = time.monotonic()
        sock.settimeout(0.2)
        for byte in data[:30]:
            sock.sendall(bytes([byte]))
            try:
                told = read_packet(sock)
                break
            except TimeoutError:
                continue
        assert time.monotonic() - started < 3
        assert told is not None and told[1][1:3] == TIMED_OUT.to_bytes(2, "little")
    assert_finished(running.server.talks[0])


def test_a_client_that_leaves_in_mid_authentication(impatient) -> None:
    running = impatient(refuse)
    with dial(running.port) as sock:
        read_packet(sock)
        sock.sendall(login("root", b"", "mysql_native_password"))
        switch = read_packet(sock)
        assert switch is not None and switch[1][:1] == b"\xfe"
    assert_finished(running.server.talks[0])


def test_an_authentication_packet_that_is_too_large(impatient) -> None:
    running = impatient(refuse)
    with dial(running.port) as sock:
        read_packet(sock)
        sock.sendall(login("root", b"", "mysql_native_password"))
        read_packet(sock)
        sock.sendall(b"\x00\x00\x20\x03")
        assert_told(sock, MALFORMED)
    assert_finished(running.server.talks[0])


def test_a_server_that_hangs_up_on_the_made_up_login(impatient) -> None:
    """What has gone wrong is the client; the proxy says nothing of the upstream."""

    def script(talk: Talk) -> None:
        talk.greet()
        talk.read()

    running = impatient(script)
    with dial(running.port) as sock:
        read_packet(sock)
        sock.sendall(frame(b"\x05\x00\x00\x00\x01root\0", 1))
        assert_told(sock, OLD_CLIENT)


@pytest.mark.parametrize("header", [b"\xff\xff\xff\x03", b"\x01\x00\x00\x03"])
def test_a_flood_before_the_login_is_answered(proxy, upstream, header: bytes) -> None:
    """Nobody who has not logged in makes the proxy hold more than a few packets."""

    def script(talk: Talk) -> None:
        talk.socket.sendall(frame(with_tls(greeting(b"mysql_native_password")), 0))
        talk.read()
        talk.read_until_the_end()

    def with_tls(payload: bytes) -> bytes:
        at = payload.index(b"\0", 1) + 4 + 8 + 1 + 1
        return payload[: at + 1] + bytes([payload[at + 1] | 0x08]) + payload[at + 2 :]

    server = upstream(script)
    running = proxy(server, {"upstream": {"tls": "disabled"}})
    with dial(running.port) as bare:
        assert read_packet(bare)
        bare.sendall(ssl_request())
        with trusting().wrap_socket(bare) as sock:
            sock.sendall(login("root", b"", "mysql_native_password", seq=2, ssl=True))
            assert until(lambda: server.talks and server.talks[0].heard)
            before = rss_mb(running.pid)
            sock.settimeout(1)
            try:
                for _ in range(100):
                    sock.sendall(header + bytes(1 << 20))
            except TimeoutError:
                pass
            assert rss_mb(running.pid) - before < 20


@pytest.fixture
def counting(mariadb10: Server, shared_proxy) -> Callable[[], tuple[int, int]]:
    """The real server's counters of handshakes that went wrong."""
    shared_proxy(mariadb10)

    def counters() -> tuple[int, int]:
        [(blocked,)] = mariadb10.run_as_root(
            "SELECT COALESCE(SUM(SUM_CONNECT_ERRORS + COUNT_HANDSHAKE_ERRORS), 0) "
            "FROM performance_schema.host_cache"
        )
        return int(blocked), sum(
            status_of(mariadb10, f"Connection_errors_{what}")
            for what in ("internal", "peer_address", "tcpwrap")
        )

    return counters


@pytest.mark.mysql
@pytest.mark.parametrize("when", LEAVERS_BEFORE_TLS)
def test_a_client_that_fails_at_tls(mariadb10, shared_proxy, when: str) -> None:
    running = shared_proxy(mariadb10)
    before = sockets(running.pid)
    with dial(running.port) as sock:
        read_packet(sock)
        sock.sendall(ssl_request())
        match when:
            case "in mid-hello":
                sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            case "with no TLS":
                sock.sendall(login("root", b"", "mysql_native_password", seq=2))
                is_closed(sock)
            case "after TLS":
                context = trusting()
                with context.wrap_socket(sock) as inside:
                    inside.settimeout(10)
    assert until(lambda: sockets(running.pid) == before)
    assert until(lambda: clients_of(mariadb10) == 0)


@pytest.mark.mysql
@pytest.mark.slow
def test_two_hundred_early_leavers_leave_no_trace(
    mariadb10: Server, proxy: Callable[..., object], counting
) -> None:
    """Loopback is not in the host cache, so `Aborted_connects` is what can be seen: it
    counts refused logins too, one a leaver, and a handshake broken off is logged with
    "Got an error reading communication packets"."""
    running = proxy(mariadb10, {"listen": {"login_timeout_s": 2}})
    account = mariadb10.account()
    connect(running.port, account).close()
    assert until(lambda: clients_of(mariadb10) == 0)
    before = sockets(running.pid), counting()
    log = mariadb10.directory / "run" / "err.log"
    logged = log.read_text(errors="replace").count("reading communication packets")
    chance = random.Random(2)
    for _ in range(20):
        for leave in chance.sample(LEAVERS, 10):
            with dial(running.port) as sock:
                leave(sock)
    assert until(lambda: clients_of(mariadb10) == 0)
    assert until(lambda: sockets(running.pid) == before[0])
    assert counting() == before[1]
    text = log.read_text(errors="replace")
    assert text.count("reading communication packets") == logged
    unusual = [line for line in running.log.splitlines() if " INFO " not in line]
    assert not unusual, unusual[:5]
    with connect(running.port, account) as connection:
        assert rows_of(connection, "SELECT 1") == ((1,),)


@pytest.mark.mysql
@pytest.mark.slow
def test_a_thousand_clients_come_and_go(mariadb10: Server, proxy) -> None:
    running = proxy(mariadb10)
    account = mariadb10.account()

    def come_and_go(times: int) -> None:
        for i in range(times):
            with dial(running.port) as sock:
                greeting = read_packet(sock)
                assert greeting is not None
                answer = native(account.password, nonce_of(greeting[1]))
                sock.sendall(login(account.user, answer, "mysql_native_password"))
                told = read_packet(sock)
                assert told is not None and told[1][:1] == b"\x00", told
                if i % 3 == 0:
                    sock.sendall(frame(b"\x01", 0))
                    assert is_closed(sock)
                elif i % 3 == 1:
                    reset(sock)

    come_and_go(10)
    assert until(lambda: clients_of(mariadb10) == 0)
    before = sockets(running.pid)
    come_and_go(1_000)
    assert until(lambda: clients_of(mariadb10) == 0)
    assert until(lambda: sockets(running.pid) == before)
    unusual = [line for line in running.log.splitlines() if " INFO " not in line]
    assert not unusual, unusual[:5]
