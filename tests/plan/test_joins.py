import pytest
from support.sql_fixtures import spans, statement_of

from aurora_ml_proxy.plan.blocks import read_blocks
from aurora_ml_proxy.plan.joins import all_conditions, factors, on_conditions


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


def test_every_condition_of_a_statement():
    statement = statement_of(
        "SELECT * FROM a JOIN b ON c WHERE d IN (SELECT e FROM f JOIN g ON h WHERE i)"
    )
    found = all_conditions(statement, read_blocks(statement))
    expected = ["d IN (SELECT e FROM f JOIN g ON h WHERE i)", "i", "c", "h"]
    assert spans(statement, found) == expected


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
