"""Peers that take nothing more: the other one is held back, and memory stays flat."""

import os
import socket
import threading
from pathlib import Path

import pytest
from support import wire_client as wire
from support.compressed_client import CompressedClient
from support.envelopes import envelope
from support.fake_server import OK, Talk, fake_server
from support.raw_client import frame, login, native, nonce_of, read_packet
from support.servers import Account, Server
from support.watching import (
    clients_of,
    connect,
    connected,
    peak_mb,
    rows_of,
    rss_mb,
    sockets,
    steady,
    until,
)

ROOM_MB = 40
"""What the proxy may grow by: buffers, not a result."""
HUGE = (
    "SELECT REPEAT('x', 1000) FROM test.seq_1_to_10000 a, test.seq_1_to_10000 b"  # 100 GB
)
ANYBODY = Account("anybody", "", "native")
pytestmark = pytest.mark.slow


def logged_in(port: int, account: Account) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 30)
    greeting = read_packet(sock)
    assert greeting is not None
    answer = native(account.password, nonce_of(greeting[1]))
    sock.sendall(login(account.user, answer, "mysql_native_password"))
    told = read_packet(sock)
    assert told is not None and told[1][:1] == b"\x00", told
    return sock


def sent_bytes(server: Server) -> int:
    [(_, value)] = server.run_as_root("SHOW GLOBAL STATUS LIKE 'Bytes_sent'")
    return int(value) // (1 << 20)


@pytest.mark.mysql
@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_does_not_read_a_huge_result(
    mariadb10: Server, proxy, tls: bool
) -> None:
    running = proxy(mariadb10)
    account = mariadb10.account()
    with connected(running.port, account, ssl_disabled=not tls) as connection:
        rows_of(connection, "SELECT 1")
        before = rss_mb(running.pid)
        connection._execute_command(3, HUGE)
        stopped_at = steady(lambda: sent_bytes(mariadb10))
        assert rss_mb(running.pid) - before < ROOM_MB
        # Others are served meanwhile.
        with connected(running.port, account) as other:
            assert rows_of(other, "SELECT 1") == ((1,),)
        # Read a part, and it goes on from there.
        for _ in range(100):
            assert connection._read_bytes(1 << 20)
        assert until(lambda: sent_bytes(mariadb10) > stopped_at + 50)
        assert rss_mb(running.pid) - before < ROOM_MB


@pytest.mark.mysql
@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_vanishes_in_mid_result(
    mariadb10: Server, shared_proxy, tls: bool
) -> None:
    running = shared_proxy(mariadb10)
    before = sockets(running.pid)
    connection = connect(running.port, mariadb10.account(), ssl_disabled=not tls)
    connection._execute_command(3, HUGE)
    steady(lambda: sent_bytes(mariadb10), for_s=0.5)
    connection._force_close()
    # Fewer, if a client of the test before was still on its way out.
    assert until(lambda: sockets(running.pid) <= before)
    assert until(lambda: clients_of(mariadb10) == 0)


@pytest.mark.mysql
def test_a_client_that_reads_nothing_and_asks_on(mariadb10: Server, proxy) -> None:
    """An ML statement's rows fill the client's buffer; what is pipelined behind it must
    not be poured on top."""
    running = proxy(mariadb10)
    ml = (
        "SELECT aws_comprehend_detect_sentiment('good', 'en'), REPEAT('x', 1000) "
        "FROM test.seq_1_to_20000"
    )
    with logged_in(running.port, mariadb10.account()) as sock:
        before = rss_mb(running.pid)
        for sql in (ml, HUGE):
            sock.sendall(frame(b"\x03" + sql.encode(), 0))
        steady(lambda: sent_bytes(mariadb10), for_s=1.5)
        assert rss_mb(running.pid) - before < ROOM_MB + 30


def test_a_big_file_for_a_slow_upstream(proxy, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.touch()
    os.truncate(path, 200 << 20)
    go_on = threading.Event()
    counts = []

    def script(talk: Talk) -> None:
        talk.log_in()
        talk.read_query()
        talk.send(b"\xfbfile.csv")
        assert go_on.wait(60)
        total = 0
        while piece := talk.read():
            total += len(piece)
            talk.heard.clear()
        counts.append(total)
        talk.send(OK)

    with fake_server(script) as server:
        running = proxy(server)
        connection = connect(running.port, ANYBODY, local_infile=True)
        before = rss_mb(running.pid)
        sql = f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE t"

        def load() -> None:
            # The fake asks for "file.csv": a client opens what the server names.
            os.chdir(tmp_path)
            connection.query(sql)

        here = Path.cwd()
        thread = threading.Thread(target=load, daemon=True)
        thread.start()
        try:
            steady(lambda: int(rss_mb(running.pid)))
            assert rss_mb(running.pid) - before < ROOM_MB
            go_on.set()
            thread.join(60)
            assert not thread.is_alive()
        finally:
            os.chdir(here)
        assert counts == [200 << 20]
        assert peak_mb(running.pid) - before < ROOM_MB
        connection._force_close()


def test_a_big_statement_for_a_slow_upstream(proxy) -> None:
    """A statement is held until it is whole, up to MAX_STATEMENT_BYTES, for a call may
    stand in it; beyond that it passes in pieces."""
    go_on = threading.Event()
    counts = []

    def script(talk: Talk) -> None:
        talk.log_in()
        total = 0
        assert go_on.wait(60)
        while (piece := talk.read()) and len(piece) == 0xFFFFFF:
            total += len(piece)
            talk.heard.clear()
        counts.append(total + len(piece))
        talk.send(OK)

    size = 200 << 20
    with fake_server(script) as server:
        running = proxy(server)
        sock = logged_in(running.port, ANYBODY)
        before = rss_mb(running.pid)

        def send() -> None:
            part = b"x" * 0xFFFFFF
            left, seq = size, 0
            first = b"\x03INSERT INTO t VALUES ('"
            while left >= 0:
                now = min(left, 0xFFFFFF)
                data = (first + part)[:now] if seq == 0 else part[:now]
                sock.sendall(frame(data, seq))
                left -= now
                seq += 1
                if now < 0xFFFFFF:
                    return

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        steady(lambda: int(rss_mb(running.pid)))
        grown = rss_mb(running.pid) - before
        go_on.set()
        thread.join(60)
        told = read_packet(sock)
        assert told is not None and told[1][:1] == b"\x00"
        assert counts == [size]
        sock.close()
        assert grown < 64 * 3 + ROOM_MB, grown


@pytest.mark.mysql
@pytest.mark.parametrize("size", [0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1, 40_000_000])
def test_packets_of_16_mb_and_more_both_ways(
    mariadb10: Server, shared_proxy, size: int
) -> None:
    port = shared_proxy(mariadb10).port
    with connected(port, mariadb10.account(), max_allowed_packet=1 << 27) as connection:
        head, tail = "SELECT '", "' AS x"
        text = "y" * (size - 1 - len(head) - len(tail))
        [(value,)] = rows_of(connection, head + text + tail)
        assert len(value) == len(text) and set(value) == {"y"}
        [(value,)] = rows_of(connection, f"SELECT REPEAT('z', {size - 4})")
        assert len(value) == size - 4
        assert rows_of(connection, "SELECT 1") == ((1,),)


@pytest.mark.mysql
@pytest.mark.parametrize("algorithm", ["zlib", "zstd"])
def test_envelopes_that_inflate_to_much_more(
    mysql9: Server, proxy, algorithm: str
) -> None:
    """1.6 GB of commands, sent in one go in a megabyte and a half, or in 100 kB."""
    running = proxy(mysql9)
    where = ("127.0.0.1", running.port, "nopassword", wire.USUAL, "test")
    query = bytes([wire.COM_QUERY]) + b"DO 1 /*" + b"x" * (wire.WHOLE - 20) + b"*/"
    with wire.WireClient(*where) as plain:
        plain.say_at_once([query] * 3)
    before = peak_mb(running.pid)
    with CompressedClient(*where, algorithm=algorithm) as client:
        client.envelopes.is_strict = False
        bomb = envelope(wire.frame(query), 0, algorithm)
        client.envelopes.send_as_it_is(bomb * 100)
        for _ in range(100):
            client.read()
        client.envelopes.is_strict = True
        client.say(client.query("SELECT 1"))
    assert peak_mb(running.pid) - before < ROOM_MB
