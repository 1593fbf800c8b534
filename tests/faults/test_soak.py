"""Fifty clients at a time, doing everything: every result right, nothing left behind."""

import random
import threading
import time

import pymysql
import pytest
from support.servers import Server
from support.watching import clients_of, connect, rows_of, rss_mb, sockets, until

from aurora_ml_proxy.backends.oracle import expected

CLIENTS = 50
SECONDS = 10

pytestmark = [pytest.mark.mysql, pytest.mark.slow]


class Client(threading.Thread):
    """One client with a row of its own, which nobody else changes."""

    def __init__(self, number: int, port: int, server: Server, end: float) -> None:
        super().__init__(daemon=True)
        self.number, self.port, self.end = number, port, end
        self.account = server.account()
        self.chance = random.Random(number)
        self.value = 0
        self.steps = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while time.monotonic() < self.end:
                self.live()
        except BaseException as failure:
            self.failure = failure

    def live(self) -> None:
        """One connection."""
        tls = self.number % 5 == 0
        connection = connect(
            self.port, self.account, database="test", ssl_disabled=not tls
        )
        for _ in range(self.chance.randint(3, 30)):
            step = self.chance.choice(
                (self.select, self.many_rows, self.commit, self.roll_back, self.fail)
                + (self.ask_model,) * 2
            )
            step(connection)
            self.steps += 1
        if self.chance.random() < 0.5:
            connection.close()
        else:
            connection._force_close()

    def select(self, connection) -> None:
        word = f"{self.number} {self.chance.random()}"
        assert rows_of(connection, f"SELECT '{word}', 1 + 1") == ((word, 2),)

    def many_rows(self, connection) -> None:
        count = self.chance.randint(1, 2_000)
        sql = f"SELECT seq, REPEAT('x', seq % 50) FROM test.seq_1_to_{count}"
        rows = rows_of(connection, sql)
        assert rows == tuple((i, "x" * (i % 50)) for i in range(1, count + 1))

    def commit(self, connection) -> None:
        connection.begin()
        self.value += 1
        sql = f"UPDATE soak SET value = value + 1 WHERE id = {self.number}"
        rows_of(connection, sql)
        connection.commit()
        self.check(connection)

    def roll_back(self, connection) -> None:
        connection.begin()
        rows_of(connection, f"UPDATE soak SET value = -1 WHERE id = {self.number}")
        connection.rollback()
        self.check(connection)

    def check(self, connection) -> None:
        sql = f"SELECT value FROM soak WHERE id = {self.number}"
        assert rows_of(connection, sql) == ((self.value,),)

    def fail(self, connection) -> None:
        with pytest.raises(pymysql.err.ProgrammingError):
            rows_of(connection, "SELECT * FROM nowhere")

    def ask_model(self, connection) -> None:
        start = self.chance.randint(1, 500)
        sql = (
            "SELECT seq, aws_comprehend_detect_sentiment(CONCAT('text ', seq), 'en') "
            f"FROM test.seq_1_to_560 WHERE seq BETWEEN {start} AND {start + 40}"
        )
        rows = rows_of(connection, sql)
        assert rows == tuple(
            (i, expected(f"text {i}", "en").label) for i in range(start, start + 41)
        )


def test_fifty_clients_at_a_time(mariadb10: Server, proxy, fake) -> None:
    mariadb10.run_as_root(
        "CREATE OR REPLACE TABLE test.soak (id INT PRIMARY KEY, value INT NOT NULL)",
        f"INSERT INTO test.soak SELECT seq, 0 FROM test.seq_1_to_{CLIENTS}",
    )
    running = proxy(mariadb10, fake.settings(concurrency=8))
    idle = sockets(running.pid)

    def soak(seconds: float) -> int:
        end = time.monotonic() + seconds
        clients = [
            Client(number, running.port, mariadb10, end)
            for number in range(1, CLIENTS + 1)
        ]
        mariadb10.run_as_root("UPDATE test.soak SET value = 0")
        for client in clients:
            client.start()
        for client in clients:
            client.join(seconds + 30)
            assert not client.is_alive(), "a client hangs"
        failures = [client.failure for client in clients if client.failure]
        assert not failures, failures[:3]
        assert until(lambda: clients_of(mariadb10) == 0)
        return sum(client.steps for client in clients)

    soak(SECONDS / 2)
    before = rss_mb(running.pid)
    assert soak(SECONDS / 2) > 300
    # Eight connections to the service may stay open.
    assert until(lambda: sockets(running.pid) <= idle + 8), sockets(running.pid)
    assert rss_mb(running.pid) - before < 15
    unusual = [line for line in running.log.splitlines() if " INFO " not in line]
    assert not unusual, unusual[:5]
