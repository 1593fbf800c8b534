import asyncio

import pytest
from support.playbook import FakeBackend, Spawner, settle
from support.stores import FakeStore, Pauses

from aurora_ml_proxy import metrics
from aurora_ml_proxy.errors import BackendFailed, TextNotUtf8, TextTooLong
from aurora_ml_proxy.evaluate import evaluation as module
from aurora_ml_proxy.evaluate import stored as stored_module
from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import (
    MAX_WARNINGS,
    Evaluation,
    Policy,
    StatementWarning,
)
from aurora_ml_proxy.evaluate.question import NULL
from aurora_ml_proxy.evaluate.stored import StoredAnswers
from aurora_ml_proxy.evaluate.tally import Tally
from aurora_ml_proxy.functions import Cause, Failure, Sentiment

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


@pytest.mark.parametrize("is_instant", [False, True])
async def test_cancelling_stops_every_call_and_forgets_what_waits(is_instant):
    bench = Bench(concurrency=1)
    bench.backend.is_instant = is_instant
    bench.backend.gate.clear()
    questions = bench.ask(*(b"%d" % i for i in range(60)))
    await settle()
    bench.evaluation.cancel()
    await settle()
    assert bench.backend.cancelled == is_instant and bench.evaluation.in_flight == 0
    bench.backend.gate.set()  # what is under way cannot be taken back
    await bench.finish()
    assert not bench.spawn.tasks and not bench.spawn.failures
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


# With a cache.


class Shared:
    """Statements of several connections, with one cache."""

    def __init__(self, concurrency: int = 4, store: FakeStore | None = None) -> None:
        self.backend, self.spawn, self.store = FakeBackend(), Spawner(), store
        self.pauses = Pauses()
        self.cache = Cache(1 << 20, 3600)
        if store is not None:
            self.cache.stored = StoredAnswers(
                store, self.spawn, self.cache.forget_memory, sleep=self.pauses
            )
        self.engine = Engine(self.backend, concurrency, self.cache)

    def statement(self, policy: Policy | None = None) -> Bench:
        bench = Bench.__new__(Bench)
        bench.backend, bench.spawn, bench.woken = self.backend, self.spawn, 0
        bench.evaluation = Evaluation(
            self.engine, policy or Policy(), "f", self.spawn, bench._wake
        )
        return bench

    @property
    def all_texts(self) -> list[str]:
        return [text for texts, _, _ in self.backend.calls for text in texts]


def numbers(first: int, behind: int) -> list[bytes]:
    return [b"%d" % n for n in range(first, behind)]


async def until_idle(statement: Bench) -> None:
    changed = asyncio.Event()
    statement.evaluation.wake = changed.set
    while statement.evaluation.in_flight:
        await changed.wait()
        changed.clear()


def are_answered(questions) -> bool:
    return all(q.is_answered and q.answer == NEUTRAL for q in questions)


async def test_the_answers_to_one_statement_serve_the_next_at_once():
    shared = Shared()
    first = shared.statement()
    first.ask(*numbers(0, 60))
    await first.finish()
    shared.backend.gate.clear()  # nobody is asked, and no place is waited for
    second = shared.statement()
    questions = second.ask(*numbers(0, 60))
    assert are_answered(questions) and not second.evaluation.in_flight
    assert (second.evaluation.cached, second.evaluation.texts) == (60, 0)
    assert second.evaluation.calls == 0
    assert len(shared.all_texts) == 60


async def test_a_hit_waits_for_no_place():
    shared = Shared(concurrency=1)
    first = shared.statement()
    first.ask(b"a")
    await first.finish()
    shared.backend.gate.clear()
    busy = shared.statement()
    busy.ask(b"b")
    await busy.finish()
    assert busy.evaluation.in_flight == 1
    assert are_answered(shared.statement().ask(b"a"))
    busy.evaluation.cancel()
    await settle()


async def test_languages_share_nothing_and_batch_sizes_do():
    shared = Shared()
    first = shared.statement()
    first.ask(b"a", language="en")
    await first.finish()
    second = shared.statement()
    [same] = second.ask(b"a", language="en", size=1)
    [other] = second.ask(b"a", language="de")
    assert same.is_answered and not other.is_answered
    await second.finish()
    assert shared.backend.calls == [(["a"], "en", False), (["a"], "de", False)]


async def test_statements_at_one_time_share_the_call_under_way():
    shared = Shared()
    shared.backend.gate.clear()
    statements = [shared.statement() for _ in range(50)]
    for statement in statements:
        statement.questions = statement.ask(*numbers(0, 60))
        statement.evaluation.flush()
    await settle()
    assert len(shared.backend.calls) == 3
    shared.backend.gate.set()
    await settle()
    assert sorted(shared.all_texts) == sorted(map(str, range(60)))
    assert all(are_answered(s.questions) for s in statements)
    assert all(not s.evaluation.in_flight and s.woken for s in statements)
    assert sum(s.evaluation.texts for s in statements) == 60
    assert sum(s.evaluation.cached for s in statements) == 49 * 60
    assert len(shared.engine.flights) == 0


async def test_nobody_joins_a_batch_that_is_not_sent():
    """Whose statement it is may read on for hours."""
    shared = Shared()
    slow, fast = shared.statement(), shared.statement()
    [of_slow] = slow.ask(b"a")
    [of_fast] = fast.ask(b"a")
    await fast.finish()
    assert are_answered([of_fast]) and shared.all_texts == ["a"]
    assert not of_slow.is_answered
    # And when its turn comes, the answer is there.
    await slow.finish()
    assert are_answered([of_slow]) and shared.all_texts == ["a"]
    assert slow.evaluation.calls == 0 and slow.woken == 0


async def test_a_batch_that_shrinks_as_others_answer_it_fills_up_again():
    shared = Shared()
    first, second = shared.statement(), shared.statement()
    first.ask(*numbers(0, 24))
    second.ask(*numbers(0, 20))
    await second.finish()
    shared.backend.calls.clear()
    first.ask(*numbers(24, 45))  # one makes it full: twenty of it are known by then
    await settle()
    assert [len(texts) for texts, _, _ in shared.backend.calls] == [25]
    await first.finish()
    assert sorted(shared.all_texts, key=int) == [str(n) for n in range(20, 45)]


async def test_a_cancelled_statement_leaves_the_others_their_call():
    shared = Shared(concurrency=1)
    shared.backend.gate.clear()
    first, second = shared.statement(), shared.statement()
    first.ask(*numbers(0, 60))
    questions = second.ask(*numbers(10, 30))
    first.evaluation.flush()
    second.evaluation.flush()
    await settle()
    first.evaluation.cancel()
    await settle()
    assert first.evaluation.in_flight == 0
    shared.backend.gate.set()
    await settle()
    assert are_answered(questions)
    # The call under way was paid for; of the next one, only what is wanted is asked.
    assert shared.all_texts[:25] == [str(n) for n in range(25)]
    assert sorted(shared.all_texts[25:]) == [str(n) for n in range(25, 30)]
    assert len(shared.engine.flights) == 0 and not shared.spawn.failures


async def test_with_everybody_cancelled_every_call_ends():
    shared = Shared(concurrency=1)
    shared.backend.gate.clear()
    statements = [shared.statement() for _ in range(3)]
    for statement in statements:
        statement.ask(*numbers(0, 60))
        statement.evaluation.flush()
    await settle()
    for statement in statements:
        statement.evaluation.cancel()
    await settle()
    shared.backend.gate.set()
    await settle()
    assert len(shared.backend.calls) == 1 and not shared.spawn.tasks
    assert len(shared.engine.flights) == 0


async def test_who_has_joined_takes_a_failure_by_its_own_policy():
    shared = Shared()
    shared.backend.replies["a"] = Failure("X", "no")
    shared.backend.gate.clear()
    strict, lenient = shared.statement(), shared.statement(Policy(null_on_error=True))
    strict.ask(b"a", b"b")
    questions = lenient.ask(b"a", b"b")
    strict.evaluation.flush()
    lenient.evaluation.flush()
    shared.backend.gate.set()
    await settle()
    assert isinstance(strict.evaluation.failure, BackendFailed)
    assert lenient.evaluation.failure is None
    assert [q.answer for q in questions] == [None, NEUTRAL]
    assert lenient.evaluation.warning_count == 1
    # A failure is no answer: it is asked again.
    again = shared.statement()
    del shared.backend.replies["a"]
    questions = again.ask(b"a", b"b")
    await again.finish()
    assert are_answered(questions) and shared.all_texts == ["a", "b", "a"]


@pytest.mark.parametrize("size", [25, 3])
async def test_anothers_bad_text_takes_no_answer_away(size):
    shared = Shared(concurrency=1)
    shared.backend.poison["bad"] = Failure("InvalidRequest", "no", Cause.REFUSED)
    guilty, innocent = shared.statement(), shared.statement()
    guilty.ask(b"bad", *numbers(0, 9))
    guilty.evaluation.flush()
    questions = innocent.ask(*numbers(0, 20), size=size)
    innocent.evaluation.flush()
    for _ in range(10):
        await settle()
    assert guilty.evaluation.failure is not None
    assert innocent.evaluation.failure is None and are_answered(questions)
    assert not innocent.evaluation.in_flight


async def test_a_session_may_do_without_the_cache():
    shared = Shared()
    off = Policy(uses_cache=False)
    for _ in range(2):
        statement = shared.statement(off)
        statement.ask(b"a")
        await statement.finish()
    assert shared.all_texts == ["a", "a"] and shared.cache.entries == 0
    shared.backend.gate.clear()
    for policy in (off, Policy(), off):
        statement = shared.statement(policy)
        statement.ask(b"a")
        statement.evaluation.flush()
    await settle()
    assert len(shared.backend.calls) == 2 + 3  # and nobody joins them
    shared.backend.gate.set()
    await settle()


async def test_without_a_cache_statements_share_nothing():
    bench = Bench()
    assert bench.evaluation._engine.cache is None
    other = Evaluation(bench.evaluation._engine, Policy(), "f", bench.spawn, lambda: None)
    bench.ask(b"a")
    other.ask(b"a", "en", 25)
    bench.evaluation.flush()
    other.flush()
    await settle()
    assert bench.texts == [["a"], ["a"]]


# Counts.


def counts(statement: Bench) -> tuple[int, int, int, int]:
    tally = statement.evaluation.tally
    asked, hits = tally["logical_requests"], tally["cache_hits"]
    answered, failed = tally["logical_responses"], tally["logical_failures"]
    assert asked == hits + answered + failed
    return asked, hits, answered, failed


def counting(statement: Bench) -> Bench:
    statement.evaluation.tally = Tally()
    return statement


async def test_every_row_is_a_request_and_every_one_but_the_first_a_hit():
    shared = Shared()
    first = counting(shared.statement())
    first.ask(b"a", b"a", b"b", None, b"", b"a")
    await first.finish()
    first.ask(b"a")
    first.evaluation.cancel()
    assert counts(first) == (5, 3, 2, 0)
    second = counting(shared.statement())
    second.ask(b"a", b"a", b"c")
    await second.finish()
    assert counts(second) == (3, 2, 1, 0)


async def test_an_answer_that_another_statement_asked_for_is_a_hit():
    shared = Shared()
    shared.backend.gate.clear()
    first, second = counting(shared.statement()), counting(shared.statement())
    first.ask(b"a", b"b")
    second.ask(b"b", b"b", b"c")
    first.evaluation.flush()
    second.evaluation.flush()
    shared.backend.gate.set()
    await settle()
    assert counts(first) == (2, 0, 2, 0) and counts(second) == (3, 2, 1, 0)


async def test_an_answer_from_the_store_is_a_hit():
    store = FakeStore()
    shared = Shared(store=store)
    first = shared.statement()
    first.ask(b"a")
    await first.finish()
    shared.cache.forget_memory()
    second = counting(shared.statement())
    second.ask(b"a", b"a")
    await second.finish()
    assert counts(second) == (2, 2, 0, 0)


async def test_failures_are_failures_however_often_they_are_asked():
    bench = counting(Bench(Policy(null_on_error=True)))
    bench.backend.replies["a"] = Failure("X", "no")
    bench.ask(b"a", b"a", b"b")
    await bench.finish()
    bench.ask(b"a")
    bench.evaluation.cancel()
    assert counts(bench) == (4, 0, 1, 3)


async def test_what_was_never_answered_is_a_failure():
    bench = counting(Bench(concurrency=1))
    bench.backend.gate.clear()
    bench.ask(*numbers(0, 60), b"1")
    await settle()
    bench.evaluation.cancel()
    bench.backend.gate.set()
    await settle()
    assert counts(bench) == (61, 0, 0, 61)
    tally = bench.evaluation.tally
    assert tally["actual_requests"] == tally["actual_responses"] == 1


async def test_a_failed_statement_adds_up_too():
    bench = counting(Bench())
    bench.backend.replies["b"] = Failure("X", "no")
    bench.ask(b"a", b"b", b"b")
    await bench.finish()
    bench.ask(b"b", b"c")
    bench.evaluation.cancel()
    bench.evaluation.cancel()
    assert counts(bench) == (5, 0, 1, 4)


async def test_a_long_text_that_is_taken_as_null_is_not_asked():
    bench = counting(Bench(Policy(long_text="null")))
    bench.ask(LONG, LONG)
    bench.evaluation.cancel()
    assert counts(bench) == (0, 0, 0, 0)


async def test_texts_that_are_asked_one_by_one_are_counted():
    bench = counting(Bench())
    bench.ask(b"a", b"b", size=1)
    bench.ask(b"c", b"d")
    await bench.finish()
    assert bench.evaluation.tally["singles"] == 2
    assert bench.evaluation.tally["actual_requests"] == 3


async def test_a_batch_is_full_by_its_bytes_too():
    bench = Bench()
    bench.evaluation._engine.max_batch_bytes = 10
    bench.ask(b"aaaa", b"bbbb", "éé".encode(), b"dddddddddddd", b"ee", b"f")
    await bench.finish()
    assert bench.texts == [["aaaa", "bbbb"], ["éé"], ["dddddddddddd"], ["ee", "f"]]


async def test_a_statement_has_the_patience_of_its_session():
    bench = Bench(Policy(timeout_s=0.001))
    bench.backend.gate.clear()
    ended = asyncio.Event()
    bench.evaluation.wake = ended.set
    bench.ask(b"a")
    bench.evaluation.flush()
    async with asyncio.timeout(5):
        await ended.wait()
    assert bench.evaluation.failure.message == (
        "f: the model service gave no answer: InferenceTimeout: no answer within "
        "aurora_ml_inference_timeout (1 ms)"
    )
    assert not bench.evaluation.in_flight
    bench.backend.gate.set()
    await settle()


async def test_long_texts_are_known_by_what_is_asked():
    shared = Shared()
    policy = Policy(long_text="truncate")
    first = shared.statement(policy)
    first.ask(b"x" * 6_000, b"x" * 7_000)
    await first.finish()
    assert shared.all_texts == ["x" * 5_000]
    assert are_answered(shared.statement(policy).ask(b"x" * 8_000, b"x" * 5_000))


async def test_the_store_is_asked_before_the_service():
    store = FakeStore()
    first = Shared(store=store)
    statement = first.statement()
    statement.ask(*numbers(0, 40))
    await statement.finish()
    assert len(store.records) == 40
    # Another process.
    second = Shared(store=store)
    statement = second.statement()
    questions = statement.ask(*numbers(10, 70))
    assert statement.evaluation.in_flight == 1 and not statement.evaluation.is_saturated
    await statement.finish()
    assert are_answered(questions)
    assert sorted(second.all_texts, key=int) == [str(n) for n in range(40, 70)]
    assert [len(t) for t, _, _ in second.backend.calls] == [25, 5]
    assert [len(keys) for keys in store.reads[-1:]] == [60]  # in one look
    assert (statement.evaluation.cached, statement.evaluation.texts) == (30, 30)


async def test_what_is_flushed_while_it_is_looked_up_is_sent_afterwards():
    store = FakeStore()
    shared = Shared(store=store)
    store.gate.clear()
    statement = shared.statement()
    questions = statement.ask(*numbers(0, 30))
    statement.evaluation.flush()
    await settle()
    assert not shared.backend.calls and statement.evaluation.in_flight
    store.gate.set()
    await settle()
    assert are_answered(questions) and statement.woken
    assert [len(t) for t, _, _ in shared.backend.calls] == [25, 5]


async def test_what_is_not_flushed_waits_for_its_batch_to_fill():
    shared = Shared(store=FakeStore())
    statement = shared.statement()
    statement.ask(*numbers(0, 30))
    await settle()
    assert [len(t) for t, _, _ in shared.backend.calls] == [25]
    statement.ask(*numbers(30, 50))
    await settle()
    assert [len(t) for t, _, _ in shared.backend.calls] == [25, 25]
    statement.evaluation.cancel()


@pytest.mark.parametrize("how", ["fails", "stalls"])
async def test_a_dead_store_costs_a_statement_its_patience_once(how):
    store = FakeStore()
    shared = Shared(store=store)
    if how == "fails":
        store.fails = "gone"
    else:
        store.gate.clear()
    statement = shared.statement()
    questions = statement.ask(*numbers(0, 30))
    statement.evaluation.flush()
    async with asyncio.timeout(20 * store.patience_s):
        await until_idle(statement)
    assert are_answered(questions) and statement.evaluation.failure is None
    reads = len(store.reads)
    statement = shared.statement()
    questions = statement.ask(*numbers(30, 60))
    await statement.finish()
    assert are_answered(questions) and len(store.reads) == reads
    store.gate.set()


async def test_a_statement_that_is_over_does_nothing_with_what_it_looked_up():
    store = FakeStore()
    shared = Shared(store=store)
    store.gate.clear()
    statement = shared.statement()
    statement.ask(*numbers(0, 30))
    await settle()
    statement.evaluation.cancel()
    store.gate.set()
    await settle()
    assert not shared.backend.calls and not shared.spawn.tasks


async def test_a_statement_sees_that_another_process_has_forgotten_all(monkeypatch):
    monkeypatch.setattr(stored_module, "WATCH_EVERY_S", 0.0)
    store = FakeStore()
    shared = Shared(store=store)
    statement = shared.statement()
    statement.ask(b"a")
    await statement.finish()
    await store.forget_all()
    shared.statement()  # notices, in the background
    await settle()
    statement = shared.statement()
    statement.ask(b"a")
    await statement.finish()
    assert shared.all_texts == ["a", "a"]


async def test_what_is_counted_adds_up():
    names = ("hits_total", "misses_total", "joins_total")

    def counted() -> list[float]:
        read = metrics.REGISTRY.get_sample_value
        prefix = "aurora_ml_proxy_cache_"
        return [
            sum(
                read(prefix + name, labels) or 0
                for labels in ({"place": "memory"}, {"place": "fake"}, {})
            )
            for name in names
        ]

    store = FakeStore()
    shared, before = Shared(store=store), counted()
    asked = 0
    for first, behind in [(0, 60), (30, 90), (0, 10), (80, 200)]:
        for _ in range(2):
            statement = shared.statement()
            statement.ask(*numbers(first, behind))
            statement.evaluation.flush()
            asked += behind - first
        await settle()
        shared.cache.forget_memory()
    after = counted()
    hits, misses, joins = (b - a for a, b in zip(before, after, strict=True))
    assert hits + misses + joins == asked
    assert misses == len(shared.all_texts) == len(set(shared.all_texts)) == 200
    assert joins > 0 and hits > 0
