"""Answers that serve later statements, other connections, other proxies, the next run.

Calls are counted at the service.
"""

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from support.fakes import AWS_ENVIRONMENT, Fake
from support.oracle import SCHEMA
from support.proxies import Proxy, ProxyFailed, start_proxy, stop_proxy
from support.servers import Server
from support.valkey import ValkeyServer
from support.watching import connect, rows_of, until

from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import CONFIDENCE, LABEL

pytestmark = pytest.mark.mysql

LABELS = f"SELECT t, {LABEL.name}(t,'en') FROM cached ORDER BY id"
SCORES = f"SELECT t, {CONFIDENCE.name}(t,'en') FROM cached ORDER BY id"
INLINE = f"SELECT t, {LABEL.name}(t,'en') x FROM cached GROUP BY t, x"

STALL_S = 3.0
"""A store's patience is half a second, or two; a statement may take as long once."""


class Bench:
    """Proxies before one server, with a table of texts."""

    def __init__(self, server: Server, start: Callable[..., Proxy], fake: Fake) -> None:
        self.server, self.fake = server, fake
        self._start = start

    def proxy(self, **cache: object) -> Proxy:
        return self._start(self.server, self.settings(**cache))

    def settings(self, **cache: object) -> dict[str, dict[str, object]]:
        return {**self.fake.settings(), "cache": {"enabled": True, **cache}}

    def fill(self, first: int, behind: int) -> None:
        """The texts of these numbers."""
        self.server.run_as_root(
            f"USE {SCHEMA}",
            "CREATE OR REPLACE TABLE cached (id INT PRIMARY KEY, t TEXT) CHARSET utf8mb4 "
            "SELECT seq id, CONCAT('text ', seq) t "
            f"FROM seq_{first}_to_{behind - 1}",
        )

    def connect(self, proxy: Proxy) -> Any:
        return connect(proxy.port, self.server.account(), database=SCHEMA)

    def ask(self, proxy: Proxy, sql: str = LABELS) -> int:
        """Run it, see that it is right; how many texts that has cost."""
        before = len(self.texts)
        with closing(self.connect(proxy)) as connection:
            rows = rows_of(connection, sql)
        assert rows
        for text, answer in rows:
            right = expected(text, "en")
            assert answer == (right.confidence if sql == SCORES else right.label)
        return len(self.texts) - before

    def ask_at_one_time(self, proxy: Proxy, clients: int, sql: str = LABELS) -> None:
        with ThreadPoolExecutor(clients) as pool:
            for done in [pool.submit(self.ask, proxy, sql) for _ in range(clients)]:
                done.result()

    @property
    def texts(self) -> list[str]:
        return [text for call in self.fake.calls() for text in call["texts"]]


@pytest.fixture
def bench(
    mariadb10: Server,
    proxy: Callable[..., Proxy],
    fake: Fake,
    oracle_proxy: Callable[[Server], Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    oracle_proxy(mariadb10)  # makes the schema
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return Bench(mariadb10, proxy, fake)


def test_a_thousand_rows_twice_are_no_call_the_second_time(bench: Bench) -> None:
    bench.fill(0, 1_000)
    proxy = bench.proxy()
    assert bench.ask(proxy) == 1_000
    assert len(bench.fake.calls()) == 40
    for sql in (LABELS, INLINE, SCORES):
        assert bench.ask(proxy, sql) == 0
    assert "cached=1000 texts=0 calls=0" in proxy.log


def test_what_was_answered_inline_serves_the_rows_that_stream(bench: Bench) -> None:
    bench.fill(0, 100)
    proxy = bench.proxy()
    assert bench.ask(proxy, INLINE) == 100
    assert bench.ask(proxy, INLINE) == bench.ask(proxy, SCORES) == 0
    bench.fill(50, 150)
    assert bench.ask(proxy, SCORES) == 50


def test_without_the_cache_every_statement_asks(bench: Bench) -> None:
    bench.fill(0, 100)
    proxy = bench.proxy(enabled=False)
    assert [bench.ask(proxy) for _ in range(2)] == [100, 100]


@pytest.mark.parametrize("sql", [LABELS, INLINE])
def test_fifty_clients_at_one_time_cost_each_text_once(bench: Bench, sql: str) -> None:
    bench.fill(0, 1_000)
    proxy = bench.proxy()
    bench.fake.behave(latency_s=0.1)
    bench.ask_at_one_time(proxy, 50, sql)
    assert sorted(bench.texts) == sorted(f"text {n}" for n in range(1_000))
    assert len(bench.fake.calls()) <= 60


def test_a_statement_that_is_killed_leaves_its_calls_to_the_others(bench: Bench) -> None:
    bench.fill(0, 200)
    proxy = bench.proxy()
    bench.fake.behave(latency_s=1.0)
    with closing(bench.connect(proxy)) as first, ThreadPoolExecutor(2) as pool:
        killed = pool.submit(rows_of, first, LABELS)
        assert until(lambda: len(bench.fake.calls()) == 8)
        second = pool.submit(bench.ask, proxy)
        with closing(bench.connect(proxy)) as other:
            time.sleep(0.2)  # the second has joined by then, or asks nothing either
            rows_of(other, f"KILL QUERY {first.thread_id()}")
        with pytest.raises(pymysql.err.OperationalError, match="1317"):
            killed.result()
        second.result()
    assert len(bench.texts) == 200


def test_a_call_that_fails_fails_everybody_and_is_asked_again(bench: Bench) -> None:
    bench.fill(0, 1)
    proxy = bench.proxy()
    bench.fake.behave(latency_s=1.0, script=["denied"])

    def ask() -> str:
        try:
            bench.ask(proxy)
        except pymysql.err.Error as error:
            return str(error)
        return "ok"

    with ThreadPoolExecutor(3) as pool:
        said = [f.result() for f in [pool.submit(ask) for _ in range(3)]]
    assert all("AccessDenied" in text for text in said)
    assert len(bench.fake.calls()) == 1
    assert bench.ask(proxy) == 1


def test_a_bad_text_of_another_statement_takes_no_answer_away(bench: Bench) -> None:
    bench.fill(0, 20)
    proxy = bench.proxy()
    bench.fake.behave(latency_s=1.0, poison_calls={"bad": "InvalidRequestException"})
    bad = f"({LABELS} LIMIT 20) UNION SELECT 'bad', {LABEL.name}('bad','en')"
    with ThreadPoolExecutor(1) as pool, closing(bench.connect(proxy)) as connection:
        guilty = pool.submit(rows_of, connection, bad)
        assert until(lambda: bench.fake.calls())
        bench.ask(proxy)
        with pytest.raises(pymysql.err.Error, match="InvalidRequest"):
            guilty.result()


def test_answers_outlive_a_reload(bench: Bench) -> None:
    bench.fill(0, 100)
    proxy = bench.proxy()
    assert bench.ask(proxy) == 100
    proxy.process.send_signal(signal.SIGHUP)
    assert until(lambda: "config reloaded" in proxy.log)
    assert bench.ask(proxy) == 0


# On disk.


def test_answers_on_disk_outlive_the_process(bench: Bench, tmp_path: Path) -> None:
    bench.fill(0, 1_000)
    path = tmp_path / "answers.sqlite"
    first = bench.proxy(path=str(path))
    assert bench.ask(first) == 1_000
    stop_proxy(first)
    second = bench.proxy(path=str(path))
    for sql in (LABELS, INLINE, SCORES):
        assert bench.ask(second, sql) == 0
    # No text is in the file.
    stop_proxy(second)
    data = b"".join(file.read_bytes() for file in tmp_path.glob("answers*"))
    assert len(data) > 50_000 and b"text" not in data


def test_answers_on_disk_outlive_a_process_that_is_killed(
    bench: Bench, tmp_path: Path
) -> None:
    bench.fill(0, 1_000)
    path = tmp_path / "answers.sqlite"
    first = start_proxy(bench.server, bench.settings(path=str(path)), tmp_path)
    bench.ask(first)
    with closing(sqlite3.connect(path)) as file:
        count = file.execute("SELECT COUNT(*) FROM answers").fetchone
        assert until(lambda: count() == (1_000,))
    first.process.kill()
    with pytest.raises(ProxyFailed, match="ended with -9"):
        stop_proxy(first)
    assert bench.ask(bench.proxy(path=str(path))) == 0


def test_two_proxies_share_a_file(bench: Bench, tmp_path: Path) -> None:
    path = str(tmp_path / "answers.sqlite")
    first, second = bench.proxy(path=path), bench.proxy(path=path)
    bench.fill(0, 1_000)
    assert bench.ask(first) == 1_000
    assert until(lambda: bench.ask(second) == 0)
    # And both write at one time.
    bench.fill(1_000, 3_000)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(bench.ask, p) for p in (first, second)]:
            done.result()
    stop_proxy(first)
    stop_proxy(second)
    assert bench.ask(bench.proxy(path=path)) == 0


# In Valkey.


def test_two_proxies_share_a_valkey(bench: Bench, valkey: ValkeyServer) -> None:
    bench.fill(0, 1_000)
    first, second = bench.proxy(url=valkey.url), bench.proxy(url=valkey.url)
    assert bench.ask(first) == 1_000
    assert until(lambda: valkey.ask(b"DBSIZE") == b":1001\r\n")
    for sql in (INLINE, LABELS, SCORES):
        assert bench.ask(second, sql) == 0
    assert b"text" not in valkey.ask(b"KEYS", b"*")


def test_a_valkey_that_was_never_there_is_no_failure(
    bench: Bench, valkey: ValkeyServer
) -> None:
    valkey.stop()
    bench.fill(0, 500)
    started = time.monotonic()
    proxy = bench.proxy(url=valkey.url)
    assert bench.ask(proxy) == 500 and bench.ask(proxy) == 0
    assert time.monotonic() - started < STALL_S
    assert proxy.log.count("the cache does without valkey") == 1
    # And when it comes, it gets what it has missed.
    valkey.start()
    assert until(lambda: valkey.ask(b"DBSIZE") == b":501\r\n")
    assert bench.ask(bench.proxy(url=valkey.url)) == 0


@pytest.mark.parametrize("how", ["stops", "freezes"])
def test_a_valkey_that_dies_stalls_no_statement(
    bench: Bench, valkey: ValkeyServer, how: str
) -> None:
    bench.fill(0, 500)
    proxy = bench.proxy(url=valkey.url)
    assert bench.ask(proxy) == 500
    if how == "stops":
        valkey.stop()
    else:
        valkey.freeze()
    bench.fill(250, 1_250)
    started = time.monotonic()
    assert bench.ask(proxy) == 750
    assert time.monotonic() - started < STALL_S
    bench.fill(1_250, 1_500)
    started = time.monotonic()
    assert bench.ask(proxy) == 250
    assert time.monotonic() - started < STALL_S
    if how == "stops":
        valkey.start()
    else:
        valkey.thaw()
    assert until(lambda: "the cache uses valkey again" in proxy.log)


@pytest.fixture
def file_in_the_way(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "config.toml"
    path.write_text("[cache]\n" * 100)
    yield path
    assert path.read_text() == "[cache]\n" * 100


def test_a_path_that_is_no_cache_ends_the_start_in_one_line(
    bench: Bench, file_in_the_way: Path
) -> None:
    with pytest.raises(ProxyFailed, match=r"proxy: cache\.path: .*not a database"):
        bench.proxy(path=str(file_in_the_way))


def test_long_texts_that_are_known_do_not_come_from_the_server_again(
    bench: Bench,
) -> None:
    bench.server.run_as_root(
        f"USE {SCHEMA}",
        "CREATE OR REPLACE TABLE cached (id INT PRIMARY KEY, t TEXT) CHARSET utf8mb4 "
        "SELECT seq id, CONCAT('text ', seq, REPEAT(' and more', 200)) t "
        "FROM seq_1_to_300",
    )
    sql = f"SELECT COUNT(*) FROM cached WHERE {LABEL.name}(t,'en') = 'MIXED'"
    proxy = bench.proxy()
    counts, sent = [], []
    with closing(bench.connect(proxy)) as connection:

        def bytes_sent() -> int:
            [(_, value)] = rows_of(connection, "SHOW SESSION STATUS LIKE 'Bytes_sent'")
            return int(value)

        for change in (
            None,
            None,
            "UPDATE cached SET t = CONCAT('new ', t) WHERE id < 4",
        ):
            if change:
                rows_of(connection, change)
            before = bytes_sent()
            counts += rows_of(connection, sql)
            sent.append(bytes_sent() - before)
        texts = [text for (text,) in rows_of(connection, "SELECT t FROM cached")]
    right = sum(expected(text, "en").label == "MIXED" for text in texts)
    assert counts[-1] == (right,)
    assert len(bench.texts) == 303
    whole, known, changed = sent
    assert whole > 300 * 1_800
    assert known < 300 * 60
    assert changed < 300 * 120
