"""One statement's questions: each distinct text once, in batches a language.

`ask` gives a `Question` at once; its answer comes when its batch is answered. A batch is
sent when it is full, or when `flush` says that no more texts come.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from aurora_ml_proxy.errors import ERRORS, BackendFailed, ProxyError
from aurora_ml_proxy.evaluate.arguments import (
    LongText,
    cut_text,
    read_text,
    text_too_long,
)
from aurora_ml_proxy.evaluate.engine import Engine
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
    """What becomes of a text that cannot be answered."""

    long_text: LongText = "error"
    null_on_error: bool = False


class Question:
    """A distinct text, and its answer once it is there."""

    __slots__ = ("answer", "cells", "is_answered", "text")

    def __init__(self, text: str | None) -> None:
        self.text = text
        """Held until it is answered; None for what needs no asking."""
        self.is_answered = text is None
        self.answer: Sentiment | None = None
        """None is SQL's NULL."""
        self.cells: tuple[bytes, bytes] | None = None
        """For the splicer: the answer as it stands in rows."""


NULL = Question(None)
"""The question about NULL and about the empty text: NULL, without a call."""


class Evaluation:
    """The questions of one statement and the calls that answer them."""

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        function: str,
        spawn: Spawn,
        wake: Callable[[], None],
    ) -> None:
        self.calls = 0
        self.texts = 0
        self.in_flight = 0
        """Calls under way or waiting for a place."""
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
        self._remembered: dict[str, dict[bytes, Question]] = {}
        self._remembered_bytes = 0
        self._open: dict[tuple[str, int], list[Question]] = {}
        self._tasks: set[Any] = set()
        self._failures_seen: set[str] = set()

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
            question = self._new_question(text)
            remembered[text] = question
            self._remembered_bytes += len(text) + QUESTION_BYTES
            if self._remembered_bytes > MAX_REMEMBERED_BYTES:
                self._forget()
            if not question.is_answered:
                self._add_to_batch(question, language, batch_size)
        return question

    def _forget(self) -> None:
        """Make room, where most is remembered: no language drives out another."""
        while self._remembered_bytes > MAX_REMEMBERED_BYTES:
            fullest = max(self._remembered.values(), key=len)
            oldest = next(iter(fullest))
            del fullest[oldest]
            self._remembered_bytes -= len(oldest) + QUESTION_BYTES

    def _new_question(self, text: bytes) -> Question:
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
        return Question(read_text(text, self._function))

    def _warn(self, errno: int, message: str) -> None:
        self.warning_count += 1
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(StatementWarning(errno, message))

    def _add_to_batch(self, question: Question, language: str, batch_size: int) -> None:
        key = (language, batch_size)
        batch = self._open.setdefault(key, [])
        batch.append(question)
        if len(batch) == batch_size:
            self._send(key)

    def flush(self) -> None:
        """Send what waits for its batch to fill: no more texts come for now."""
        for key in list(self._open):
            self._send(key)

    def _send(self, key: tuple[str, int]) -> None:
        batch = self._open.pop(key)
        language, batch_size = key
        texts = [question.text or "" for question in batch]
        self.calls += 1
        self.texts += len(texts)
        self.in_flight += 1
        call = self._call(batch, texts, language, single=batch_size == 1)
        task = self._spawn(call)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(
        self, batch: list[Question], texts: list[str], language: str, *, single: bool
    ) -> None:
        try:
            answers = await self._engine.ask(texts, language, single=single)
            for question, answer in zip(batch, answers, strict=True):
                self._settle(question, answer)
        except Exception as error:
            self.failure = BackendFailed(
                f"{self._function}: the call of the model service failed inside the "
                f"proxy ({type(error).__name__})"
            )
            raise
        finally:
            self.in_flight -= 1
            self.wake()

    def _settle(self, question: Question, answer: Answer) -> None:
        question.text = None
        if isinstance(answer, Sentiment):
            question.answer = answer
            question.is_answered = True
            return
        self._fail(question, answer)

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
        """Stop every call: nobody waits for the answers any more."""
        self._open.clear()
        for task in list(self._tasks):
            task.cancel()
