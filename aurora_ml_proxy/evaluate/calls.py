"""A call of the service, and all the statements that wait for its answers.

It belongs to no statement: one that is cancelled, or out of time, leaves, and the call
ends with the last of them. A text that nobody waits for any more when the call begins is
not asked about.
"""

from collections.abc import Sequence
from typing import Any

from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.flights import Asker, Flight
from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.functions import Answer, Failure


class Call:
    """One call about texts of one language."""

    def __init__(self, engine: Engine, language: str, *, single: bool) -> None:
        self.task: Any = None
        """Runs `run`; set by whoever starts it."""
        self._engine = engine
        self._language = language
        self._single = single
        self._epoch = engine.epoch
        self._flights: list[Flight] = []
        self._askers: set[Asker] = set()

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
        self._askers.add(asker)

    def leave(self, asker: Asker) -> None:
        """Wait no more; the call ends when nobody waits."""
        self._askers.discard(asker)
        for flight in self._flights:
            flight.waiting = [pair for pair in flight.waiting if pair[0] is not asker]
        if not self._askers:
            self._engine.flights.land(self._flights)  # nobody joins what is to end
            self.task.cancel()

    async def run(self) -> None:
        """Wait for a place, ask what somebody still wants to know, and tell."""
        error: BaseException | None = None
        try:
            async with self._engine.place():
                self._drop_unwanted()
                answers = await self._engine.ask(
                    [flight.text for flight in self._flights],
                    self._language,
                    single=self._single,
                )
            self._engine.keep(self._flights, answers)
            is_refused = _is_refused(answers)
            for flight, answer in zip(self._flights, answers, strict=True):
                for asker, question in flight.waiting:
                    if is_refused and asker is not flight.owner:
                        asker.ask_again(question)
                    else:
                        asker.settle(question, answer)
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._engine.flights.land(self._flights)
            for asker in self._askers:
                asker.call_ended(self, error)

    def _drop_unwanted(self) -> None:
        self._engine.flights.land(f for f in self._flights if not f.waiting)
        self._flights = [flight for flight in self._flights if flight.waiting]


def _is_refused(answers: Sequence[Answer]) -> bool:
    """Whether a call failed as a whole and for good: one bad text can do that."""
    return len(answers) > 1 and all(
        isinstance(answer, Failure) and not answer.retryable for answer in answers
    )
