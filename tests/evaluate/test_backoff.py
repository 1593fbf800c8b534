from dataclasses import replace

import pytest

from aurora_ml_proxy.evaluate.backoff import MAX_RETRY_AFTER_S, wait_s
from aurora_ml_proxy.functions import Cause, Failure

PASSING = Failure("InternalServerException", "broken", Cause.PASSING)
THROTTLED = Failure("ThrottlingException", "slow down", Cause.THROTTLED)


def test_it_waits_twice_as_long_each_time_up_to_a_limit():
    waits = [wait_s([THROTTLED], attempt, 1.0) for attempt in range(1, 8)]
    assert waits == [1, 2, 4, 8, 16, 20, 20]
    waits = [wait_s([PASSING], attempt, 1.0) for attempt in (1, 2, 3, 40)]
    assert waits == [0.05, 0.1, 0.2, 20]


def test_throttling_counts_most_and_chance_spreads():
    assert wait_s([PASSING, THROTTLED, PASSING], 2, 0.25) == 0.5
    assert wait_s([THROTTLED], 5, 0.0) == 0


@pytest.mark.parametrize("failure", [PASSING, THROTTLED])
def test_what_the_service_asks_for_comes_before(failure):
    failures = [failure, replace(failure, retry_after_s=7.0)]
    assert wait_s(failures, 1, 0.0) == 7
    assert wait_s(failures, 1, 1.0) > 7
    tomorrow = [replace(failure, retry_after_s=86_400.0)]
    assert wait_s(tomorrow, 1, 0.0) == MAX_RETRY_AFTER_S
