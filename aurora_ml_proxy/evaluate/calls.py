"""A call of the service, and all the statements that wait for its answers.

It belongs to no statement: one that is cancelled, or out of time, leaves. What the
service is being asked at that moment is paid for: its answers are kept, and serve whoever
comes meanwhile. A text that nobody waits for is not asked about, and not again.
"""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any, TypeGuard

from aurora_ml_proxy import metrics
from aurora_ml_proxy.evaluate.backoff import wait_s
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.flights import Asker, Flight
from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.functions import Answer, Cause, Failure


class Call:
    """The texts of one batch, asked until each has an answer or none is to be had.

    A batch stays together when it is asked again. One that the service refuses is asked
    in halves, so that one bad text costs one text.
    """

    def __init__(self, engine: Engine, language: str, *, single: bool) -> None:
        self.task: Any = None
        """Runs `run`; set by whoever starts it."""
        self._engine = engine
        self._language = language
        self._single = single
        self._epoch = engine.epoch
        self._flights: list[Flight] = []
        self._askers: dict[Asker, asyncio.TimerHandle | None] = {}
        """Who waits, and the end of its patience."""
        self._has_begun = False
        self._requests = 0
        """That are under way: what is sent cannot be taken back."""

    def __len__(self) -> int:
        return len(self._flights)

    def ask(self, asker: Asker, question: Question) -> None:
        """One more text, before the call is made."""
        assert question.text is not None
        flights, key = self._engine.flights, question.key
        flight = None if key is None else flights.find(key, self._epoch)
        if flight is None or flight.call is not self:  # two long texts, cut to the same
            flight = Flight(self, asker, question.text, key, self._epoch)
            self._flights.append(flight)
            flights.take_off(flight)
        self.join(asker, flight, question)

    def join(self, asker: Asker, flight: Flight, question: Question) -> None:
        """Wait for the answer to a text of this call."""
        flight.waiting.append((asker, question))
        if asker not in self._askers:
            self._askers[asker] = self._patience(asker) if self._has_begun else None

    def leave(self, asker: Asker) -> None:
        """Wait no more; the call ends when nobody waits."""
        timer = self._askers.pop(asker, None)
        if timer is not None:
            timer.cancel()
        for flight in self._flights:
            flight.waiting = [pair for pair in flight.waiting if pair[0] is not asker]
        if not self._askers and (not self._requests or self._engine.is_instant):
            self._engine.flights.land(self._flights)  # nobody joins what is to end
            self.task.cancel()

    async def run(self) -> None:
        """Ask what somebody wants to know, and tell."""
        error: BaseException | None = None
        try:
            await self._ask(self._flights)
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._engine.flights.land(self._flights)
            askers, self._askers = self._askers, {}
            for asker, timer in askers.items():
                if timer is not None:
                    timer.cancel()
                asker.call_ended(self, error)

    async def _ask(self, flights: Sequence[Flight]) -> None:
        engine = self._engine
        for attempt in count(1):
            flights, reply = await self._request(flights)
            if isinstance(reply, Failure):
                if reply.cause is Cause.REFUSED and len(flights) > 1:
                    await self._ask_halves(flights)
                    return
                reply = [reply] * len(flights)
            engine.keep(flights, reply)
            again: list[tuple[Flight, Failure]] = []
            for flight, answer in zip(flights, reply, strict=True):
                if attempt < engine.max_attempts and _is_retryable(answer):
                    again.append((flight, answer))
                else:
                    self._settle(flight, answer)
            if not self._still_wanted([flight for flight, _ in again]):
                return
            for asker in list(self._askers):
                asker.wake()  # some of its answers may be there
            failures = [failure for _, failure in again]
            metrics.RETRIES.labels(engine.backend.name, failures[0].cause.value).inc()
            flights[0].owner.tally.add("retries")
            await engine.sleep(wait_s(failures, attempt, engine.chance()))
            flights = [flight for flight, _ in again]

    async def _ask_halves(self, flights: Sequence[Flight]) -> None:
        middle = len(flights) // 2
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask(flights[:middle]))
            group.create_task(self._ask(flights[middle:]))

    async def _request(
        self, flights: Sequence[Flight]
    ) -> tuple[list[Flight], list[Answer] | Failure]:
        """One request, and what it was about: what is wanted when its turn comes."""
        sent: list[Flight] = []

        def begin() -> list[str]:
            sent.extend(self._still_wanted(flights))
            self._requests += bool(sent)
            self._begin()
            return [flight.text for flight in sent]

        owner = flights[0].owner
        try:
            reply = await self._engine.lane.request(
                owner, begin, self._language, single=self._single
            )
        finally:
            self._requests -= bool(sent)
        return sent, reply

    def _begin(self) -> None:
        """Patience begins to run: not while others have their turn."""
        if not self._has_begun:
            self._has_begun = True
            for asker in self._askers:
                self._askers[asker] = self._patience(asker)

    def _patience(self, asker: Asker) -> asyncio.TimerHandle | None:
        if asker.timeout_s is None:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(asker.timeout_s, self._time_out, asker)

    def _time_out(self, asker: Asker) -> None:
        assert asker.timeout_s is not None
        failure = Failure(
            "InferenceTimeout",
            "no answer within aurora_ml_inference_timeout "
            f"({asker.timeout_s * 1000:.0f} ms)",
        )
        for flight in self._flights:
            for waiting, question in flight.waiting:
                if waiting is asker:
                    asker.settle(question, failure)
        self.leave(asker)
        asker.call_ended(self, None)

    def _still_wanted(self, flights: Sequence[Flight]) -> list[Flight]:
        self._engine.flights.land(f for f in flights if not f.waiting)
        return [flight for flight in flights if flight.waiting]

    def _settle(self, flight: Flight, answer: Answer) -> None:
        self._engine.flights.land([flight])
        waiting, flight.waiting = flight.waiting, []
        for asker, question in waiting:
            asker.settle(question, answer)


def _is_retryable(answer: Answer) -> TypeGuard[Failure]:
    return isinstance(answer, Failure) and answer.retryable
