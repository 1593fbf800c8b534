import asyncio

import pytest
from support.playbook import FakeBackend, Spawner, settle

from aurora_ml_proxy import metrics
from aurora_ml_proxy.evaluate.breaker import FAILURES, REST_S, State
from aurora_ml_proxy.evaluate.lane import Lane, trouble_in
from aurora_ml_proxy.evaluate.tally import Tally
from aurora_ml_proxy.functions import Cause, Failure, Sentiment

NEUTRAL = Sentiment("NEUTRAL", 0.5)
PASSING = Failure("InternalServerException", "broken", Cause.PASSING)
THROTTLED = Failure("ThrottlingException", "slow down", Cause.THROTTLED)
LASTING = Failure("AccessDeniedException", "no")
REFUSED = Failure("InvalidRequestException", "bad text", Cause.REFUSED)


class Owner:
    """A statement that waits for ever."""

    def __init__(self) -> None:
        self.timeout_s, self.tally = None, Tally()

    def wake(self) -> None:
        pass


class Bench:
    def __init__(self, concurrency: int = 8) -> None:
        self.backend, self.spawn, self.owner = FakeBackend(), Spawner(), Owner()
        self.now_s = 0.0
        self.lane = Lane(self.backend, concurrency, clock=lambda: self.now_s)

    async def ask(self, *texts: str):
        return await self.lane.request(self.owner, lambda: texts, "en", single=False)


def metric(name: str, *labels: str) -> float:
    child = getattr(metrics, name).labels("fake", *labels)
    return child._value.get()


async def test_answers_come_in_order_and_failures_among_them():
    bench = Bench()
    bench.backend.replies["b"] = LASTING
    assert await bench.ask("a", "b") == [NEUTRAL, LASTING]
    assert bench.backend.calls == [(["a", "b"], "en", False)]
    assert bench.owner.tally["actual_requests"] == 1
    assert bench.owner.tally["actual_responses"] == 1


async def test_what_is_not_wanted_when_its_turn_comes_is_not_asked():
    bench = Bench()
    assert await bench.ask() == []
    assert not bench.backend.calls and bench.owner.tally["actual_requests"] == 0


async def test_a_backend_that_miscounts_is_a_mistake_of_ours():
    bench = Bench()
    bench.backend.script = [[NEUTRAL]]
    with pytest.raises(AssertionError, match="1 answers to 2"):
        await bench.ask("a", "b")


async def test_throttling_leaves_fewer_places():
    bench = Bench(8)
    bench.backend.script = [THROTTLED, None]
    assert await bench.ask("a") == THROTTLED
    assert bench.lane.places.limit == 5 and metric("PACE") == 5
    bench.backend.gate.clear()
    for _ in range(10):
        bench.spawn(bench.ask("a"))
    await settle()
    assert bench.backend.in_flight == 5 and metric("IN_FLIGHT") == 5
    bench.backend.gate.set()
    await settle()
    assert metric("IN_FLIGHT") == 0


async def test_a_text_that_is_throttled_alone_slows_it_down_too():
    bench = Bench(8)
    bench.backend.replies["b"] = THROTTLED
    await bench.ask("a", "b")
    assert bench.lane.places.limit == 5


async def test_nobody_is_asked_before_the_time_that_the_service_names():
    bench = Bench()
    bench.backend.script = [Failure("X", "later", Cause.THROTTLED, retry_after_s=0.02)]
    await bench.ask("a")
    before_s = asyncio.get_running_loop().time()
    await bench.ask("b")
    assert asyncio.get_running_loop().time() - before_s > 0.015


async def test_a_service_that_is_down_is_left_alone_and_found_again():
    bench = Bench()
    bench.backend.script = [PASSING] * (FAILURES + 1)
    for _ in range(FAILURES):
        bench.now_s += 1
        assert await bench.ask("a") == PASSING
    refusal = await bench.ask("a")
    assert refusal.cause is Cause.LASTING and "left alone" in refusal.message
    assert len(bench.backend.calls) == FAILURES and metric("BREAKER") == State.OPEN
    tally = bench.owner.tally
    assert (tally["actual_requests"], tally["actual_responses"]) == (FAILURES, 0)
    bench.now_s += REST_S
    assert await bench.ask("a") == PASSING  # it is still down
    bench.now_s += 2 * REST_S
    assert await bench.ask("a") == [NEUTRAL]
    assert await bench.ask("a") == [NEUTRAL] and metric("BREAKER") == State.CLOSED


async def test_a_probe_that_is_cancelled_leaves_it_to_the_next():
    bench = Bench()
    bench.backend.script = [PASSING] * FAILURES
    for _ in range(FAILURES):
        bench.now_s += 1
        await bench.ask("a")
    bench.now_s += REST_S
    bench.backend.gate.clear()
    probe = bench.spawn(bench.ask("a"))
    await settle()
    probe.cancel()
    await settle()
    bench.backend.gate.set()
    assert await bench.ask("a") == [NEUTRAL]
    assert bench.lane.places.taken == 0


async def test_what_is_counted_of_a_call():
    bench = Bench()
    counts = ("CALLS", "TEXTS", "CHARACTERS", "FAILED_TEXTS")
    before = [metric(name) for name in counts]
    throttled = metric("FAILED_CALLS", "throttled")
    bench.backend.script = [THROTTLED, None]
    bench.backend.replies["ab"] = LASTING
    await bench.ask("größe", "ab")
    await bench.ask("größe", "ab")
    after = [metric(name) for name in counts]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 4, 5, 3]
    assert metric("FAILED_CALLS", "throttled") == throttled + 1


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (THROTTLED, THROTTLED),
        ([NEUTRAL, THROTTLED, PASSING], THROTTLED),
        ([PASSING, PASSING], PASSING),
        ([PASSING, NEUTRAL], None),
        ([REFUSED, LASTING], None),
        ([NEUTRAL], None),
    ],
)
def test_what_a_reply_says_of_the_service(reply, trouble):
    assert trouble_in(reply) == trouble
