"""What Aurora counts, for SHOW STATUS: a `Tally` a session, and one for all of them.

Source: Aurora User Guide, "Monitoring Aurora machine learning". It all adds up: logical
requests = cache hits + logical responses + failures + what is still asked, and actual
requests = actual responses + calls that failed + those that are under way.
"""

from typing import Literal, get_args

from aurora_ml_proxy import metrics

Count = Literal[
    "logical_requests",
    "logical_responses",
    "logical_failures",
    "cache_hits",
    "actual_requests",
    "actual_responses",
    "retries",
    "singles",
]

STATUS: dict[str, Count] = {
    "Aurora_ml_actual_request_cnt": "actual_requests",
    "Aurora_ml_actual_response_cnt": "actual_responses",
    "Aurora_ml_cache_hit_cnt": "cache_hits",
    "Aurora_ml_logical_request_cnt": "logical_requests",
    "Aurora_ml_logical_response_cnt": "logical_responses",
    "Aurora_ml_retry_request_cnt": "retries",
    "Aurora_ml_single_request_cnt": "singles",
}
"""The rows of SHOW STATUS LIKE 'Aurora_ml%', in the order in which it shows them.

logical request   a text that a statement asks about, as often as it asks
logical response  one that the service answered for this statement
cache hit         one that was answered before, or whose answer another one waited for
actual request    a call of the service, each attempt counted
actual response   one that the service answered
retry request     a call that was made again
single request    a text asked by the call for one text (max_batch_size = 1)"""


class Tally:
    """Counts. What is added to a session's is added to everybody's."""

    def __init__(self, everybody: "Tally | None" = None) -> None:
        self._everybody = everybody
        self._counts = self._zeros()

    @staticmethod
    def _zeros() -> dict[Count, int]:
        return dict.fromkeys(get_args(Count), 0)

    def add(self, count: Count, number: int = 1) -> None:
        """Count one more, or several."""
        self._counts[count] += number
        if self._everybody is not None:
            self._everybody.add(count, number)
        elif count in metrics.COUNTS:
            metrics.COUNTS[count].inc(number)

    def __getitem__(self, count: Count) -> int:
        return self._counts[count]

    def rows(self) -> dict[str, int]:
        """The rows of SHOW STATUS."""
        return {name: self._counts[count] for name, count in STATUS.items()}

    def reset(self) -> None:
        """FLUSH STATUS. The metrics go on: Prometheus wants counters that only grow."""
        self._counts = self._zeros()


PROCESS = Tally()
"""Everybody's: SHOW GLOBAL STATUS."""
