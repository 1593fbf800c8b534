"""A `Store` in memory, complete, that fails or stalls when a test says so."""

import asyncio
from collections.abc import Mapping, Sequence

from aurora_ml_proxy.evaluate.store import Reading, StoreFailed


class FakeStore:
    """Records in a dict; several caches may share it."""

    name = "fake"
    patience_s = 0.05

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.generation = 1
        self.reads: list[list[bytes]] = []
        self.writes = 0
        self.fails: str | None = None
        self.cannot_write: str | None = None
        self.raises: Exception | None = None
        """A mistake of its own."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_closed = False

    async def _work(self) -> None:
        await self.gate.wait()
        if self.raises is not None:
            raise self.raises
        if self.fails is not None:
            raise StoreFailed(self.fails)

    async def read(self, keys: Sequence[bytes]) -> Reading:
        self.reads.append(list(keys))
        await self._work()
        found = {key: self.records[key] for key in keys if key in self.records}
        return Reading(self.generation, found)

    async def write(self, generation: int, records: Mapping[bytes, bytes]) -> None:
        self.writes += 1
        await self._work()
        if self.cannot_write is not None:
            raise StoreFailed(self.cannot_write)
        if generation == self.generation:
            self.records.update(records)

    async def forget_all(self) -> int:
        await self._work()
        self.records.clear()
        self.generation += 1
        return self.generation

    async def close(self) -> None:
        self.is_closed = True


class Pauses:
    """`sleep` that a test ends."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self._waiting: list[asyncio.Event] = []

    async def __call__(self, seconds: float) -> None:
        self.asked_s.append(seconds)
        event = asyncio.Event()
        self._waiting.append(event)
        await event.wait()

    def end(self) -> None:
        """Every pause is over."""
        for event in self._waiting:
            event.set()
        self._waiting.clear()
