"""The calls of one backend, limited over all statements and connections."""

import asyncio
import time
from collections.abc import Sequence

from aurora_ml_proxy import metrics
from aurora_ml_proxy.backends import Backend
from aurora_ml_proxy.functions import Answer, Failure


class Engine:
    """Lets at most `concurrency` calls of a backend be under way, first come first."""

    def __init__(self, backend: Backend, concurrency: int) -> None:
        self.concurrency = concurrency
        self._backend = backend
        self._places = asyncio.Semaphore(concurrency)

    async def ask(
        self, texts: Sequence[str], language: str, *, single: bool
    ) -> list[Answer]:
        """One call of the backend: an answer a text, in order."""
        name = self._backend.name
        async with self._places:
            metrics.CALLS.labels(name).inc()
            metrics.TEXTS.labels(name).inc(len(texts))
            started = time.perf_counter()
            answers = await self._backend.detect_sentiment(texts, language, single=single)
        metrics.CALL_SECONDS.labels(name).observe(time.perf_counter() - started)
        failed = sum(isinstance(answer, Failure) for answer in answers)
        metrics.FAILED_TEXTS.labels(name).inc(failed)
        if len(answers) != len(texts):
            raise AssertionError(f"{name} gave {len(answers)} answers to {len(texts)}")
        return answers

    async def close(self) -> None:
        """Give back what the backend holds."""
        await self._backend.close()
