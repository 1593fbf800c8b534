"""The calls of one backend, over all statements and connections: what they share.

A place for each call, first come first, the texts that are on their way, and the answers
that a cache has kept.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from aurora_ml_proxy import metrics
from aurora_ml_proxy.backends import Backend
from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.flights import Flight, Flights
from aurora_ml_proxy.evaluate.records import (
    read_sentiment,
    scope_of,
    write_sentiment,
)
from aurora_ml_proxy.functions import Answer, Failure, Sentiment


class Engine:
    """Lets at most `concurrency` calls of a backend be under way, first come first.

    Without a cache, statements share nothing but the places.
    """

    def __init__(
        self, backend: Backend, concurrency: int, cache: Cache | None = None
    ) -> None:
        self.concurrency = concurrency
        self.cache = cache
        self.flights = Flights()
        self._backend = backend
        self._places = asyncio.Semaphore(concurrency)
        self._scopes: dict[str, bytes] = {}

    @property
    def epoch(self) -> int:
        """The cache's: what was asked under an older one is not kept."""
        return self.cache.epoch if self.cache is not None else 0

    @property
    def has_store(self) -> bool:
        """Whether a look into the cache's store may save a call.

        An instant backend's answers are not there. Measured with the local model, in
        µs of processor a text: asking 26 to 360; 6 more to keep the answer in memory,
        18 more to keep it on a disk; 5 and 8 to find it there.
        """
        cache = self.cache
        return cache is not None and cache.has_store and not self._backend.is_instant

    def key(self, digest: bytes, language: str) -> bytes:
        """What the cache knows the answer to a text by."""
        scope = self._scopes.get(language)
        if scope is None:
            scope = scope_of("sentiment", *self._backend.identity, language)
            self._scopes[language] = scope
        return scope + digest

    def recall(self, key: bytes) -> Sentiment | None:
        """The answer, if it is in the cache's memory."""
        assert self.cache is not None
        value = self.cache.get(key)
        return None if value is None else read_sentiment(value)

    async def look_up(self, keys: Sequence[bytes]) -> dict[bytes, Sentiment]:
        """The answers that the cache's store has. Raises nothing."""
        assert self.cache is not None
        values = await self.cache.look_up(keys)
        read = {key: read_sentiment(value) for key, value in values.items()}
        return {key: answer for key, answer in read.items() if answer is not None}

    def count_store_hits(self, count: int) -> None:
        """For the metrics."""
        assert self.cache is not None and self.cache.stored is not None
        metrics.CACHE_HITS.labels(self.cache.stored.name).inc(count)

    def keep(self, flights: Sequence[Flight], answers: Sequence[Answer]) -> None:
        """Put answers into the cache: never a failure."""
        if self.cache is None:
            return
        kept = {
            flight.key: write_sentiment(answer)
            for flight, answer in zip(flights, answers, strict=True)
            if flight.key is not None and isinstance(answer, Sentiment)
        }
        if kept:
            self.cache.put(kept, flights[0].epoch, lasting=not self._backend.is_instant)

    def place(self) -> AbstractAsyncContextManager[None]:
        """Wait until a call may be made, and hold its place."""
        return self._places

    async def ask(
        self, texts: Sequence[str], language: str, *, single: bool
    ) -> list[Answer]:
        """One call of the backend, in its place: an answer a text, in order."""
        name = self._backend.name
        metrics.CALLS.labels(name).inc()
        metrics.TEXTS.labels(name).inc(len(texts))
        started = time.perf_counter()
        answers = await self._backend.detect_sentiment(texts, language, single=single)
        metrics.CALL_SECONDS.labels(name).observe(time.perf_counter() - started)
        failed = sum(isinstance(answer, Failure) for answer in answers)
        metrics.FAILED_TEXTS.labels(name).inc(failed)
        if len(answers) != len(texts):
            raise AssertionError(f"{name} gave {len(answers)} answers to {len(texts)}")
        return answers

    async def close(self) -> None:
        """Give back what the backend holds."""
        await self._backend.close()
