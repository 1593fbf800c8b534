"""What the calls of one backend share, over all statements and connections.

The lane that they take, the texts that are on their way, and the answers that a cache
has kept.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from aurora_ml_proxy import metrics
from aurora_ml_proxy.backends import Backend
from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.flights import Flight, Flights
from aurora_ml_proxy.evaluate.lane import Lane
from aurora_ml_proxy.evaluate.records import (
    read_sentiment,
    scope_of,
    write_sentiment,
)
from aurora_ml_proxy.evaluate.tally import PROCESS, Tally
from aurora_ml_proxy.functions import MAX_BATCH_BYTES, Answer, Sentiment

MAX_ATTEMPTS = 6
"""Tries for one call. With back-off between them a throttled call goes on for a quarter
of a minute, half as long as a statement waits for it."""


class Engine:
    """Answers from one backend. Without a cache, statements share nothing but the lane.

    Args of the constructor:
        max_attempts: tries for one call, the first one included.
        max_batch_bytes: of texts, in one call.
        tally: where everything is counted, besides where each session is.
    """

    def __init__(
        self,
        backend: Backend,
        concurrency: int,
        cache: Cache | None = None,
        *,
        max_attempts: int = MAX_ATTEMPTS,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        tally: Tally = PROCESS,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.backend = backend
        self.cache = cache
        self.flights = Flights()
        self.lane = Lane(backend, concurrency)
        self.max_attempts = max_attempts
        self.max_batch_bytes = max_batch_bytes
        self.tally = tally
        self.sleep = sleep
        self.chance = chance
        self._scopes: dict[str, bytes] = {}

    @property
    def concurrency(self) -> int:
        """Calls that may be under way at this time."""
        return self.lane.places.limit

    @property
    def is_instant(self) -> bool:
        """Whether the backend's answers cost nothing."""
        return self.backend.is_instant

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
        return cache is not None and cache.has_store and not self.is_instant

    def key(self, digest: bytes, language: str) -> bytes:
        """What the cache knows the answer to a text by."""
        scope = self._scopes.get(language)
        if scope is None:
            scope = scope_of("sentiment", *self.backend.identity, language)
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
            self.cache.put(kept, flights[0].epoch, lasting=not self.is_instant)

    async def close(self) -> None:
        """Give back what the backend holds."""
        await self.backend.close()
