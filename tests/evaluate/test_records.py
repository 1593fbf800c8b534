import hashlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.evaluate.records import (
    digest_of,
    given_of,
    read_record,
    read_sentiment,
    scope_of,
    write_record,
    write_sentiment,
)
from aurora_ml_proxy.functions import LABELS, Sentiment

GIVEN_S = 1_700_000_000
SENTIMENTS = st.builds(Sentiment, st.sampled_from(LABELS), st.floats(0, 1))


def test_a_digest_is_what_sha2_is_in_sql():
    text = "größe 👍".encode()
    assert digest_of(text).hex() == hashlib.sha256(text).hexdigest()


def test_texts_that_a_collation_takes_for_one_have_digests_of_their_own():
    texts = [b"Good", b"good", b"good ", "Ｇood".encode(), b"good\0", b""]
    assert len({digest_of(text) for text in texts}) == len(texts)


def test_scopes_are_told_apart_part_by_part():
    scopes = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ()]
    assert len({scope_of(*parts) for parts in scopes}) == len(scopes)
    assert len(scope_of("é")) == len(scope_of("x" * 1_000)) == 16


@given(SENTIMENTS)
def test_a_sentiment_is_read_as_it_was_written_to_the_bit(sentiment):
    value = write_sentiment(sentiment)
    assert len(value) == 9
    assert read_sentiment(value) == sentiment
    read = read_sentiment(value)
    assert math.copysign(1, read.confidence) == math.copysign(1, sentiment.confidence)


@pytest.mark.parametrize(
    "value",
    [b"", b"\0" * 8, b"\0" * 10, b"\4" + bytes(8), b"\0" + b"\xff" * 8]
    + [struct.pack("<Bd", 0, x) for x in (-0.1, 1.1, math.inf, math.nan)],
)
def test_what_is_no_sentiment_is_none(value):
    assert read_sentiment(value) is None


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 2**32 - 1))
def test_a_record_is_read_as_it_was_written(key, value, given_s):
    record = write_record(key, value, given_s)
    assert read_record(key, record) == (value, given_s)
    assert given_of(record) == given_s


@given(st.integers(0, 8 * 17 - 1))
def test_no_flipped_bit_becomes_an_answer(bit):
    record = bytearray(write_record(b"key", write_sentiment(Sentiment("MIXED", 0.7)), 1))
    record[bit // 8] ^= 1 << bit % 8
    assert read_record(b"key", bytes(record)) is None


def test_a_record_under_another_key_is_none():
    record = write_record(b"key", b"value", GIVEN_S)
    assert read_record(b"kez", record) is None
    # Nor where key and value meet in another place.
    assert read_record(b"keyv", record[:8] + b"alue") is None


@given(st.binary(max_size=40))
def test_random_bytes_are_no_record(data):
    assert read_record(b"key", data) is None
    assert given_of(data) >= 0
