import pytest
from support.playbook import FakeBackend, Spawner, settle

from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.functions import Failure, Sentiment


async def test_no_more_calls_than_the_limit_are_under_way():
    backend, spawn = FakeBackend(), Spawner()
    backend.gate.clear()
    engine = Engine(backend, concurrency=2)

    async def ask(text: str) -> None:
        await engine.ask([text], "en", single=True)

    tasks = [spawn(ask(str(i))) for i in range(5)]
    await settle()
    assert backend.in_flight == 2 and len(backend.calls) == 2
    tasks[2].cancel()  # it waits for a place, and gives up its turn
    backend.gate.set()
    await settle()
    assert backend.most_in_flight == 2
    assert [texts for texts, _, _ in backend.calls] == [["0"], ["1"], ["3"], ["4"]]
    assert not spawn.failures


async def test_a_cancelled_call_gives_its_place_back():
    backend, spawn = FakeBackend(), Spawner()
    backend.gate.clear()
    engine = Engine(backend, concurrency=1)

    async def ask() -> None:
        await engine.ask(["x"], "en", single=False)

    first, second = spawn(ask()), spawn(ask())
    await settle()
    first.cancel()
    await settle()
    assert backend.cancelled == 1 and backend.in_flight == 1
    second.cancel()
    await settle()
    assert backend.in_flight == 0


async def test_answers_come_in_order_and_failures_among_them():
    backend = FakeBackend()
    backend.replies["b"] = Failure("Code", "message")
    answers = await Engine(backend, 1).ask(["a", "b"], "de", single=False)
    assert answers == [Sentiment("NEUTRAL", 0.5), Failure("Code", "message")]
    assert backend.calls == [(["a", "b"], "de", False)]


async def test_a_backend_that_miscounts_is_a_mistake_of_ours():
    class Short(FakeBackend):
        async def detect_sentiment(self, texts, language, *, single):
            return []

    with pytest.raises(AssertionError, match="0 answers to 1"):
        await Engine(Short(), 1).ask(["a"], "en", single=False)


async def test_closing_closes_the_backend():
    backend = FakeBackend()
    await Engine(backend, 1).close()
    assert backend.is_closed
