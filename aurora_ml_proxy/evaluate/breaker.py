"""A circuit breaker: a backend that is down is left alone, and asked again by and by.

It is told how calls ended, and says whether the next may be made. It waits for nothing
and asks no clock.
"""

from dataclasses import replace
from enum import IntEnum

from aurora_ml_proxy.functions import Cause, Failure

FAILURES = 10
FAILING_S = 3.0
"""A backend is down when ten calls in a row have failed, over three seconds: a load
balancer that drops its connections once is no reason, and back-off gets over it."""

REST_S = 5.0
MAX_REST_S = 60.0
"""It is left alone for five seconds, and twice as long each time that it fails again."""


class State(IntEnum):
    """What becomes of calls. The numbers are those of the metric."""

    CLOSED = 0
    """They are made."""
    PROBING = 1
    """One is under way to find out; others wait for it."""
    OPEN = 2
    """They fail at once; after the rest, the next one probes."""


class Breaker:
    """The state of one backend."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self._failures = 0
        self._first_failed_s = 0.0
        self._rest_s = REST_S
        self._opened_s = 0.0
        self._last: Failure | None = None

    @property
    def is_probing(self) -> bool:
        """Whether it is worth to wait for the call under way."""
        return self.state is State.PROBING

    def refusal(self, now_s: float) -> Failure | None:
        """Why a call is not made; None lets it be made, and tell how it `ended`."""
        if self.state is State.CLOSED:
            return None
        if self.state is State.OPEN and now_s >= self._opened_s + self._rest_s:
            self.state = State.PROBING
            return None
        assert self._last is not None
        message = (
            f"{self._last.message}; after {FAILURES} failures in a row it is left alone, "
            "and tried again within a minute"
        )
        return replace(self._last, message=message, cause=Cause.LASTING)

    def ended(self, failure: Failure | None, began_s: float, now_s: float) -> None:
        """A call has ended.

        Args:
            failure: why it failed as a whole; None when the service gave an answer.
        """
        if failure is None or failure.cause is not Cause.PASSING:
            # Whatever it said, it is there.
            self.state = State.CLOSED
            self._failures = 0
            self._rest_s = REST_S
            return
        self._last = failure
        if self.state is not State.CLOSED:
            if self.state is State.PROBING and began_s >= self._opened_s + self._rest_s:
                self._rest_s = min(2 * self._rest_s, MAX_REST_S)
                self._open(now_s)
            return
        if not self._failures:
            self._first_failed_s = now_s
        self._failures += 1
        if self._failures >= FAILURES and now_s >= self._first_failed_s + FAILING_S:
            self._open(now_s)

    def abandoned(self) -> None:
        """A call was given up before it ended. If it was the probe, the next one is."""
        if self.state is State.PROBING:
            self.state = State.OPEN

    def _open(self, now_s: float) -> None:
        self.state = State.OPEN
        self._opened_s = now_s
        self._failures = 0
