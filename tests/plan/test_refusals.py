import pytest
from support.oracle import expand
from support.sql_fixtures import MARIADB, MYSQL, inline_of

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.statement import plan_statement


def refusal(text: str, dialect: Dialect = MARIADB) -> str:
    with pytest.raises(UnsupportedStatement) as caught:
        plan_statement(expand(text).encode(), dialect)
    return caught.value.message


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("RAND()", "RAND"),
        ("CONCAT(t, uuid())", "UUID"),
        ("NEXT VALUE FOR s", "NEXT VALUE FOR"),
        ("SYSDATE(6)", "SYSDATE"),
        ("SYSDATE", "SYSDATE"),
        ("LAST_INSERT_ID(3)", "LAST_INSERT_ID(expression)"),
    ],
)
def test_an_argument_that_changes_is_not_read_twice(argument, reason):
    assert f"depends on {reason}, " in refusal(
        f"SELECT LOWER(F({argument},'en')) FROM fb"
    )


@pytest.mark.parametrize("argument", ["rand", "fb.uuid", "NOW()", "LAST_INSERT_ID()"])
def test_an_argument_that_stays_is_read(argument):
    assert inline_of(f"SELECT LOWER(F({argument},'en')) FROM fb").harvests


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT @a := t, LOWER(F(@A,'en')) FROM fb",
        "SELECT LOWER(F(@a := 'x','en'))",
        "SET @a = 'x', @b = F(@a,'en')",
        "UPDATE fb SET s = F(@n,'en') WHERE (@n := id)",
    ],
)
def test_a_variable_that_is_assigned_may_not_be_read(statement):
    assert "a user variable that the same statement assigns" in refusal(statement)


def test_a_variable_of_another_name_may_be_read():
    assert inline_of("SET @a = 'x', @b = F(@c,'en')").harvests


@pytest.mark.parametrize(
    "reads",
    [
        "FOUND_ROWS()",
        "Row_Count ( )",
        "@@warning_count",
        "@@SESSION.error_count",
        "@@`warning_count`",
    ],
)
def test_what_tells_of_the_statement_before_is_refused(reads):
    assert "tells of the statement before" in refusal(f"SELECT {reads}, -F('x','en')")


@pytest.mark.parametrize("reads", ["found_rows", "@warning_count", "@@max_error_count"])
def test_names_that_only_look_like_it_are_not(reads):
    assert inline_of(f"SELECT {reads}, -F('x','en')")


def test_calls_are_nested_eight_deep_and_no_deeper():
    assert len(inline_of("SELECT " + "F(" * 8 + "t" + ",'en')" * 8).calls) == 8
    assert "more than 8 calls" in refusal("SELECT " + "F(" * 9 + "t" + ",'en')" * 9)
    side_by_side = ",".join(["F('a','en')"] * 20)
    assert inline_of(f"SELECT LOWER(CONCAT({side_by_side}))")


def test_side_effects_are_had_once():
    plan = inline_of("SELECT NEXTVAL(s), LOWER(F(t,'en')) FROM fb")
    assert not plan.is_repeatable
    assert inline_of("SELECT LOWER(F(t,'en')) FROM fb").is_repeatable


def test_assignments_can_be_undone():
    plan = inline_of(
        "SELECT @N := @n + 1, @n, LOWER(F(t,'en')) FROM fb, (SELECT @n:=0, @`m`:=1) i"
    )
    assert plan.is_repeatable
    assert plan.assigned == (b"@N", b"@n", b"@`m`")


@pytest.mark.parametrize(
    ("grouping", "is_refused"),
    [
        ("k", True),
        ("a, 1", True),
        ("`K`, a", True),
        ("a, 'x'", True),
        ("_utf8mb4 'x'", True),
        ("2", False),
        ("a, 3", False),
        ("a, CONCAT('x', a)", False),
        ("n, _x, fb.x", False),
        ("a, k + 1", True),
    ],
)
def test_a_literal_is_not_rolled_up_by_mysql(grouping, is_refused):
    text = f"SELECT 'x' AS k, a, UPPER(a), LOWER(F(a,'en')) FROM fb GROUP BY {grouping}"
    for rolled_up in (f"{text} WITH ROLLUP", f"{text.replace('BY ', 'BY ROLLUP (')})"):
        assert inline_of(rolled_up, MARIADB)
        if is_refused:
            assert "by a literal WITH ROLLUP" in refusal(rolled_up, MYSQL)
        else:
            assert inline_of(rolled_up, MYSQL)
    assert inline_of(text, MYSQL)
