import pytest
from support.playbook import FakeBackend, Spawner, settle

from aurora_ml_proxy.errors import BackendFailed, TextNotUtf8, TextTooLong
from aurora_ml_proxy.evaluate import evaluation as module
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import (
    MAX_WARNINGS,
    NULL,
    Evaluation,
    Policy,
    StatementWarning,
)
from aurora_ml_proxy.functions import Failure, Sentiment

NEUTRAL = Sentiment("NEUTRAL", 0.5)


class Bench:
    """An evaluation with a fake backend."""

    def __init__(self, policy: Policy | None = None, concurrency: int = 4) -> None:
        self.backend, self.spawn = FakeBackend(), Spawner()
        self.woken = 0
        self.evaluation = Evaluation(
            Engine(self.backend, concurrency),
            policy or Policy(),
            "f",
            self.spawn,
            self._wake,
        )

    def _wake(self) -> None:
        self.woken += 1

    def ask(self, *texts: bytes, language: str = "en", size: int = 25):
        return [self.evaluation.ask(text, language, size) for text in texts]

    async def finish(self) -> None:
        self.evaluation.flush()
        await settle()

    @property
    def texts(self) -> list[list[str]]:
        return [texts for texts, _, _ in self.backend.calls]

    @property
    def all_texts(self) -> list[str]:
        return [text for texts in self.texts for text in texts]


async def test_every_distinct_text_is_asked_once():
    bench = Bench()
    first = bench.ask(b"a", b"b", b"a", b"a")
    again = bench.ask(b"b", b"a")
    assert first[0] is first[2] is first[3] is again[1]
    assert first[1] is again[0]
    await bench.finish()
    assert bench.texts == [["a", "b"]]
    assert all(q.is_answered and q.answer == NEUTRAL for q in first)
    # And never again, once it is answered.
    assert bench.ask(b"a")[0] is first[0]
    await bench.finish()
    assert len(bench.texts) == 1
    assert (bench.evaluation.calls, bench.evaluation.texts) == (1, 2)


async def test_texts_that_a_collation_takes_for_one_are_two():
    bench = Bench()
    bench.ask(b"Good", b"good", b"good ", "Ｇood".encode(), b"x" * 33, b"x" * 34)
    await bench.finish()
    assert len(bench.texts[0]) == 6


async def test_a_full_batch_is_sent_at_once_and_the_rest_on_flush():
    bench = Bench()
    bench.ask(*(str(i).encode() for i in range(60)))
    await settle()
    assert [len(texts) for texts in bench.texts] == [25, 25]
    await bench.finish()
    assert [len(texts) for texts in bench.texts] == [25, 25, 10]
    assert bench.all_texts == [str(i) for i in range(60)]


async def test_every_language_and_every_batch_size_has_a_batch_of_its_own():
    bench = Bench()
    bench.ask(b"a", b"b", language="en")
    bench.ask(b"a", language="de")
    bench.ask(b"c", b"d", b"e", language="en", size=2)
    await bench.finish()
    assert sorted(bench.backend.calls) == [
        (["a"], "de", False),
        (["a", "b"], "en", False),
        (["c", "d"], "en", False),
        (["e"], "en", False),
    ]


async def test_a_batch_of_one_is_asked_by_the_call_for_one_text():
    bench = Bench()
    bench.ask(b"a", b"b", size=1)
    await settle()
    assert bench.backend.calls == [(["a"], "en", True), (["b"], "en", True)]


async def test_null_and_the_empty_text_are_not_asked():
    bench = Bench()
    assert bench.evaluation.ask(None, "en", 25) is NULL
    assert bench.evaluation.ask(b"", "en", 25) is NULL
    await bench.finish()
    assert not bench.texts and NULL.is_answered and NULL.answer is None


async def test_a_failed_text_fails_the_statement_and_its_question_stays_open():
    bench = Bench()
    bench.backend.replies["b"] = Failure("Throttling", "slow down")
    a, b = bench.ask(b"a", b"b")
    await bench.finish()
    assert a.is_answered and not b.is_answered
    assert isinstance(bench.evaluation.failure, BackendFailed)
    assert bench.evaluation.failure.message == (
        "f: the model service gave no answer: Throttling: slow down"
    )
    assert bench.woken == 1
    bench.backend.replies["c"] = Failure("Other", "later")
    bench.ask(b"c")
    await bench.finish()
    assert "Throttling" in bench.evaluation.failure.message  # the first one counts
    assert bench.evaluation.warning_count == 0


async def test_with_null_on_error_a_failure_is_null_and_one_warning_a_kind():
    bench = Bench(Policy(null_on_error=True))
    bench.backend.replies = {
        "a": Failure("X", "one"),
        "b": Failure("X", "one"),
        "c": Failure("Y", "two"),
    }
    questions = bench.ask(b"a", b"b", b"c", b"d")
    await bench.finish()
    assert [q.answer for q in questions] == [None, None, None, NEUTRAL]
    assert all(q.is_answered for q in questions)
    assert bench.evaluation.failure is None
    assert bench.evaluation.warnings == [
        StatementWarning(1105, "f: the model service gave no answer: X: one"),
        StatementWarning(1105, "f: the model service gave no answer: Y: two"),
    ]


async def test_warnings_are_counted_beyond_those_that_are_kept():
    bench = Bench(Policy(null_on_error=True))
    for i in range(MAX_WARNINGS + 10):
        bench.backend.replies[str(i)] = Failure("X", str(i))
        bench.ask(str(i).encode())
    await bench.finish()
    assert bench.evaluation.warning_count == MAX_WARNINGS + 10
    assert len(bench.evaluation.warnings) == MAX_WARNINGS


LONG = "é".encode() * 2_501


async def test_a_text_too_long_is_an_error_before_any_call():
    bench = Bench()
    with pytest.raises(TextTooLong):
        bench.ask(LONG)
    await bench.finish()
    assert not bench.texts
    bench.ask(LONG[:5_000])
    await bench.finish()
    assert bench.texts == [["é" * 2_500]]


async def test_a_text_too_long_is_cut_with_a_warning():
    bench = Bench(Policy(long_text="truncate"))
    [question] = bench.ask(b"x" + LONG)
    assert bench.ask(b"x" + LONG) == [question]
    await bench.finish()
    assert bench.texts == [["x" + "é" * 2_499]]
    assert question.answer == NEUTRAL
    assert bench.evaluation.warnings == [
        StatementWarning(
            1406, "f: a text of 5003 bytes of UTF-8 was cut to its first 5000"
        )
    ]


async def test_a_text_too_long_is_null_with_a_warning():
    bench = Bench(Policy(long_text="null"))
    [question] = bench.ask(LONG)
    await bench.finish()
    assert not bench.texts and question.is_answered and question.answer is None
    assert bench.evaluation.warning_count == 1


@pytest.mark.parametrize("long_text", ["error", "truncate", "null"])
async def test_what_is_not_utf8_is_an_error(long_text):
    bench = Bench(Policy(long_text=long_text))
    for value in (b"caf\xe9", b"\xff" * 6_000, b"x" * 6_000 + b"\xe9"):
        with pytest.raises(TextNotUtf8):
            bench.ask(value)


async def test_memory_stays_flat_and_a_forgotten_text_is_asked_again(monkeypatch):
    monkeypatch.setattr(module, "QUESTION_BYTES", 100)
    monkeypatch.setattr(module, "MAX_REMEMBERED_BYTES", 1_000)
    bench = Bench()
    [first] = bench.ask(b"first")
    for i in range(40):
        bench.ask(b"%d" % i)
    remembered = bench.evaluation._remembered["en"]
    assert len(remembered) < 10
    assert sum(len(text) + 100 for text in remembered) == (
        bench.evaluation._remembered_bytes
    )
    assert bench.evaluation._remembered_bytes <= 1_000
    assert bench.ask(b"first")[0] is not first
    await bench.finish()
    assert bench.all_texts.count("first") == 2
    assert first.is_answered  # the row that waits for it has its answer


async def test_no_language_drives_out_another(monkeypatch):
    monkeypatch.setattr(module, "QUESTION_BYTES", 100)
    monkeypatch.setattr(module, "MAX_REMEMBERED_BYTES", 1_000)
    bench = Bench()
    bench.ask(*(b"%d" % i for i in range(20)), language="en")
    for _ in range(3):
        bench.ask(b"a", b"b", language="de")
    await bench.finish()
    assert ["a", "b"] in bench.texts
    assert sum(map(len, bench.evaluation._remembered.values())) == 9


async def test_enough_is_enough():
    bench = Bench(concurrency=2)
    bench.backend.gate.clear()
    bench.ask(*(b"%d" % i for i in range(75)))
    assert not bench.evaluation.is_saturated
    bench.ask(*(b"%d" % i for i in range(75, 100)))
    assert bench.evaluation.is_saturated and bench.evaluation.in_flight == 4
    await settle()
    assert bench.backend.most_in_flight == 2
    bench.backend.gate.set()
    await settle()
    assert not bench.evaluation.is_saturated and bench.woken == 4


async def test_cancelling_stops_every_call_and_forgets_what_waits():
    bench = Bench(concurrency=1)
    bench.backend.gate.clear()
    questions = bench.ask(*(b"%d" % i for i in range(60)))
    await settle()
    bench.evaluation.cancel()
    await settle()
    assert bench.backend.cancelled == 1 and bench.evaluation.in_flight == 0
    assert not bench.spawn.tasks and not bench.spawn.failures
    await bench.finish()
    assert len(bench.texts) == 1
    assert not any(q.is_answered for q in questions)


async def test_a_mistake_inside_the_proxy_fails_the_statement_and_is_raised():
    class Broken(FakeBackend):
        async def detect_sentiment(self, texts, language, *, single):
            raise RuntimeError("secret")

    bench = Bench()
    bench.evaluation._engine = Engine(Broken(), 1)
    bench.ask(b"a")
    await bench.finish()
    assert isinstance(bench.evaluation.failure, BackendFailed)
    assert "RuntimeError" in bench.evaluation.failure.message
    assert "secret" not in bench.evaluation.failure.message
    assert [type(failure) for failure in bench.spawn.failures] == [RuntimeError]
    assert bench.evaluation.in_flight == 0 and bench.woken == 1
