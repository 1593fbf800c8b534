"""Random choices that can be recorded, played again and made fewer.

In: a seed, or the list of what was chosen. Out: numbers below a bound.
A generator that asks `Choices` for everything, and takes 0 for the simplest, can be
shrunk without knowing its grammar: play a shorter or smaller list and look what comes.
"""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Numbers from a seed, or from a list; after the list's end always 0."""

    def __init__(self, seed: int, played: Sequence[int] | None = None) -> None:
        self._random = random.Random(seed)
        self._played = played
        self.made: list[int] = []
        """What was chosen so far."""

    def below(self, bound: int) -> int:
        """One of 0 … bound - 1."""
        if self._played is None:
            number = self._random.randrange(bound)
        elif len(self.made) < len(self._played):
            number = self._played[len(self.made)] % bound
        else:
            number = 0
        self.made.append(number)
        return number

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, of which the first is the simplest."""
        return options[self.below(len(options))]

    def weighted(self, *options: tuple[int, T]) -> T:
        """One of the options, each as often as its weight says."""
        number = self.below(sum(weight for weight, _ in options))
        for weight, option in options:
            number -= weight
            if number < 0:
                return option
        raise AssertionError("the weights are more than their sum")

    def chance(self, percent: int) -> bool:
        """True so often; False is the simple case."""
        return self.below(100) >= 100 - percent


def shrink(
    choices: Sequence[int], still_fails: Callable[[list[int]], bool], tries: int = 300
) -> list[int]:
    """A shorter list of choices that still fails; the same list if none is found.

    Drops stretches of choices, halved each round, and then turns stretches to 0.
    """
    best = list(choices)
    for replacement in ((), (0,)):
        size = max(1, len(best) // 2)
        while size:
            start = 0
            while start < len(best) and tries > 0:
                stretch = best[start : start + size]
                smaller = [
                    *best[:start],
                    *(list(replacement) * len(stretch)),
                    *best[start + size :],
                ]
                tries -= 1
                if smaller != best and still_fails(smaller):
                    best = smaller
                    start += len(stretch) if replacement else 0
                else:
                    start += size
            size //= 2
    return best
