"""The contract, kept by every store there is."""

import time

import pytest
from support.stores import FakeStore

from aurora_ml_proxy.evaluate.disk import Disk
from aurora_ml_proxy.evaluate.records import write_record
from aurora_ml_proxy.evaluate.valkey import Valkey

KEYS = [b"\0" * 48, b"\xff" * 48, b"a:b\r\n%s", b"k"]


def record(key: bytes, value: bytes = b"value") -> bytes:
    return write_record(key, value, int(time.time()))


@pytest.fixture(params=["fake", "disk", "valkey"])
async def new_store(request, tmp_path):
    """`new_store()`: one more view on the same store, as another process has it."""
    made = []
    shared = FakeStore()
    if request.param == "valkey":
        url = request.getfixturevalue("valkey").url

    def new():
        match request.param:
            case "disk":
                store = Disk(tmp_path / "answers.sqlite", 1 << 20, 3600)
            case "valkey":
                store = Valkey(url, 3600)
            case _:
                store = shared
        made.append(store)
        return store

    yield new
    for store in made:
        await store.close()


async def test_what_was_written_is_read_by_every_process(new_store):
    first, second = new_store(), new_store()
    before = await second.read(KEYS)
    assert before.records == {}
    records = {key: record(key) for key in KEYS}
    await first.write((await first.read(())).generation, records)
    for store in (first, second, new_store()):
        reading = await store.read([*KEYS, b"unknown"])
        assert reading.records == records
        assert reading.generation == before.generation


async def test_the_later_record_of_a_key_counts(new_store):
    store = new_store()
    generation = (await store.read(())).generation
    for value in (b"1", b"2"):
        await store.write(generation, {b"k": record(b"k", value)})
    assert (await store.read([b"k"])).records == {b"k": record(b"k", b"2")}


async def test_thousands_of_keys_at_once(new_store):
    store = new_store()
    records = {b"%d" % n: record(b"%d" % n) for n in range(3_000)}
    await store.write((await store.read(())).generation, records)
    assert (await store.read(list(records))).records == records


async def test_all_is_forgotten_for_every_process(new_store):
    first, second = new_store(), new_store()
    old = (await second.read(())).generation
    await first.write((await first.read(())).generation, {b"k": record(b"k")})
    new = await first.forget_all()
    assert new > old
    for store in (first, second, new_store()):
        reading = await store.read([b"k"])
        assert reading.records == {} and reading.generation == new


async def test_what_is_written_for_an_old_generation_is_never_read(new_store):
    first, second = new_store(), new_store()
    old = (await second.read(())).generation
    await first.forget_all()
    await second.write(old, {b"k": record(b"k")})
    for store in (first, second, new_store()):
        assert (await store.read([b"k"])).records == {}
        assert (await store.read([b"k"])).records == {}


async def test_forgetting_twice_is_a_generation_each(new_store):
    first, second = new_store(), new_store()
    generations = [await s.forget_all() for s in (first, second, first)]
    assert generations == sorted(set(generations))
    assert (await second.read(())).generation == generations[-1]
