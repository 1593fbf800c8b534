import pytest
from support.sql_fixtures import outline_of, text

from aurora_ml_proxy.plan.limits import find_prefix, is_plainly_limited

WHERE = "FROM fb WHERE F(t,'en') = 'x'"


@pytest.mark.parametrize(
    ("limit", "rows"),
    [("LIMIT 3", 25), ("LIMIT 10", 40), ("LIMIT 5, 10", 60), ("LIMIT 10 OFFSET 90", 400)],
)
def test_four_times_the_limit_is_read_at_first(limit, rows):
    prefix = find_prefix(outline_of(f"SELECT id {WHERE} {limit}"))
    assert prefix is not None
    (query,) = prefix.harvest.queries
    assert query.limit == rows


def test_the_prefix_has_every_row_that_may_be_let_through():
    prefix = find_prefix(
        outline_of(
            "SELECT id AS i FROM fb WHERE n > 1 AND F(t,'en') = G(v,l) ORDER BY i LIMIT 3"
        )
    )
    assert prefix is not None
    condition = "(n > 1) AND ((n > 1 AND «0?» = «1?») OR «?0» OR «?1»)"
    assert text(prefix.condition) == condition
    (query,) = prefix.harvest.queries
    assert text(query.sql).startswith("SELECT id AS i,[t],[v],[l] FROM fb WHERE (n > 1)")
    assert text(query.sql).endswith(" ORDER BY i")
    assert (query.width, prefix.calls) == (3, (0, 1))


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT id {WHERE}",
        f"SELECT id {WHERE} LIMIT ?",
        f"SELECT id {WHERE} LIMIT @a",
        f"SELECT id {WHERE} LIMIT 1 INTO @a",
        f"SELECT id INTO @a {WHERE} LIMIT 1",
        f"SELECT DISTINCT id {WHERE} LIMIT 1",
        f"SELECT SQL_CALC_FOUND_ROWS id {WHERE} LIMIT 1",
        f"SELECT MAX(id) {WHERE} LIMIT 1",
        f"SELECT RANK() OVER (ORDER BY id) {WHERE} LIMIT 1",
        f"SELECT id {WHERE} GROUP BY id LIMIT 1",
        f"SELECT id {WHERE} HAVING id > 1 LIMIT 1",
        f"SELECT id {WHERE} UNION SELECT 1 LIMIT 1",
        f"SELECT 1 UNION SELECT id {WHERE} LIMIT 1",
        f"SELECT id {WHERE} ORDER BY F(t,'en') LIMIT 1",
        f"SELECT F(t,'en') AS s {WHERE} ORDER BY s LIMIT 1",
        f"SELECT F(t,'en') {WHERE} ORDER BY 1 LIMIT 1",
        f"(SELECT id {WHERE} LIMIT 1)",
        f"INSERT INTO fb SELECT id {WHERE} LIMIT 1",
        "SELECT id FROM fb WHERE id IN (SELECT id FROM b WHERE F(t,'en')) LIMIT 1",
        "SELECT id FROM fb WHERE F(F(t,'en'),'en') = 'x' LIMIT 1",
        "SELECT F(t,'en') AS s FROM fb WHERE id > 1 LIMIT 1",
        "SELECT FROM fb WHERE F(t,'en') = 'x' LIMIT 1",
        "DELETE FROM fb WHERE F(t,'en') = 'x' LIMIT 1",
    ],
)
def test_other_statements_have_no_prefix(statement):
    assert find_prefix(outline_of(statement)) is None


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT id, F(t,'en') FROM fb LIMIT 1", True),
        ("SELECT id, F(t,'en') FROM fb", False),
        ("SELECT COUNT(*), F(t,'en') FROM fb LIMIT 1", False),
        ("UPDATE fb SET a = F(t,'en') LIMIT 1", True),
    ],
)
def test_a_limit_that_counts_the_rows_of_where(statement, expected):
    outline = outline_of(statement)
    assert is_plainly_limited(outline, outline.blocks[0]) == expected
