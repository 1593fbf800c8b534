"""Real boto3 over loopback against the fake. What was asked is counted at the fake."""

import asyncio
import subprocess
import sys
import threading

import pytest

from aurora_ml_proxy import config
from aurora_ml_proxy.backends.comprehend import RENEWAL_S, Comprehend
from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import LANGUAGES, Cause, Failure

TEXTS = [f"text {i}" for i in range(25)]
ROLE = "arn:aws:iam::123456789012:role/reader"


def right(texts, language="en"):
    return [expected(text, language) for text in texts]


def assert_fails(*answers, code):
    for answer in answers:
        assert isinstance(answer, Failure)
        assert answer.code == code
        assert not any(text in answer.message for text in TEXTS)
        assert "secret" not in answer.message


async def test_a_batch_is_one_call_and_keeps_its_order(fake, comprehend):
    answers = await comprehend().detect_sentiment(TEXTS, "en", single=False)
    assert answers == right(TEXTS)
    [call] = fake.calls
    assert call.operation == "BatchDetectSentiment"
    assert call.texts == TEXTS


async def test_single_asks_by_the_call_for_one_text(fake, comprehend):
    answers = await comprehend().detect_sentiment(["größe 👍"], "de", single=True)
    assert answers == right(["größe 👍"], "de")
    [call] = fake.calls
    assert call.operation == "DetectSentiment"


async def test_one_text_without_single_is_a_batch_of_one(fake, comprehend):
    answers = await comprehend().detect_sentiment(["a"], "en", single=False)
    assert answers == right(["a"])
    assert fake.calls[0].operation == "BatchDetectSentiment"


async def test_every_language_is_passed_on(fake, comprehend):
    backend = comprehend()
    for language in sorted(LANGUAGES):
        answers = await backend.detect_sentiment(["a"], language, single=False)
        assert answers == right(["a"], language)
    assert [call.language for call in fake.calls] == sorted(LANGUAGES)


async def test_a_text_that_fails_alone_leaves_the_others_answered(fake, comprehend):
    fake.behaviour.poison_items = {TEXTS[3]: "TextSizeLimitExceededException"}
    answers = await comprehend().detect_sentiment(TEXTS, "en", single=False)
    assert_fails(answers.pop(3), code="TextSizeLimitExceededException")
    assert answers == right(TEXTS[:3] + TEXTS[4:])
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("step", "code", "cause"),
    [
        ("throttle", "ThrottlingException", Cause.THROTTLED),
        ("429", "TooManyRequestsException", Cause.THROTTLED),
        ("500", "InternalServerException", Cause.PASSING),
        ("503", "ServiceUnavailableException", Cause.PASSING),
        ("reset", "ConnectionClosedError", Cause.PASSING),
        ("truncated", "InvalidReply", Cause.PASSING),
        ("garbage", "InvalidReply", Cause.PASSING),
        ("denied", "AccessDeniedException", Cause.LASTING),
    ],
)
async def test_a_trouble_is_one_failure_and_the_service_is_asked_once(
    fake, comprehend, step, code, cause
):
    fake.behaviour.script = [step] * 10
    answers = await comprehend().detect_sentiment(TEXTS[:5], "en", single=False)
    assert_fails(answers, code=code)
    assert answers.cause is cause and answers.retry_after_s is None
    assert len(fake.calls) == 1


@pytest.mark.parametrize("step", ["429", "throttle", "503"])
async def test_when_to_come_again_is_passed_on(fake, comprehend, step):
    fake.behaviour.script, fake.behaviour.retry_after_s = [step], 7
    answers = await comprehend().detect_sentiment(["a"], "en", single=False)
    assert answers.retryable and answers.retry_after_s == 7


@pytest.mark.parametrize(
    "code",
    [
        "InvalidRequestException",
        "ValidationException",
        "TextSizeLimitExceededException",
    ],
)
async def test_a_refusal_may_be_for_one_of_the_texts(fake, comprehend, code):
    fake.behaviour.poison_calls = {TEXTS[0]: code}
    answers = await comprehend().detect_sentiment(TEXTS[:3], "en", single=False)
    assert_fails(answers, code=code)
    assert answers.cause is Cause.REFUSED
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    "reply",
    [
        "duplicate",
        {"ResultList": [], "ErrorList": []},
        {"ResultList": "text", "ErrorList": []},
        {"ResultList": [[]], "ErrorList": []},
        {"ResultList": [{"Index": "x"}], "ErrorList": 5},
        {
            "ResultList": [{"Index": 0, "Sentiment": "HAPPY", "SentimentScore": {}}],
            "ErrorList": [],
        },
        {
            "ResultList": [
                {
                    "Index": 0,
                    "Sentiment": "POSITIVE",
                    "SentimentScore": dict.fromkeys(
                        ("Positive", "Negative", "Neutral", "Mixed"), float("nan")
                    ),
                }
            ],
            "ErrorList": [],
        },
    ],
    ids=str,
)
async def test_nonsense_is_a_failure_and_never_a_guess(fake, comprehend, reply):
    fake.behaviour.script = [reply]
    answers = await comprehend().detect_sentiment(["a"], "en", single=False)
    failures = [answers] if isinstance(answers, Failure) else answers
    assert_fails(*failures, code="InvalidReply")
    assert "nonsense" in failures[0].message
    assert len(fake.calls) == 1


async def test_a_dropped_result_fails_its_text_only(fake, comprehend):
    fake.behaviour.script = ["drop"]
    answers = await comprehend().detect_sentiment(["a", "b"], "en", single=False)
    assert answers[0] == expected("a", "en")
    assert_fails(*answers[1:], code="InvalidReply")


async def test_a_slow_reply_is_given_up_after_timeout_s(fake, comprehend):
    fake.hold()
    backend = comprehend(timeout_s=0.05)
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert_fails(answers, code="ReadTimeoutError")
    assert "timeout_s" in answers.message
    assert len(fake.calls) == 1


async def test_an_endpoint_that_nobody_listens_on_says_what_to_check(comprehend):
    backend = comprehend(endpoint_url="http://127.0.0.1:1")
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert_fails(answers, code="EndpointConnectionError")
    assert "comprehend.endpoint_url" in answers.message


async def test_missing_credentials_say_what_to_set(fake, comprehend, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for settings in ({}, {"role_arn": ROLE}):
        backend = comprehend(**settings)
        answers = await backend.detect_sentiment(["a"], "en", single=False)
        assert_fails(answers, code="NoCredentialsError")
        assert "AWS_ACCESS_KEY_ID" in answers.message
    assert not fake.calls


async def test_denied_access_names_the_iam_actions(fake, comprehend):
    fake.behaviour.denied_actions = ["BatchDetectSentiment"]
    answers = await comprehend().detect_sentiment(["a"], "en", single=False)
    assert_fails(answers, code="AccessDeniedException")
    assert "comprehend:BatchDetectSentiment" in answers.message
    assert len(fake.calls) == 1


async def test_no_region_is_a_config_error(monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(config.ConfigError, match=r"comprehend\.region"):
        Comprehend(config.Comprehend(), concurrency=1)


@pytest.mark.parametrize(
    "settings", [{"endpoint_url": "not a url"}, {"region": "no such/region"}]
)
async def test_settings_that_make_no_client_are_a_config_error(settings):
    with pytest.raises(config.ConfigError, match="comprehend"):
        Comprehend(config.Comprehend(**settings), concurrency=1)


async def test_an_unknown_profile_is_a_config_error(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(config.ConfigError, match="nobody"):
        Comprehend(config.Comprehend(), concurrency=1)


async def test_a_role_is_assumed_once_and_its_key_used(fake, comprehend, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    backend = comprehend(role_arn=ROLE)
    for _ in range(3):
        answers = await backend.detect_sentiment(["a"], "en", single=False)
        assert answers == right(["a"])
    [role] = fake.role_calls
    assert role.role_arn == ROLE
    assert role.session_name == "aurora-ml-proxy"
    assert role.access_key_id == "AKIATEST"
    assert {call.access_key_id for call in fake.calls} == {role.issued_key_id}


async def test_a_roles_credentials_are_renewed_before_they_expire(
    fake, comprehend, monkeypatch
):
    # botocore renews what has under ten minutes left.
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    fake.behaviour.role_lifetime_s = 300
    backend = comprehend(role_arn=ROLE)
    for _ in range(2):
        await backend.detect_sentiment(["a"], "en", single=False)
    first, second = (call.access_key_id for call in fake.calls)
    assert first != second
    assert second == fake.role_calls[-1].issued_key_id


async def test_credentials_that_were_revoked_are_looked_for_anew(
    fake, comprehend, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    backend = comprehend(role_arn=ROLE)
    assert await backend.detect_sentiment(["a"], "en", single=False) == right(["a"])
    fake.behaviour.expired_keys = [fake.calls[0].access_key_id]
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert_fails(answers, code="ExpiredTokenException")
    assert answers.cause is Cause.PASSING
    assert await backend.detect_sentiment(["a"], "en", single=False) == right(["a"])
    _, second = fake.role_calls
    assert fake.calls[-1].access_key_id == second.issued_key_id


async def test_credentials_that_somebody_has_written_anew_are_found(
    fake, comprehend, monkeypatch, tmp_path
):
    file = tmp_path / "credentials"

    def write(key):
        file.write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key=x\n")

    write("AKIAOLD")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    now_s = [0.0]
    backend = comprehend(clock=lambda: now_s[0])
    fake.behaviour.expired_keys = ["AKIAOLD"]
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert_fails(answers, code="ExpiredTokenException")
    assert not answers.retryable and "renew" in answers.message  # there are no others
    write("AKIANEW")
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert not answers.retryable  # it has just looked
    now_s[0] += RENEWAL_S
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert answers.retryable
    assert await backend.detect_sentiment(["a"], "en", single=False) == right(["a"])
    assert fake.calls[-1].access_key_id == "AKIANEW"


async def test_calls_that_meet_a_revoked_key_together_renew_it_once(
    fake, comprehend, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    backend = comprehend(role_arn=ROLE)
    await backend.detect_sentiment(["a"], "en", single=False)
    fake.behaviour.expired_keys = [fake.calls[0].access_key_id]
    fake.hold()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(backend.detect_sentiment([text], "en", single=False))
            for text in TEXTS[:4]
        ]
        await fake.wait_for_calls(5)
        fake.release()
    assert all(task.result().retryable for task in tasks)
    assert len(fake.role_calls) == 2


async def test_a_role_that_may_not_be_assumed_says_so(fake, comprehend, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    fake.behaviour.denied_actions = ["AssumeRole"]
    answers = await comprehend(role_arn=ROLE).detect_sentiment(["a"], "en", single=False)
    assert_fails(answers, code="AccessDenied")
    assert "comprehend.role_arn" in answers.message
    assert not fake.calls


async def test_calls_run_in_parallel_up_to_the_concurrency(fake, comprehend, caplog):
    backend = comprehend(concurrency=4)
    fake.hold()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(backend.detect_sentiment([text], "en", single=False))
            for text in TEXTS[:6]
        ]
        await fake.wait_for_calls(4)
        fake.release()
    assert [task.result() for task in tasks] == [right([t]) for t in TEXTS[:6]]
    assert fake.max_in_flight == 4
    assert len(fake.calls) == 6
    # urllib3 warns when a connection does not fit into the pool and is thrown away.
    assert not caplog.records


async def test_a_cancelled_call_raises_at_once_and_its_thread_ends(fake, comprehend):
    backend = comprehend(concurrency=1)
    fake.hold()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(backend.detect_sentiment(["a"], "en", single=False))
        await fake.wait_for_calls(1)
        task.cancel()
    assert task.cancelled()
    assert fake.calls[0].finished_s is None
    fake.release()
    answers = await backend.detect_sentiment(["b"], "en", single=False)
    assert answers == right(["b"])


async def test_closing_ends_threads_and_connections(fake):
    backend = Comprehend(config.Comprehend(endpoint_url=fake.url), concurrency=2)
    await backend.detect_sentiment(["a"], "en", single=False)
    threads = [t for t in threading.enumerate() if t.name.startswith("comprehend")]
    assert threads
    await backend.close()
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
    async with asyncio.timeout(5):
        while fake.open_connections:  # noqa: ASYNC110 - aiohttp tells nobody
            await asyncio.sleep(0)


async def test_check_passes_with_two_tiny_calls(fake, comprehend):
    lines = await comprehend().check()
    assert [line.ok for line in lines] == [True, True, True]
    assert lines[0].text == "AWS credentials found (env)"
    assert "comprehend:BatchDetectSentiment" in lines[2].text
    assert [call.operation for call in fake.calls] == [
        "DetectSentiment",
        "BatchDetectSentiment",
    ]
    assert all(call.texts == ["ok"] for call in fake.calls)


async def test_check_tells_the_two_permissions_apart(fake, comprehend):
    fake.behaviour.denied_actions = ["DetectSentiment"]
    lines = await comprehend().check()
    assert [line.ok for line in lines] == [True, False, True]
    assert "AccessDeniedException" in lines[1].text


async def test_check_says_that_there_are_no_credentials(comprehend, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    lines = await comprehend().check()
    assert [line.ok for line in lines] == [False, False, False]


def test_the_local_model_and_the_contract_need_no_boto3():
    program = (
        "import sys, aurora_ml_proxy.backends.local; "
        "assert not {'boto3', 'botocore', 'requests'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
