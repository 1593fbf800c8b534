import pytest
from support.sql_fixtures import statement_of, text

from aurora_ml_proxy.errors import WrongArgument
from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.plan.arguments import (
    as_utf8,
    is_column_or_literal,
    is_constant,
    is_text_literal,
    literal_batch_size,
    literal_language,
)
from aurora_ml_proxy.plan.calls import find_calls


@pytest.mark.parametrize(
    ("text", "is_literal", "is_simple", "constant"),
    [
        ("'a'", True, True, True),
        ("5", True, True, True),
        ("N'a'", True, False, True),
        ("_latin1'a'", False, False, True),
        ("x'41'", False, False, True),
        ("NULL", False, True, True),
        ("TRUE", False, True, True),
        ("@a", False, False, True),
        ("CONCAT('a', @b)", False, False, True),
        ("'a' 'b'", False, False, True),
        ("t", False, True, False),
        ("`t`", False, True, False),
        ("a.`b`.c", False, True, False),
        ("t + 1", False, False, False),
        ("_t", False, True, False),
        ("(SELECT 'a')", False, False, False),
        ("VALUES(a)", False, False, False),
        ("COUNT(*)", False, False, False),
        ("a.f()", False, False, False),
    ],
)
def test_what_an_argument_is(text, is_literal, is_simple, constant):
    statement = statement_of(text)
    span = (0, len(statement.tokens) - 1)
    assert is_text_literal(statement, *span) == is_literal
    assert is_column_or_literal(statement, *span) == is_simple
    assert is_constant(statement, *span) == constant


def test_what_is_not_utf8_is_asked_for_as_it_is():
    assert text(as_utf8((b"t",), is_literal=False)) == "[t]"
    assert text(as_utf8((b"'t'",), is_literal=True)) == "['t']"


def one_call(arguments: str):
    statement = statement_of(f"F({arguments})")
    return statement, find_calls(statement, FUNCTIONS)[0]


@pytest.mark.parametrize(
    ("arguments", "language", "size"),
    [
        ("t,'en'", "en", 25),
        ('t,"zh-TW",1', "zh-TW", 1),
        ("t,l,n", None, None),
        ("t,CONCAT('e','n'),5 + 5", None, None),
        ("t,'en',NULL", "en", None),
    ],
)
def test_what_is_written_out_need_not_be_asked_for(arguments, language, size):
    assert literal_language(*one_call(arguments)) == language
    assert literal_batch_size(*one_call(arguments)) == size


@pytest.mark.parametrize("arguments", ["t,'EN'", "t,'xx'", "t,''", "t,'e''n'"])
def test_a_language_that_is_none_is_refused(arguments):
    with pytest.raises(WrongArgument):
        literal_language(*one_call(arguments))


@pytest.mark.parametrize("size", ["0", "26", "'5'", "99999999999999999999999"])
def test_a_batch_size_that_is_none_is_refused(size):
    with pytest.raises(WrongArgument):
        literal_batch_size(*one_call(f"t,'en',{size}"))
