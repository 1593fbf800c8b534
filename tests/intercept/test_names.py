import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.intercept.names import MAX_VIEWS, NameFilter, ViewNames

names = NameFilter(FUNCTIONS)
NAME = b"aws_comprehend_detect_sentiment"


@pytest.mark.parametrize(
    "statement",
    [
        b"SELECT aws_comprehend_detect_sentiment(t,'en')",
        b"AWS_COMPREHEND_DETECT_SENTIMENT (t)",
        b"aws_comprehend_detect_sentiment/* a comment */(t)",
        b"aws_comprehend_detect_sentiment-- a comment\n(t)",
        b"aws_comprehend_detect_sentiment#(\n(t)",
        b"/*! aws_comprehend_detect_sentiment*/(t)",
        b"`aws_comprehend_detect_sentiment`(t)",
        b'"aws_comprehend_detect_sentiment" (t)',
        b"'a text with aws_comprehend_detect_sentiment in it'",
        b"select Aws_Comprehend_Detect_Sentiment_Confidence (t)",
        b"\xff\xfeaws_comprehend_detect_sentiment\xff(t)",
    ],
)
def test_a_name_with_a_call_possibly_behind_it_is_a_maybe(statement):
    assert names.may_match(statement)


@pytest.mark.parametrize(
    "statement",
    [
        b"",
        b"SELECT 1",
        b"aws_comprehend_detect_sentimen(t)",
        b"\xff" * 100,
        b"'aws_comprehend_detect_sentiment'",
        b"SELECT aws_comprehend_detect_sentiment, b FROM t",
        b"my_aws_comprehend_detect_sentiments(t)",
    ],
)
def test_no_name_is_a_certain_no(statement):
    assert not names.may_match(statement)


def test_a_name_inside_another_needs_no_needle_of_its_own():
    assert len(names._needles) == 1
    assert len(NameFilter(["f", "g", "fg"])._needles) == 2
    assert not NameFilter([]).may_match(b"anything")


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, (1 << 31) - 1))
def test_a_call_is_found_in_any_case_between_any_bytes(before, behind, case):
    spelt = bytes(
        c ^ 0x20 if case >> i & 1 and chr(c).isalpha() else c for i, c in enumerate(NAME)
    )
    assert names.may_match(before + spelt + b"(" + behind)


def test_a_view_that_was_met_is_known_by_its_name():
    views = ViewNames()
    assert not views.may_match(b"SELECT * FROM v")
    views.learn([b"v", b"my view", "größe".encode()])
    for statement in ("SELECT * FROM db.V", "SELECT 1 FROM `my view`", "TABLE größe"):
        assert views.may_match(statement.encode())
    for statement in ("SELECT * FROM vv", "SELECT $v", "SELECT größer", "SELECT my"):
        assert not views.may_match(statement.encode())


def test_the_last_views_are_remembered():
    views = ViewNames()
    views.learn(b"v%d" % n for n in range(MAX_VIEWS))
    views.learn([b"v0", b"another"])
    assert views.may_match(b"TABLE v0") and views.may_match(b"TABLE another")
    assert not views.may_match(b"TABLE v1") and views.may_match(b"TABLE v2")
