"""How many calls may be under way: additive increase, multiplicative decrease.

It is told how calls ended, and keeps a number. It waits for nothing and asks no clock.
"""

from statistics import median

from aurora_ml_proxy.functions import Cause

DECREASE = 0.7
"""What is left of the pace when there were too many calls (CUBIC's β, RFC 9438): a
service that takes half as many is found in two steps, and most of it is used between."""

TIMES_SLOWER = 3.0
AT_LEAST_SLOWER_S = 0.5
"""A service is overloaded when calls take three times as long as usual, and half a second
more: texts of 5,000 bytes take longer than short ones, and are no reason."""

WINDOW = 8
"""Calls whose median is compared, so that one that hangs decides nothing."""

FORGETTING = 1.1
"""How fast the usual time follows a service that has become slower for good: three times
as slow is usual after twelve windows."""


class Pace:
    """The number of calls, between 1 and a ceiling. It begins at the ceiling."""

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._limit = float(ceiling)
        self._slowed_s = float("-inf")
        """When it went down last: calls that began before say nothing of the new pace."""
        self._usual_s: float | None = None
        self._seconds: list[float] = []

    @property
    def limit(self) -> int:
        """Calls at one time."""
        return max(1, int(self._limit))

    def ended(self, cause: Cause | None, began_s: float, ended_s: float) -> None:
        """A call has ended.

        Args:
            cause: why it failed; None when it did not.
        """
        if began_s < self._slowed_s:
            return
        if cause is Cause.THROTTLED:
            self._slow_down(ended_s)
            return
        self._seconds.append(ended_s - began_s)
        if len(self._seconds) >= max(WINDOW, self.limit) and self._is_slow():
            self._slow_down(ended_s)
        elif cause is None:
            self._limit = min(self._ceiling, self._limit + 1 / self._limit)

    def _slow_down(self, now_s: float) -> None:
        self._limit = max(1.0, self._limit * DECREASE)
        self._slowed_s = now_s
        self._seconds.clear()

    def _is_slow(self) -> bool:
        """Whether the calls of this window took too long; begins the next."""
        median_s = median(self._seconds)
        self._seconds.clear()
        usual_s = median_s if self._usual_s is None else self._usual_s
        self._usual_s = min(median_s, usual_s * FORGETTING)
        more_s = median_s - usual_s
        return more_s > AT_LEAST_SLOWER_S and median_s > TIMES_SLOWER * usual_s
