from aurora_ml_proxy.evaluate.pace import Pace
from aurora_ml_proxy.functions import Cause


class Clock:
    """Tells a pace of calls, one after another."""

    def __init__(self, pace: Pace) -> None:
        self.pace, self.now_s = pace, 0.0

    def call(self, seconds: float, cause: Cause | None = None, times: int = 1) -> int:
        for _ in range(times):
            began_s, self.now_s = self.now_s, self.now_s + seconds
            self.pace.ended(cause, began_s, self.now_s)
        return self.pace.limit


def test_it_begins_at_the_ceiling_and_stays_there():
    clock = Clock(Pace(8))
    assert clock.pace.limit == 8
    assert clock.call(0.2, times=1000) == 8


def test_throttling_slows_it_down_and_answers_speed_it_up():
    clock = Clock(Pace(8))
    assert clock.call(0.1, Cause.THROTTLED) == 5
    assert clock.call(0.1, Cause.THROTTLED) == 3
    assert clock.call(0.1, Cause.THROTTLED, times=50) == 1
    limits = [clock.call(0.1) for _ in range(100)]
    assert limits == sorted(limits) and limits[0] == 2 and limits[-1] == 8
    assert limits.index(8) > 20  # about one more a round


def test_calls_of_the_pace_before_count_once():
    pace = Pace(8)
    for _ in range(8):  # all were under way together
        pace.ended(Cause.THROTTLED, 0.0, 0.1)
    assert pace.limit == 5
    pace.ended(None, 0.0, 0.1)
    assert pace.limit == 5
    pace.ended(Cause.THROTTLED, 0.1, 0.2)
    assert pace.limit == 3


def test_a_service_that_is_slow_all_at_once_gets_fewer_calls():
    clock = Clock(Pace(8))
    clock.call(0.2, times=80)
    assert clock.call(2.0, times=8) == 5
    assert clock.call(2.0, times=8) == 4
    assert clock.call(0.2, times=80) == 8


def test_longer_texts_and_one_call_that_hangs_are_no_reason():
    clock = Clock(Pace(8))
    clock.call(0.02, times=80)
    assert clock.call(0.3, times=80) == 8  # much longer, but not long
    clock.call(0.3, times=7)
    assert clock.call(3.0) == 8
    assert clock.call(0.3, times=8) == 8


def test_a_service_that_stays_slow_is_what_it_is():
    clock = Clock(Pace(8))
    clock.call(0.2, times=80)
    clock.call(2.0, times=400)
    assert clock.call(2.0, times=200) == 8


def test_other_failures_do_not_change_it():
    clock = Clock(Pace(8))
    for cause in (Cause.PASSING, Cause.REFUSED, Cause.LASTING):
        assert clock.call(0.1, cause, times=20) == 8
