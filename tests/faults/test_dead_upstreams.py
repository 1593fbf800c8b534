"""An upstream that is dead, refuses, stalls or dies: an error packet, never a hang."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql
import pytest
from support.command_lines import command_line
from support.fake_server import OK, FakeServer, Talk
from support.raw_client import dial, is_closed, read_packet
from support.servers import Account
from support.watching import connect, sockets, until

ANYBODY = Account("anybody", "", "native")


def told(port: int, **options: object) -> tuple[int, str]:
    """The error that a client is told when it logs in."""
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(port, ANYBODY, **options)
    return caught.value.args[0], caught.value.args[1]


@contextmanager
def nobody_listens() -> Iterator[FakeServer]:
    """A port that refuses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = object.__new__(FakeServer)
        server.port = sock.getsockname()[1]
        yield server


def test_an_upstream_that_refuses_the_connection(proxy) -> None:
    with nobody_listens() as dead:
        port = proxy(dead).port
        errno, message = told(port)
        assert errno == 1429
        assert f"127.0.0.1:{dead.port}" in message and "Connection refused" in message
        with dial(port) as sock:
            packet = read_packet(sock)
            assert packet is not None
            seq, payload = packet
            # Before the greeting an error has no SQLSTATE.
            assert seq == 0 and payload[:3] == b"\xff\x95\x05" and payload[3:4] != b"#"
            assert is_closed(sock)


@pytest.mark.parametrize("kind", ["mariadb10", "mysql9"])
def test_a_command_line_client_shows_the_message(proxy, kind: str) -> None:
    """Numbers from 2000 on would not do: MariaDB's library hides their messages."""
    program = command_line(kind)
    if program is None:
        pytest.skip("its command-line client is not installed")
    with nobody_listens() as dead:
        port = proxy(dead).port
        _, complaint = program.run(port, ANYBODY, "SELECT 1", tls=False)
        assert complaint.startswith("ERROR 1429 (HY000): aurora-ml-proxy can't connect")


def test_an_upstream_name_that_does_not_resolve(proxy) -> None:
    with nobody_listens() as dead:
        started = proxy(dead, {"upstream": {"host": "no-such-host.invalid"}})
        errno, message = told(started.port)
        assert errno == 1429 and "no-such-host.invalid" in message


def test_an_upstream_that_accepts_and_never_greets(impatient) -> None:
    port = impatient(lambda talk: talk.read_until_the_end()).port
    started = time.monotonic()
    errno, message = told(port)
    assert time.monotonic() - started < 3
    assert errno == 1429 and "does not answer" in message
    assert not message.startswith("#")


def test_a_client_that_leaves_a_silent_upstream_is_gone(impatient) -> None:
    running = impatient(lambda talk: talk.read_until_the_end())
    before = sockets(running.pid)
    with dial(running.port):
        assert until(lambda: len(running.server.talks) == 1)
    assert until(lambda: sockets(running.pid) == before)


def test_an_upstream_that_hangs_up_before_its_greeting(impatient) -> None:
    errno, message = told(impatient(lambda talk: None).port)
    assert errno == 1429 and "hung up" in message and not message.startswith("#")


def test_an_upstream_that_hangs_up_after_its_greeting(impatient) -> None:
    errno, message = told(impatient(lambda talk: talk.greet()).port)
    assert (errno, "hung up" in message) == (1429, True)


def test_an_upstream_that_hangs_up_in_mid_login(impatient) -> None:
    def script(talk: Talk) -> None:
        talk.greet()
        talk.read()
        talk.send(b"\xfemysql_native_password\0" + b"n" * 20 + b"\0")
        talk.read()

    errno, message = told(impatient(script).port)
    assert (errno, "hung up" in message) == (1429, True)


def test_an_upstream_that_falls_silent_in_mid_login(impatient) -> None:
    def script(talk: Talk) -> None:
        talk.greet()
        talk.read()
        talk.read_until_the_end()

    started = time.monotonic()
    errno, message = told(impatient(script).port)
    assert time.monotonic() - started < 5
    assert errno == 1429 and "does not answer" in message


@pytest.mark.parametrize(
    ("errno", "text"),
    [(1040, "Too many connections"), (1129, "Host '10.0.0.1' is blocked")],
)
def test_an_error_in_place_of_the_greeting_is_passed_on(
    impatient, errno: int, text: str
) -> None:
    payload = b"\xff" + errno.to_bytes(2, "little") + text.encode()
    port = impatient(lambda talk: talk.send(payload)).port
    assert told(port) == (errno, text)
    with dial(port) as sock:
        assert read_packet(sock) == (0, payload)
        assert is_closed(sock)


@pytest.mark.parametrize(
    "nonsense",
    [b"\x09old protocol\0", b"", b"\x0a", b"\x0a8.0\0short", b"HTTP/1.1 400 Bad"],
)
def test_a_greeting_that_makes_no_sense(impatient, nonsense: bytes) -> None:
    errno, message = told(impatient(lambda talk: talk.send(nonsense)).port)
    assert errno == 1429 and "not MySQL's protocol" in message
    assert not message.startswith("#")


def test_a_port_that_speaks_something_else(impatient) -> None:
    greeting = b"SSH-2.0-OpenSSH_9.2\r\n"
    errno, message = told(impatient(lambda talk: talk.socket.sendall(greeting)).port)
    assert errno == 1429 and "not MySQL's protocol" in message


def test_nonsense_in_mid_login(impatient) -> None:
    def script(talk: Talk) -> None:
        talk.greet()
        talk.read()
        talk.socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        talk.read_until_the_end()

    errno, message = told(impatient(script).port)
    assert errno == 1429 and "not MySQL's protocol" in message


def columns(talk: Talk, *names: bytes) -> None:
    def text(value: bytes) -> bytes:
        return bytes([len(value)]) + value

    talk.send(bytes([len(names)]))
    for name in names:
        talk.send(
            text(b"def")
            + text(b"") * 3
            + text(name) * 2
            + b"\x0c\x2d\x00\x00\x01\x00\x00\xfd\x00\x00\x00\x00\x00"
        )
    talk.send(b"\xfe\x00\x00\x02\x00")


def test_an_upstream_that_dies_in_mid_result(impatient) -> None:
    def script(talk: Talk) -> None:
        talk.log_in()
        talk.read_query()
        columns(talk, b"a")
        for _ in range(10):
            talk.send(b"\x05hello")

    connection = connect(impatient(script).port, ANYBODY)
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connection.query("SELECT a FROM t")
    assert caught.value.args[0] == 2013


def test_an_upstream_that_dies_under_an_ml_statement(impatient) -> None:
    """The client has been sent rows: what it is told must not look like their end."""

    def script(talk: Talk) -> None:
        talk.log_in()
        talk.read_query()
        columns(talk, b"a", b"b")
        for _ in range(10):
            talk.send(b"\x05hello\x04good")

    connection = connect(impatient(script).port, ANYBODY)
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connection.query("SELECT a, aws_comprehend_detect_sentiment(b, 'en') FROM t")
    assert caught.value.args[0] == 2013


def test_an_upstream_that_comes_back_serves_again(impatient) -> None:
    alive = False

    def script(talk: Talk) -> None:
        if alive:
            talk.log_in()
            talk.read_query()
            talk.send(OK)

    port = impatient(script).port
    assert told(port)[0] == 1429
    alive = True
    connection = connect(port, ANYBODY)
    connection.ping(reconnect=False)
    connection._force_close()
