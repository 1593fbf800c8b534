import asyncio
import threading
import time

import pytest

from aurora_ml_proxy.backends.local import INLINE_COST, Local, judge
from aurora_ml_proxy.functions import MAX_TEXT_BYTES, Failure, Sentiment


@pytest.fixture
async def local():
    local = Local()
    yield local
    await local.close()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("This is wonderful", "POSITIVE"),
        ("not bad", "POSITIVE"),
        ("It is not good at all", "NEGATIVE"),
        ("The parcel arrived on Tuesday", "NEUTRAL"),
        ("   ", "NEUTRAL"),
        ("The food was great but the service was terrible", "MIXED"),
        ("I love the screen and hate the battery", "MIXED"),
        # Both sides have weight, but one has decided it.
        ("Terrible. But they refunded me and the staff were lovely.", "POSITIVE"),
        ("I am happy with the price, but unhappy: it was late and rude.", "NEGATIVE"),
    ],
)
def test_texts_get_the_class_a_reader_would_give(text, label):
    assert judge(text).label == label


def test_the_four_confidences_follow_the_documented_formula():
    # VADER: compound 0.5719; -0.3412; 0; pos 0.302 and neg 0.266 with 0.128.
    assert judge("This is wonderful") == Sentiment("POSITIVE", 0.78595)
    assert judge("It is not good at all") == Sentiment("NEGATIVE", 0.6706)
    assert judge("It arrived on Tuesday") == Sentiment("NEUTRAL", 1.0)
    mixed = judge("I love the screen and hate the battery")
    assert mixed == Sentiment("MIXED", 0.96831)


def test_confidence_grows_with_what_is_said():
    texts = ["It is good.", "It is very good.", "It is very good and I love it!"]
    confidences = [judge(text).confidence for text in texts]
    assert confidences == sorted(set(confidences))
    assert all(0.5 <= confidence <= 1 for confidence in confidences)


async def test_answers_come_in_the_order_of_the_texts(local):
    texts = ["wonderful", "awful", "Tuesday"]
    answers = await local.detect_sentiment(texts, "en", single=False)
    assert answers == [judge(text) for text in texts]
    assert await local.detect_sentiment(texts[1:2], "en", single=True) == answers[1:2]


async def test_another_language_fails_and_says_what_to_set(local):
    failure = await local.detect_sentiment(["gut", "schlecht"], "de", single=False)
    assert isinstance(failure, Failure)
    assert 'sentiment.backend = "comprehend"' in failure.message
    assert not failure.retryable


async def test_long_texts_leave_the_loop_free(local):
    text = ("The screen is lovely and the battery lasts. " * 200)[:MAX_TEXT_BYTES]
    assert len(text) > INLINE_COST
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        turning = group.create_task(turn())
        answers = await local.detect_sentiment([text], "en", single=False)
        turning.cancel()
    assert answers == [judge(text)]
    assert turns > 3


@pytest.mark.parametrize("text", ["\N{GRINNING FACE}" * 40, "not bad " * 40])
async def test_what_takes_long_is_judged_in_the_thread(local, monkeypatch, text):
    """VADER reads an emoji as its name, so few of them are a long text."""
    threads = []

    def judging(text):
        threads.append(threading.current_thread())
        return judge(text)

    monkeypatch.setattr("aurora_ml_proxy.backends.local.judge", judging)
    await local.detect_sentiment(
        [text, "wonderful", "è buono \u2764"], "en", single=False
    )
    assert threads[0] is not threading.main_thread()
    assert threads[1:] == [threading.main_thread()] * 2


async def test_a_batch_of_short_texts_lets_others_have_their_turn(local):
    texts = ["I am happy with the price, but unhappy: it was late."] * 25
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        turning = group.create_task(turn())
        await local.detect_sentiment(texts, "en", single=False)
        turning.cancel()
    assert turns >= 20


async def test_a_cancelled_call_ends_at_once_and_leaves_the_rest_unasked(local):
    slow = ("good but " * 1000)[:MAX_TEXT_BYTES]
    started = time.monotonic()
    answer = judge(slow)
    one_text_s = time.monotonic() - started
    async with asyncio.TaskGroup() as group:
        call = group.create_task(local.detect_sentiment([slow] * 25, "en", single=False))
        await asyncio.sleep(0)
        started = time.monotonic()
        call.cancel()
    assert call.cancelled()
    # The thread is free again after one text, not after 25.
    assert await local.detect_sentiment([slow], "en", single=True) == [answer]
    assert time.monotonic() - started < 12 * one_text_s
