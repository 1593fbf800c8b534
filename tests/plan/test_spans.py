import pytest
from support.sql_fixtures import spans, statement_of

from aurora_ml_proxy.plan.spans import (
    commas,
    end_of_group,
    equals_sign,
    has_word,
    listed,
    mark,
    word,
)


def test_beside_a_statement_stands_nothing():
    statement = statement_of("a , `b`")
    assert [word(statement, i) for i in range(-1, 4)] == [b"", b"A", b"", b"", b""]
    assert [mark(statement, i) for i in range(-1, 4)] == [b"", b"", b",", b"", b""]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a", ["a"]),
        ("a, b(c, d), 'e,f'", ["a", "b(c, d)", "'e,f'"]),
        ("(a, b), (c)", ["(a, b)", "(c)"]),
        ("a,", ["a", ""]),
        (",", ["", ""]),
    ],
)
def test_what_commas_part(text, expected):
    statement = statement_of(text)
    assert spans(statement, commas(statement, 0, len(statement.tokens) - 1)) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("()", []), ("(a)", ["a"]), ("(a,(b,c)) d", ["a", "(b,c)"])]
)
def test_what_parentheses_list(text, expected):
    statement = statement_of(text)
    assert spans(statement, listed(statement, 0)) == expected


@pytest.mark.parametrize(
    ("text", "at", "end"),
    [("a b c", 0, 3), ("a; b", 0, 1), ("(a (b) c) d", 1, 6), ("(a (b) c) d", 3, 4)],
)
def test_where_a_group_ends(text, at, end):
    assert end_of_group(statement_of(text), at) == end


@pytest.mark.parametrize(
    ("text", "at"), [("a = 1", 1), ("@a := b = c", 1), ("a.b = 1", 3), ("a", None)]
)
def test_where_an_assignment_has_its_sign(text, at):
    statement = statement_of(text)
    assert equals_sign(statement, (0, len(statement.tokens) - 1)) == at


def test_a_word_between_quotes_is_no_word():
    words = frozenset((b"SELECT",))
    assert has_word(statement_of("a (select b)"), (0, 4), words)
    assert not has_word(statement_of("a `select` 'select' @select"), (0, 3), words)
