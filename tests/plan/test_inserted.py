import pytest
from support.sql_fixtures import spans, statement_of

from aurora_ml_proxy.plan.inserted import read_inserted


def shape(text: str):
    """Table, columns, rows, query, alias, updates and RETURNING as text."""
    statement = statement_of(text)
    found = read_inserted(statement)
    if found is None:
        return None
    (table,) = spans(statement, [found.table])
    rows = [" | ".join(spans(statement, row)) for row in found.rows]
    columns = spans(statement, found.columns)
    query = "".join(spans(statement, [found.query] if found.query else []))
    returning = "".join(spans(statement, [found.returning] if found.returning else []))
    return table, columns, rows, query, found.alias.decode(), returning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "INSERT INTO a VALUES (1, 2), (3, g2(4, 5))",
            ("a", [], ["1 | 2", "3 | g2(4, 5)"], "", "", ""),
        ),
        (
            "INSERT LOW_PRIORITY IGNORE a.b (c, d) VALUE ROW(1, 2)",
            ("a.b", ["c", "d"], ["1 | 2"], "", "", ""),
        ),
        (
            "INSERT INTO a PARTITION (p) (c) VALUES (1) AS n ON DUPLICATE KEY UPDATE c=2",
            ("a", ["c"], ["1"], "", "n", ""),
        ),
        (
            "INSERT INTO a VALUES (1) AS `n m`(c) ON DUPLICATE KEY UPDATE c = 2",
            ("a", ["c"], ["1"], "", "`n m`", ""),
        ),
        (
            "REPLACE a SET b = 1, c = d(e = f)",
            ("a", ["b", "c"], ["1 | d(e = f)"], "", "", ""),
        ),
        (
            "REPLACE INTO a (b) SELECT c FROM d RETURNING e, f",
            ("a", ["b"], [], "SELECT c FROM d", "", "e, f"),
        ),
        (
            "INSERT INTO a (SELECT b FROM c) ON DUPLICATE KEY UPDATE d = 1 RETURNING e",
            ("a", [], [], "(SELECT b FROM c)", "", "e"),
        ),
        (
            "INSERT INTO a WITH b AS (SELECT 1) SELECT * FROM b",
            ("a", [], [], "WITH b AS (SELECT 1) SELECT * FROM b", "", ""),
        ),
        (
            "INSERT INTO a SELECT b FROM c JOIN d ON e.on = f",
            ("a", [], [], "SELECT b FROM c JOIN d ON e.on = f", "", ""),
        ),
        ("SELECT REPLACE(a, b, c)", None),
        ("UPDATE a SET b = 1", None),
        # Without sense, and without an error.
        ("INSERT", None),
        ("INSERT INTO", None),
        ("INSERT INTO a .", None),
        ("INSERT INTO a", ("a", [], [], "", "", "")),
        ("INSERT INTO a () VALUES ()", ("a", [], [], "", "", "")),
        ("INSERT INTO a VALUES (1),", ("a", [], ["1"], "", "", "")),
        ("INSERT INTO a VALUES ROW", ("a", [], [], "", "", "")),
        ("INSERT INTO a VALUES (,1) AS", ("a", [], [" | 1"], "", "", "")),
        ("INSERT INTO a SET", ("a", [], [], "", "", "")),
        ("INSERT INTO a SET b", ("a", [], [], "", "", "")),
        ("INSERT INTO a PARTITION", ("a", [], [], "", "", "")),
        ("INSERT INTO a (b) RETURNING", ("a", ["b"], [], "RETURNING", "", "")),
        ("INSERT INTO a VALUES (1) RETURNING", ("a", [], ["1"], "", "", "")),
    ],
)
def test_the_parts_of_an_insert(text, expected):
    assert shape(text) == expected
