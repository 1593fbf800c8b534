"""A store behind the cache's memory, kept at a distance: no statement fails by it.

Reading has a time limit; writing happens behind the statements' backs. A store that
fails is left alone, and tried again in the background, until it answers.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from aurora_ml_proxy import metrics
from aurora_ml_proxy.evaluate.store import Store, StoreFailed

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_QUEUED = 10_000
"""Answers that wait to be written; more of them are not kept in the store."""

WRITTEN_AT_ONCE = 500

READ_AT_ONCE = 4
"""Reads under way at one time."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""Seconds between two tries to reach a store that has failed."""

WATCH_EVERY_S = 1.0
"""Seconds after which it is seen, at the latest, that another proxy has made the store
forget everything, while statements come."""

FORGETTING_S = 30.0
"""Seconds that forgetting everything may take."""

CLOSING_S = 2.0
"""Seconds for what is not written yet when the proxy ends."""


class StoredAnswers:
    """The records of a store, as far as they can be had."""

    def __init__(
        self,
        store: Store,
        spawn: Callable[[Coroutine[Any, Any, None]], Any],
        on_forgotten: Callable[[], None],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = store.name
        self.is_up = True
        """Whether it is worth asking."""
        self._store = store
        self._spawn = spawn
        self._on_forgotten = on_forgotten
        """Called when another process has made the store forget everything."""
        self._sleep = sleep
        self._clock = clock
        self._generation: int | None = None
        self._queue: dict[bytes, bytes] = {}
        self._is_writing = False
        self._places = asyncio.Semaphore(READ_AT_ONCE)
        self._seen_s = clock()
        self._is_watching = False
        self._pause_s = FIRST_PAUSE_S
        self._owes_forgetting = False
        """Whether it was down when it should have forgotten."""

    async def look_up(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The records of those keys that are known. Raises nothing."""
        async with self._places:
            if not self.is_up:
                return {}
            self._seen_s = self._clock()
            try:
                reading = await self._in_time(self._store.read(keys))
            except StoreFailed as failure:
                self._fell(failure)
                return {}
        if keys:
            self._pause_s = FIRST_PAUSE_S
        self._saw(reading.generation)
        return reading.records

    def keep(self, records: Mapping[bytes, bytes]) -> None:
        """Write records some time soon."""
        if len(self._queue) + len(records) > MAX_QUEUED:
            metrics.CACHE_UNWRITTEN.labels(self.name).inc(len(records))
            return
        self._queue.update(records)
        self._write_soon()

    def watch(self) -> None:
        """See soon whether another process has made the store forget everything."""
        is_due = self._clock() - self._seen_s >= WATCH_EVERY_S
        if self.is_up and is_due and not self._is_watching:
            self._is_watching = True
            self._spawn(self._watch())

    async def forget_all(self) -> None:
        """Let the store forget everything, for all processes that use it.

        Raises: StoreFailed; it is then done before the store is asked again.
        """
        self._queue.clear()
        self._owes_forgetting = True
        if not self.is_up:
            raise StoreFailed("it does not answer")
        try:
            await self._forget()
        except StoreFailed as failure:
            self._fell(failure)
            raise

    async def close(self) -> None:
        """Write what waits, as far as that is quickly done, and close the store."""
        try:
            async with asyncio.timeout(CLOSING_S):
                while self._queue and self.is_up and await self._write_some():
                    pass
        except TimeoutError:
            pass
        if self._queue:
            metrics.CACHE_UNWRITTEN.labels(self.name).inc(len(self._queue))
            log.warning("%d answers were not written to %s", len(self._queue), self.name)
        self.is_up = False
        await self._store.close()

    def _saw(self, generation: int) -> None:
        known, self._generation = self._generation, generation
        if known is not None and known != generation:
            self._queue.clear()
            self._on_forgotten()

    async def _watch(self) -> None:
        try:
            await self.look_up(())
        finally:
            self._is_watching = False

    async def _forget(self) -> None:
        self._generation = await self._in_time(self._store.forget_all(), FORGETTING_S)
        self._owes_forgetting = False

    # Writing.

    def _write_soon(self) -> None:
        if self._queue and self.is_up and not self._is_writing:
            self._is_writing = True
            self._spawn(self._write())

    async def _write(self) -> None:
        pause_s = FIRST_PAUSE_S
        try:
            while self._queue and self.is_up:
                if await self._write_some():
                    pause_s = FIRST_PAUSE_S
                else:
                    await self._sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._is_writing = False

    async def _write_some(self) -> bool:
        """Whether it worked; what is not written is queued again.

        A store that cannot be written to, because it is full, may still be read.
        """
        if self._generation is None:
            await self.look_up(())
            return self._generation is not None
        generation = self._generation
        keys = list(islice(self._queue, WRITTEN_AT_ONCE))
        records = {key: self._queue.pop(key) for key in keys}
        is_written = False
        try:
            await self._in_time(self._store.write(generation, records))
            is_written = True
        except StoreFailed as failure:
            metrics.CACHE_FAILURES.labels(self.name).inc()
            log.warning("the cache cannot write to %s for now: %s", self.name, failure)
        finally:
            if not is_written and generation == self._generation:
                self._queue = {**records, **self._queue}
        return is_written

    # Failing.

    async def _in_time(
        self, work: Coroutine[Any, Any, T], patience_s: float | None = None
    ) -> T:
        """What the store does. Raises: StoreFailed, whatever is wrong."""
        try:
            async with asyncio.timeout(patience_s or self._store.patience_s):
                return await work
        except StoreFailed:
            raise
        except TimeoutError:
            raise StoreFailed("it takes too long") from None
        except Exception as error:
            log.debug("a mistake in %s", self.name, exc_info=True)
            raise StoreFailed(type(error).__name__) from None

    def _fell(self, failure: StoreFailed) -> None:
        metrics.CACHE_FAILURES.labels(self.name).inc()
        if self.is_up:
            self.is_up = False
            log.warning("the cache does without %s for now: %s", self.name, failure)
            self._spawn(self._revive())

    async def _revive(self) -> None:
        """Try it until it answers."""
        while True:
            await self._sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            try:
                if self._owes_forgetting:
                    await self._forget()
                reading = await self._in_time(self._store.read(()))
                break
            except StoreFailed:
                metrics.CACHE_FAILURES.labels(self.name).inc()
        self.is_up = True
        log.info("the cache uses %s again", self.name)
        self._saw(reading.generation)
        self._write_soon()
