"""One call and the statements that wait for it; `test_evaluation` has them together."""

import asyncio
from dataclasses import replace

from support.playbook import FakeBackend, Spawner, settle

from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.calls import Call
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.evaluate.tally import Tally
from aurora_ml_proxy.functions import Cause, Failure, Sentiment

NEUTRAL = Sentiment("NEUTRAL", 0.5)
PASSING = Failure("InternalServerException", "broken", Cause.PASSING)
THROTTLED = Failure("ThrottlingException", "slow down", Cause.THROTTLED)
REFUSED = Failure("InvalidRequestException", "bad text", Cause.REFUSED)


class Statement:
    """An `Asker` that keeps what it is told."""

    def __init__(self, timeout_s: float | None = None) -> None:
        self.answers = {}
        self.ended = []
        self.has_ended = asyncio.Event()
        self.timeout_s = timeout_s
        self.tally = Tally()
        self.woken = 0

    def settle(self, question, answer):
        self.answers[question.text] = answer

    def wake(self):
        self.woken += 1

    def call_ended(self, call, error):
        self.ended.append(error)
        self.has_ended.set()


class Bench:
    def __init__(self, concurrency: int = 1) -> None:
        self.backend, self.spawn = FakeBackend(), Spawner()
        self.cache = Cache(1 << 20, 60)
        self.naps = []
        self.engine = self.new_engine(self.backend, concurrency)

    def new_engine(self, backend, concurrency: int = 1, **settings) -> Engine:
        return Engine(
            *(backend, concurrency, self.cache),
            sleep=self._nap,
            chance=lambda: 1.0,
            **settings,
        )

    async def _nap(self, seconds: float) -> None:
        self.naps.append(seconds)

    def call(self, asker, *texts: str, start: bool = True) -> Call:
        call = Call(self.engine, "en", single=False)
        for text in texts:
            call.ask(asker, Question(text, ("en", 25), text.encode()))
        if start:
            call.task = self.spawn(call.run())
        return call

    def join(self, asker, text: str) -> None:
        flight = self.engine.flights.find(text.encode(), self.engine.epoch)
        assert flight is not None
        flight.call.join(asker, flight, Question(text))

    @property
    def texts(self):
        return [texts for texts, _, _ in self.backend.calls]


async def test_everybody_who_has_joined_gets_the_answer():
    bench, first, second = Bench(), Statement(), Statement()
    bench.backend.gate.clear()
    bench.call(first, "a", "b")
    bench.join(second, "b")  # while it waits for its place
    await settle()
    bench.join(second, "a")  # while it is under way
    bench.backend.gate.set()
    await settle()
    assert bench.texts == [["a", "b"]]
    assert first.answers == second.answers == {"a": NEUTRAL, "b": NEUTRAL}
    assert first.ended == second.ended == [None]
    assert len(bench.engine.flights) == 0
    assert bench.engine.recall(b"a") == NEUTRAL


async def test_a_statement_that_leaves_does_not_take_the_call_away_from_the_others():
    bench, first, second = Bench(), Statement(), Statement()
    bench.backend.gate.clear()
    call = bench.call(first, "a", "b")
    await settle()
    bench.join(second, "b")
    call.leave(first)
    await settle()
    assert bench.backend.cancelled == 0
    bench.backend.gate.set()
    await settle()
    assert second.answers == {"b": NEUTRAL} and second.ended == [None]
    assert first.answers == {} and first.ended == []
    # It was paid for, so it is kept.
    assert bench.engine.recall(b"a") == NEUTRAL


async def test_what_the_service_is_being_asked_is_kept_though_nobody_waits():
    """It cannot be taken back, and is paid for."""
    bench, first, second, third = Bench(), Statement(), Statement(), Statement()
    bench.backend.gate.clear()
    call = bench.call(first, "a", "b")
    await settle()
    bench.join(second, "a")
    call.leave(first)
    call.leave(second)
    await settle()
    bench.join(third, "b")  # it is still on its way
    bench.backend.gate.set()
    await settle()
    assert bench.backend.cancelled == 0 and bench.texts == [["a", "b"]]
    assert third.answers == {"b": NEUTRAL} and third.ended == [None]
    assert not first.ended and not second.ended
    assert bench.engine.recall(b"a") == NEUTRAL
    assert not bench.spawn.tasks and len(bench.engine.flights) == 0


async def test_the_call_of_an_instant_backend_ends_with_the_last_that_leaves():
    bench, first, second = Bench(), Statement(), Statement()
    bench.backend.is_instant = True
    bench.backend.gate.clear()
    call = bench.call(first, "a")
    await settle()
    bench.join(second, "a")
    call.leave(first)
    call.leave(second)
    assert bench.engine.flights.find(b"a", 0) is None
    await settle()
    assert bench.backend.cancelled == 1 and not bench.spawn.tasks
    assert not bench.spawn.failures


async def test_a_failure_that_nobody_waits_for_is_not_asked_again():
    bench, first = Bench(), Statement()
    bench.backend.gate.clear()
    bench.backend.script = [PASSING]
    call = bench.call(first, "a")
    await settle()
    call.leave(first)
    bench.backend.gate.set()
    await settle()
    assert bench.texts == [["a"]] and not bench.naps and not bench.spawn.tasks


async def test_what_nobody_wants_any_more_when_the_call_begins_is_not_asked():
    bench, first, second = Bench(), Statement(), Statement()
    bench.backend.gate.clear()
    bench.call(Statement(), "busy")
    call = bench.call(first, "a", "b", "c")
    await settle()
    bench.join(second, "b")
    call.leave(first)
    bench.backend.gate.set()
    await settle()
    assert bench.texts == [["busy"], ["b"]]
    assert second.answers == {"b": NEUTRAL} and len(bench.engine.flights) == 0


async def test_a_call_that_was_never_begun_ends_without_a_trace():
    bench, first = Bench(), Statement()
    call = bench.call(first, "a")
    call.leave(first)
    await settle()
    assert not bench.texts and not bench.spawn.tasks and len(bench.engine.flights) == 0


async def test_a_failure_is_everybodys_and_is_not_kept():
    bench, first, second = Bench(), Statement(), Statement()
    failure = bench.backend.replies["a"] = Failure("Throttling", "slow down")
    bench.call(first, "a", "b")
    bench.join(second, "a")
    await settle()
    assert first.answers["a"] == second.answers["a"] == failure
    assert bench.engine.recall(b"a") is None
    assert bench.engine.recall(b"b") == NEUTRAL


async def test_a_batch_that_failed_for_the_moment_is_asked_again_as_it_was():
    bench, first, second = Bench(), Statement(), Statement()
    bench.backend.script = [PASSING, THROTTLED, PASSING]
    bench.call(first, "a", "b", "c")
    bench.join(second, "b")
    await settle()
    assert bench.texts == [["a", "b", "c"]] * 4
    assert bench.naps == [0.05, 2.0, 0.2]
    assert set(first.answers.values()) == {NEUTRAL} and second.answers == {"b": NEUTRAL}
    assert first.tally["retries"] == 3 and first.tally["actual_requests"] == 4
    assert first.tally["actual_responses"] == 1


async def test_a_service_that_names_a_time_is_left_alone_until_then():
    bench, first = Bench(), Statement()
    bench.backend.script = [replace(THROTTLED, retry_after_s=0.0), None]
    bench.call(first, "a")
    await settle()
    bench.backend.script = [replace(PASSING, retry_after_s=1e-3)]
    bench.call(first, "b")
    await settle()
    assert bench.naps == [1.0, 1e-3 + 0.05]
    assert first.answers == {"a": NEUTRAL}
    while bench.spawn.tasks:  # the places are closed for a millisecond
        await asyncio.wait(bench.spawn.tasks)
    assert first.answers == {"a": NEUTRAL, "b": NEUTRAL}


async def test_texts_that_failed_alone_are_asked_again_and_the_others_told_at_once():
    bench, first = Bench(), Statement()
    bench.backend.script = [[NEUTRAL, PASSING, NEUTRAL, PASSING], [NEUTRAL, PASSING]]
    told = []
    first.wake = lambda: told.append(sorted(first.answers))
    bench.call(first, "a", "b", "c", "d")
    await settle()
    assert bench.texts == [["a", "b", "c", "d"], ["b", "d"], ["d"]]
    assert told == [["a", "c"], ["a", "b", "c"]]
    assert len(first.answers) == 4 and first.ended == [None]


async def test_what_keeps_failing_is_given_up():
    bench, first = Bench(), Statement()
    bench.engine = bench.new_engine(bench.backend, max_attempts=3)
    bench.backend.replies["bad"] = PASSING
    bench.call(first, "good", "bad")
    await settle()
    assert bench.texts == [["good", "bad"], ["bad"], ["bad"]]
    assert first.answers == {"good": NEUTRAL, "bad": PASSING}


async def test_one_bad_text_costs_one_text():
    bench, first, second = Bench(), Statement(), Statement()
    bench.backend.poison["7"] = REFUSED
    bench.call(first, *(str(i) for i in range(25)))
    bench.join(second, "7")
    bench.join(second, "8")
    for _ in range(10):
        await settle()
    bad = first.answers.pop("7")
    assert bad == REFUSED and set(first.answers.values()) == {NEUTRAL}
    assert len(first.answers) == 24
    assert second.answers == {"7": REFUSED, "8": NEUTRAL}
    refused = [texts for texts in bench.texts if "7" in texts]
    assert [len(texts) for texts in refused] == [25, 12, 6, 3, 2, 1]
    # Each of the others is answered once.
    answered = [text for texts in bench.texts if "7" not in texts for text in texts]
    assert sorted(answered, key=int) == [str(i) for i in range(25) if i != 7]
    assert not bench.naps and bench.engine.recall(b"7") is None


class RefusesFour(FakeBackend):
    """Batches of four texts are refused; others wait at the gate."""

    async def detect_sentiment(self, texts, language, *, single):
        if len(texts) == 4:
            return REFUSED
        return await super().detect_sentiment(texts, language, single=single)


async def test_halves_are_asked_at_one_time_and_end_with_who_leaves():
    bench, first = Bench(), Statement()
    bench.backend = RefusesFour()
    bench.engine = bench.new_engine(bench.backend, 4)
    bench.backend.script = [PASSING, None]
    bench.backend.gate.clear()
    call = bench.call(first, "a", "b", "c", "d")
    await settle()
    assert bench.texts == [["a", "b"], ["c", "d"]] and bench.backend.in_flight == 2
    call.leave(first)
    bench.backend.gate.set()
    await settle()
    assert len(bench.texts) == 2  # the half that failed is not asked again
    assert not bench.spawn.tasks and not bench.spawn.failures
    assert len(bench.engine.flights) == 0


async def test_a_refusal_of_one_text_and_a_lasting_failure_are_not_asked_again():
    bench, first = Bench(), Statement()
    denied = Failure("AccessDeniedException", "no")
    bench.backend.script = [REFUSED, denied]
    bench.call(first, "a")
    await settle()
    bench.call(first, "b", "c")
    await settle()
    assert bench.texts == [["a"], ["b", "c"]]
    assert first.answers == {"a": REFUSED, "b": denied, "c": denied}


async def test_patience_ends_for_the_one_and_not_for_the_other():
    bench, hasty, patient = Bench(), Statement(timeout_s=1e-3), Statement()
    bench.backend.gate.clear()
    bench.call(hasty, "a", "b")
    bench.join(patient, "a")
    await settle()
    async with asyncio.timeout(5):
        await hasty.has_ended.wait()
    assert {failure.code for failure in hasty.answers.values()} == {"InferenceTimeout"}
    assert hasty.answers["a"].message == (
        "no answer within aurora_ml_inference_timeout (1 ms)"
    )
    assert sorted(hasty.answers) == ["a", "b"] and not patient.answers
    bench.backend.gate.set()
    await settle()
    assert patient.answers == {"a": NEUTRAL} and hasty.ended == [None]
    assert bench.engine.recall(b"b") == NEUTRAL  # late, and paid for


async def test_patience_does_not_run_while_others_have_their_turn():
    bench, hasty = Bench(), Statement(timeout_s=1e-3)
    bench.backend.gate.clear()
    busy = bench.call(Statement(), "busy")
    bench.call(hasty, "a")
    await asyncio.sleep(5e-3)
    assert not hasty.ended
    bench.backend.gate.set()
    await busy.task
    await settle()
    assert hasty.answers == {"a": NEUTRAL}


async def test_who_joins_late_has_a_patience_of_its_own():
    bench, first, hasty = Bench(), Statement(), Statement(timeout_s=1e-3)
    bench.backend.gate.clear()
    bench.call(first, "a")
    await settle()
    bench.join(hasty, "a")
    async with asyncio.timeout(5):
        await hasty.has_ended.wait()
    assert hasty.answers["a"].code == "InferenceTimeout" and not first.answers
    bench.backend.gate.set()
    await settle()
    assert first.answers == {"a": NEUTRAL}


async def test_a_mistake_ends_the_call_for_everybody():
    class Broken(FakeBackend):
        async def detect_sentiment(self, texts, language, *, single):
            await self.gate.wait()
            raise RuntimeError("secret")

    bench, first, second = Bench(), Statement(), Statement()
    bench.engine = bench.new_engine(Broken())
    bench.call(first, "a")
    bench.join(second, "a")
    await settle()
    assert [type(e) for e in (*first.ended, *second.ended)] == [RuntimeError] * 2
    assert first.answers == second.answers == {}
    assert len(bench.engine.flights) == 0
    assert [type(failure) for failure in bench.spawn.failures] == [RuntimeError]


async def test_a_call_that_is_ended_from_outside_is_an_error_to_who_waits():
    bench, first = Bench(), Statement()
    bench.backend.gate.clear()
    call = bench.call(first, "a")
    await settle()
    call.task.cancel()
    await settle()
    assert [type(e) for e in first.ended] == [asyncio.CancelledError]


async def test_an_answer_that_comes_after_everything_was_forgotten_is_not_kept():
    bench, first, second = Bench(2), Statement(), Statement()
    bench.backend.gate.clear()
    bench.call(first, "a")
    await settle()
    await bench.cache.forget_all()
    assert bench.engine.flights.find(b"a", bench.engine.epoch) is None
    bench.call(second, "a")  # asks for itself
    await settle()
    bench.cache.forget_memory()
    bench.backend.gate.set()
    await settle()
    assert bench.texts == [["a"], ["a"]]
    assert first.answers == second.answers == {"a": NEUTRAL}
    assert bench.engine.recall(b"a") is None


async def test_two_questions_of_one_key_are_one_text():
    bench, first = Bench(), Statement()
    call = bench.call(first, "a", "a", start=False)
    assert len(call) == 1
    call.task = bench.spawn(call.run())
    await settle()
    assert bench.texts == [["a"]] and first.answers == {"a": NEUTRAL}
