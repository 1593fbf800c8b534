"""The way to one backend, which all statements share: every call goes through here.

It waits for a place, lets the breaker speak, makes the call, and takes notes: for the
pace, the breaker, the counts and the metrics. What to do with a failure is for `calls`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from aurora_ml_proxy import metrics
from aurora_ml_proxy.backends import Backend
from aurora_ml_proxy.evaluate.backoff import retry_after_s
from aurora_ml_proxy.evaluate.breaker import Breaker
from aurora_ml_proxy.evaluate.flights import Asker
from aurora_ml_proxy.evaluate.pace import Pace
from aurora_ml_proxy.evaluate.places import Places
from aurora_ml_proxy.functions import Answer, Cause, Failure

Reply = list[Answer] | Failure
"""Of a backend: an answer a text, or why there are none."""


class Lane:
    """At most `concurrency` calls at one time, fewer while the service asks for it."""

    def __init__(
        self,
        backend: Backend,
        concurrency: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = backend
        self.breaker = Breaker()
        self._probe_ended = asyncio.Event()
        self.places = Places(concurrency)
        self._pace = Pace(concurrency)
        self._clock = clock
        metrics.PACE.labels(backend.name).set(concurrency)
        metrics.BREAKER.labels(backend.name).set(self.breaker.state)

    async def request(
        self,
        owner: Asker,
        begin: Callable[[], Sequence[str]],
        language: str,
        *,
        single: bool,
    ) -> Reply:
        """Make one call, when it is its turn, unless the service is down.

        Args:
            owner: who is counted, and waits for its turn among the others.
            begin: told that it is its turn; gives the texts that are still wanted.
        """
        async with self.places.place(owner):
            while self.breaker.is_probing:
                # A statement of many calls must not fail as its service comes back.
                await self._probe_ended.wait()
            texts = begin()
            if not texts:
                return []
            began_s = self._clock()
            refusal = self.breaker.refusal(began_s)
            if refusal is not None:
                return refusal
            if self.breaker.is_probing:
                self._probe_ended.clear()
            owner.tally.add("actual_requests")
            reply = await self._send(texts, language, single, began_s)
            if not isinstance(reply, Failure):
                owner.tally.add("actual_responses")
            return reply

    async def _send(
        self, texts: Sequence[str], language: str, single: bool, began_s: float
    ) -> Reply:
        name = self.backend.name
        metrics.CALLS.labels(name).inc()
        metrics.TEXTS.labels(name).inc(len(texts))
        metrics.IN_FLIGHT.labels(name).inc()
        try:
            reply = await self.backend.detect_sentiment(texts, language, single=single)
        except BaseException:
            metrics.FAILED_CALLS.labels(name, "abandoned").inc()
            self.breaker.abandoned()
            raise
        else:
            self._note(reply, texts, began_s)
        finally:
            metrics.IN_FLIGHT.labels(name).dec()
            metrics.BREAKER.labels(name).set(self.breaker.state)
            if not self.breaker.is_probing:
                self._probe_ended.set()
        if not isinstance(reply, Failure) and len(reply) != len(texts):
            raise AssertionError(f"{name} gave {len(reply)} answers to {len(texts)}")
        return reply

    def _note(self, reply: Reply, texts: Sequence[str], began_s: float) -> None:
        name, now_s = self.backend.name, self._clock()
        metrics.CALL_SECONDS.labels(name).observe(now_s - began_s)
        if isinstance(reply, Failure):
            metrics.FAILED_CALLS.labels(name, reply.cause.value).inc()
            metrics.FAILED_TEXTS.labels(name).inc(len(texts))
        else:
            pairs = list(zip(texts, reply, strict=False))
            right = [text for text, answer in pairs if not isinstance(answer, Failure)]
            metrics.FAILED_TEXTS.labels(name).inc(len(pairs) - len(right))
            metrics.CHARACTERS.labels(name).inc(sum(map(len, right)))
        trouble = trouble_in(reply)
        self.breaker.ended(trouble, began_s, now_s)
        self._pace.ended(trouble.cause if trouble else None, began_s, now_s)
        metrics.PACE.labels(name).set(self._pace.limit)
        if trouble is not None and trouble.retry_after_s is not None:
            self.places.pause(retry_after_s(trouble))
        self.places.limit = self._pace.limit


def trouble_in(reply: Reply) -> Failure | None:
    """What a reply says of the service, whatever it says of the texts."""
    if isinstance(reply, Failure):
        return reply
    failures = [answer for answer in reply if isinstance(answer, Failure)]
    for failure in failures:
        if failure.cause is Cause.THROTTLED:
            return failure
    if len(failures) == len(reply) and all(f.cause is Cause.PASSING for f in failures):
        return failures[0] if failures else None
    return None
