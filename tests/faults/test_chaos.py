"""A model service that does everything wrong at random, and tens of clients.

Every result is right or one clean error, nothing is left behind, and the counts add up.
AURORA_CHAOS_SECONDS=600 makes it long; AURORA_CHAOS_SEED another run.
"""

import os
import random
import socket
import threading
import time
import urllib.request
from dataclasses import dataclass

import pymysql
import pytest
from support.fakes import Fake
from support.proxies import Proxy
from support.servers import Server
from support.watching import clients_of, connect, rows_of, rss_mb, sockets, until

from aurora_ml_proxy.backends.oracle import expected

SECONDS = float(os.environ.get("AURORA_CHAOS_SECONDS", "24"))
SEED = int(os.environ.get("AURORA_CHAOS_SEED", "1"))
CLIENTS = 40
CONCURRENCY = 8
TEXTS = 3_000

CHANCES = {
    **{"throttle": 0.05, "429": 0.02, "500": 0.03, "503": 0.03, "reset": 0.03},
    **{"truncated": 0.02, "garbage": 0.01, "item_errors": 0.04, "drop": 0.02},
    **{"duplicate": 0.01, "slow": 0.01},
}
"""A third of all calls."""

MAY_GROW_MB = 20

BACKEND_FAILED = 1105

F = "aws_comprehend_detect_sentiment(CONCAT('text ', seq), 'en')"
G = "aws_comprehend_detect_sentiment_confidence(CONCAT('text ', seq), 'en')"

pytestmark = [pytest.mark.mysql, pytest.mark.slow]


def is_poisoned(number: int) -> bool:
    return number % 97 == 0 or number % 101 == 0


@dataclass
class Seen:
    """What clients have seen of one proxy."""

    right: int = 0
    nulls: int = 0
    failed: int = 0
    left: int = 0


class Client(threading.Thread):
    """Asks, compares, and sometimes leaves."""

    def __init__(self, number: int, port: int, server: Server, has_nulls: bool) -> None:
        super().__init__(daemon=True)
        self.port, self.has_nulls = port, has_nulls
        self.account = server.account()
        self.chance = random.Random(f"{SEED} {number}")
        self.end = 0.0
        self.seen = Seen()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while time.monotonic() < self.end:
                self.live()
        except BaseException as failure:
            self.failure = failure

    def live(self) -> None:
        """One connection."""
        connection = connect(self.port, self.account, database="test")
        try:
            for _ in range(self.chance.randint(1, 10)):
                if time.monotonic() > self.end:
                    return
                step = self.chance.choice((self.rows, self.rows, self.matches))
                try:
                    step(connection)
                except pymysql.err.OperationalError as error:
                    self.cleanly_failed(connection, error)
            if self.chance.random() < 0.3:
                self.leave(connection)
        finally:
            if connection.open:
                connection._force_close()

    def numbers(self) -> range:
        first = self.chance.randint(1, TEXTS)
        return range(first, first + self.chance.choice((1, 20, 60, 150)))

    def rows(self, connection) -> None:
        """Spliced."""
        numbers = self.numbers()
        rows = rows_of(
            connection,
            f"SELECT seq, {F}, {G} FROM test.seq_1_to_{2 * TEXTS} "
            f"WHERE seq BETWEEN {numbers[0]} AND {numbers[-1]}",
        )
        assert [number for number, _, _ in rows] == list(numbers)
        nulls = 0
        for number, label, confidence in rows:
            if label is None:
                assert confidence is None
                nulls += 1
                continue
            answer = expected(f"text {number}", "en")
            assert (label, confidence) == (answer.label, answer.confidence)
            assert not is_poisoned(number)
        self.check_nulls(connection, nulls)

    def matches(self, connection) -> None:
        """Inline: a failed answer is never a match, whatever it is compared with."""
        numbers = self.numbers()
        rows = rows_of(
            connection,
            f"SELECT seq, {F} <=> NULL FROM test.seq_1_to_{2 * TEXTS} "
            f"WHERE seq BETWEEN {numbers[0]} AND {numbers[-1]} "
            f"AND ({F} = 'NEGATIVE' OR {F} IS NULL) ORDER BY seq",
        )
        negative = {
            number
            for number in numbers
            if expected(f"text {number}", "en").label == "NEGATIVE"
        }
        matching = {number for number, is_null in rows if not is_null}
        without = {number for number, is_null in rows if is_null}
        assert matching == negative - without
        self.check_nulls(connection, len(without))

    def check_nulls(self, connection, nulls: int) -> None:
        warnings = rows_of(connection, "SHOW WARNINGS")
        assert bool(warnings) == bool(nulls)
        assert all(errno == BACKEND_FAILED for _, errno, _ in warnings)
        assert self.has_nulls or not nulls
        self.seen.right += 1
        self.seen.nulls += nulls

    def cleanly_failed(self, connection, error: Exception) -> None:
        errno, message = error.args
        assert errno == BACKEND_FAILED, error
        assert "the model service gave no answer: " in message
        assert "text " not in message.replace("the text", "")
        assert not self.has_nulls
        assert rows_of(connection, "SELECT 1") == ((1,),)
        self.seen.failed += 1

    def leave(self, connection) -> None:
        """In the middle of a statement."""
        numbers = self.numbers()
        sql = (
            f"SELECT {F} FROM test.seq_1_to_{2 * TEXTS} "
            f"WHERE seq BETWEEN {numbers[0]} AND {numbers[-1]}"
        )
        connection._execute_command(pymysql.constants.COMMAND.COM_QUERY, sql)
        time.sleep(self.chance.random() / 20)
        connection._force_close()
        self.seen.left += 1


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def metrics_of(port: int) -> dict[str, float]:
    """Every sample of /metrics, by name without labels of the backend."""
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    pairs = (
        (
            name.removeprefix("aurora_ml_proxy_").replace('{backend="comprehend"}', ""),
            value,
        )
        for name, _, value in samples
    )
    return {name: float(value) for name, value in pairs}


def unusual(running: Proxy) -> list[str]:
    return [line for line in running.log.splitlines() if " INFO " not in line]


def check_counts(samples: dict[str, float]) -> None:
    """What is asked has come to an end of one kind or the other."""
    asked, hit, answered, failed = (
        samples[f'requests_total{{outcome="{outcome}"}}']
        for outcome in ("asked", "hit", "answered", "failed")
    )
    assert asked == hit + answered + failed
    assert min(hit, answered, failed) > 0
    assert samples["backend_in_flight"] == 0 and samples["connections"] == 0
    assert samples["backend_calls_total"] == samples["backend_call_seconds_count"]
    assert samples["backend_breaker"] == 0


@pytest.mark.timeout(SECONDS + 240)
def test_a_service_that_does_everything_wrong(
    mariadb10: Server, proxy, fake: Fake
) -> None:
    fake.behave(
        chances=CHANCES,
        seed=SEED,
        latency_s=0.005,
        slow_s=2.0,
        max_in_flight=3 * CONCURRENCY // 2,
        retry_after_s=0,
        poison_items={f"text {n}": "INVALID_REQUEST" for n in range(0, 2 * TEXTS, 97)},
        poison_calls={
            f"text {n}": "InvalidRequestException" for n in range(0, 2 * TEXTS, 101)
        },
    )
    ports = {"error": free_port(), "null": free_port()}
    running: dict[str, Proxy] = {}
    for on_error, port in ports.items():
        settings = fake.settings(
            on_error=on_error, concurrency=CONCURRENCY, inference_timeout_ms=8_000
        )
        settings["comprehend"].update(timeout_s=1.0, max_attempts=4)
        settings["admin"] = {"port": port}
        settings["cache"] = {"enabled": True, "ttl_s": 2.0}
        running[on_error] = proxy(mariadb10, settings)
    idle = {name: sockets(one.pid) for name, one in running.items()}

    def play(seconds: float) -> dict[str, Seen]:
        clients = [
            Client(number, running[name].port, mariadb10, name == "null")
            for number in range(CLIENTS)
            for name in [("error", "null")[number % 2]]
        ]
        end = time.monotonic() + seconds
        for client in clients:
            client.end = end
            client.start()
        for client in clients:
            client.join(seconds + 90)
            assert not client.is_alive(), "a client hangs"
        failures = [client.failure for client in clients if client.failure]
        logs = [line for one in running.values() for line in unusual(one)]
        assert not failures, "\n".join([*map(str, failures[:3]), *logs[:80]])
        assert until(lambda: clients_of(mariadb10) == 0)
        for port in ports.values():
            assert until(lambda port=port: metrics_of(port)["backend_in_flight"] == 0)
        seen = {"error": Seen(), "null": Seen()}
        for client in clients:
            total = seen["null" if client.has_nulls else "error"]
            for field in ("right", "nulls", "failed", "left"):
                setattr(total, field, getattr(total, field) + getattr(client.seen, field))
        return seen

    play(SECONDS / 2)
    before = {name: rss_mb(one.pid) for name, one in running.items()}
    seen = play(SECONDS / 2)
    assert seen["error"].right and seen["error"].failed and not seen["error"].nulls, seen
    assert seen["null"].right and seen["null"].nulls and not seen["null"].failed, seen
    calls = 0.0
    for name, one in running.items():
        samples = metrics_of(ports[name])
        check_counts(samples)
        calls += samples["backend_calls_total"]
        grown = rss_mb(one.pid) - before[name]
        assert grown < MAY_GROW_MB, f"{name}: {grown} MiB"
        few = idle[name] + CONCURRENCY
        assert until(lambda one=one, few=few: sockets(one.pid) <= few)
        assert not unusual(one), unusual(one)[:60]
    # Each was seen by the service, and it saw no other.
    assert len(fake.calls()) == min(calls, 100_000)
