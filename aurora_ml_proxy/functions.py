"""The ML functions: SQL name, arguments, result type, limits. The one table of them.

Source: Aurora User Guide, "Using Amazon Comprehend for sentiment detection", and the
API reference of BatchDetectSentiment.
"""

from dataclasses import dataclass
from enum import Enum

from aurora_ml_proxy.errors import WrongArgument


class ResultType(Enum):
    """The SQL type of a function's result."""

    LABEL = "VARCHAR(8)"
    SCORE = "DOUBLE"


@dataclass(frozen=True, slots=True)
class Function:
    """One ML function as SQL sees it."""

    name: str
    """Lower case; SQL may write it in any case."""
    min_args: int
    max_args: int
    result: ResultType
    """Which part of the service's answer it gives."""


LABEL = Function("aws_comprehend_detect_sentiment", 2, 3, ResultType.LABEL)
CONFIDENCE = Function(
    "aws_comprehend_detect_sentiment_confidence", 2, 3, ResultType.SCORE
)

FUNCTIONS: dict[str, Function] = {f.name: f for f in (LABEL, CONFIDENCE)}

LANGUAGES = frozenset(
    ["en", "es", "fr", "de", "it", "pt", "ar", "hi", "ja", "ko", "zh", "zh-TW"]
)
"""BatchDetectSentiment, LanguageCode: "All documents must be in the same language"."""

MAX_BATCH_SIZE = 25
"""BatchDetectSentiment, TextList: "The maximum number of documents is 25"."""

MAX_TEXT_BYTES = 5_000
"""BatchDetectSentiment, TextList: "less than 5 KB of UTF-8 encoded characters"."""

MAX_BATCH_BYTES = MAX_BATCH_SIZE * MAX_TEXT_BYTES
"""Bytes of UTF-8 in one call: what the two limits above come to."""


LABELS = ("POSITIVE", "NEGATIVE", "NEUTRAL", "MIXED")
"""The classes of a sentiment. Their order is part of what a cache holds."""


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What the service says of one text."""

    label: str
    """One of `LABELS`."""
    confidence: float
    """0 to 1: the score of the class that `label` names."""


class Cause(Enum):
    """What a failure comes from, by what helps against it."""

    THROTTLED = "throttled"
    """Too many calls: fewer of them, and this one again."""
    PASSING = "passing"
    """A trouble of the moment: the same again."""
    REFUSED = "refused"
    """What was sent is not taken: a part of it may be."""
    LASTING = "lasting"
    """Nothing: any other call would fail alike, or may not be believed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a text has no answer, in the service's words. Never holds the text."""

    code: str
    """The service's own error code, such as ThrottlingException."""
    message: str
    cause: Cause = Cause.LASTING
    retry_after_s: float | None = None
    """When to come again, if the service has said so."""

    @property
    def retryable(self) -> bool:
        """Whether the same question may be answered later."""
        return self.cause in (Cause.THROTTLED, Cause.PASSING)


Answer = Sentiment | Failure


def wrong_language(function: str) -> WrongArgument:
    """The error for a language that the service does not know."""
    return WrongArgument(
        f"{function}: language_code must be one of {', '.join(sorted(LANGUAGES))}"
    )


def wrong_batch_size(function: str) -> WrongArgument:
    """The error for a max_batch_size that is no integer of 1 to 25."""
    return WrongArgument(
        f"{function}: max_batch_size must be an integer from 1 to {MAX_BATCH_SIZE}"
    )
