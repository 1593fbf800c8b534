"""The texts of a harvest by their hashes: those with an answer, and those to be read."""

from collections.abc import Sequence

from aurora_ml_proxy.evaluate.evaluation import Evaluation
from aurora_ml_proxy.evaluate.question import NULL
from aurora_ml_proxy.evaluate.records import digest_of
from aurora_ml_proxy.functions import Sentiment
from aurora_ml_proxy.plan.plan import Asked
from aurora_ml_proxy.splice.lookups import KnownAnswers, number_of

_DIGEST_BYTES = 32

_LOOKED_UP_AT_ONCE = 1_000
_OF_EMPTY = digest_of(b"")


class HashedTexts:
    """What one reading of hashes has found."""

    def __init__(self, evaluation: Evaluation, known: Sequence[KnownAnswers]) -> None:
        self.found = 0
        """Texts with an answer that the statement did not know before."""
        self.wanted: set[bytes] = set()
        """The hashes of the keys of those without."""
        self._evaluation = evaluation
        self._known = known
        self._hits = 0
        self._unseen: dict[bytes, set[tuple[int, bytes]]] = {}
        """What is to be looked up in the cache's store: by the cache's key, the sets of
        answers that want it, and by which hash they do."""

    def take(self, asked: Asked, value: bytes, language: str, batch_size: int) -> None:
        """One value of the column that `Hashed` has made of a text."""
        digest, of_key = value[:_DIGEST_BYTES], value[-_DIGEST_BYTES:]
        number = number_of(of_key)
        if number in self._known[asked.known].answers:
            return
        if digest == _OF_EMPTY:
            self._answer(asked.known, number, NULL.answer)
            return
        key = self._evaluation.key(digest, language)
        if key in self._unseen:
            self._unseen[key].add((asked.known, of_key))
        elif (answer := self._evaluation.recall(key)) is not None:
            self._hits += 1
            self._answer(asked.known, number, answer)
        else:
            self._unseen[key] = {(asked.known, of_key)}

    async def look_up(self) -> None:
        """Look into the cache's store for what is not in memory; the rest is wanted."""
        keys = list(self._unseen)
        answers: dict[bytes, Sentiment] = {}
        for start in range(0, len(keys), _LOOKED_UP_AT_ONCE):
            some = keys[start : start + _LOOKED_UP_AT_ONCE]
            answers |= await self._evaluation.look_up(some)
        for key, asking in self._unseen.items():
            for known, of_key in asking:
                if (answer := answers.get(key)) is not None:
                    self._hits += 1
                    self._answer(known, number_of(of_key), answer)
                else:
                    self.wanted.add(of_key)
        self._evaluation.count_known(self._hits)
        self._hits = 0

    @property
    def count(self) -> int:
        """Texts, but for those that the statement knew before."""
        return self.found + len(self.wanted)

    def _answer(self, known: int, number: int, answer: Sentiment | None) -> None:
        self._known[known].answers[number] = answer
        self.found += 1
