import pytest
from support.sql_fixtures import spans, statement_of

from aurora_ml_proxy.plan.blocks import read_blocks
from aurora_ml_proxy.plan.joins import (
    conditions_of_rows,
    factors,
    is_outer_joined,
    on_conditions,
    shared_columns,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", []),
        ("a JOIN b ON c = d", ["c = d"]),
        ("a JOIN b ON c JOIN d ON e AND f", ["c", "e AND f"]),
        ("a LEFT JOIN (b JOIN c ON d) ON e", ["d", "e"]),
        ("a JOIN (b, c) ON (d AND e), f", ["(d AND e)"]),
        ("a JOIN b ON LEFT(c, 1) = d LEFT JOIN e ON f", ["LEFT(c, 1) = d", "f"]),
        ("a JOIN b JOIN c ON d ON e", ["d", "e"]),
        ("a JOIN b USING (c) STRAIGHT_JOIN d ON e", ["e"]),
        ("a JOIN (SELECT * FROM b JOIN c ON d) e ON f", ["f"]),
        ("a JOIN b ON c.on = d", ["c.on = d"]),
        ("a JOIN b ON JOIN c ON", []),
        ("a JOIN b ON", []),
    ],
)
def test_the_conditions_between_the_tables(text, expected):
    statement = statement_of(f"SELECT * FROM {text}")
    blocks = read_blocks(statement)
    assert spans(statement, on_conditions(statement, blocks, blocks[0])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a JOIN b ON c WHERE d", ["c"]),
        (
            "a JOIN b ON c IN (SELECT d FROM e WHERE f)",
            ["c IN (SELECT d FROM e WHERE f)"],
        ),
        ("(SELECT * FROM a JOIN b ON c WHERE d) e", ["d", "c"]),
        ("(SELECT * FROM (SELECT 1 FROM a WHERE b) c WHERE d) e", ["d", "b"]),
        ("(SELECT (SELECT 1 FROM a WHERE b) FROM c WHERE d) e", ["d"]),
        ("(SELECT (SELECT 1 FROM (SELECT 2 FROM a WHERE b) c) FROM d) e", []),
        (
            "(SELECT 1 FROM a WHERE b IN (SELECT c FROM d WHERE e)) f",
            ["b IN (SELECT c FROM d WHERE e)"],
        ),
    ],
)
def test_the_conditions_that_decide_on_rows(text, expected):
    statement = statement_of(f"SELECT * FROM {text}")
    blocks = read_blocks(statement)
    found = conditions_of_rows(statement, blocks, blocks[0].parts[b"FROM"])
    assert spans(statement, found) == expected


def test_the_conditions_of_a_common_table():
    statement = statement_of("WITH a AS (SELECT 1 FROM b JOIN c ON d WHERE e) SELECT 1")
    blocks = read_blocks(statement)
    (listed,) = blocks[-1].withs
    found = conditions_of_rows(statement, blocks, listed)
    assert spans(statement, found) == ["e", "d"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a JOIN b ON c", False),
        ("a NATURAL LEFT OUTER JOIN b", True),
        ("a, (b RIGHT JOIN c ON d)", True),
        ("a JOIN (SELECT 1 FROM b LEFT JOIN c ON d) e", False),
        ("a JOIN b ON LEFT(c, 1) = RIGHT(d, 1)", False),
        ("a.left", False),
    ],
)
def test_an_outer_join_is_one_of_the_block_itself(text, expected):
    statement = statement_of(f"SELECT * FROM {text}")
    blocks = read_blocks(statement)
    assert is_outer_joined(statement, blocks, blocks[0]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a JOIN b USING (c)", ["a.c=b.c"]),
        ("a x JOIN d.b AS `y` USING (c, `e f`)", ["x.c=`y`.c", "x.`e f`=`y`.`e f`"]),
        ("(SELECT 1 c) x JOIN (SELECT 1 c) AS y USING (c)", ["x.c=y.c"]),
        ("a JOIN b USING (c) JOIN d USING (e)", ["a.c=b.c"]),
        ("a JOIN b ON c JOIN d USING (e)", []),
        ("a USE INDEX (i) JOIN b USING (c)", []),
        ("a FOR SYSTEM_TIME ALL JOIN b USING (c)", []),
        ("d.a JOIN e.`A` USING (c)", []),
        ("(a, b) JOIN c USING (d)", []),
        ("a", []),
    ],
)
def test_what_two_tables_share_is_equal(text, expected):
    statement = statement_of(text)
    found = shared_columns(statement, (0, len(statement.tokens) - 1))
    assert [equality.decode() for equality in found] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("a, b AS c", ["a", "b AS c"]),
        ("a JOIN b ON c", ["a", "b"]),
        (
            "a NATURAL LEFT OUTER JOIN b USE INDEX (c) CROSS JOIN d",
            ["a", "b USE INDEX (c)", "d"],
        ),
        ("a JOIN b USING (c), d", ["a", "b", "d"]),
        ("a LEFT JOIN (b, c) ON d", ["a", "(b, c)"]),
        (
            "(SELECT 1 FROM a, b) c, JSON_TABLE(d, e) f",
            ["(SELECT 1 FROM a, b) c", "JSON_TABLE(d, e) f"],
        ),
        ("a JOIN JOIN , b ON", ["a", "b"]),
    ],
)
def test_the_tables_of_a_from(text, expected):
    statement = statement_of(text)
    found = factors(statement, (0, len(statement.tokens) - 1))
    assert spans(statement, found) == expected
