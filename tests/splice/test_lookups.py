"""Expressions that look answers up: what a server makes of them, and their text."""

import re
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.inline_plans import inline_plan
from support.lookups import Missing, compiled

from aurora_ml_proxy.functions import CONFIDENCE, LABEL, Function, Sentiment
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.inline import MISSING
from aurora_ml_proxy.plan.plan import Inline, InlineCall
from aurora_ml_proxy.plan.template import Lenient, Template, Unknown
from aurora_ml_proxy.splice.lookups import KnownAnswers, hash_of, render

LABELS = ("POSITIVE", "NEGATIVE", "NEUTRAL", "MIXED")
Answers = dict[bytes, Sentiment | None]

MARIADB = Dialect(is_mariadb=True, version=101100)
MYSQL9 = Dialect(is_mariadb=False, version=90700)
MYSQL5 = Dialect(is_mariadb=False, version=50744)
dialects = pytest.mark.parametrize("dialect", [MARIADB, MYSQL9, MYSQL5])
functions = pytest.mark.parametrize("function", [LABEL, CONFIDENCE])
sizes = pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 64, 65, 200, 5_000])

CALL: Template = (0,)


def plan(
    *calls: tuple[Function, Template, int] | tuple[Function, Template, int, bool],
    dialect: Dialect = MARIADB,
    sets: int = 1,
) -> Inline:
    return inline_plan(
        calls=tuple(InlineCall(*call) for call in calls),
        known_sets=sets,
        dialect=dialect,
    )


def known(answers: Answers) -> KnownAnswers:
    found = KnownAnswers()
    for text, answer in answers.items():
        found.answers[hash_of(text)] = answer
    return found


def sql_of(
    answers: Answers,
    function: Function = LABEL,
    template: Template = CALL,
    *,
    dialect: Dialect = MARIADB,
    is_strict: bool = True,
) -> bytes:
    made = plan((function, (b"t",), 0), dialect=dialect)
    return render(made, template, [known(answers)], is_strict=is_strict)


def some_answers(count: int) -> Answers:
    """Random answers, some of them NULL."""
    random = Random(count)
    return {
        b"text %d" % i: None
        if random.random() < 0.1
        else Sentiment(random.choice(LABELS), random.random())
        for i in range(count)
    }


def value_of(answer: Sentiment | None, function: Function) -> bytes | float | None:
    if answer is None:
        return None
    return answer.label.encode() if function is LABEL else answer.confidence


# What a server makes of them.


@dialects
@functions
@sizes
def test_every_text_finds_its_answer(dialect, function, count):
    answers = some_answers(count)
    look_up = compiled(sql_of(answers, function, dialect=dialect))
    for text, answer in answers.items():
        assert look_up(text) == value_of(answer, function)


@dialects
@functions
@sizes
def test_a_text_without_an_answer_is_an_error_or_null(dialect, function, count):
    answers = some_answers(count)
    strict = compiled(sql_of(answers, function, dialect=dialect))
    lenient = compiled(sql_of(answers, function, dialect=dialect, is_strict=False))
    for i in range(200):
        with pytest.raises(Missing):
            strict(b"other %d" % i)
        assert lenient(b"other %d" % i) is None
    assert strict(None) is None and lenient(None) is None
    for text, answer in list(answers.items())[:200]:
        assert lenient(text) == value_of(answer, function)


@dialects
@sizes
def test_whether_an_answer_is_unknown(dialect, count):
    answers = some_answers(count)
    is_unknown = compiled(sql_of(answers, template=(Unknown(0),), dialect=dialect))
    assert {is_unknown(text) for text in answers} <= {0}
    assert {is_unknown(b"other %d" % i) for i in range(200)} == {1}
    assert is_unknown(None) == 0


@functions
def test_texts_that_differ_in_a_byte_are_different(function):
    answers: Answers = {
        text: Sentiment(LABELS[i], i / 4)
        for i, text in enumerate((b"good", b"Good", b"good ", b""))
    }
    look_up = compiled(sql_of(answers, function))
    for text, answer in answers.items():
        assert look_up(text) == value_of(answer, function)
    with pytest.raises(Missing):
        look_up(b" good")


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize(
    "confidence", [0.0, 1.0, 0.1, 5e-324, 1e-07, 1 - 2**-53, 0.9999999403953552]
)
def test_a_confidence_keeps_every_bit(confidence, count):
    answers: Answers = {b"%d" % i: Sentiment("MIXED", confidence) for i in range(count)}
    assert compiled(sql_of(answers, CONFIDENCE))(b"0") == confidence


@given(st.dictionaries(st.binary(), st.none() | st.sampled_from(LABELS), max_size=100))
def test_any_texts(labels):
    answers = {
        text: label and Sentiment(label, len(text) / 100)
        for text, label in labels.items()
    }
    for function in (LABEL, CONFIDENCE):
        look_up = compiled(sql_of(answers, function))
        for text, answer in answers.items():
            assert look_up(text) == value_of(answer, function)


def test_hashes_at_the_edges_of_buckets():
    """Of these no text is known: the hash itself stands in the argument's place."""
    found = KnownAnswers()
    edges = {0, 1, (1 << 60) - 1}
    for bits in range(1, 12):
        for n in range(1 << min(bits, 6)):
            edge = n << (60 - bits)
            edges |= {edge, max(edge - 1, 0), edge + 1}
    for n, edge in enumerate(sorted(edges)):
        found.answers[edge] = Sentiment(LABELS[n % 4], n / 1024)
    for function in (LABEL, CONFIDENCE):
        sql = render(plan((function, (b"t",), 0)), CALL, [found], is_strict=True)
        hashed = sql_of({}, template=(Unknown(0),))
        of_text = re.match(rb"\(COALESCE\((.*) NOT IN", hashed)
        assert of_text is not None and of_text[1] in sql
        look_up = compiled(sql.replace(of_text[1], b"t"))
        for edge, answer in found.answers.items():
            assert look_up(edge) == value_of(answer, function)


def test_the_hash_is_the_front_of_sha256():
    assert hash_of(b"good") == int(sha256(b"good").hexdigest()[:15], 16)
    assert hash_of(b"") == 0xE3B0C44298FC1C1
    assert all(0 <= hash_of(b"%d" % i) < 1 << 60 for i in range(100))


# Their text.


@dialects
@functions
@pytest.mark.parametrize("count", [0, 1, 100])
@pytest.mark.parametrize("piece", [0, Lenient(0), Unknown(0)])
def test_no_space_in_front_and_nothing_that_glues_behind(dialect, function, count, piece):
    """`5--f(x)` is no comment, and `f(x)AS y` is two words."""
    sql = sql_of(some_answers(count), function, (b"5--", piece, b"AS y"), dialect=dialect)
    assert re.match(rb"5--[A-Z(]", sql)
    assert re.search(rb"[ )]AS y$", sql)


@dialects
@functions
def test_nothing_that_a_mode_or_a_character_set_reads_in_another_way(dialect, function):
    for count in (0, 3, 100):
        sql = sql_of(some_answers(count), function, dialect=dialect)
        assert re.fullmatch(rb"[A-Za-z0-9_ (),.+>'-]*", sql)
        # Each literal is hexadecimal; a quote of another kind could be an identifier.
        assert sql.count(b"'") == 2 * len(re.findall(rb"X'[0-9A-F]*'", sql))
        assert b"--" not in sql


def test_the_error_of_a_miss_names_the_constant_and_depends_on_the_row():
    assert b"EXP(%d+LENGTH(t))" % MISSING in sql_of({})
    assert b"EXP" not in sql_of({}, is_strict=False)
    assert b"EXP" not in sql_of({}, template=(Lenient(0), Unknown(0)))


def test_a_miss_is_none_in_a_group_of_mariadb_that_has_no_row_yet():
    for dialect, end in ((MARIADB, b"+NULLIF(COUNT(*),0))"), (MYSQL9, b")")):
        made = plan((LABEL, (b"MAX(t)",), 0, True), dialect=dialect)
        sql = render(made, CALL, [KnownAnswers()], is_strict=True)
        assert b"EXP(%d+LENGTH(MAX(t))%b END" % (MISSING, end) in sql


def test_where_nothing_is_known_no_hash_is():
    assert b" NOT IN (-1)" in sql_of({}, template=(Unknown(0),))


def test_a_score_is_a_double_and_not_a_decimal():
    answers: Answers = {b"good": Sentiment("MIXED", 0.5)}
    assert sql_of(answers, CONFIDENCE).startswith(b"CAST(CASE ")
    assert b"THEN 0.5e0 " in sql_of(answers, CONFIDENCE)
    newer = Dialect(is_mariadb=False, version=80017)
    older = Dialect(is_mariadb=False, version=80016)
    assert sql_of(answers, CONFIDENCE, dialect=newer).endswith(b" AS DOUBLE) ")
    assert sql_of(answers, CONFIDENCE, dialect=older).endswith(b"+0e0) ")


def test_a_label_may_have_any_letters():
    """Else the servers would convert what they refuse a function's result."""
    assert b"X'C3A9'" in sql_of({})


def test_equal_calls_are_equal_expressions():
    """ONLY_FULL_GROUP_BY compares them, whatever order the texts were read in."""
    answers = some_answers(300)
    backwards = dict(reversed(answers.items()))
    for function in (LABEL, CONFIDENCE):
        assert sql_of(answers, function) == sql_of(backwards, function)


# Templates.


def test_calls_of_several_sets_of_answers():
    made = plan(
        (LABEL, (b"t",), 0), (CONFIDENCE, (b"t",), 0), (LABEL, (b"t",), 1), sets=2
    )
    sets = [
        known({b"good": Sentiment("POSITIVE", 0.75)}),
        known({b"good": Sentiment("NEGATIVE", 0.5)}),
    ]
    found = [
        compiled(render(made, (call,), sets, is_strict=True))(b"good")
        for call in range(3)
    ]
    assert found == [b"POSITIVE", 0.75, b"NEGATIVE"]


def test_a_language_that_is_no_literal_is_part_of_the_key():
    made = plan((LABEL, (b"CONCAT('de',':',", b"t", b")"), 0))
    sets = [known({b"de:gut": Sentiment("POSITIVE", 0.75)})]
    assert compiled(render(made, CALL, sets, is_strict=True))(b"gut") == b"POSITIVE"


@pytest.mark.parametrize("is_strict", [True, False])
def test_a_call_in_the_argument_of_a_call(is_strict):
    """The inner one's answer is the outer one's text."""
    made = plan((LABEL, (0 + 1,), 1), (LABEL, (b"t",), 0), sets=2)
    sets = [
        known({b"good": Sentiment("POSITIVE", 0.75), b"bad": Sentiment("MIXED", 0.5)}),
        known({b"POSITIVE": Sentiment("NEGATIVE", 0.5)}),
    ]
    look_up = compiled(render(made, CALL, sets, is_strict=is_strict))
    assert look_up(b"good") == b"NEGATIVE"
    for text in (b"bad", b"other"):
        if is_strict:
            with pytest.raises(Missing):
                look_up(text)
        else:
            assert look_up(text) is None


def test_of_a_key_with_an_unknown_call_in_it_nothing_is_said_to_be_unknown():
    """It is NULL as far as is known, and asked when the inner answer is there."""
    made = plan((LABEL, (1,), 1), (LABEL, (b"t",), 0), sets=2)
    sql = render(made, (Unknown(0),), [known({}), known({})], is_strict=True)
    assert compiled(sql)(b"other") == 0


def test_text_passes_unchanged():
    assert sql_of({}, template=(b"SELECT '\xff", b"--", b" x'")) == b"SELECT '\xff-- x'"
