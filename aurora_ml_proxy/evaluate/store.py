"""The contract of a store: where answers live longer than a process, or are shared.

A store may be slow, dead or full of somebody else's data: `stored` deals with that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class StoreFailed(Exception):
    """A store did not do what it was asked; the message has no keys in it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a store knows of some keys."""

    generation: int
    """Grows whenever somebody, in any process, has made the store forget everything."""
    records: dict[bytes, bytes]
    """By key; a key that is not known is left out."""


class Store(Protocol):
    """Records by key."""

    name: str
    patience_s: float
    """Seconds after which it is not worth waiting for."""

    async def read(self, keys: Sequence[bytes]) -> Reading:
        """Look keys up; without keys, only see the generation. Raises: StoreFailed."""
        ...

    async def write(self, generation: int, records: Mapping[bytes, bytes]) -> None:
        """Keep records, if the generation is still this one. Raises: StoreFailed."""
        ...

    async def forget_all(self) -> int:
        """Forget every record; the new generation. Raises: StoreFailed."""
        ...

    async def close(self) -> None:
        """Give back what it holds. Raises nothing."""
        ...
