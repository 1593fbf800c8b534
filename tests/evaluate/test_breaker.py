from aurora_ml_proxy.evaluate.breaker import (
    FAILING_S,
    FAILURES,
    MAX_REST_S,
    REST_S,
    Breaker,
    State,
)
from aurora_ml_proxy.functions import Cause, Failure

DOWN = Failure("EndpointConnectionError", "it cannot be reached", Cause.PASSING)


class Bench:
    def __init__(self) -> None:
        self.breaker, self.now_s = Breaker(), 100.0

    def fail(self, times: int = 1, over_s: float = 0.0) -> None:
        for _ in range(times):
            self.now_s += over_s / times
            self.breaker.ended(DOWN, self.now_s, self.now_s)

    def opened(self) -> "Bench":
        self.fail(FAILURES - 1, 2 * FAILING_S)
        self.fail()
        assert self.breaker.state is State.OPEN
        return self

    def may_ask(self, after_s: float = 0.0) -> bool:
        self.now_s += after_s
        return self.breaker.refusal(self.now_s) is None

    def answer(self) -> None:
        self.breaker.ended(None, self.now_s, self.now_s)


def test_a_backend_that_keeps_failing_is_left_alone():
    bench = Bench()
    bench.fail(FAILURES - 1, 60)
    assert bench.may_ask()
    bench.fail()
    assert not bench.may_ask() and bench.breaker.state is State.OPEN


def test_many_failures_at_one_moment_are_no_reason():
    bench = Bench()
    bench.fail(100, FAILING_S / 2)
    assert bench.may_ask()
    bench.fail(1, FAILING_S)
    assert not bench.may_ask()


def test_one_error_says_what_is_wrong_and_is_not_asked_again():
    bench = Bench().opened()
    refusal = bench.breaker.refusal(bench.now_s)
    assert refusal == Failure(
        "EndpointConnectionError",
        "it cannot be reached; after 10 failures in a row it is left alone, and tried "
        "again within a minute",
    )
    assert not refusal.retryable


def test_any_word_of_the_service_shows_that_it_is_there():
    for cause in (None, Cause.THROTTLED, Cause.REFUSED, Cause.LASTING):
        bench = Bench()
        bench.fail(FAILURES - 1, 60)
        failure = None if cause is None else Failure("X", "x", cause)
        bench.breaker.ended(failure, bench.now_s, bench.now_s)
        bench.fail(FAILURES - 1, 60)
        assert bench.may_ask()


def test_after_a_rest_one_call_finds_out():
    bench = Bench().opened()
    assert not bench.may_ask(REST_S - 0.5)
    assert bench.may_ask(0.5) and bench.breaker.state is State.PROBING
    assert not bench.may_ask() and not bench.may_ask(1000)
    bench.answer()
    assert bench.may_ask() and bench.may_ask()
    bench.fail()
    assert bench.may_ask()  # counted from the start


def test_each_time_it_fails_again_it_rests_twice_as_long():
    bench = Bench().opened()
    rests = []
    for _ in range(6):
        rest_s = 0.0
        while not bench.may_ask(1.0):
            rest_s += 1.0
        rests.append(rest_s + 1)
        bench.fail()
    assert rests == [5, 10, 20, 40, MAX_REST_S, MAX_REST_S]
    assert bench.may_ask(MAX_REST_S)
    bench.answer()
    bench.opened()
    assert bench.may_ask(REST_S)  # short again


def test_calls_from_before_neither_lengthen_the_rest_nor_end_the_probe():
    bench = Bench()
    began_s = bench.now_s
    bench.opened()
    bench.breaker.ended(DOWN, began_s, bench.now_s)
    assert bench.may_ask(REST_S)
    bench.breaker.ended(DOWN, began_s, bench.now_s)
    assert bench.breaker.state is State.PROBING
    bench.breaker.ended(None, began_s, bench.now_s)  # but its answer is good news
    assert bench.may_ask()


def test_a_probe_that_is_given_up_leaves_it_to_the_next():
    bench = Bench()
    bench.breaker.abandoned()
    assert bench.may_ask()
    bench.opened()
    assert bench.may_ask(REST_S)
    bench.breaker.abandoned()
    assert bench.may_ask() and not bench.may_ask()
