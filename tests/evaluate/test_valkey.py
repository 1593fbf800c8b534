"""A real server that dies, stalls, forgets and is full; a fake one would be too kind."""

import asyncio
import contextlib
import time

import pytest

from aurora_ml_proxy.config import ConfigError
from aurora_ml_proxy.evaluate.records import write_record
from aurora_ml_proxy.evaluate.store import StoreFailed
from aurora_ml_proxy.evaluate.valkey import PREFIX, Valkey

KEY = b"k" * 48
RECORD = write_record(KEY, b"value", 1)


@pytest.fixture
async def new_store(valkey):
    made = []

    def new(ttl_s: float = 3600) -> Valkey:
        made.append(Valkey(valkey.url, ttl_s))
        return made[-1]

    yield new
    for store in made:
        await store.close()


async def written(store: Valkey) -> int:
    generation = (await store.read(())).generation
    await store.write(generation, {KEY: RECORD})
    return generation


async def test_every_key_has_our_prefix_and_a_time_to_live(valkey, new_store):
    generation = await written(new_store(ttl_s=90))
    name = b"%b%d:%b" % (PREFIX, generation, KEY)
    ttl = int(valkey.ask(b"TTL", name).strip(b":\r\n"))
    assert 80 <= ttl <= 90
    assert valkey.ask(b"DBSIZE") == b":2\r\n"


async def test_nobody_listens(valkey, new_store):
    store = new_store()
    await written(store)
    valkey.stop()
    for _ in range(2):
        with pytest.raises(StoreFailed, match="Error"):
            await store.read([KEY])
    with pytest.raises(StoreFailed):
        await store.write(1, {KEY: RECORD})
    valkey.start()
    assert (await store.read([KEY])).records == {}


async def test_a_look_that_was_given_up_leaves_no_reply_for_the_next(valkey, new_store):
    store = new_store()
    await written(store)
    valkey.freeze()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store.read([KEY])
    valkey.thaw()
    assert (await store.read([b"another"])).records == {}
    assert (await store.read([KEY])).records == {KEY: RECORD}


async def test_a_restart_without_its_data_forgets_nothing_elsewhere(valkey, new_store):
    """Who has the answers in memory keeps them: the generation is put back."""
    first, second = new_store(), new_store()
    generation = await written(first)
    assert (await second.read(())).generation == generation
    valkey.stop()
    valkey.start()
    for store in (first, second):
        with contextlib.suppress(StoreFailed):
            await store.read(())  # on a connection that is gone
    for store in (first, second, new_store()):
        assert (await store.read([KEY])).generation == generation


async def test_who_knows_a_newer_generation_puts_it_back(valkey, new_store):
    old, new = new_store(), new_store()
    before = await written(old)
    after = await new.forget_all()
    valkey.ask(b"DEL", PREFIX + b"generation")
    assert (await old.read([KEY])).generation == before  # it does not know better
    assert (await new.read([KEY])).generation == after
    assert await old.read([KEY]) == await new.read([KEY])
    assert (await old.read([KEY])).generation == after


@pytest.mark.parametrize("value", [b"nonsense", b"", b"-1", b"1.5"])
async def test_a_generation_that_is_none_is_a_failure_or_put_right(
    valkey, new_store, value
):
    store = new_store()
    generation = await written(store)
    valkey.ask(b"SET", PREFIX + b"generation", value)
    try:
        assert await store.read([KEY]) == await store.read([KEY])
        assert (await store.read([KEY])).generation == generation
    except StoreFailed:
        pass


async def test_a_full_server_is_a_failure_to_write_and_is_read(valkey, new_store):
    store = new_store()
    generation = await written(store)
    valkey.ask(b"CONFIG", b"SET", b"maxmemory-policy", b"noeviction")
    valkey.ask(b"CONFIG", b"SET", b"maxmemory", b"1")
    try:
        with pytest.raises(StoreFailed):
            await store.write(generation, {b"x": RECORD})
        assert (await store.read([KEY])).records == {KEY: RECORD}
    finally:
        valkey.ask(b"CONFIG", b"SET", b"maxmemory", b"0")


async def test_a_password_is_asked_for_and_never_told(valkey):
    valkey.ask(b"CONFIG", b"SET", b"requirepass", b"hidden")
    try:
        address = f"127.0.0.1:{valkey.port}"
        right = Valkey(f"valkey://:hidden@{address}/0", 60)
        assert (await right.read(())).records == {}
        await right.close()
        for url in (f"redis://{address}", f"redis://:wrong@{address}/0"):
            store = Valkey(url, 60)
            with pytest.raises(StoreFailed) as failure:
                await store.read(())
            assert "hidden" not in str(failure.value)
            assert "wrong@" not in str(failure.value)
            await store.close()
    finally:
        right = Valkey(f"valkey://:hidden@{address}/0", 60)
        await right._client.config_set("requirepass", "")
        await right.close()


@pytest.mark.parametrize("url", ["http://u:hidden@h", "valkey", "", "redis://h:hidden/0"])
def test_a_wrong_url_is_told_without_itself(url):
    with pytest.raises(ConfigError, match=r"^cache\.url: ") as failure:
        Valkey(url, 60)
    assert "hidden" not in str(failure.value)


async def test_times_are_the_generations(valkey, new_store):
    before = int(time.time() * 1000)
    generation = (await new_store().read(())).generation
    assert before <= generation <= int(time.time() * 1000)
