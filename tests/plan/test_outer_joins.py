import pytest
from support.sql_fixtures import spans, statement_of

from aurora_ml_proxy.plan.blocks import read_blocks
from aurora_ml_proxy.plan.conditions import conjuncts
from aurora_ml_proxy.plan.outer_joins import narrowing


def narrowed(where: str, behind: str = "b ON 1") -> list[str]:
    """What of WHERE narrows the texts of a call in front of `behind`."""
    statement = statement_of(f"SELECT * FROM a LEFT JOIN {behind} WHERE {where}")
    block = read_blocks(statement)[0]
    conditions = conjuncts(statement, *block.parts[b"WHERE"])
    first, last = block.parts[b"FROM"]
    return spans(statement, narrowing(statement, conditions, (first + 3, last)))


@pytest.mark.parametrize(
    "condition",
    [
        "a = 1",
        "a.b <> 'x' COLLATE utf8mb4_bin",
        "(a + 1) * a.c > -1.5",
        "NOT a = b",
        "NOT (a < 2)",
        "a LIKE 'x%' ESCAPE '|'",
        "a NOT LIKE (b)",
        "a IN (1, 'x', -2.5)",
        "a NOT IN (1)",
        "a BETWEEN 1 AND 2",
        "(a NOT BETWEEN '2020-01-01' AND DATE '2021-01-01') = b",
        "LEFT(a, 3) = UPPER(`b`)",
        "created > NOW() - INTERVAL 7 DAY",
        "DATE_ADD(DATE(a), INTERVAL 1 DAY) < CURDATE()",
        "t.select REGEXP '^a'",
        "`left` = 1",
    ],
)
def test_a_condition_that_is_never_true_of_null_narrows(condition):
    assert narrowed(f"a = 1 AND {condition}") == ["a = 1", condition]


@pytest.mark.parametrize(
    "condition",
    [
        "a IS NULL",
        "a <=> 1",
        "a = 1 OR b = 2",
        "a XOR b",
        "a IN (1, b)",
        "a IN (SELECT 1)",
        "5 NOT BETWEEN a AND 3",
        "a IN 5",
        "(a, b) <> (1, 2)",
        "COALESCE(a, 1) = 1",
        "LENGTH(COALESCE(a, 1)) = 1",
        "LEFT(a, IF(b, 1, 2)) = 'x'",
        "`left`(a, 3) = 'x'",
        "CASE WHEN a THEN 0 ELSE 1 END",
        "EXISTS (SELECT 1)",
        "1 = ALL (SELECT a)",
        "a = NULL",
        "ISNULL(a)",
        "CONCAT_WS(a, b) = ''",
    ],
)
def test_a_condition_that_may_be_true_of_null_does_not(condition):
    assert narrowed(f"({condition}) AND b = 1") == ["b = 1"]


@pytest.mark.parametrize(
    ("condition", "behind", "narrows"),
    [
        ("b.c = 1", "b ON 1", False),
        ("B.c = 1", "x AS `b` ON 1", False),
        ("a.c = 1", "b ON a.c = b.c", True),
        ("a.c = b.c", "b ON 1", False),
        ("c = 1", "b ON 1", True),
    ],
)
def test_a_condition_on_a_table_that_is_joined_later_does_not(condition, behind, narrows):
    assert narrowed(condition, behind) == ([condition] if narrows else [])
