"""The life of the process: signals, draining, reloading, and how it ends."""

import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from support.certificates import make_certificates
from support.fake_server import FakeServer, Talk, fake_server
from support.fakes import AWS_ENVIRONMENT, start_fake, stop_fake
from support.proxies import Proxy
from support.proxy_process import serve, write_config
from support.raw_client import dial, read_packet
from support.servers import Account, Server
from support.watching import clients_of, connect, connected, rows_of, until

ANYBODY = Account("anybody", "", "native")
SLEEP = "SELECT SLEEP(1.5)"


def config_of(proxy: Proxy) -> Path:
    """The file that the proxy was started with, and reads again."""
    arguments = Path(f"/proc/{proxy.pid}/cmdline").read_bytes().split(b"\0")
    return Path(os.fsdecode(arguments[arguments.index(b"--config") + 1]))


def ended(proxy: Proxy, timeout_s: float = 10) -> int:
    """The exit status."""
    return proxy.process.wait(timeout_s)


@pytest.fixture
def running(mariadb10: Server, proxy) -> Iterator[Proxy]:
    yield proxy(mariadb10, {"listen": {"drain_timeout_s": 3}})


@pytest.mark.mysql
def test_sigterm_closes_idle_connections_at_once(
    mariadb10: Server, running: Proxy
) -> None:
    account = mariadb10.account()
    with connected(running.port, account), connected(running.port, account) as other:
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert ended(running) == 0
        assert time.monotonic() - started < 1.5
        with pytest.raises(pymysql.err.OperationalError):
            other.query("SELECT 1")
    assert until(lambda: clients_of(mariadb10) == 0)


@pytest.mark.mysql
def test_sigterm_lets_a_query_finish_and_nobody_in(
    mariadb10: Server, running: Proxy
) -> None:
    account = mariadb10.account()
    with connected(running.port, account) as connection:
        rows = []
        thread = threading.Thread(
            target=lambda: rows.append(rows_of(connection, SLEEP)), daemon=True
        )
        thread.start()
        assert until(lambda: is_running(mariadb10, "SLEEP"))
        running.process.send_signal(signal.SIGTERM)
        assert until(lambda: "draining" in running.log)
        with pytest.raises(pymysql.err.OperationalError) as caught:
            connect(running.port, account)
        assert caught.value.args[0] == 2003 and "refused" in caught.value.args[1]
        thread.join(10)
        assert rows == [((0,),)]
        assert ended(running) == 0
    assert "cut" not in running.log


def is_running(server: Server, word: str) -> bool:
    [(count,)] = server.run_as_root(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
        f"WHERE INFO LIKE '%{word}%' AND ID <> CONNECTION_ID()"
    )
    return bool(count)


@pytest.mark.mysql
def test_sigterm_lets_a_transaction_finish(mariadb10: Server, running: Proxy) -> None:
    with connected(running.port, mariadb10.account()) as connection:
        rows_of(connection, "START TRANSACTION")
        running.process.send_signal(signal.SIGTERM)
        assert until(lambda: "draining" in running.log)
        assert rows_of(connection, "SELECT 1") == ((1,),)
        rows_of(connection, "COMMIT")
        assert ended(running) == 0
    assert "cut" not in running.log


@pytest.mark.mysql
def test_a_transaction_is_cut_after_drain_timeout_s(
    mariadb10: Server, running: Proxy
) -> None:
    with connected(running.port, mariadb10.account()) as connection:
        rows_of(connection, "START TRANSACTION")
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert ended(running) == 0
        assert 2.5 < time.monotonic() - started < 5
        assert "drain timeout: 1 connections cut" in running.log
        with pytest.raises(pymysql.err.OperationalError):
            connection.query("SELECT 1")
    assert until(lambda: clients_of(mariadb10) == 0)


@pytest.mark.mysql
def test_a_second_sigterm_ends_at_once(mariadb10: Server, running: Proxy) -> None:
    with connected(running.port, mariadb10.account()) as connection:
        rows_of(connection, "START TRANSACTION")
        running.process.send_signal(signal.SIGTERM)
        assert until(lambda: "draining" in running.log)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert ended(running) == 0
        assert time.monotonic() - started < 1.5


@pytest.mark.mysql
def test_a_client_that_has_not_logged_in_does_not_hold_up_the_end(
    running: Proxy,
) -> None:
    with dial(running.port) as sock:
        read_packet(sock)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert ended(running) == 0
        assert time.monotonic() - started < 2
    assert "cut" not in running.log


@pytest.mark.mysql
def test_a_slow_call_of_the_service_does_not_hold_up_the_end(
    mariadb10: Server, proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    fake = start_fake()
    try:
        fake.behave(latency_s=20)
        running = proxy(mariadb10, fake.settings())
        with connected(running.port, mariadb10.account()) as connection:
            sql = "SELECT aws_comprehend_detect_sentiment(s, 'en') FROM (SELECT 'a' s) t"
            thread = threading.Thread(target=fails, args=(connection, sql), daemon=True)
            thread.start()
            assert until(fake.calls)
            started = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            assert until(lambda: "draining" in running.log)
            running.process.send_signal(signal.SIGTERM)
            assert ended(running) == 0
            assert time.monotonic() - started < 3
            thread.join(10)
    finally:
        fake.process.kill()
        stop_fake(fake)


def fails(connection: "pymysql.connections.Connection[object]", sql: str) -> None:
    with pytest.raises(pymysql.err.OperationalError):
        connection.query(sql)


@pytest.fixture
def answering() -> Iterator[FakeServer]:
    def answer(talk: Talk) -> None:
        talk.log_in()
        while True:
            talk.read()
            talk.send(b"\x00\x00\x00\x02\x00\x00\x00")

    with fake_server(answer) as server:
        yield server


def test_sighup_moves_new_connections_to_another_upstream(
    answering: FakeServer, proxy
) -> None:
    running = proxy(answering)
    config = config_of(running)
    with (
        fake_server(answering.script) as other,
        connected(running.port, ANYBODY) as old,
    ):
        text = config.read_text()
        config.write_text(
            text.replace(f"port = {answering.port}", f"port = {other.port}")
        )
        running.process.send_signal(signal.SIGHUP)
        assert until(lambda: "config reloaded" in running.log)
        with connected(running.port, ANYBODY) as new:
            new.ping(reconnect=False)
        assert len(other.talks) == 1 and len(answering.talks) == 1
        old.ping(reconnect=False)


def test_sighup_with_a_wrong_config_changes_nothing(answering: FakeServer, proxy) -> None:
    running = proxy(answering)
    config = config_of(running)
    good = config.read_text()
    for wrong, what in (
        (good.replace("[upstream]", "[upstream]\nports = 1"), "upstream.ports"),
        ("no toml", "not TOML"),
        (
            good.replace("[listen]", '[listen]\ntls_cert = "/x"\ntls_key = "/x"'),
            "tls_cert",
        ),
    ):
        config.write_text(wrong)
        before = len(running.lines)
        running.process.send_signal(signal.SIGHUP)
        assert until(lambda n=before: len(running.lines) > n)
        [line] = running.lines[before:]
        assert "reload failed, the config stays as it was" in line and what in line
        with connected(running.port, ANYBODY) as connection:
            connection.ping(reconnect=False)
        assert until(lambda n=before: len(running.lines) > n + 1)  # its own log line
    config.unlink()
    running.process.send_signal(signal.SIGHUP)
    assert until(lambda: "No such file" in running.log)
    with connected(running.port, ANYBODY) as connection:
        connection.ping(reconnect=False)


def test_of_two_sighups_the_later_config_wins(
    answering: FakeServer, proxy, tmp_path: Path
) -> None:
    """The first reload takes long: its config is a pipe that nobody has written to."""
    running = proxy(answering)
    config = config_of(running)
    text, pipe = config.read_text(), tmp_path / "pipe"
    config.unlink()
    os.mkfifo(config)

    def writable() -> int | None:
        try:
            return os.open(config, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None  # nobody reads it yet

    with fake_server(answering.script) as other:
        running.process.send_signal(signal.SIGHUP)
        writer = until(writable)
        assert writer
        config.rename(pipe)
        config.write_text(
            text.replace(f"port = {answering.port}", f"port = {other.port}")
        )
        running.process.send_signal(signal.SIGHUP)
        until(lambda: "config reloaded" in running.log, timeout_s=1)
        os.write(writer, text.encode())
        os.close(writer)
        assert until(lambda: running.log.count("config reloaded") == 2)
        with connected(running.port, ANYBODY) as connection:
            connection.ping(reconnect=False)
        assert len(other.talks) == 1 and not answering.talks


def test_sighup_names_what_takes_effect_at_a_restart(
    answering: FakeServer, proxy
) -> None:
    running = proxy(answering)
    config = config_of(running)
    text = config.read_text()
    config.write_text(text.replace("drain_timeout_s = 5", "drain_timeout_s = 4"))
    running.process.send_signal(signal.SIGHUP)
    assert until(lambda: running.log.count("config reloaded") == 1)
    config.write_text(
        text.replace("[listen]\nport = 0", '[listen]\nport = 1\nsocket = "/tmp/x"')
        + '[admin]\nport = 1\n[log]\nlevel = "error"\n'
    )
    running.process.send_signal(signal.SIGHUP)
    assert until(lambda: "restart" in running.log)
    [line] = [line for line in running.lines if "restart" in line]
    assert line.endswith("at a restart: listen.port, listen.socket, admin, log\n")


@pytest.mark.mysql
def test_debug_writes_neither_keys_nor_texts(
    mariadb10: Server, proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    fake = start_fake()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    try:
        settings = fake.settings()
        settings["comprehend"]["role_arn"] = "arn:aws:iam::123456789012:role/aurora-ml"
        running = proxy(mariadb10, {**settings, "log": {"level": "debug"}})
        with connected(running.port, mariadb10.account()) as connection:
            sql = "SELECT aws_comprehend_detect_sentiment(s, 'en') FROM ({}) t"
            rows_of(connection, sql.format("SELECT 'a patient wrote this' s"))
        [call] = fake.calls()
        assert call["access_key_id"].startswith("ASIA")
    finally:
        stop_fake(fake)
    assert until(lambda: "connection id=" in running.log)
    for secret in ("<SecretAccessKey>", "SessionToken", "token-of-", "a patient wrote"):
        assert secret not in running.log


@pytest.mark.mysql
def test_sighup_takes_a_new_certificate(mariadb10: Server, proxy, tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    listen = {"tls_cert": str(files.certificate), "tls_key": str(files.key)}
    running = proxy(mariadb10, {"listen": listen})
    account = mariadb10.account()
    old = ssl.create_default_context(cafile=files.authority)
    with connected(running.port, account, ssl=old) as before:
        make_certificates(tmp_path)
        new = ssl.create_default_context(cafile=files.authority)
        running.process.send_signal(signal.SIGHUP)
        assert until(lambda: "config reloaded" in running.log)
        with connected(running.port, account, ssl=new) as connection:
            assert rows_of(connection, "SELECT 1") == ((1,),)
        with pytest.raises(pymysql.err.OperationalError, match="CERTIFICATE_VERIFY"):
            connect(running.port, account, ssl=old)
        assert rows_of(before, "SELECT 1") == ((1,),)


def test_many_reloads_leave_nothing_behind(
    answering: FakeServer, proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reload makes a client of the service, with its threads and its sockets."""
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = {
        "sentiment": {"backend": "comprehend"},
        "comprehend": {"region": "us-east-1"},
    }
    running = proxy(answering, settings)

    def reload(times: int) -> None:
        for _ in range(times):
            seen = running.log.count("config reloaded")
            running.process.send_signal(signal.SIGHUP)
            assert until(lambda n=seen: running.log.count("config reloaded") > n)

    with connected(running.port, ANYBODY) as connection:
        reload(3)
        before = len(os.listdir(f"/proc/{running.pid}/fd"))
        reload(5)
        assert len(os.listdir(f"/proc/{running.pid}/fd")) <= before
        connection.ping(reconnect=False)


def test_a_unix_socket_as_upstream_is_refused_to_root(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("not root")
    config = write_config(
        tmp_path / "proxy.toml",
        listen={"port": 0},
        upstream={"socket": "/run/mysqld/mysqld.sock"},
    )
    status, complaint = serve(config)
    assert status == 2
    assert complaint.startswith("aurora-ml-proxy: upstream.socket: refused while")
    assert complaint.count("\n") == 1


def test_a_wrong_admin_address_ends_it_and_removes_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "mysql.sock"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = write_config(
            tmp_path / "proxy.toml",
            listen={"port": 0, "socket": str(path)},
            admin={"port": port},
        )
        status, complaint = serve(config)
    assert status == 2
    assert (
        complaint == f"aurora-ml-proxy: admin: 127.0.0.1:{port}: Address already in use\n"
    )
    assert not path.exists()


def test_ctrl_c_drains_too(answering: FakeServer, proxy) -> None:
    running = proxy(answering)
    with connected(running.port, ANYBODY):
        running.process.send_signal(signal.SIGINT)
        assert ended(running) == 0
    assert re.search(r"draining(.|\n)*stopped", running.log)
