"""The SQL side is proved against real servers in tests/conformance."""

from collections import Counter

from aurora_ml_proxy.backends.oracle import (
    expected,
    sql_confidence,
    sql_functions,
    sql_label,
)
from aurora_ml_proxy.functions import FUNCTIONS, LABELS, Sentiment


def test_known_texts_have_known_answers():
    # Computed by MariaDB 10.11 and MySQL 9.7 from the expressions of sql_label and
    # sql_confidence.
    assert expected("Good", "en") == Sentiment("NEGATIVE", 0.875)
    assert expected("größe 👍", "de") == Sentiment("POSITIVE", 0.7099609375)
    assert expected(" ", "zh-TW") == Sentiment("MIXED", 0.9248046875)


def test_case_trailing_space_and_language_each_make_another_text():
    variants = [("Good", "en"), ("good", "en"), ("Good ", "en"), ("Good", "de")]
    assert len({expected(*variant) for variant in variants}) == 4


def test_all_labels_are_about_as_frequent():
    counts = Counter(expected(f"text {i}", "en").label for i in range(4000))
    assert set(counts) == set(LABELS)
    assert min(counts.values()) > 900


def test_confidences_are_exact_fractions_from_a_half_to_below_one():
    scores = {expected(f"text {i}", "en").confidence for i in range(4000)}
    assert min(scores) == 0.5
    assert max(scores) == 1023 / 1024
    assert all((score * 1024).is_integer() for score in scores)


def test_the_sql_functions_bear_the_functions_names():
    for name, statement in zip(FUNCTIONS, sql_functions(), strict=True):
        assert statement.startswith(f"CREATE FUNCTION {name}(")


def test_the_expressions_take_any_expressions():
    assert "CONVERT(t.body USING utf8mb4)" in sql_label("t.body", "'en'")
    assert "CONVERT('en' USING utf8mb4)" in sql_confidence("t.body", "'en'")
