import pytest
from support.playbook import FakeBackend, Spawner, settle
from support.stores import FakeStore

from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.flights import Flight
from aurora_ml_proxy.evaluate.records import digest_of, write_sentiment
from aurora_ml_proxy.evaluate.stored import StoredAnswers
from aurora_ml_proxy.functions import Failure, Sentiment

NEUTRAL = Sentiment("NEUTRAL", 0.5)


async def test_a_key_tells_texts_languages_and_services_apart():
    def engine(*identity: str) -> Engine:
        backend = FakeBackend()
        backend.identity = identity
        return Engine(backend, 1)

    comprehend = engine("comprehend", "eu-west-1", "http://a")
    keys = [
        comprehend.key(digest_of(b"a"), "en"),
        comprehend.key(digest_of(b"b"), "en"),
        comprehend.key(digest_of(b"a"), "de"),
        engine("comprehend", "eu-west-2", "http://a").key(digest_of(b"a"), "en"),
        engine("comprehend", "eu-west-1", "http://b").key(digest_of(b"a"), "en"),
        engine("vader", "3.3.2", "1").key(digest_of(b"a"), "en"),
    ]
    assert len(set(keys)) == len(keys)
    again = engine("comprehend", "eu-west-1", "http://a")
    assert again.key(digest_of(b"a"), "en") == keys[0]
    assert all(key.endswith(digest_of(b"a")) for key in (keys[0], *keys[2:]))


async def test_sentiments_are_kept_and_failures_and_what_has_no_key_are_not():
    cache = Cache(1 << 20, 60)
    engine = Engine(FakeBackend(), 1, cache)
    flights = [
        Flight(None, None, text, key, 0) for text, key in [("a", b"a"), ("b", b"b")]
    ]
    engine.keep(flights, [NEUTRAL, Failure("X", "no")])
    assert engine.recall(b"a") == NEUTRAL and engine.recall(b"b") is None
    engine.keep([Flight(None, None, "c", None, 0)], [NEUTRAL])
    assert cache.entries == 1
    Engine(FakeBackend(), 1).keep(flights, [NEUTRAL, NEUTRAL])  # without a cache


async def test_what_is_no_sentiment_in_the_cache_is_no_answer():
    cache = Cache(1 << 20, 60)
    engine = Engine(FakeBackend(), 1, cache)
    cache.put({b"a": b"another function's"}, 0, lasting=False)
    assert engine.recall(b"a") is None


@pytest.mark.parametrize("is_instant", [False, True])
async def test_an_instant_backend_is_asked_sooner_than_a_store(is_instant):
    store, spawn, backend = FakeStore(), Spawner(), FakeBackend()
    backend.is_instant = is_instant
    cache = Cache(1 << 20, 60)
    cache.stored = StoredAnswers(store, spawn, cache.forget_memory)
    engine = Engine(backend, 1, cache)
    assert engine.has_store is not is_instant
    engine.keep([Flight(None, None, "a", b"a", 0)], [NEUTRAL])
    await settle()
    assert bool(store.records) is not is_instant
    assert engine.recall(b"a") == NEUTRAL


async def test_looking_up():
    store, spawn = FakeStore(), Spawner()
    cache = Cache(1 << 20, 60)
    cache.stored = StoredAnswers(store, spawn, cache.forget_memory)
    cache.put({b"a": write_sentiment(NEUTRAL), b"b": b"?"}, 0, lasting=True)
    await settle()
    cache.forget_memory()
    engine = Engine(FakeBackend(), 1, cache)
    assert await engine.look_up([b"a", b"b", b"c"]) == {b"a": NEUTRAL}


async def test_closing_closes_the_backend():
    backend = FakeBackend()
    await Engine(backend, 1).close()
    assert backend.is_closed
