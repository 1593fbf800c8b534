"""One statement's questions: each distinct text once, in batches a language.

`ask` gives a `Question` at once; its answer comes when its batch is answered. A batch is
sent when it is full, or when `flush` says that no more texts come.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from aurora_ml_proxy import metrics
from aurora_ml_proxy.errors import ERRORS, BackendFailed, ProxyError
from aurora_ml_proxy.evaluate.arguments import (
    LongText,
    cut_text,
    read_text,
    text_too_long,
)
from aurora_ml_proxy.evaluate.calls import Call
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.flights import Joinable
from aurora_ml_proxy.evaluate.outlook import Outlook
from aurora_ml_proxy.evaluate.question import NO_KIND, NULL, Kind, Question
from aurora_ml_proxy.evaluate.records import digest_of
from aurora_ml_proxy.evaluate.tally import Count, Tally
from aurora_ml_proxy.functions import MAX_TEXT_BYTES, Answer, Failure, Sentiment

Spawn = Callable[[Coroutine[Any, Any, None]], Any]
"""Starts a task and keeps it from being collected; gives something to cancel."""

MAX_REMEMBERED_BYTES = 32 << 20
"""Memory for the texts that a statement remembers, so that it stays flat. A text that
comes again after so many others is asked again."""

QUESTION_BYTES = 400
"""What remembering a question takes besides its text, about."""

MAX_WARNINGS = 64
"""Warnings kept for SHOW WARNINGS: MariaDB's default max_error_count."""


@dataclass(frozen=True, slots=True)
class StatementWarning:
    """One row of SHOW WARNINGS."""

    errno: int
    message: str
    level: str = "Warning"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a session wants: how texts are answered, and what of those that cannot be."""

    long_text: LongText = "error"
    null_on_error: bool = False
    uses_cache: bool = True
    """Whether the answers to other statements serve, and its own serve others."""
    timeout_s: float | None = None
    """How long a statement waits for a call, once it is made."""


class Evaluation:
    """The questions of one statement and the calls that answer them.

    An `Asker`: calls tell it of their answers.
    """

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        function: str,
        spawn: Spawn,
        wake: Callable[[], None],
        tally: Tally | None = None,
    ) -> None:
        self.calls = 0
        self.texts = 0
        """Texts in these calls."""
        self.cached = 0
        """Texts whose answer was in the cache, or on its way to another statement."""
        self.failure: ProxyError | None = None
        """Why the statement cannot be answered, once that is known."""
        self.warnings: list[StatementWarning] = []
        self.warning_count = 0
        self._engine = engine
        self._policy = policy
        self._function = function
        """The name in messages; both functions share their calls."""
        self._spawn = spawn
        self.wake = wake
        """Tells whoever waits that something has changed."""
        self.timeout_s = policy.timeout_s
        self.tally = engine.tally if tally is None else tally
        """The session's."""
        self._asked = self._hits = self._answered = self._failed = 0
        """What is not in the tally yet: a row must not cost more than an addition."""
        self._pending = 0
        """What was asked and has no answer yet."""
        self._cache = engine.cache if policy.uses_cache else None
        self._remembered: dict[str, dict[bytes, Question]] = {}
        self._remembered_bytes = 0
        self._unseen: list[Question] = []
        """What is to be looked up in the cache's store."""
        self._lookups = 0
        """Looks into the store that wait for their turn or are under way."""
        self._open: dict[Kind, list[Question]] = {}
        self._open_bytes: dict[Kind, int] = {}
        self._waits_for: set[Joinable] = set()
        self._is_flushing = False
        self._is_over = False
        self._failures_seen: set[str] = set()
        if engine.has_store and self._cache is not None:
            self._cache.watch()

    @property
    def in_flight(self) -> int:
        """Calls under way or waiting for a place, others' calls that it has joined, and
        looks into the store."""
        return len(self._waits_for) + self._lookups

    @property
    def is_saturated(self) -> bool:
        """Whether enough calls wait that more rows need not be read."""
        return self.in_flight >= 2 * self._engine.concurrency

    def ask(self, text: bytes | None, language: str, batch_size: int) -> Question:
        """The question about a text, a new one or the one asked before.

        Raises: TextTooLong, TextNotUtf8.
        """
        if not text:
            return NULL
        remembered = self._remembered.get(language)
        if remembered is None:
            remembered = self._remembered[language] = {}
        question = remembered.get(text)
        if question is None:
            question = self._new_question(text, (language, batch_size))
            remembered[text] = question
            self._remembered_bytes += len(text) + QUESTION_BYTES
            if self._remembered_bytes > MAX_REMEMBERED_BYTES:
                self._forget()
            self._count(question)
            if not question.is_answered:
                self._find_answer(question)
        else:
            self._count(question)
        return question

    def _count(self, question: Question) -> None:
        if question.kind is NO_KIND:
            return  # a long text that is taken as NULL
        self._asked += 1
        if not question.is_answered:
            question.asked += 1
            self._pending += 1
        elif question.answer is not None:
            self._hits += 1
        else:
            self._failed += 1

    def _forget(self) -> None:
        """Make room, where most is remembered: no language drives out another."""
        while self._remembered_bytes > MAX_REMEMBERED_BYTES:
            fullest = max(self._remembered.values(), key=len)
            oldest = next(iter(fullest))
            del fullest[oldest]
            self._remembered_bytes -= len(oldest) + QUESTION_BYTES

    def _new_question(self, text: bytes, kind: Kind) -> Question:
        if len(text) > MAX_TEXT_BYTES:
            read_text(text, self._function)
            what = self._policy.long_text
            if what == "error":
                raise text_too_long(text, self._function)
            done = "cut to its first" if what == "truncate" else "taken as NULL, over"
            self._warn(
                ERRORS["TextTooLong"].errno,
                f"{self._function}: a text of {len(text)} bytes of UTF-8 was {done} "
                f"{MAX_TEXT_BYTES}",
            )
            if what == "null":
                return Question(None)
            text = cut_text(text)
        key = None
        if self._cache is not None:
            key = self._engine.key(digest_of(text), kind[0])
        question = Question(read_text(text, self._function), kind, key)
        question.size = len(text)
        return question

    def _warn(self, errno: int, message: str) -> None:
        self.warning_count += 1
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(StatementWarning(errno, message))

    # Texts that are known by their hashes only.

    @property
    def outlook(self) -> Outlook | None:
        """What statements have read; None where there is no cache to know texts by."""
        return self._cache.outlook if self._cache is not None else None

    def key(self, digest: bytes, language: str) -> bytes:
        """What the cache knows the answer to a text by."""
        return self._engine.key(digest, language)

    def recall(self, key: bytes) -> Sentiment | None:
        """The answer, if it is in the cache's memory."""
        answer = self._engine.recall(key)
        if answer is not None:
            metrics.MEMORY_HITS.inc()
            self.cached += 1
        return answer

    async def look_up(self, keys: Sequence[bytes]) -> dict[bytes, Sentiment]:
        """The answers that the cache's store has."""
        if not self._engine.has_store:
            return {}
        answers = await self._engine.look_up(keys)
        self._engine.count_store_hits(len(answers))
        self.cached += len(answers)
        return answers

    def count_known(self, texts: int) -> None:
        """Texts were answered by their hashes, without a question: they are hits too."""
        self._asked += texts
        self._hits += texts
        self._report()

    # Answers that are there already, or on their way.

    def _find_answer(self, question: Question) -> None:
        if self._finds(question):
            return
        if question.key is not None and self._engine.has_store:
            self._look_up_soon(question)
        else:
            self._add_to_batch(question)

    def _finds(self, question: Question) -> bool:
        """Whether the answer is in memory, or on its way."""
        engine, key = self._engine, question.key
        if key is None:
            return False
        answer = self.recall(key)
        if answer is not None:
            question.is_hit = True
            self.settle(question, answer)
            return True
        flight = engine.flights.find(key, engine.epoch)
        if flight is None:
            return False
        metrics.CACHE_JOINS.inc()
        self.cached += 1
        question.is_hit = True
        flight.call.join(self, flight, question)
        self._waits_for.add(flight.call)
        return True

    def _look_up_soon(self, question: Question) -> None:
        """Look a question up together with all that are asked in this turn."""
        if not self._unseen:
            self._lookups += 1
            self._spawn(self._look_up())
        self._unseen.append(question)

    async def _look_up(self) -> None:
        asked, self._unseen = self._unseen, []
        try:
            keys = [question.key for question in asked if question.key is not None]
            answers = await self.look_up(keys)
        finally:
            self._lookups -= 1
        if self._is_over:
            return
        for question in asked:
            answer = answers.get(question.key or b"")
            if answer is not None:
                question.is_hit = True
                self.settle(question, answer)
            else:
                self._add_to_batch(question)
        if self._is_flushing and not self._lookups:
            self.flush()
        self._report()
        self.wake()

    # Calls.

    def _add_to_batch(self, question: Question) -> None:
        kind = question.kind
        size = self._open_bytes.get(kind, 0) + question.size
        if kind in self._open and size > self._engine.max_batch_bytes:
            self._send(kind, is_last=True)
            size = question.size
        batch = self._open.setdefault(kind, [])
        batch.append(question)
        self._open_bytes[kind] = size
        if len(batch) == kind[1]:
            self._send(kind, is_last=False)

    def flush(self) -> None:
        """Send what waits for its batch to fill: no more texts come for now."""
        self._is_flushing = self._lookups > 0  # or when they are done
        if not self._is_flushing:
            for kind in list(self._open):
                self._send(kind, is_last=True)

    def _send(self, kind: Kind, *, is_last: bool) -> None:
        """Make a call of a batch, without what is known or under way by now.

        Args:
            is_last: whether the call is made even if the batch is not full any more.
        """
        batch = self._open.pop(kind)
        batch = [question for question in batch if not self._finds(question)]
        language, batch_size = kind
        if not batch or (len(batch) < batch_size and not is_last):
            self._open[kind] = batch
            self._open_bytes[kind] = sum(question.size for question in batch)
            return
        self._open_bytes[kind] = 0
        call = Call(self._engine, language, single=batch_size == 1)
        self._waits_for.add(call)
        for question in batch:
            call.ask(self, question)
        self.calls += 1
        self.texts += len(call)
        if batch_size == 1:
            self.tally.add("singles", len(call))
        if self._cache is not None:
            metrics.CACHE_MISSES.inc(len(call))
            metrics.CACHE_JOINS.inc(len(batch) - len(call))
        call.task = self._spawn(call.run())

    def settle(self, question: Question, answer: Answer) -> None:
        """See `Asker`."""
        question.text = question.key = None
        asked, question.asked = question.asked, 0
        self._pending -= asked
        if isinstance(answer, Sentiment):
            question.answer = answer
            question.is_answered = True
            of_its_own = int(not question.is_hit)
            self._answered += of_its_own
            self._hits += asked - of_its_own
            return
        self._failed += asked
        self._fail(question, answer)

    def call_ended(self, call: Joinable, error: BaseException | None) -> None:
        """See `Asker`."""
        self._waits_for.discard(call)
        if error is not None:
            self.failure = self.failure or BackendFailed(
                f"{self._function}: the call of the model service failed inside the "
                f"proxy ({type(error).__name__})"
            )
        self._report()
        self.wake()

    def _fail(self, question: Question, failure: Failure) -> None:
        message = (
            f"{self._function}: the model service gave no answer: "
            f"{failure.code}: {failure.message}"
        )
        if not self._policy.null_on_error:
            self.failure = self.failure or BackendFailed(message)
            return  # the question stays open: no row with it is ever passed on
        question.is_answered = True
        if message not in self._failures_seen and len(self._failures_seen) < 1000:
            self._failures_seen.add(message)
            self._warn(ERRORS["BackendFailed"].errno, message)

    def cancel(self) -> None:
        """Wait for nothing any more: calls that nobody else waits for are ended."""
        self._is_over = True
        self._open.clear()
        for call in list(self._waits_for):
            call.leave(self)
        self._waits_for.clear()
        self._failed += self._pending
        self._pending = 0
        self._report()

    def _report(self) -> None:
        """Bring the tally up to date: what is pending is asked, and has no end yet."""
        counts: tuple[tuple[Count, int], ...] = (
            ("logical_requests", self._asked),
            ("cache_hits", self._hits),
            ("logical_responses", self._answered),
            ("logical_failures", self._failed),
        )
        for count, number in counts:
            if number:
                self.tally.add(count, number)
        self._asked = self._hits = self._answered = self._failed = 0
