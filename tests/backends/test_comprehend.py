"""Real boto3 over loopback against the fake. What was asked is counted at the fake."""

import asyncio
import subprocess
import sys
import threading

import pytest

from aurora_ml_proxy import config
from aurora_ml_proxy.backends.comprehend import Comprehend
from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import LANGUAGES, Failure

TEXTS = [f"text {i}" for i in range(25)]
ROLE = "arn:aws:iam::123456789012:role/reader"


def right(texts, language="en"):
    return [expected(text, language) for text in texts]


def assert_all_fail(answers, count, code):
    assert len(answers) == count
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
    assert_all_fail([answers.pop(3)], 1, "TextSizeLimitExceededException")
    assert answers == right(TEXTS[:3] + TEXTS[4:])
    assert len(fake.calls) == 1


async def test_only_the_texts_that_failed_for_the_moment_are_asked_again(
    fake, comprehend, naps
):
    fake.behaviour.script = ["item_errors", "item_errors"]
    answers = await comprehend().detect_sentiment(TEXTS[:7], "en", single=False)
    assert answers == right(TEXTS[:7])
    asked = [call.texts for call in fake.calls]
    assert asked == [TEXTS[:7], [TEXTS[1], TEXTS[3], TEXTS[5]], [TEXTS[3]]]
    assert naps.seconds == [0.05, 0.1]


async def test_a_text_that_keeps_failing_is_given_up(fake, comprehend):
    fake.behaviour.poison_items = {"bad": "INTERNAL_SERVER_ERROR"}
    backend = comprehend(max_attempts=3)
    good, bad = await backend.detect_sentiment(["good", "bad"], "en", single=False)
    assert good == expected("good", "en")
    assert_all_fail([bad], 1, "INTERNAL_SERVER_ERROR")
    assert [call.texts for call in fake.calls] == [["good", "bad"], ["bad"], ["bad"]]


@pytest.mark.parametrize("step", ["throttle", "500", "503", "reset", "truncated"])
@pytest.mark.parametrize("single", [True, False])
async def test_a_passing_trouble_is_retried_until_it_passes(
    fake, comprehend, step, single
):
    fake.behaviour.script = [step] * 3
    answers = await comprehend().detect_sentiment(["a"], "en", single=single)
    assert answers == right(["a"])
    assert [call.error is None for call in fake.calls] == [False, False, False, True]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("throttle", "ThrottlingException"),
        ("500", "InternalServerException"),
        ("503", "ServiceUnavailableException"),
        ("reset", "ConnectionClosedError"),
        ("truncated", "InvalidReply"),
        ("garbage", "InvalidReply"),
    ],
)
async def test_a_lasting_trouble_fails_every_text_after_max_attempts(
    fake, comprehend, step, code
):
    fake.behaviour.script = [step] * 10
    backend = comprehend(max_attempts=4)
    answers = await backend.detect_sentiment(TEXTS[:5], "en", single=False)
    assert_all_fail(answers, 5, code)
    assert len(fake.calls) == 4


async def test_throttling_backs_off_longer_up_to_a_limit(fake, comprehend, naps):
    fake.behaviour.script = ["throttle"] * 7
    await comprehend(max_attempts=8).detect_sentiment(["a"], "en", single=False)
    assert naps.seconds == [1, 2, 4, 8, 16, 20, 20]


async def test_a_long_spell_of_throttling_uses_up_no_quota(fake, comprehend):
    # botocore's own standard mode gives up retrying here; see Comprehend's docstring.
    backend = comprehend(max_attempts=6)
    fake.behaviour.script = ["throttle", "throttle", "throttle", "ok"] * 50
    for _ in range(50):
        answers = await backend.detect_sentiment(["a"], "en", single=False)
        assert answers == right(["a"])
    assert len(fake.calls) == 200


@pytest.mark.parametrize(
    "code",
    ["InvalidRequestException", "ValidationException", "UnsupportedLanguageException"],
)
async def test_a_refusal_is_final_and_never_asked_again(fake, comprehend, code):
    fake.behaviour.poison_calls = {TEXTS[0]: code}
    answers = await comprehend().detect_sentiment(TEXTS[:3], "en", single=False)
    assert_all_fail(answers, 3, code)
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
    assert_all_fail(answers, 1, "InvalidReply")
    assert "nonsense" in answers[0].message
    assert len(fake.calls) == 1


async def test_a_dropped_result_fails_its_text_only(fake, comprehend):
    fake.behaviour.script = ["drop"]
    answers = await comprehend().detect_sentiment(["a", "b"], "en", single=False)
    assert answers[0] == expected("a", "en")
    assert_all_fail(answers[1:], 1, "InvalidReply")


async def test_a_slow_reply_is_given_up_after_timeout_s(fake, comprehend):
    fake.hold()
    backend = comprehend(timeout_s=0.05, max_attempts=2)
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert_all_fail(answers, 1, "ReadTimeoutError")
    assert "timeout_s" in answers[0].message
    assert len(fake.calls) == 2


async def test_an_endpoint_that_nobody_listens_on_says_what_to_check(comprehend):
    backend = comprehend(endpoint_url="http://127.0.0.1:1", max_attempts=2)
    answers = await backend.detect_sentiment(["a"], "en", single=False)
    assert_all_fail(answers, 1, "EndpointConnectionError")
    assert "comprehend.endpoint_url" in answers[0].message


async def test_missing_credentials_say_what_to_set(fake, comprehend, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for settings in ({}, {"role_arn": ROLE}):
        backend = comprehend(**settings)
        answers = await backend.detect_sentiment(["a"], "en", single=False)
        assert_all_fail(answers, 1, "NoCredentialsError")
        assert "AWS_ACCESS_KEY_ID" in answers[0].message
    assert not fake.calls


async def test_denied_access_names_the_iam_actions(fake, comprehend):
    fake.behaviour.denied_actions = ["BatchDetectSentiment"]
    answers = await comprehend().detect_sentiment(["a"], "en", single=False)
    assert_all_fail(answers, 1, "AccessDeniedException")
    assert "comprehend:BatchDetectSentiment" in answers[0].message
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


async def test_a_role_that_may_not_be_assumed_says_so(fake, comprehend, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    fake.behaviour.denied_actions = ["AssumeRole"]
    answers = await comprehend(role_arn=ROLE).detect_sentiment(["a"], "en", single=False)
    assert_all_fail(answers, 1, "AccessDenied")
    assert "comprehend.role_arn" in answers[0].message
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


async def test_a_cancelled_call_is_not_retried(fake):
    fake.behaviour.script = ["throttle"] * 10
    napping = asyncio.Event()

    async def forever(_seconds):
        napping.set()
        await asyncio.Event().wait()

    backend = Comprehend(
        config.Comprehend(endpoint_url=fake.url), concurrency=1, sleep=forever
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(backend.detect_sentiment(["a"], "en", single=False))
        await napping.wait()
        task.cancel()
    assert len(fake.calls) == 1
    await backend.close()


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
