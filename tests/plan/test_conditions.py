import pytest
from support.sql_fixtures import spans, statement_of

from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.conditions import (
    assigned_variables,
    assignments,
    conjuncts,
    free_conjuncts,
    has_call,
    side_effects,
    volatile_word,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("a AND b && c", ["a", "b", "c"]),
        ("a AND (b OR c) AND d", ["a", "(b OR c)", "d"]),
        ("(a AND b) AND c", ["a", "b", "c"]),
        ("((a AND (b)) AND ((c))) AND d", ["a", "(b)", "((c))", "d"]),
        ("NOT (a AND b) AND (c, d) = (e, f)", ["NOT (a AND b)", "(c, d) = (e, f)"]),
        ("(SELECT a AND b) AND c", ["(SELECT a AND b)", "c"]),
        ("((WITH x AS (SELECT 1) SELECT a AND b))", None),
        ("(" * 3000 + "a AND b" + ")" * 3000, ["a", "b"]),
        ("NOT a AND b", ["NOT a", "b"]),
        ("a BETWEEN 1 AND 2 AND b", ["a BETWEEN 1 AND 2", "b"]),
        ("a AND b NOT BETWEEN c AND d", ["a", "b NOT BETWEEN c AND d"]),
        (
            "a BETWEEN b BETWEEN 1 AND 2 AND 3 AND c",
            ["a BETWEEN b BETWEEN 1 AND 2 AND 3", "c"],
        ),
        (
            "CASE WHEN a AND b THEN c END AND d",
            ["CASE WHEN a AND b THEN c END", "d"],
        ),
        (
            "a BETWEEN CASE WHEN b AND c THEN 1 END AND 2 AND d",
            ["a BETWEEN CASE WHEN b AND c THEN 1 END AND 2", "d"],
        ),
        ("t.and AND t.case AND t.or", ["t.and", "t.case", "t.or"]),
        ("`or` AND 'or' AND @or", ["`or`", "'or'", "@or"]),
        # Something binds less tightly: all is one.
        ("a AND b OR c", ["a AND b OR c"]),
        ("a XOR b AND c", ["a XOR b AND c"]),
        ("a || b AND c", ["a || b AND c"]),
        ("@a := b AND c", ["@a := b AND c"]),
        ("a AND b UNION c", ["a AND b UNION c"]),
        # Without sense, and without an error.
        ("", []),
        ("() AND a", ["()", "a"]),
        ("AND a AND", ["a"]),
        ("END AND BETWEEN AND", ["END", "BETWEEN AND"]),
    ],
)
def test_what_and_joins(text, expected):
    statement = statement_of(text)
    found = conjuncts(statement, 0, len(statement.tokens) - 1)
    assert spans(statement, found) == (expected or ([text] if text else []))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a AND F(t,'en') = 'x' AND b", ["a", "b"]),
        ("a AND (b AND F(t,'en') = 'x')", ["a", "b"]),
        ("a OR F(t,'en') = 'x'", []),
        ("a AND b < RAND() AND F(t,'en')", ["a"]),
        ("a AND b IN (SELECT UUID()) AND F(t,'en')", ["a"]),
        ("@a > 1 AND F(t,'en')", ["@a > 1"]),
        ("@a > 1 AND b = (@a := @a + 1) AND c AND F(t,'en')", ["c"]),
    ],
)
def test_the_conditions_that_can_be_had_before_a_call(text, expected):
    statement = statement_of(text)
    calls = find_calls(statement, FUNCTIONS)
    span = (0, len(statement.tokens) - 1)
    found = free_conjuncts(statement, span, calls, assigned_variables(statement))
    assert spans(statement, found) == expected


def test_a_call_is_in_a_span_when_all_of_it_is():
    statement = statement_of("a F(F(t,'en'),'en') b")
    calls = find_calls(statement, FUNCTIONS)
    last = len(statement.tokens) - 1
    assert has_call(calls, (0, last)) and has_call(calls, (1, last - 1))
    assert has_call(calls, (3, last - 4))  # the inner one alone
    assert not has_call(calls, (0, 0)) and not has_call(calls, (1, last - 2 - 4))
    assert not has_call(calls, (5, 4))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a + RAND()", "RAND"),
        ("a.rand + rand", None),
        ("NEXT VALUE FOR s", "NEXT VALUE FOR"),
        ("a := 1", ":="),
        ("SYSDATE", "SYSDATE"),
        ("LAST_INSERT_ID()", None),
        ("LAST_INSERT_ID(1)", "LAST_INSERT_ID(expression)"),
        ("LAST_INSERT_ID(", None),
        ("NOW()", None),
        ("FOR", None),
    ],
)
def test_what_changes_from_one_reading_to_the_next(text, reason):
    statement = statement_of(text.removesuffix("("))
    assert volatile_word(statement, 0, len(statement.tokens) - 1) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT @A := 1, @b", {b"@a"}),
        ("SET @a = @b, @C := 1, d = @e = 1", {b"@a", b"@c"}),
        ("SELECT @a = 1", set()),
        ("SET", set()),
    ],
)
def test_the_variables_that_a_statement_assigns(text, expected):
    assert assigned_variables(statement_of(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT @a := @a + 1, SLEEP(1), NEXT VALUE FOR s", ["SLEEP", "FOR"]),
        ("SELECT LAST_INSERT_ID(7), LAST_INSERT_ID()", ["LAST_INSERT_ID"]),
        ("SELECT sleep, RAND()", []),
    ],
)
def test_what_does_something_each_time_it_is_evaluated(text, expected):
    statement = statement_of(text)
    found = [statement.tokens[i].text.decode() for i in side_effects(statement)]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT @a := @a + 1, b = (@`c d` := 2)", ["@a", "@`c d`"]),
        ("SELECT * FROM a JOIN (SELECT @n := 0, @m := NULL) i", ["@n", "@m"]),
        ("SET @a := 1, @b = (@c := 2), @d := @e := 3", ["@c", "@e"]),
        ("SELECT @a = 1, @@b", []),
    ],
)
def test_the_variables_that_are_assigned_on_the_way(text, expected):
    statement = statement_of(text)
    assert spans(statement, ((i, i) for i in assignments(statement))) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NOW(6)", "NOW with a fraction of a second"),
        ("NOW()", None),
        ("NOW(0)", None),
        ("CURRENT_TIMESTAMP", None),
    ],
)
def test_a_clock_ticks_between_two_readings(text, reason):
    statement = statement_of(text)
    assert volatile_word(statement, 0, len(statement.tokens) - 1) == reason
