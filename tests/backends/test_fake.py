"""The fake, as a real boto3 client and other processes see it.

What boto3's own service model says of the errors is the check on their form.
"""

import asyncio
import json
import sys
from functools import partial

import aiohttp
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aurora_ml_proxy.backends.fake import Behaviour, FakeComprehend
from aurora_ml_proxy.backends.local import judge
from aurora_ml_proxy.backends.oracle import expected


@pytest.fixture
def client(fake):
    client = botocore.session.Session().create_client(
        "comprehend",
        endpoint_url=fake.url,
        # The limits are the fake's to enforce, not botocore's.
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )
    yield client
    client.close()


async def batch(client, texts, language="en"):
    return await asyncio.to_thread(
        partial(client.batch_detect_sentiment, TextList=texts, LanguageCode=language)
    )


async def single(client, text, language="en"):
    return await asyncio.to_thread(
        partial(client.detect_sentiment, Text=text, LanguageCode=language)
    )


async def test_a_batch_is_answered_text_by_text_in_order(client):
    reply = await batch(client, ["a", "größe 👍", "a"], "de")
    assert [r["Index"] for r in reply["ResultList"]] == [0, 1, 2]
    assert reply["ErrorList"] == []
    for result, text in zip(reply["ResultList"], ["a", "größe 👍", "a"], strict=True):
        want = expected(text, "de")
        assert result["Sentiment"] == want.label
        scores = result["SentimentScore"]
        assert scores[want.label.capitalize()] == want.confidence == max(scores.values())
        assert sum(scores.values()) == pytest.approx(1)


async def test_a_single_text_is_answered_without_an_index(client):
    reply = await single(client, "a")
    assert reply["Sentiment"] == expected("a", "en").label
    assert "Index" not in reply


async def test_believable_answers_come_from_the_local_model(fake, client):
    fake.behaviour.answers = "vader"
    reply = await single(client, "This is wonderful")
    assert reply["Sentiment"] == "POSITIVE"
    confidence = judge("This is wonderful").confidence
    assert reply["SentimentScore"]["Positive"] == confidence


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (partial(batch, texts=["a"] * 26), "BatchSizeLimitExceededException"),
        (partial(batch, texts=["a", ""]), "InvalidRequestException"),
        (partial(single, text="é" * 2501), "TextSizeLimitExceededException"),
        (
            partial(single, text="a", language="tlh"),
            "UnsupportedLanguageException",
        ),
        (
            partial(batch, texts=["a"], language="EN"),
            "UnsupportedLanguageException",
        ),
    ],
)
async def test_the_limits_are_kept_with_errors_that_boto3_knows(client, ask, code):
    with pytest.raises(getattr(client.exceptions, code)) as caught:
        await ask(client)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Message"]


async def test_an_empty_list_is_a_validation_error(client):
    with pytest.raises(ClientError, match="ValidationException"):
        await batch(client, [])


async def test_at_the_limits_texts_are_answered(client):
    reply = await batch(client, ["é" * 2500] * 25)
    assert len(reply["ResultList"]) == 25


async def test_a_long_text_of_a_batch_fails_alone(client):
    reply = await batch(client, ["a", "é" * 2501, "b"])
    assert [r["Index"] for r in reply["ResultList"]] == [0, 2]
    assert [e["Index"] for e in reply["ErrorList"]] == [1]
    assert reply["ErrorList"][0]["ErrorCode"] == "TEXT_SIZE_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("step", "code", "status"),
    [
        ("throttle", "ThrottlingException", 400),
        ("denied", "AccessDeniedException", 400),
        ("500", "InternalServerException", 500),
        ("503", "ServiceUnavailableException", 503),
    ],
)
async def test_scripted_errors_come_once(fake, client, step, code, status):
    fake.behaviour.script = [step]
    with pytest.raises(ClientError) as caught:
        await batch(client, ["a"])
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert fake.calls[0].error == code
    await batch(client, ["a"])
    assert fake.calls[1].error is None


async def test_poisoned_texts_fail_alone_or_with_their_call(fake, client):
    fake.behaviour.poison_items = {"bad": "INTERNAL_SERVER_ERROR"}
    fake.behaviour.poison_calls = {"worse": "InvalidRequestException"}
    reply = await batch(client, ["a", "bad"])
    assert [e["Index"] for e in reply["ErrorList"]] == [1]
    with pytest.raises(client.exceptions.InvalidRequestException):
        await batch(client, ["a", "worse"])


async def test_a_call_over_the_concurrency_limit_is_throttled(fake, client):
    fake.behaviour.max_in_flight = 1
    fake.hold()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(batch(client, ["a"]))
        await fake.wait_for_calls(1)
        with pytest.raises(ClientError, match="ThrottlingException"):
            await batch(client, ["b"])
        fake.release()
    assert first.result()["ResultList"]
    assert fake.max_in_flight == 2


async def test_the_log_says_who_asked_what_and_when(fake, client):
    await batch(client, ["a", "b"], "fr")
    await single(client, "c")
    first, second = fake.calls
    assert (first.operation, first.language) == ("BatchDetectSentiment", "fr")
    assert first.texts == ["a", "b"]
    assert first.access_key_id == "AKIATEST"
    assert second.operation == "DetectSentiment"
    assert first.started_s <= first.finished_s <= second.started_s
    fake.reset()
    assert not fake.calls


async def test_keys_of_a_role_that_was_never_assumed_are_refused(fake):
    client = botocore.session.Session().create_client(
        "comprehend",
        endpoint_url=fake.url,
        aws_access_key_id="ASIASTRANGER",
        aws_secret_access_key="x",
        aws_session_token="y",
    )
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        await batch(client, ["a"])
    client.close()


async def post(session, url, body):
    async with session.post(url, data=body) as response:
        return response.status, await response.text()


async def test_what_is_no_call_is_refused_and_breaks_nothing(fake):
    headers = {"X-Amz-Target": "Comprehend_20171127.DetectSentiment"}
    signed = {**headers, "Authorization": "AWS4-HMAC-SHA256 Credential=k/x"}
    lone_surrogate = rb'{"Text": "\ud800", "LanguageCode": "en"}'
    async with aiohttp.ClientSession(headers=signed) as session:
        for body in (b"", b"{", b"[]", b'{"Text": 1}', lone_surrogate):
            status, text = await post(session, fake.url, body)
            assert (status, json.loads(text)["__type"]) == (400, "ValidationException")
    async with aiohttp.ClientSession(headers=headers) as session:
        _, text = await post(session, fake.url, b"{}")
        assert json.loads(text)["__type"] == "MissingAuthenticationTokenException"


async def test_other_processes_control_it_over_http(fake, client):
    async with aiohttp.ClientSession() as session:
        url = f"{fake.url}/_fake"
        await post(session, f"{url}/behaviour", b'{"script": ["drop"]}')
        assert (await batch(client, ["a"]))["ResultList"] == []
        async with session.get(f"{url}/calls") as response:
            [call] = (await response.json())["calls"]
            assert call["texts"] == ["a"]
        status, text = await post(session, f"{url}/behaviour", b'{"scirpt": []}')
        assert status == 400
        assert "script" in text
        await post(session, f"{url}/reset", b"")
        assert not fake.calls
        assert fake.behaviour == Behaviour()


async def test_as_a_program_it_prints_its_url_and_ends_on_sigterm():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "aurora_ml_proxy.backends.fake"),
        *("--answers", "vader", "--latency", "0.01"),
        stdout=asyncio.subprocess.PIPE,
    )
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as session:
        _, text = await post(session, f"{url}/_fake/behaviour", b"{}")
        assert json.loads(text)["answers"] == "vader"
        assert json.loads(text)["latency_s"] == 0.01
    process.terminate()
    assert await process.wait() == 0


async def test_it_binds_to_loopback_and_takes_any_port():
    async with FakeComprehend() as one, FakeComprehend() as two:
        assert one.url.startswith("http://127.0.0.1:")
        assert one.url != two.url
