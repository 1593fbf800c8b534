"""Texts on their way to the service: who waits for them, and who may still join.

Single flight, over all connections: whoever asks about a text that is on its way waits
for the same answer.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.evaluate.tally import Tally
from aurora_ml_proxy.functions import Answer


class Asker(Protocol):
    """A statement."""

    timeout_s: float | None
    """How long it waits for a call, once that is made; None for as long as it takes."""
    tally: Tally
    """Where its calls are counted."""
    wake: Callable[[], None]
    """Tells it that something has changed."""

    def settle(self, question: Question, answer: Answer) -> None:
        """A question of its own has an answer, or a failure."""
        ...

    def call_ended(self, call: "Joinable", error: BaseException | None) -> None:
        """A call that it waits for is over; with an error, without answers."""
        ...


class Joinable(Protocol):
    """A call of the service, which belongs to nobody."""

    def join(self, asker: Asker, flight: "Flight", question: Question) -> None:
        """Wait for the answer to one of its texts."""
        ...

    def leave(self, asker: Asker) -> None:
        """Wait for none of them any more."""
        ...


class Flight:
    """One text on its way."""

    __slots__ = ("call", "epoch", "key", "owner", "text", "waiting")

    def __init__(
        self, call: Joinable, owner: Asker, text: str, key: bytes | None, epoch: int
    ) -> None:
        self.call = call
        self.owner = owner
        """Whose call it was at first: its turns, and its counts."""
        self.text = text
        self.key = key
        """What others find it by; None: nobody joins."""
        self.epoch = epoch
        """The cache's when it was asked about."""
        self.waiting: list[tuple[Asker, Question]] = []
        """Whose question it answers."""


class Flights:
    """The texts that are on their way to one backend, by key."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: bytes, epoch: int) -> Flight | None:
        """The text, unless it was asked about before everything was forgotten."""
        flight = self._by_key.get(key)
        return flight if flight is not None and flight.epoch == epoch else None

    def take_off(self, flight: Flight) -> None:
        """Let others join."""
        if flight.key is not None:
            self._by_key[flight.key] = flight

    def land(self, flights: Iterable[Flight]) -> None:
        """Let nobody join any more."""
        for flight in flights:
            if flight.key is not None and self._by_key.get(flight.key) is flight:
                del self._by_key[flight.key]
