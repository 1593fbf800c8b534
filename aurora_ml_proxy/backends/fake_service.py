"""What the fake Comprehend answers to one call: real limits, and damage on demand.

A `Call` and the `Behaviour` come in, the body of a reply or a `Refusal` goes out. No
HTTP here: that is `fake`.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any, Literal

from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import (
    LANGUAGES,
    MAX_BATCH_SIZE,
    MAX_TEXT_BYTES,
    Sentiment,
)

OPERATIONS = ("DetectSentiment", "BatchDetectSentiment")

STATUS = {
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
    "TooManyRequestsException": 429,
}
"""HTTP status by code; every other error is a 400."""

FAULTS = {
    "throttle": "ThrottlingException",
    "500": "InternalServerException",
    "503": "ServiceUnavailableException",
    "429": "TooManyRequestsException",
    "denied": "AccessDeniedException",
}
"""Words of `Behaviour.script` that answer with an error."""

INTACT = ("ok", "truncated", "slow")
"""Words of a script whose reply is whole, as far as its body is concerned."""

MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "ExpiredTokenException": "The security token included in the request is expired",
    "AccessDeniedException": "User: arn:aws:iam::123456789012:user/fake is not "
    "authorized to perform the action",
    "UnrecognizedClientException": "The security token included in the request is "
    "invalid.",
}


@dataclass(slots=True)
class Behaviour:
    """How the fake answers. Change it at any time; it holds from the next call on."""

    answers: Literal["hash", "vader"] = "hash"
    """hash: `oracle.expected`. vader: believable ones, for a demo."""
    latency_s: float = 0.0
    """What every reply waits."""
    max_in_flight: int | None = None
    """One call more at the same time is throttled."""
    retry_after_s: int | None = None
    """What a throttled call, or one that meets a 503, is told in Retry-After."""
    chances: dict[str, float] = field(default_factory=dict)
    """Words of a script, and how probable each of them is for a call that no script
    says anything of. Besides: "slow", which waits for `slow_s`."""
    slow_s: float = 0.0
    """What a slow reply waits more than `latency_s`."""
    seed: int = 0
    """Of the chances: the same seed, the same sequence."""
    expired_keys: list[str] = field(default_factory=list)
    """Access keys whose session is over."""
    script: list[str | dict[str, Any]] = field(default_factory=list)
    """What becomes of the next calls, one entry each: "ok", a word of FAULTS,
    "reset" (the connection), "truncated" (in mid-body), "garbage" (no JSON),
    "item_errors" (every other text fails, in ErrorList), "drop" (the last result is
    missing), "duplicate" (the first is given twice), "slow", or a reply to send as it
    is."""
    poison_items: dict[str, str] = field(default_factory=dict)
    """Texts that fail alone, in ErrorList, and with which code."""
    poison_calls: dict[str, str] = field(default_factory=dict)
    """Texts that make their whole call fail, and with which code."""
    denied_actions: list[str] = field(default_factory=list)
    """Operations that IAM denies; AssumeRole may be one."""
    role_lifetime_s: float = 3600.0
    """How long the credentials of a role are good."""


@dataclass(slots=True)
class Call:
    """One call, as it arrived."""

    operation: str
    language: str
    texts: list[str]
    access_key_id: str
    """Whose key signed it."""
    in_flight: int
    """Calls under way at its start, this one included."""
    started_s: float
    """By time.monotonic()."""
    finished_s: float | None = None
    error: str | None = None
    """The code it was answered with."""


class Dice:
    """What becomes of a call by chance."""

    def __init__(self) -> None:
        self._seed: int | None = None
        self._random = random.Random()

    def word(self, behaviour: Behaviour) -> str:
        """A word of `chances`, or ok."""
        if self._seed != behaviour.seed:
            self._seed = behaviour.seed
            self._random.seed(behaviour.seed)
        left = self._random.random()
        for word, chance in behaviour.chances.items():
            left -= chance
            if left < 0:
                return word
        return "ok"


class Refusal(Exception):
    """The call fails with this code."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES.get(code, code)


def reply_to(call: Call, behaviour: Behaviour, step: str) -> dict[str, Any]:
    """The body of the reply.

    Args:
        step: the word of the script for this call.

    Raises: Refusal, when the call as a whole fails.
    """
    if step in FAULTS:
        raise Refusal(FAULTS[step])
    if call.operation in behaviour.denied_actions:
        raise Refusal("AccessDeniedException")
    _validate(call, behaviour)
    return _spoil(_reply(call, behaviour), step, call)


def _validate(call: Call, behaviour: Behaviour) -> None:
    """The service's limits, and the poisoned texts. Raises: Refusal."""
    if call.operation not in OPERATIONS:
        raise Refusal("UnknownOperationException")
    if not call.texts:
        raise Refusal("ValidationException", "1 validation error detected")
    if call.language not in LANGUAGES:
        raise Refusal("UnsupportedLanguageException")
    if len(call.texts) > MAX_BATCH_SIZE:
        raise Refusal("BatchSizeLimitExceededException")
    if not all(call.texts):
        raise Refusal("InvalidRequestException", "a text is empty")
    if call.operation == "DetectSentiment" and _is_too_long(call.texts[0]):
        raise Refusal("TextSizeLimitExceededException", "Input text size exceeds limit.")
    for text in call.texts:
        if text in behaviour.poison_calls:
            raise Refusal(behaviour.poison_calls[text])


def _reply(call: Call, behaviour: Behaviour) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for index, text in enumerate(call.texts):
        code = behaviour.poison_items.get(text)
        # XXX Reports differ on whether one long text fails alone or fails its batch.
        # The proxy never sends one. A recorded reply of the service would settle it.
        if _is_too_long(text):
            code = "TEXT_SIZE_LIMIT_EXCEEDED"
        if code:
            errors.append(_item_error(index, code))
        else:
            sentiment = _judge(text, call.language, behaviour.answers)
            results.append({"Index": index, **_result(sentiment)})
    if call.operation == "BatchDetectSentiment":
        return {"ResultList": results, "ErrorList": errors}
    if errors:
        raise Refusal(errors[0]["ErrorCode"])
    return _result(_judge(call.texts[0], call.language, behaviour.answers))


def _spoil(reply: dict[str, Any], step: str, call: Call) -> dict[str, Any]:
    """The reply of a batch, damaged as the script says."""
    if step in INTACT or "ResultList" not in reply:
        return reply
    results, errors = reply["ResultList"], reply["ErrorList"]
    if step == "drop":
        return {"ResultList": results[:-1], "ErrorList": errors}
    if step == "duplicate":
        return {"ResultList": [*results, *results[:1]], "ErrorList": errors}
    if step == "item_errors":
        call.error = "INTERNAL_SERVER_ERROR"
        failed = [_item_error(r["Index"], call.error) for r in results[1::2]]
        return {"ResultList": results[::2], "ErrorList": errors + failed}
    raise Refusal("InternalServerException", f"no such word in a script: {step}")


def _judge(text: str, language: str, answers: str) -> Sentiment:
    if answers == "hash":
        return expected(text, language)
    from aurora_ml_proxy.backends.local import judge  # reads the lexicon: only if used

    return judge(text)


def _result(sentiment: Sentiment) -> dict[str, Any]:
    """The label's score is its confidence; the other classes share the rest."""
    rest = (1 - sentiment.confidence) / 3
    scores = dict.fromkeys(("Positive", "Negative", "Neutral", "Mixed"), rest)
    scores[sentiment.label.capitalize()] = sentiment.confidence
    return {"Sentiment": sentiment.label, "SentimentScore": scores}


def _item_error(index: int, code: str) -> dict[str, Any]:
    return {"Index": index, "ErrorCode": code, "ErrorMessage": "fails alone"}


def _is_too_long(text: str) -> bool:
    return len(text.encode()) > MAX_TEXT_BYTES


def json_or_none(body: bytes) -> dict[str, Any]:
    """The JSON object of a request; empty when there is none."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def texts_of(body: dict[str, Any]) -> list[str]:
    """The texts of either operation; none when they are not strings of UTF-8."""
    texts = body.get("TextList", [body.get("Text")])
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        return []
    if any("\ud800" <= char <= "\udfff" for text in texts for char in text):
        return []
    return texts
