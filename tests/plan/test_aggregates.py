import pytest
from support.sql_fixtures import statement_of

from aurora_ml_proxy.plan.aggregates import has_aggregate, is_rolled_up
from aurora_ml_proxy.plan.blocks import read_blocks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MAX(a)", True),
        ("1 + count (*)", True),
        ("LAG(a) OVER (ORDER BY b)", True),
        ("GROUP_CONCAT(DISTINCT a)", True),
        ("max", False),
        ("`MAX`(a)", False),
        ("LENGTH(a)", False),
    ],
)
def test_what_is_one_of_several_rows(text, expected):
    statement = statement_of(text)
    assert has_aggregate(statement, (0, len(statement.tokens) - 1)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a FROM b GROUP BY a WITH ROLLUP", True),
        ("SELECT a FROM b GROUP BY ROLLUP (a)", True),
        ("SELECT a FROM b GROUP BY CUBE (a)", True),
        ("SELECT a FROM b GROUP BY GROUPING SETS ((a), ())", True),
        ("SELECT a FROM b GROUP BY a", False),
        ("SELECT a FROM b GROUP BY t.rollup", False),
        ("SELECT a FROM rollup", False),
    ],
)
def test_what_makes_rows_of_its_own(text, expected):
    statement = statement_of(text)
    assert is_rolled_up(statement, read_blocks(statement)[0]) == expected
