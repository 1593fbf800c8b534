import pytest
from support.sql_fixtures import inline_of, outline_of

from aurora_ml_proxy.plan.targets import targets


def test_the_tables_of_an_update_are_among_its_names():
    plan = inline_of("UPDATE fb a, `B` SET a.s = F(a.t,'en')")
    assert {b"fb", b"b"} <= set(plan.tables)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO `a b`.c (t) SELECT F(t,'en') FROM d", ["`a b`.c"]),
        ("REPLACE fb SET t = F('x','en')", ["fb"]),
        ("UPDATE LOW_PRIORITY IGNORE fb SET s = F(t,'en')", ["fb"]),
        ("UPDATE a.b x LEFT JOIN (c y, `d` AS z) ON 1, a.b SET s = F(t,'en')", None),
        ("UPDATE a, (SELECT t FROM b) c, JSON_TABLE(d,'$') e SET s = F(t,'en')", ["a"]),
        ("DELETE FROM fb WHERE F(t,'en') = 'x' ORDER BY id LIMIT 3", ["fb"]),
        ("DELETE a, b FROM c AS a JOIN d b USING (i) WHERE F(t,'en') = 'x'", ["c", "d"]),
        ("DELETE FROM a USING c a, d WHERE F(t,'en') = 'x'", ["c", "d"]),
        ("WITH x AS (SELECT 1) DELETE FROM fb WHERE F(t,'en') = 'x'", ["fb"]),
        ("CREATE TABLE a SELECT F(t,'en') FROM b", []),
        ("SELECT F(t,'en') FROM b", []),
    ],
)
def test_the_tables_as_the_statement_names_them(statement, expected):
    if expected is None:
        expected = ["a.b", "c", "`d`"]
    outline = outline_of(statement)
    found = targets(outline.statement, outline.inserted, outline.blocks)
    assert [name.decode() for name in found] == expected
