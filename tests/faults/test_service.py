"""The model service throttles, fails, refuses, answers nonsense, late or not at all.

From a statement's texts to the service and back, through the real boto3 client. What was
asked is counted at the service.
"""

import asyncio
import os
import time
from math import ceil

import pytest
from support.inference import Inference

from aurora_ml_proxy import config
from aurora_ml_proxy.backends.fake import FakeComprehend
from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.errors import BackendFailed
from aurora_ml_proxy.evaluate.breaker import FAILURES
from aurora_ml_proxy.evaluate.evaluation import Policy

TEXTS = [f"text {i}" for i in range(25)]
NULL_ON_ERROR = Policy(null_on_error=True)
MANY = [f"text {i}" for i in range(1_000)]


def right(texts, language="en"):
    return [expected(text, language) for text in texts]


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@pytest.fixture
async def fake():
    async with FakeComprehend() as fake:
        yield fake


@pytest.fixture
async def inference(fake):
    made = []

    async def make(**settings):
        made.append(await Inference(fake, **settings).__aenter__())
        return made[-1]

    yield make
    for one in made:
        await one.__aexit__()
        assert not one.spawn.failures
        assert one.engine.lane.places.taken == 0 and len(one.engine.flights) == 0


def adds_up(inference):
    tally = inference.tally
    asked = tally["logical_requests"]
    return asked == sum(
        (tally["cache_hits"], tally["logical_responses"], tally["logical_failures"])
    )


# Full batches, in parallel.


async def test_a_thousand_texts_take_as_long_as_their_rounds(fake, inference):
    """1.15 x (ceil(40 / concurrency) x 200 ms), and a default concurrency of 8."""
    concurrency = config.Sentiment().concurrency
    assert concurrency >= 8
    one = await inference(concurrency=concurrency)
    await one.statement().answers([f"opens connections {i}" for i in range(200)])
    fake.behaviour.latency_s = 0.2
    took_s = []
    for turn in range(3):  # the machine may be busy with something else
        texts = [f"text {turn} {i}" for i in range(1_000)]
        answers = right(texts)
        fake.calls.clear()
        started = time.perf_counter()
        assert await one.statement().answers(texts) == answers
        took_s.append(time.perf_counter() - started)
        assert [len(call.texts) for call in fake.calls] == [25] * 40
        assert fake.max_in_flight == concurrency
    assert min(took_s) <= 1.15 * ceil(40 / concurrency) * 0.2, took_s


async def test_each_language_has_batches_of_its_own(fake, inference):
    one = await inference()
    statement = one.statement()
    for text in MANY[:60]:
        statement.ask([text], "de")
        statement.ask([text], "en")
    await statement.finish()
    sizes = sorted((call.language, len(call.texts)) for call in fake.calls)
    assert sizes == [(code, size) for code in ("de", "en") for size in (10, 25, 25)]


async def test_the_pace_adapts_to_a_service_that_takes_fewer_calls(fake, inference):
    fake.behaviour.max_in_flight, fake.behaviour.latency_s = 3, 0.01
    one = await inference(concurrency=16, max_attempts=50)
    assert await one.statement().answers(MANY) == right(MANY)
    assert 2 <= one.engine.concurrency <= 5
    throttled = sum(call.error == "ThrottlingException" for call in fake.calls)
    assert len(fake.calls) == 40 + throttled and throttled < 40
    assert one.tally["retries"] == throttled
    fake.behaviour.max_in_flight = None
    texts = [f"more {i}" for i in range(4_000)]
    assert await one.statement().answers(texts) == right(texts)
    assert one.engine.concurrency == 16


async def test_a_statement_with_many_texts_does_not_starve_one_with_ten(fake, inference):
    one = await inference(concurrency=4)
    fake.hold()
    large = one.statement()
    large.ask([f"large {i}" for i in range(5_000)])
    await fake.wait_for_calls(4)
    small = one.statement(size=5)
    small.ask([f"small {i}" for i in range(10)])
    both = [asyncio.ensure_future(s.finish()) for s in (large, small)]
    await asyncio.sleep(0)
    fake.release()
    await both[1]
    before = [call.texts[0].split()[0] for call in fake.calls].index("small")
    assert before <= 8 and not both[0].done()
    assert {question.is_answered for question in small.questions} == {True}
    await both[0]
    assert len(fake.calls) == 202


async def test_retry_after_is_honoured_by_everybody(fake, inference):
    one = await inference()
    fake.behaviour.script, fake.behaviour.retry_after_s = ["429"], 1
    first = asyncio.ensure_future(one.statement().answers(["a"]))
    await one.has_napped.wait()
    assert await one.statement().answers(["b"]) == right(["b"])
    assert await first == right(["a"])
    refused, *others = fake.calls
    assert all(call.started_s - refused.finished_s > 0.9 for call in others)
    assert one.naps == [2.0] and sorted(c.texts for c in others) == [["a"], ["b"]]


async def test_a_batch_stays_together_when_it_is_asked_again(fake, inference):
    one = await inference()
    fake.behaviour.script = ["throttle", "500", "503", "reset", "truncated"]
    assert await one.statement().answers(TEXTS) == right(TEXTS)
    assert [call.texts for call in fake.calls] == [TEXTS] * 6
    assert one.naps == [1.0, 0.1, 0.2, 0.4, 0.8]


async def test_only_the_texts_that_failed_for_the_moment_are_asked_again(fake, inference):
    one = await inference()
    fake.behaviour.script = ["item_errors", "drop"]
    assert await one.statement().answers(TEXTS[:7]) == right(TEXTS[:7])
    asked = [call.texts for call in fake.calls]
    assert asked == [TEXTS[:7], [TEXTS[1], TEXTS[3], TEXTS[5]], [TEXTS[5]]]


async def test_a_long_spell_of_throttling_uses_up_no_quota(fake, inference):
    # botocore's own standard mode gives up retrying here; see Comprehend's docstring.
    one = await inference()
    fake.behaviour.script = ["throttle", "throttle", "throttle", "ok"] * 50
    for i in range(50):
        assert await one.statement().answers([str(i)]) == right([str(i)])
    assert len(fake.calls) == 200


@pytest.mark.parametrize(
    "code",
    [
        "InvalidRequestException",
        "ValidationException",
        "TextSizeLimitExceededException",
    ],
)
@pytest.mark.parametrize("cached", [False, True])
async def test_one_bad_text_costs_one_text(fake, inference, code, cached):
    one = await inference(cached=cached)
    fake.behaviour.poison_calls = {"text 7": code}
    statement = one.statement(NULL_ON_ERROR)
    answers = await statement.answers(MANY[:100])
    assert answers.pop(7) is None
    assert answers == right(MANY[:7] + MANY[8:100])
    [warning] = statement.evaluation.warnings
    assert warning.message.startswith(f"f: the model service gave no answer: {code}: ")
    assert len(fake.calls) == 3 + 11  # of its batch: six refused, five answered
    with pytest.raises(BackendFailed, match=code):
        await one.statement().answers(TEXTS)
    assert adds_up(one)


# Right under failure.


FAULTS = {
    "throttle": "ThrottlingException: Comprehend is throttling this account",
    "500": "InternalServerException: Comprehend had an error of its own",
    "503": "ServiceUnavailableException: Comprehend is not available at the moment",
    "reset": "ConnectionClosedError: the endpoint broke the connection",
    "garbage": "InvalidReply: the service answered nonsense: an unreadable reply",
    "truncated": "InvalidReply: the service answered nonsense: an unreadable reply",
    "drop": "InvalidReply: the service answered nonsense: nothing about one of the texts",
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_a_trouble_that_does_not_pass_is_one_clear_error(fake, inference, fault):
    one = await inference(max_attempts=3)
    fake.behaviour.script = [fault] * 3
    with pytest.raises(BackendFailed) as failed:
        await one.statement().answers(["a"])
    message = failed.value.message
    assert message.startswith(f"f: the model service gave no answer: {FAULTS[fault]}")
    assert len(fake.calls) == 3
    # As a warning, word for word, and the answer is NULL.
    fake.behaviour.script = [fault] * 3
    statement = one.statement(NULL_ON_ERROR)
    assert await statement.answers(["a"]) == [None]
    assert [w.message for w in statement.evaluation.warnings] == [message]
    assert await one.statement().answers(["a"]) == right(["a"])  # failures are not kept
    assert adds_up(one)


RESULT = {
    "Index": 0,
    "Sentiment": "POSITIVE",
    "SentimentScore": {"Positive": 1.0, "Negative": 0.0, "Neutral": 0.0, "Mixed": 0.0},
}
NONSENSE = {
    "an Index outside 0..1": [{**RESULT, "Index": 2}],
    "an Index given twice": [RESULT, RESULT],
    "an unknown Sentiment": [{**RESULT, "Index": i, "Sentiment": 1} for i in (0, 1)],
    "a score that is missing or outside 0..1": [
        {**RESULT, "Index": i, "SentimentScore": {"Positive": 2}} for i in (0, 1)
    ],
    "a reply without ErrorList": None,
    "an unreadable reply": "text",
}


@pytest.mark.parametrize("what", sorted(NONSENSE))
async def test_nonsense_is_never_an_answer(fake, inference, what):
    one = await inference(cached=True)
    results = NONSENSE[what]
    reply = {"ResultList": results, "ErrorList": []}
    if results is None:
        reply = {"ResultList": []}
    fake.behaviour.script = [reply]
    with pytest.raises(BackendFailed) as failed:
        await one.statement().answers(["a", "b"])
    assert failed.value.message == (
        "f: the model service gave no answer: InvalidReply: the service answered "
        f"nonsense: {what}"
    )
    assert len(fake.calls) == 1
    assert await one.statement().answers(["a", "b"]) == right(["a", "b"])


async def test_a_service_that_is_down_is_one_error_at_once_and_is_found_again(
    fake, inference
):
    one = await inference()
    now_s = [0.0]
    one.engine.lane._clock = lambda: now_s[0]
    fake.behaviour.chances = {"reset": 1.0}
    while len(fake.calls) < FAILURES:
        now_s[0] += 4
        with pytest.raises(BackendFailed):
            await one.statement().answers(["a"])
    calls = len(fake.calls)
    with pytest.raises(BackendFailed) as failed:
        await one.statement().answers(MANY)
    assert failed.value.message == (
        "f: the model service gave no answer: ConnectionClosedError: the endpoint broke "
        "the connection; after 10 failures in a row it is left alone, and tried again "
        "within a minute"
    )
    assert len(fake.calls) == calls
    now_s[0] += 5
    with pytest.raises(BackendFailed):  # one call to see, and it fails
        await one.statement().answers(MANY)
    assert len(fake.calls) == calls + 1
    fake.behaviour.chances = {}
    now_s[0] += 10
    assert await one.statement().answers(MANY) == right(MANY)
    assert len(fake.calls) == calls + 1 + 40
    assert adds_up(one)


async def test_nobody_listens(inference):
    one = await inference(endpoint_url="http://127.0.0.1:1", max_attempts=2)
    with pytest.raises(BackendFailed, match=r"check comprehend\.region"):
        await one.statement().answers(["a"])


async def test_a_service_that_hangs_is_given_up_in_time(fake, inference):
    one = await inference(cached=True)
    fake.hold()
    hasty = Policy(timeout_s=0.05)
    started = time.perf_counter()
    with pytest.raises(BackendFailed) as failed:
        await one.statement(hasty).answers(TEXTS)
    assert time.perf_counter() - started < 1
    assert failed.value.message == (
        "f: the model service gave no answer: InferenceTimeout: no answer within "
        "aurora_ml_inference_timeout (50 ms)"
    )
    # The same texts again: nothing is asked twice, and the late answer is kept.
    statement = one.statement(Policy(null_on_error=True, timeout_s=0.05))
    assert await statement.answers(TEXTS) == [None] * 25
    assert len(statement.evaluation.warnings) == 1
    fake.release()
    assert await one.statement().answers(TEXTS) == right(TEXTS)
    assert len(fake.calls) == 1 and adds_up(one)


async def test_an_attempt_that_hangs_is_made_again(fake, inference):
    one = await inference(timeout_s=0.1)
    fake.behaviour.script, fake.behaviour.slow_s = ["slow"], 1.0
    assert await one.statement().answers(TEXTS) == right(TEXTS)
    assert len(fake.calls) == 2


async def test_an_answer_that_comes_after_the_client_left_is_kept(fake, inference):
    one = await inference(cached=True, concurrency=1)
    fake.hold()
    statement = one.statement()
    statement.ask(MANY)
    await fake.wait_for_calls(1)
    statement.evaluation.cancel()
    fake.release()
    while one.spawn.tasks:
        await asyncio.wait(one.spawn.tasks)
    assert len(fake.calls) == 1  # those that waited for their turn are not made
    assert await one.statement().answers(TEXTS) == right(TEXTS)
    assert len(fake.calls) == 1 and adds_up(one)
    assert one.tally["logical_failures"] == 1_000


async def test_expired_credentials_are_renewed_in_the_middle_of_a_statement(
    fake, inference, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    one = await inference(role_arn="arn:aws:iam::123456789012:role/reader")
    assert await one.statement().answers(["a"]) == right(["a"])
    fake.behaviour.expired_keys = [fake.calls[0].access_key_id]
    assert await one.statement().answers(MANY) == right(MANY)
    assert len(fake.role_calls) == 2
    expired = sum(call.error == "ExpiredTokenException" for call in fake.calls)
    assert 1 <= expired <= 8 and len(fake.calls) == 41 + expired


async def test_credentials_that_nobody_renews_say_what_to_do(fake, inference):
    one = await inference()
    fake.behaviour.expired_keys = ["AKIATEST"]
    with pytest.raises(BackendFailed) as failed:
        await one.statement().answers(TEXTS)
    assert "renew what boto3's credential chain finds" in failed.value.message
    assert len(fake.calls) == 1
