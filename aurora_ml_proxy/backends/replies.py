"""Comprehend's parsed replies to answers: each text gets exactly one, or a Failure.

Whatever a reply holds, nothing is guessed: an answer that cannot be matched with its
text beyond doubt, or is not of the documented form, is the service's nonsense.
"""

from typing import Any

from aurora_ml_proxy.backends.aws_failures import failure_of_code
from aurora_ml_proxy.functions import Answer, Cause, Failure, Sentiment

SCORES = {
    "POSITIVE": "Positive",
    "NEGATIVE": "Negative",
    "NEUTRAL": "Neutral",
    "MIXED": "Mixed",
}
"""Sentiment, and the key of its score in SentimentScore."""


def nonsense(what: str) -> Failure:
    """The Failure for a reply that breaks the API's contract."""
    return Failure("InvalidReply", f"the service answered nonsense: {what}")


UNREADABLE = Failure(
    "InvalidReply", "the service answered nonsense: an unreadable reply", Cause.PASSING
)
"""For a reply with nothing in it. botocore's JSON parser makes one of any body that is
no JSON, and botocore does not notice a body shorter than its Content-Length: a
connection that broke in mid-reply looks so, and may hold the next time."""


MISSING = Failure(
    "InvalidReply",
    "the service answered nonsense: nothing about one of the texts",
    Cause.PASSING,
)


def read_single_reply(reply: Any) -> Answer:
    """The answer in a reply of DetectSentiment."""
    if not isinstance(reply, dict) or "Sentiment" not in reply:
        return UNREADABLE
    return _read_result(reply)


def read_batch_reply(reply: Any, count: int) -> list[Answer] | Failure:
    """The answers in a reply of BatchDetectSentiment to `count` texts, in their order.

    A text that neither list mentions is a Failure of its own, and may be asked again. An
    Index that is no index, or is given twice, makes the numbering itself doubtful: the
    whole reply is a Failure.
    """
    answers: dict[int, Answer] = {}
    if not isinstance(reply, dict) or "ResultList" not in reply:
        return UNREADABLE
    for key, read in (("ResultList", _read_result), ("ErrorList", _read_error)):
        items = reply.get(key)
        if not isinstance(items, list):
            return nonsense(f"a reply without {key}")
        for item in items:
            index = item.get("Index") if isinstance(item, dict) else None
            if type(index) is not int or not 0 <= index < count:
                return nonsense(f"an Index outside 0..{count - 1}")
            if index in answers:
                return nonsense("an Index given twice")
            answers[index] = read(item)
    return [answers.get(index, MISSING) for index in range(count)]


def _read_result(item: Any) -> Answer:
    label = item.get("Sentiment") if isinstance(item, dict) else None
    if not isinstance(label, str) or label not in SCORES:
        return nonsense("an unknown Sentiment")
    scores = item.get("SentimentScore")
    if not isinstance(scores, dict) or not all(
        _is_score(scores.get(key)) for key in SCORES.values()
    ):
        return nonsense("a score that is missing or outside 0..1")
    return Sentiment(label, float(scores[SCORES[label]]))


def _is_score(value: Any) -> bool:
    """NaN fails the comparison; True is an int to Python, but not a score."""
    return type(value) in (int, float) and 0 <= value <= 1


def _read_error(item: dict[str, Any]) -> Failure:
    return failure_of_code(str(item.get("ErrorCode")))
