"""Places for calls, shared fairly: who has the fewest calls under way is next.

A statement with a million texts does not starve one with ten. Among those with equally
many it is first come, first served.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Owner = object
"""A statement, as itself."""


class Places:
    """So many calls at one time; the number may change at any time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: dict[Owner, int] = {}
        self._count = 0
        self._waiting: dict[Owner, deque[asyncio.Future[None]]] = {}
        """In the order in which they came, or had their last turn."""
        self._pause: asyncio.TimerHandle | None = None
        self._paused_until_s = 0.0
        """By the loop's clock; uvloop's handles do not tell."""

    @property
    def taken(self) -> int:
        """Places that are held."""
        return self._count

    @property
    def limit(self) -> int:
        """Places that there are. Those that are held beyond it are not taken back."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._hand_out()

    def pause(self, seconds: float) -> None:
        """Give nobody a place for some time; the longest of several counts."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        if self._pause is not None:
            if self._paused_until_s >= until_s:
                return
            self._pause.cancel()
        self._paused_until_s = until_s
        self._pause = loop.call_at(until_s, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._hand_out()

    @asynccontextmanager
    async def place(self, owner: Owner) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._give_up(owner, turn)
            else:
                self._give_back(owner)  # its turn has come at the same moment
            raise
        try:
            yield
        finally:
            self._give_back(owner)

    def _give_up(self, owner: Owner, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(owner)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[owner]

    def _give_back(self, owner: Owner) -> None:
        self._count -= 1
        left = self._taken.pop(owner) - 1
        if left:
            self._taken[owner] = left
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._count < self._limit and self._pause is None:
            owner = min(self._waiting, key=lambda owner: self._taken.get(owner, 0))
            waiting = self._waiting.pop(owner)
            turn = waiting.popleft()
            if waiting:
                self._waiting[owner] = waiting  # behind the others
            if turn.cancelled():
                continue  # and has not yet run to give up
            self._count += 1
            self._taken[owner] = self._taken.get(owner, 0) + 1
            turn.set_result(None)
