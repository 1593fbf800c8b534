import subprocess
import sys

import pytest
from support.playbook import Spawner, settle
from support.stores import FakeStore, Pauses

from aurora_ml_proxy.evaluate.cache import MAX_VALUE_BYTES, Cache
from aurora_ml_proxy.evaluate.records import write_record
from aurora_ml_proxy.evaluate.store import StoreFailed
from aurora_ml_proxy.evaluate.stored import StoredAnswers


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_700_000_000.5

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A cache with a store that others may share."""

    def __init__(self, store: FakeStore | None = None, ttl_s: float = 60) -> None:
        self.clock, self.spawn, self.pauses = Clock(), Spawner(), Pauses()
        self.store = store or FakeStore()
        self.cache = Cache(1 << 20, ttl_s, clock=self.clock)
        self.cache.stored = StoredAnswers(
            self.store,
            self.spawn,
            self.cache.forget_memory,
            sleep=self.pauses,
            clock=self.clock,
        )

    async def put(self, key: bytes, value: bytes, *, lasting: bool = True) -> None:
        self.cache.put({key: value}, self.cache.epoch, lasting=lasting)
        await settle()


async def test_an_answer_is_there_until_its_time_is_over():
    clock = Clock()
    cache = Cache(1 << 20, 60, clock=clock)
    cache.put({b"k": b"v"}, 0, lasting=True)
    assert cache.get(b"k") == b"v" and cache.entries == 1 and not cache.has_store
    clock.now_s += 59
    assert cache.get(b"k") == b"v"
    clock.now_s += 1
    assert cache.get(b"k") is None
    assert await cache.look_up([b"k"]) == {}


async def test_another_process_finds_it_in_the_store_and_then_knows_it_by_heart():
    first = Bench()
    await first.put(b"k", b"v")
    second = Bench(first.store)
    assert second.cache.get(b"k") is None
    assert await second.cache.look_up([b"k", b"other"]) == {b"k": b"v"}
    assert second.cache.get(b"k") == b"v" and second.cache.get(b"other") is None


async def test_an_answer_from_the_store_is_as_old_as_it_is():
    first = Bench()
    await first.put(b"k", b"v")
    second = Bench(first.store)
    second.clock.now_s += 59
    assert await second.cache.look_up([b"k"]) == {b"k": b"v"}
    second.clock.now_s += 1
    assert second.cache.get(b"k") is None
    assert await second.cache.look_up([b"k"]) == {}
    # And a shorter ttl_s than that of who wrote it counts.
    third = Bench(first.store, ttl_s=10)
    third.clock.now_s += 11
    assert await third.cache.look_up([b"k"]) == {}


async def test_what_is_no_record_in_the_store_is_no_answer():
    bench = Bench()
    bench.store.records = {
        b"a": b"",
        b"b": b"somebody else's",
        b"c": write_record(b"another key", b"v", int(bench.clock.now_s)),
    }
    assert await bench.cache.look_up([b"a", b"b", b"c"]) == {}


async def test_what_shall_not_last_is_in_memory_only():
    bench = Bench()
    await bench.put(b"k", b"v", lasting=False)
    assert bench.cache.get(b"k") == b"v" and bench.store.writes == 0


async def test_a_long_answer_is_not_kept():
    bench = Bench()
    await bench.put(b"k", b"v" * (MAX_VALUE_BYTES + 1))
    assert bench.cache.entries == 0 and not bench.store.records


async def test_all_is_forgotten_here_and_in_the_store():
    bench = Bench()
    await bench.put(b"k", b"v")
    assert bench.store.records
    await bench.cache.forget_all()
    assert bench.cache.get(b"k") is None and bench.cache.entries == 0
    assert not bench.store.records and await bench.cache.look_up([b"k"]) == {}
    # What was asked before is not put in.
    bench.cache.put({b"k": b"old"}, 0, lasting=True)
    await settle()
    assert bench.cache.get(b"k") is None and not bench.store.records


async def test_a_look_that_began_before_all_was_forgotten_finds_nothing():
    bench = Bench()
    await bench.put(b"k", b"v")
    bench.cache.forget_memory()
    looking = Spawner()
    found = []

    async def look() -> None:
        found.append(await bench.cache.look_up([b"k"]))

    bench.store.gate.clear()
    looking(look())
    await settle()
    bench.cache.forget_memory()
    bench.store.gate.set()
    await settle()
    assert found == [{}] and bench.cache.get(b"k") is None


async def test_what_is_looked_up_while_the_store_is_forgetting_does_not_stay():
    bench = Bench()
    await bench.put(b"k", b"v")
    bench.store.gate.clear()
    forgetting = Spawner()
    forgetting(bench.cache.forget_all())
    await settle()
    bench.store.gate.set()
    bench.cache._memory.put(b"k", b"v", 2**32 - 1)  # as a look does that is sooner
    await settle()
    assert not bench.store.records and bench.cache.get(b"k") is None


async def test_other_processes_see_that_all_was_forgotten():
    first, second = Bench(), None
    await first.put(b"k", b"v")
    second = Bench(first.store)
    await second.cache.look_up([b"k"])
    await first.cache.forget_all()
    assert second.cache.get(b"k") == b"v"  # not yet
    second.clock.now_s += 1
    second.cache.watch()
    await settle()
    assert second.cache.get(b"k") is None
    # A look sees it as well.
    await first.put(b"k", b"new")
    assert await second.cache.look_up([b"k"]) == {b"k": b"new"}


async def test_without_its_store_forgetting_is_an_error_and_is_made_good():
    bench = Bench()
    await bench.put(b"k", b"v")
    bench.store.fails = "no route"
    with pytest.raises(StoreFailed, match="no route"):
        await bench.cache.forget_all()
    assert bench.cache.get(b"k") is None and not bench.cache.has_store
    bench.store.fails = None
    await settle()
    bench.pauses.end()
    await settle()
    assert bench.cache.has_store and not bench.store.records


async def test_closing_writes_what_waits():
    bench = Bench()
    bench.cache.put({b"k": b"v"}, 0, lasting=True)
    await bench.cache.close()
    assert bench.store.records and bench.store.is_closed
    await Cache(1 << 20, 60).close()


_A_MILLION = """
import sys
from pathlib import Path
from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.records import digest_of

def rss_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

cache, seen = Cache(int(sys.argv[1]), 3600), []
for first in range(0, 1_000_000, 25):
    keys = [bytes(16) + digest_of(b"%d" % n) for n in range(first, first + 25)]
    cache.put({key: b"%09d" % first for key in keys}, 0, lasting=True)
    if first % 100_000 == 0:
        seen.append(rss_bytes())
print(max(seen) - seen[0], cache.size_bytes, cache.entries)
"""


def test_memory_is_flat_over_a_million_texts():
    limit = 32 << 20
    command = [sys.executable, "-c", _A_MILLION, str(limit)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, counted, entries = map(int, said.stdout.split())
    assert 0.85 * limit < counted <= limit
    assert grown < 1.1 * limit
    assert entries > 120_000
