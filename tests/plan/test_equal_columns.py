import pytest
from support.sql_fixtures import outline_of, text

from aurora_ml_proxy.plan.equal_columns import of_equal_columns


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("FROM a JOIN b ON a.n = b.m", ["[b.m] FROM a", "[b.m] FROM b"]),
        ("FROM a, b WHERE b.m = a.n AND b.m > 1", ["[b.m] FROM a", "[b.m] FROM b"]),
        ("FROM a WHERE a.n IN (SELECT m FROM b WHERE F(t,'en'))", ["[m] FROM b"]),
        (
            "FROM a JOIN (SELECT n FROM c WHERE F(u,'en')) b USING (k, n)",
            ["[n] FROM a", "[n] FROM (SELECT n FROM c WHERE 1=1 ) b"],
        ),
        ("FROM a WHERE a.n = 5 AND a.n = c(a.m) AND a.k = a.m", []),
        ("FROM a WHERE a.n NOT IN (1, 2)", []),
    ],
)
def test_a_column_may_stand_for_one_that_is_equal(rest, expected):
    outline = outline_of(f"SELECT LOWER(F(a.n,'en')) {rest}")
    found = [text(query.sql) for query in of_equal_columns(outline, 0)]
    assert [sql.partition("SELECT DISTINCT ")[2] for sql in found] == expected


@pytest.mark.parametrize("argument", ["UPPER(a.n)", "'n'", "5", "a.n + 0"])
def test_an_expression_has_no_equals(argument):
    outline = outline_of(f"SELECT F({argument},'en') FROM a JOIN b ON a.n = b.m")
    assert list(of_equal_columns(outline, 0)) == []
