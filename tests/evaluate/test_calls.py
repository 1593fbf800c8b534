"""One call and the statements that wait for it; `test_evaluation` has them together."""

import asyncio

from support.playbook import FakeBackend, Spawner, settle

from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.calls import Call
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.functions import Failure, Sentiment

NEUTRAL = Sentiment("NEUTRAL", 0.5)


class Statement:
    """An `Asker` that keeps what it is told."""

    def __init__(self) -> None:
        self.answers = {}
        self.ended = []
        self.again = []

    def settle(self, question, answer):
        self.answers[question.text] = answer

    def ask_again(self, question):
        self.again.append(question.text)

    def call_ended(self, call, error):
        self.ended.append(error)


class Bench:
    def __init__(self, concurrency: int = 1) -> None:
        self.backend, self.spawn = FakeBackend(), Spawner()
        self.cache = Cache(1 << 20, 60)
        self.engine = Engine(self.backend, concurrency, self.cache)

    def call(self, asker, *texts: str, start: bool = True) -> Call:
        call = Call(self.engine, "en", single=False)
        for text in texts:
            call.ask(asker, Question(text, ("en", 25), text.encode()))
        if start:
            call.task = self.spawn(call.run())
        return call

    def join(self, asker, text: str) -> None:
        flight = self.engine.flights.find(text.encode(), self.engine.epoch)
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


async def test_a_call_ends_with_the_last_that_leaves_and_nobody_joins_it_then():
    bench, first, second = Bench(), Statement(), Statement()
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


async def test_who_has_joined_a_call_that_is_refused_as_a_whole_asks_again():
    """One bad text may be the reason, and it is another's."""
    bench, first, second = Bench(), Statement(), Statement()
    failure = Failure("InvalidRequestException", "no")
    bench.backend.replies = {"a": failure, "b": failure}
    bench.call(first, "a", "b")
    bench.join(second, "a")
    await settle()
    assert first.answers == {"a": failure, "b": failure} and not first.again
    assert second.again == ["a"] and not second.answers and second.ended == [None]


async def test_who_has_joined_a_call_that_fails_for_the_moment_does_not():
    bench, first, second = Bench(), Statement(), Statement()
    failure = Failure("ThrottlingException", "no", retryable=True)
    bench.backend.replies = {"a": failure, "b": failure}
    bench.call(first, "a", "b")
    bench.join(second, "a")
    await settle()
    assert second.answers == {"a": failure} and not second.again


async def test_a_mistake_ends_the_call_for_everybody():
    class Broken(FakeBackend):
        async def detect_sentiment(self, texts, language, *, single):
            await self.gate.wait()
            raise RuntimeError("secret")

    bench, first, second = Bench(), Statement(), Statement()
    bench.engine = Engine(Broken(), 1, bench.cache)
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
