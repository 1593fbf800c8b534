"""A store in Valkey or Redis, shared by all proxies that name it.

Every key holds the number of the generation. To forget everything is to count on: old
keys are never read again, and go by their time to live.
"""

import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from aurora_ml_proxy.config import ConfigError
from aurora_ml_proxy.evaluate.store import Reading, StoreFailed

T = TypeVar("T")

PREFIX = b"aurora-ml-proxy:"
"""In front of every key of ours."""

_GENERATION = PREFIX + b"generation"

_SCHEMES = {"valkey://": "redis://", "valkeys://": "rediss://"}
"""The redis package knows the old names only."""


class Valkey:
    """A `Store` over the network.

    Generations are times in milliseconds: where the number is lost (a restart without
    its data, an eviction), whoever remembers it puts it back, and the greatest wins.
    """

    name = "valkey"
    patience_s = 0.5

    def __init__(self, url: str, ttl_s: float) -> None:
        """Connects when it is first used. Raises: ConfigError."""
        self._ttl_s = max(1, int(ttl_s))
        self._generation = 0
        """The greatest that was seen; 0 before the first."""
        for ours, theirs in _SCHEMES.items():
            if url.startswith(ours):
                url = theirs + url[len(ours) :]
        try:
            self._client: Any = Redis.from_url(
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,  # `stored` has a clock of its own
                socket_connect_timeout=None,
                client_name="aurora-ml-proxy",
            )
        except (ValueError, RedisError):
            # Its message may hold the password.
            raise ConfigError("cache.url: not a URL of Valkey or Redis") from None

    async def read(self, keys: Sequence[bytes]) -> Reading:
        """See `Store`."""
        return await _translated(self._read(keys))

    async def write(self, generation: int, records: Mapping[bytes, bytes]) -> None:
        """See `Store`."""
        await _translated(self._write(generation, records))

    async def forget_all(self) -> int:
        """See `Store`."""
        return await _translated(self._forget_all())

    async def close(self) -> None:
        """See `Store`."""
        try:
            await self._client.aclose()
        except (RedisError, OSError):
            pass

    async def _read(self, keys: Sequence[bytes]) -> Reading:
        if not self._generation:
            await self._client.set(_GENERATION, _now_ms(), nx=True)
            self._generation = _number(await self._client.get(_GENERATION))
        generation = self._generation
        names = [_name(generation, key) for key in keys]
        said, *records = await self._client.mget([_GENERATION, *names])
        current = _number(said)
        if current > generation:
            self._generation = current
            return Reading(current, {})
        if current < generation:
            await self._client.set(_GENERATION, generation)
        found = {k: r for k, r in zip(keys, records, strict=True) if r is not None}
        return Reading(generation, found)

    async def _write(self, generation: int, records: Mapping[bytes, bytes]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, record in records.items():
            pipeline.set(_name(generation, key), record, ex=self._ttl_s)
        await pipeline.execute()

    async def _forget_all(self) -> int:
        known = max(self._generation, _number(await self._client.get(_GENERATION)))
        generation = max(_now_ms(), known + 1)
        await self._client.set(_GENERATION, generation)
        self._generation = generation
        return generation


def _name(generation: int, key: bytes) -> bytes:
    return b"%b%d:%b" % (PREFIX, generation, key)


def _number(value: bytes | None) -> int:
    return int(value or 0)


def _now_ms() -> int:
    return int(time.time() * 1000)


async def _translated(work: Awaitable[T]) -> T:
    try:
        return await work
    except (RedisError, OSError, ValueError) as error:
        raise StoreFailed(f"{type(error).__name__}: {error}") from None
