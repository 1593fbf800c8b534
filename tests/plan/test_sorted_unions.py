import pytest
from support.sql_fixtures import spans, statement_of

from aurora_ml_proxy.plan.sorted_unions import read_sorted_unions


@pytest.mark.parametrize(
    ("text", "body", "order_by"),
    [
        (
            "(SELECT a) UNION (SELECT b) ORDER BY c LIMIT 1",
            "(SELECT a) UNION (SELECT b)",
            "c LIMIT 1",
        ),
        (
            "WITH a AS (SELECT 1) (SELECT b) UNION (SELECT c) ORDER BY d;",
            "WITH a AS (SELECT 1) (SELECT b) UNION (SELECT c)",
            "d",
        ),
        (
            "SELECT * FROM ((SELECT a) EXCEPT (SELECT b) ORDER BY c, d) e",
            "(SELECT a) EXCEPT (SELECT b)",
            "c, d",
        ),
    ],
)
def test_the_sort_behind_selects_in_parentheses(text, body, order_by):
    statement = statement_of(text)
    (union,) = read_sorted_unions(statement)
    assert spans(statement, [union.body, union.order_by]) == [body, order_by]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a UNION SELECT b ORDER BY c",
        "(SELECT a ORDER BY b)",
        "SELECT a, RANK() OVER (ORDER BY b) FROM c",
        "WITH a AS (SELECT 1 ORDER BY 2) SELECT b ORDER BY c",
        "(SELECT a) UNION (SELECT b)",
        "DELETE FROM a ORDER BY b",
        "(SELECT a) ORDER",
        "",
    ],
)
def test_other_sorts_belong_to_a_select(text):
    assert not list(read_sorted_unions(statement_of(text)))
