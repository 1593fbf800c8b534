import pytest
from support.sql_fixtures import statement_of

from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.template import (
    Lenient,
    cut,
    edit,
    joined,
    outermost,
    text_of,
    without_rest,
)


def cut_all(text: str, substitute=None):
    statement = statement_of(text)
    calls = find_calls(statement, FUNCTIONS)
    return cut(statement, 0, len(statement.tokens) - 1, calls, substitute)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", (b"a + b",)),
        ("a /* c */ + b -- d", (b"a + b",)),
        ("F(t,'en')", (0,)),
        ("a = F(t,'en') AND b", (b"a = ", 0, b" ", b"AND b")),
        ("a=F(t,'en')=b", (b"a=", 0, b" ", b"=b")),
        # The space of two dashes would make them a comment.
        ("5--F(t,'en')", (b"5--", 0)),
        ("F(F(t,'en'),'en') + F(u,'en')", (0, b" ", b"+ ", 2)),
        ("", ()),
    ],
)
def test_a_text_is_cut_with_its_calls_as_numbers(text, expected):
    assert cut_all(text) == expected


def test_a_span_of_nothing_is_cut_to_nothing():
    statement = statement_of("a b")
    assert cut(statement, 1, 0, []) == ()


def test_what_is_substituted_stands_in_the_place_of_its_tokens():
    def substitute(i: int):
        return (i + 2, (b"(", 7, b")")) if i == 2 else None

    expected = (b"a + ", b"(", 7, b")", b" ", b"- b")
    assert cut_all("a + t . c - b", substitute) == expected


def test_only_outermost_calls_wholly_inside_are_told():
    statement = statement_of("F(F(t,'en'),'en') F(u,'en')")
    calls = find_calls(statement, FUNCTIONS)
    last = len(statement.tokens) - 1
    assert list(outermost(calls, 0, last)) == [0, 2]
    assert list(outermost(calls, 1, last)) == [1, 2]
    assert list(outermost(calls, 0, last - 1)) == [0]
    assert list(outermost(calls, 3, 2)) == []


def test_spans_are_replaced_and_nothing_else():
    edits = [(4, 5, (1,)), (2, 2, (b"<",)), (6, 7, ())]
    assert edit(b"a b c d", edits) == (b"a ", b"<", b"b ", 1, b" ")
    assert edit(b"a", []) == (b"a",)
    assert edit(b"", []) == ()


def test_templates_are_joined():
    assert joined(b",", [(b"a", 1), (), (Lenient(2),)]) == (
        b"a",
        1,
        b",",
        b",",
        Lenient(2),
    )
    assert joined(b",", []) == ()


def test_the_text_of_a_template():
    assert text_of((b"a", b"b")) == b"ab"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a; -- b", [(1, 7, ())]),
        ("a ;;", [(2, 4, ())]),
        ("a ';' /* ; */", []),
    ],
)
def test_what_is_behind_the_statement_is_cut_off(text, expected):
    assert without_rest(statement_of(text)) == expected
