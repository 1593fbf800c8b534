import pytest
from support.sql_fixtures import outline_of, text

from aurora_ml_proxy.plan.unions import of_union, of_union_in_parentheses

CALL = "ORDER BY F(a,'en')"


def from_of_union(statement: str) -> list[str]:
    outline = outline_of(statement)
    block = outline.block_at(outline.calls[0].first)
    assert block is not None
    found = of_union(outline, 0, block)
    return [text(query.sql).replace("SELECT DISTINCT [a] ", "") for query in found]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            f"SELECT a FROM b UNION ALL SELECT c EXCEPT SELECT d {CALL}",
            ["FROM (SELECT a FROM b UNION ALL SELECT c EXCEPT SELECT d) aml_union"],
        ),
        (
            f"(SELECT a FROM b LIMIT 1) UNION SELECT c {CALL}",
            ["FROM ((SELECT a FROM b LIMIT 1) UNION SELECT c) aml_union"],
        ),
        (
            f"SELECT * FROM (SELECT a UNION SELECT c {CALL}) d",
            ["FROM (SELECT a UNION SELECT c) aml_union"],
        ),
        (
            f"WITH x AS (SELECT 1) SELECT a FROM x UNION SELECT c {CALL}",
            ["WITH x AS (SELECT 1) FROM (SELECT a FROM x UNION SELECT c) aml_union"],
        ),
        (
            f"INSERT INTO t SELECT a UNION SELECT c {CALL}",
            ["FROM (SELECT a UNION SELECT c) aml_union"],
        ),
    ],
)
def test_a_union_is_sorted_as_a_whole(statement, expected):
    assert from_of_union(statement) == expected


def test_selects_in_parentheses_are_sorted_as_a_whole():
    outline = outline_of(f"(SELECT a) UNION (SELECT c) {CALL}")
    (query,) = of_union_in_parentheses(outline, 0, None)
    expected = "SELECT DISTINCT [a] FROM ((SELECT a) UNION (SELECT c)) aml_union"
    assert text(query.sql) == expected


def test_a_call_that_sorts_nothing_in_parentheses_is_left_alone():
    outline = outline_of("(SELECT F(a,'en')) UNION (SELECT c) ORDER BY 1")
    assert not list(of_union_in_parentheses(outline, 0, outline.blocks[0]))
