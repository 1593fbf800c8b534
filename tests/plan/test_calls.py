import pytest
from support.oracle import expand

from aurora_ml_proxy.errors import WrongArgumentCount
from aurora_ml_proxy.functions import CONFIDENCE, FUNCTIONS, LABEL
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.tokens import Unreadable, read_statement


def calls(text: str, dialect: Dialect = Dialect()):  # noqa: B008 - frozen
    statement = read_statement(expand(text).encode(), dialect)
    return statement, find_calls(statement, FUNCTIONS)


def test_a_call_has_its_function_its_span_and_its_arguments():
    statement, [call] = calls("SELECT 1, F( CONCAT(a, (b)) , 'en', 5) AS s")
    assert call.function is LABEL
    assert statement.tokens[call.first].text == b"AWS_COMPREHEND_DETECT_SENTIMENT"
    assert statement.tokens[call.last].text == b")"
    assert [statement.source(*argument) for argument in call.arguments] == [
        b"CONCAT(a, (b))",
        b"'en'",
        b"5",
    ]


def test_calls_come_in_the_order_of_the_text_and_nested_ones_too():
    _, found = calls("SELECT G(F(a,'en'),'en'), f (b,'en')")
    assert [call.function for call in found] == [CONFIDENCE, LABEL, LABEL]
    assert found[0].first < found[1].first < found[1].last < found[0].last


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("`aws_comprehend_detect_sentiment`(a,'en')", Dialect()),
        ("\"AWS_comprehend_detect_sentiment\" (a,'en')", Dialect(ansi_quotes=True)),
        ("F/**/(a,'en')", Dialect()),
        ("/*! F( */ a,'en')", Dialect()),
    ],
)
def test_other_spellings_of_a_call(text, dialect):
    text = text.replace("F/", "aws_comprehend_detect_sentiment/")
    _, found = calls(text, dialect)
    assert len(found) == 1


@pytest.mark.parametrize(
    "text",
    [
        "'aws_comprehend_detect_sentiment'(a,'en')",
        "\"aws_comprehend_detect_sentiment\"(a,'en')",
        "@aws_comprehend_detect_sentiment (a,'en')",
        "aws_comprehend_detect_sentimental(a,'en')",
        "test.F(a,'en')",
        "aws_comprehend_detect_sentiment",
        "(a)",
        "CREATE VIEW F(a,b) AS SELECT 1,2",
    ],
)
def test_what_is_no_call(text):
    assert calls(text)[1] == []


@pytest.mark.parametrize("text", ["F()", "F(a)", "G(a)", "F(a,'en',1,2)"])
def test_too_few_and_too_many_arguments(text):
    with pytest.raises(WrongArgumentCount):
        calls(text)


@pytest.mark.parametrize("text", ["F(,'en')", "F(a,,'en')", "F(a,'en',)"])
def test_an_empty_argument_is_the_servers_to_judge(text):
    with pytest.raises(Unreadable):
        calls(text)
