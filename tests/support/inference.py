"""An engine that asks a fake Comprehend in this process, through the real boto3 client.

Everything of the proxy that stands between a statement's texts and the service, and
nothing else: no SQL, no sockets to clients.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from support.playbook import Spawner

from aurora_ml_proxy import config
from aurora_ml_proxy.backends.comprehend import Comprehend
from aurora_ml_proxy.backends.fake import FakeComprehend
from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import Evaluation, Policy
from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.evaluate.tally import Tally

USUAL = Policy()


class Statement:
    """One statement's questions."""

    def __init__(
        self, engine: Engine, spawn: Spawner, policy: Policy = USUAL, size: int = 25
    ) -> None:
        self.questions: list[Question] = []
        self._size = size
        self._changed = asyncio.Event()
        self.evaluation = Evaluation(engine, policy, "f", spawn, self._changed.set)

    def ask(self, texts: Sequence[str], language: str = "en") -> None:
        self.questions += [
            self.evaluation.ask(text.encode(), language, self._size) for text in texts
        ]

    async def finish(self) -> "Statement":
        """Until everything is answered, or the statement has failed."""
        evaluation = self.evaluation
        evaluation.flush()
        while evaluation.in_flight and evaluation.failure is None:
            await self._changed.wait()
            self._changed.clear()
        evaluation.cancel()
        return self

    async def answers(self, texts: Sequence[str], language: str = "en") -> list[Any]:
        """The answers to texts, None for those without. Raises: BackendFailed."""
        self.ask(texts, language)
        await self.finish()
        if self.evaluation.failure is not None:
            raise self.evaluation.failure
        assert all(question.is_answered for question in self.questions)
        return [question.answer for question in self.questions]


class Inference:
    """The engine, the backend and the service. An async context manager."""

    def __init__(
        self,
        fake: FakeComprehend,
        concurrency: int = 8,
        *,
        cached: bool = False,
        max_attempts: int = 6,
        **comprehend: Any,
    ) -> None:
        settings = {"endpoint_url": fake.url, "timeout_s": 10.0, **comprehend}
        self.fake, self.spawn, self.tally = fake, Spawner(), Tally()
        self.cache = Cache(1 << 24, 3600) if cached else None
        self.naps: list[float] = []
        self.has_napped = asyncio.Event()
        self.engine = Engine(
            Comprehend(config.Comprehend(**settings), concurrency=concurrency),
            concurrency,
            self.cache,
            max_attempts=max_attempts,
            tally=self.tally,
            sleep=self._nap,
            chance=lambda: 1.0,
        )

    async def _nap(self, seconds: float) -> None:
        """Takes no time, and remembers what it was asked for."""
        self.naps.append(seconds)
        self.has_napped.set()
        await asyncio.sleep(0)

    def statement(self, policy: Policy = USUAL, size: int = 25) -> Statement:
        return Statement(self.engine, self.spawn, policy, size)

    async def __aenter__(self) -> "Inference":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.fake.release()
        while self.spawn.tasks:
            await asyncio.wait(self.spawn.tasks)
        await self.fake.wait_until_idle()
        await self.engine.close()
