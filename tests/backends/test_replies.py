import math

import pytest

from aurora_ml_proxy.backends.replies import read_batch_reply, read_single_reply
from aurora_ml_proxy.functions import Failure, Sentiment

SCORES = {"Positive": 0.75, "Negative": 0.125, "Neutral": 0.0625, "Mixed": 0.0625}


def result(index, label="POSITIVE", **scores):
    scores = {**SCORES, **scores}
    return {"Index": index, "Sentiment": label, "SentimentScore": scores}


def error(index, code="INTERNAL_SERVER_ERROR"):
    return {"Index": index, "ErrorCode": code, "ErrorMessage": "secret text"}


def batch(*results, errors=()):
    return {"ResultList": list(results), "ErrorList": list(errors)}


def is_nonsense(answer):
    return isinstance(answer, Failure) and answer.code == "InvalidReply"


@pytest.mark.parametrize(
    ("label", "confidence"),
    [("POSITIVE", 0.75), ("NEGATIVE", 0.125), ("NEUTRAL", 0.0625), ("MIXED", 0.0625)],
)
def test_the_confidence_is_the_score_of_the_class(label, confidence):
    assert read_single_reply(result(0, label)) == Sentiment(label, confidence)


def test_answers_are_matched_by_index_and_not_by_place():
    reply = batch(result(2, "NEUTRAL"), result(0, "MIXED"), errors=[error(1)])
    answers = read_batch_reply(reply, 3)
    assert answers[0] == Sentiment("MIXED", 0.0625)
    assert answers[2] == Sentiment("NEUTRAL", 0.0625)
    assert isinstance(answers[1], Failure)
    assert answers[1].code == "INTERNAL_SERVER_ERROR"
    assert answers[1].retryable
    assert "secret" not in answers[1].message


def test_a_missing_text_fails_alone():
    answers = read_batch_reply(batch(result(0), result(2)), 3)
    assert [is_nonsense(answer) for answer in answers] == [False, True, False]
    assert answers[1].retryable  # by itself


@pytest.mark.parametrize(
    "reply",
    [
        batch(result(0), result(0)),
        batch(result(0), errors=[error(0)]),
        batch(result(0), result(2)),
        batch(result(0), result(-1)),
        batch(result(0), result(True)),
        batch(result(0), result("1")),
        batch(result(0), result(1.0)),
        batch(result(0), result(None)),
        batch(result(0), "text"),
        batch(result(0), result(1), errors=[error(2)]),
        {"ResultList": [result(0), result(1)]},
        {"ErrorList": []},
        {"ResultList": {}, "ErrorList": []},
        [],
        None,
    ],
)
def test_a_doubtful_numbering_fails_the_whole_reply(reply):
    assert is_nonsense(read_batch_reply(reply, 2))


@pytest.mark.parametrize("label", ["positive", "HAPPY", "", None, 1, ["POSITIVE"]])
def test_an_unknown_sentiment_is_nonsense(label):
    assert is_nonsense(read_single_reply(result(0, label)))
    answers = read_batch_reply(batch(result(0), result(1, label)), 2)
    assert [is_nonsense(answer) for answer in answers] == [False, True]


@pytest.mark.parametrize(
    "score", [math.nan, math.inf, -0.001, 1.001, None, "0.5", True, [0.5]]
)
def test_a_score_that_is_none_is_nonsense(score):
    assert is_nonsense(read_single_reply(result(0, Positive=score)))
    assert is_nonsense(read_single_reply(result(0, Mixed=score)))


@pytest.mark.parametrize("reply", [{}, {"message": "half a bo"}, [], None])
def test_a_reply_with_nothing_in_it_may_be_asked_for_again(reply):
    for answer in (read_single_reply(reply), read_batch_reply(reply, 2)):
        assert is_nonsense(answer)
        assert answer.retryable


@pytest.mark.parametrize("scores", [None, {}, {"Positive": 0.5}, 0.5])
def test_scores_that_are_missing_are_nonsense(scores):
    reply = {"Sentiment": "POSITIVE", "SentimentScore": scores}
    assert is_nonsense(read_single_reply(reply))


def test_zero_and_one_are_scores():
    scores = {"Positive": 1, "Negative": 0, "Neutral": 0, "Mixed": 0}
    reply = {"Sentiment": "POSITIVE", "SentimentScore": scores}
    assert read_single_reply(reply) == Sentiment("POSITIVE", 1.0)
