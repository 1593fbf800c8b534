"""The local model: VADER, a lexicon and rules for English, in this process, free.

Texts come in, sentiments go out; nothing leaves the machine. `judge` is the model.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from aurora_ml_proxy.functions import Answer, Failure, Sentiment

DECISIVE = 0.05
"""VADER's README: "positive sentiment: compound score >= 0.05", negative likewise."""
MIXED_SHARE = 0.1
"""MIXED needs a tenth of the text's weight on either side. VADER has no such class."""
MIXED_COMPOUND = 0.5
"""MIXED ends where the compound score is this decisive for one side."""

_JUDGE_VERSION = "1"
"""Grows when `judge` makes something else of VADER's scores: caches outlive it."""

INLINE_COST = 200
"""A text of at most this `_cost` is judged on the event loop's own thread.

Measured: 0.5 ms for 200 characters of "not bad not bad", 0.4 ms for 5 emoji.
Dearer texts cost by the square and more (170 ms for 5,000 bytes of "good but", 1.4 s
for as many of emoji): they go to a thread."""
_EMOJI = "\u203c"
"""The first of the characters that VADER replaces by words; © and ® are two more."""
_EMOJI_COST = 30
"""VADER reads an emoji as its name: "grinning cat face with smiling eyes"."""


def judge(text: str) -> Sentiment:
    """The sentiment of an English text, the same at every call.

    With VADER's compound score c (-1 to 1) and its shares of positive and negative
    weight, the first line that fits gives label and confidence:

    MIXED     both shares >= 0.1, |c| < 0.5    1/2 + the smaller share of the two's sum
    POSITIVE  c >= 0.05                        1/2 + c/2
    NEGATIVE  c <= -0.05                       1/2 - c/2
    NEUTRAL   the rest                         1 - 10 |c|

    So every confidence is 1/2 to 1, and grows as the text gets further from the
    border of its class: more positive, more negative, flatter, better balanced.
    """
    scores = _analyzer().polarity_scores(text)
    compound, positive, negative = scores["compound"], scores["pos"], scores["neg"]
    weaker = min(positive, negative)
    if weaker >= MIXED_SHARE and abs(compound) < MIXED_COMPOUND:
        return _sentiment("MIXED", 0.5 + weaker / (positive + negative))
    if compound >= DECISIVE:
        return _sentiment("POSITIVE", 0.5 + compound / 2)
    if compound <= -DECISIVE:
        return _sentiment("NEGATIVE", 0.5 - compound / 2)
    return _sentiment("NEUTRAL", 1 - 10 * abs(compound))


def _sentiment(label: str, confidence: float) -> Sentiment:
    # VADER gives four places, so half of it has five; more is noise of the arithmetic.
    return Sentiment(label, round(confidence, 5))


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    """The lexicon, read once (16 ms)."""
    return SentimentIntensityAnalyzer()


class Local:
    """A `Backend` that asks nobody."""

    name = "local"
    identity: tuple[str, ...] = ("vader", version("vaderSentiment"), _JUDGE_VERSION)
    is_instant = True  # 26 µs of processor for 32 bytes of text, 360 µs for 340

    def __init__(self) -> None:
        _analyzer()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-model")

    async def detect_sentiment(
        self, texts: Sequence[str], language: str, *, single: bool
    ) -> list[Answer] | Failure:
        """See `Backend`. A batch or one by one is the same to a local model."""
        if language != "en":
            return _english_only(language)
        # Text by text, so that others have their turn in between, and a cancelled query
        # leaves one text to finish, not 25.
        return [await self._judge(text) for text in texts]

    async def _judge(self, text: str) -> Answer:
        if _cost(text) > INLINE_COST:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, judge, text)
        await asyncio.sleep(0)
        return judge(text)

    async def close(self) -> None:
        """End the thread, without waiting for its last text."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _cost(text: str) -> int:
    """How long VADER may take: the text's length once its emoji are words."""
    if text.isascii():
        return len(text)
    return len(text) + _EMOJI_COST * sum(c >= _EMOJI for c in text)


def _english_only(language: str) -> Failure:
    return Failure(
        "UnsupportedLanguageException",
        f"the local model knows English only, not {language!r}: "
        'set sentiment.backend = "comprehend"',
    )
