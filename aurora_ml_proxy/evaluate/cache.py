"""Answers to what was asked before, by any statement: in memory, and in a store if set.

A key is opaque bytes, a value is bytes: of which function an answer is, is none of its
business. Failures are no answers and are never put in.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from aurora_ml_proxy import metrics
from aurora_ml_proxy.evaluate.memory import Memory
from aurora_ml_proxy.evaluate.outlook import Outlook
from aurora_ml_proxy.evaluate.records import read_record, write_record
from aurora_ml_proxy.evaluate.stored import StoredAnswers

MAX_VALUE_BYTES = 64 << 10
"""A longer answer is not kept: it would drive out hundreds of others."""


class Cache:
    """The answers of one process."""

    def __init__(
        self,
        memory_bytes: int,
        ttl_s: float,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.epoch = 0
        """Grows whenever everything is forgotten: what was asked under an older one is
        not put in."""
        self.stored: StoredAnswers | None = None
        """Where a look takes time; set once."""
        self.outlook = Outlook()
        self._memory = Memory(memory_bytes)
        self._ttl_s = ttl_s
        self._clock = clock

    @property
    def entries(self) -> int:
        """Answers in memory."""
        return len(self._memory)

    @property
    def size_bytes(self) -> int:
        """What they take, about."""
        return self._memory.size_bytes

    @property
    def has_store(self) -> bool:
        """Whether `look_up` may find more than `get`."""
        return self.stored is not None and self.stored.is_up

    def get(self, key: bytes) -> bytes | None:
        """The answer, if it is in memory."""
        return self._memory.get(key, self._clock())

    async def look_up(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The answers that the store has. Raises nothing, and takes a bounded time."""
        if self.stored is None:
            return {}
        epoch = self.epoch
        records = await self.stored.look_up(keys)
        if epoch != self.epoch:
            return {}  # they may be from before everything was forgotten
        now_s = self._clock()
        found: dict[bytes, bytes] = {}
        for key, record in records.items():
            read = read_record(key, record)
            if read is None:
                continue
            value, given_s = read
            if given_s + self._ttl_s > now_s:
                found[key] = value
                self._memory.put(key, value, int(given_s + self._ttl_s))
        self._show()
        return found

    def put(self, answers: Mapping[bytes, bytes], epoch: int, *, lasting: bool) -> None:
        """Keep answers.

        Args:
            epoch: the one under which they were asked for.
            lasting: whether they go into the store as well.
        """
        if epoch != self.epoch:
            return
        now_s = int(self._clock())
        records = {}
        for key, value in answers.items():
            if len(value) > MAX_VALUE_BYTES:
                continue
            self._memory.put(key, value, int(now_s + self._ttl_s))
            records[key] = write_record(key, value, now_s)
        if lasting and self.stored is not None:
            self.stored.keep(records)
        self._show()

    def watch(self) -> None:
        """See soon whether another proxy has made the store forget everything."""
        if self.stored is not None:
            self.stored.watch()

    def forget_memory(self) -> None:
        """Forget what this process knows by heart."""
        self.epoch += 1
        self._memory.clear()
        self._show()

    async def forget_all(self) -> None:
        """Forget every answer, here, in the store, and in every proxy that uses it.

        Raises: StoreFailed, when the store could not be told; it is told later, and not
            asked before.
        """
        self.forget_memory()
        if self.stored is not None:
            await self.stored.forget_all()
            self.forget_memory()  # what came in meanwhile

    async def close(self) -> None:
        """Write what waits to be written."""
        if self.stored is not None:
            await self.stored.close()

    def _show(self) -> None:
        metrics.CACHE_ENTRIES.set(len(self._memory))
        metrics.CACHE_BYTES.set(self._memory.size_bytes)
        if self._memory.evicted:
            metrics.CACHE_EVICTIONS.inc(self._memory.evicted)
            self._memory.evicted = 0
