"""KILL from another connection, and clients that vanish: work stops, on both sides."""

import os
import signal
import subprocess
import threading
import time

import pymysql
import pytest
from support.command_lines import command_line
from support.raw_client import reset
from support.servers import Server
from support.watching import clients_of, connect, connected, rows_of, steady, until

pytestmark = pytest.mark.mysql

ROWS = "FROM test.kill_me"
ML = f"SELECT aws_comprehend_detect_sentiment(s, 'en') {ROWS}"
INTERRUPTED = 1317
CALLS = 40


@pytest.fixture
def feedback(mariadb10: Server) -> Server:
    """A thousand distinct texts: 40 calls."""
    mariadb10.run_as_root(
        "CREATE OR REPLACE TABLE test.kill_me (s VARCHAR(100))",
        "INSERT INTO test.kill_me SELECT CONCAT('text ', seq) FROM test.seq_1_to_1000",
    )
    return mariadb10


class Asking(threading.Thread):
    """A statement in a thread; `error` is what it failed with."""

    def __init__(self, connection, sql: str) -> None:
        super().__init__(daemon=True)
        self.connection, self.sql = connection, sql
        self.rows: object = None
        self.error: tuple[object, ...] = ()
        self.start()

    def run(self) -> None:
        try:
            self.rows = rows_of(self.connection, self.sql)
        except (pymysql.err.MySQLError, OSError, ValueError) as error:
            self.error = error.args


@pytest.mark.parametrize("kind", ["mariadb10", "mysql9"])
def test_kill_query_of_a_relayed_statement(get_server, shared_proxy, kind: str) -> None:
    server = get_server(kind)
    port, account = shared_proxy(server).port, server.account()
    with connected(port, account) as victim, connected(port, account) as killer:
        [(victim_id,)] = rows_of(victim, "SELECT CONNECTION_ID()")
        assert victim_id == victim.thread_id()
        started = time.monotonic()
        asking = Asking(victim, "SELECT 1 FROM (SELECT SLEEP(30)) t")
        assert until(lambda: has_sleeper(server))
        rows_of(killer, f"KILL QUERY {victim_id}")
        asking.join(10)
        assert time.monotonic() - started < 10
        assert asking.error[:1] == (INTERRUPTED,) or asking.rows is not None
        assert rows_of(victim, "SELECT 1") == ((1,),)
        rows_of(killer, f"KILL {victim_id}")
        with pytest.raises(pymysql.err.OperationalError):
            rows_of(victim, "SELECT 1")


def has_sleeper(server: Server) -> bool:
    [(count,)] = server.run_as_root(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
        "WHERE INFO LIKE '%SLEEP(30)%' AND ID <> CONNECTION_ID()"
    )
    return bool(count)


@pytest.mark.parametrize("kind", ["mariadb10", "mysql9"])
def test_ctrl_c_in_a_command_line_client(get_server, shared_proxy, kind: str) -> None:
    server = get_server(kind)
    program = command_line(kind)
    if program is None:
        pytest.skip("its command-line client is not installed")

    account = server.account()
    process = subprocess.Popen(
        [
            *program.words,
            *program.without_tls,
            *("--host=127.0.0.1", f"--port={shared_proxy(server).port}"),
            f"--user={account.user}",
            *("--force", "--batch", "-e", "SELECT 1 FROM (SELECT SLEEP(30)) t; SELECT 7"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"MYSQL_PWD": account.password},
    )
    assert until(lambda: has_sleeper(server))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert not has_sleeper(server)


@pytest.mark.parametrize("how", ["KILL QUERY", "KILL", "KILL CONNECTION"])
def test_kill_of_a_statement_that_waits_for_answers(
    feedback: Server, proxy, fake, how: str
) -> None:
    fake.behave(latency_s=2)
    running = proxy(feedback, fake.settings(concurrency=2))
    account = feedback.account()
    with (
        connected(running.port, account) as victim,
        connected(running.port, account) as killer,
    ):
        asking = Asking(victim, ML)
        assert until(lambda: len(fake.calls()) >= 2)
        started = time.monotonic()
        rows_of(killer, f"{how} {victim.thread_id()}")
        asking.join(10)
        assert time.monotonic() - started < 1.5
        if how == "KILL QUERY":
            assert asking.error[:1] == (INTERRUPTED,), asking.error
            assert rows_of(victim, "SELECT 1") == ((1,),)
        else:
            assert asking.error[0] in (INTERRUPTED, 2013)
            with pytest.raises(pymysql.err.MySQLError):
                rows_of(victim, "SELECT 1")
        made = len(fake.calls())
        assert made <= 4
        assert steady(lambda: len(fake.calls()), for_s=2.5) == made


def test_kill_by_somebody_who_may_not(feedback: Server, proxy, fake) -> None:
    feedback.run_as_root(
        "CREATE OR REPLACE USER weak@'%'", "GRANT SELECT ON test.* TO weak@'%'"
    )
    fake.behave(latency_s=1)
    running = proxy(feedback, fake.settings(concurrency=40))
    account = feedback.account()
    with (
        connected(running.port, account) as victim,
        connected(running.port, account, user="weak", password="") as killer,
    ):
        asking = Asking(victim, ML)
        assert until(fake.calls)
        with pytest.raises(pymysql.err.OperationalError) as caught:
            rows_of(killer, f"KILL QUERY {victim.thread_id()}")
        assert caught.value.args[0] == 1095
        asking.join(20)
        assert asking.rows is not None and len(asking.rows) == 1_000


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_client_that_vanishes_stops_its_calls(
    feedback: Server, proxy, fake, how: str, tls: bool
) -> None:
    fake.behave(latency_s=1)
    running = proxy(feedback, fake.settings(concurrency=2))
    victim = connect(running.port, feedback.account(), ssl_disabled=not tls)
    victim._execute_command(3, ML)
    assert until(lambda: len(fake.calls()) >= 2)
    if how == "reset" and not tls:
        reset(victim._sock)
    victim._force_close()
    made = len(fake.calls())
    assert steady(lambda: len(fake.calls()), for_s=1.6) <= made + 2
    assert until(lambda: clients_of(feedback) == 0)
    assert len(fake.calls()) < 8


def test_a_server_that_kills_the_connection_after_its_rows(
    feedback: Server, proxy, fake
) -> None:
    """All rows are in, the answers are not: the client is told that its connection is
    gone no later than with its next statement, and nothing lingers."""
    fake.behave(latency_s=1)
    running = proxy(feedback, fake.settings(concurrency=40))
    with connected(running.port, feedback.account()) as victim:
        asking = Asking(victim, ML)
        assert until(fake.calls)
        feedback.run_as_root(f"KILL {victim.thread_id()}")
        asking.join(10)
        with pytest.raises(pymysql.err.MySQLError):
            rows_of(victim, "SELECT 1")
    assert until(lambda: clients_of(feedback) == 0)
