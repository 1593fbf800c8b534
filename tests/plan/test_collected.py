"""The queries that meet the texts of a statement on a view."""

import pytest
from support.oracle import expand
from support.sql_fixtures import statement_of

from aurora_ml_proxy.plan.collected import Collected, collected

NO_LIMIT = " LIMIT 18446744073709551615"


def read(text: str) -> Collected:
    return collected(statement_of(expand(text)))


def queries(text: str) -> list[str]:
    return [query.decode() for query in read(text).queries]


@pytest.mark.parametrize(
    ("text", "collect"),
    [
        ("INSERT INTO d SELECT * FROM v", "SELECT * FROM v" + NO_LIMIT),
        ("INSERT d (a) (SELECT s FROM v LIMIT 3)", "(SELECT s FROM v LIMIT 3)"),
        (
            "REPLACE INTO d WITH x AS (SELECT 1) SELECT s FROM v, x",
            "WITH x AS (SELECT 1) SELECT s FROM v, x" + NO_LIMIT,
        ),
        (
            "INSERT INTO d SELECT s FROM v ON DUPLICATE KEY UPDATE s=1",
            "SELECT s FROM v" + NO_LIMIT,
        ),
        ("CREATE TABLE d AS SELECT s FROM v;", "SELECT s FROM v" + NO_LIMIT),
        ("CREATE TABLE d (s INT) SELECT s FROM v", "SELECT s FROM v" + NO_LIMIT),
        ("CREATE TABLE d (SELECT s FROM v)", "(SELECT s FROM v)" + NO_LIMIT),
        (
            "UPDATE t JOIN v USING (id) SET t.a=v.s, b=DEFAULT WHERE v.c>0",
            "SELECT 1,v.s FROM t JOIN v USING (id) WHERE v.c>0" + NO_LIMIT,
        ),
        (
            "WITH x AS (SELECT s FROM v) UPDATE t SET a=1 WHERE s IN (SELECT s FROM x) "
            "ORDER BY id LIMIT 5",
            "WITH x AS (SELECT s FROM v) SELECT 1,1 FROM t WHERE s IN "
            "(SELECT s FROM x) ORDER BY id LIMIT 5",
        ),
        (
            "DELETE t FROM t JOIN v USING (id) WHERE v.s='x'",
            "SELECT 1 FROM t JOIN v USING (id) WHERE v.s='x'" + NO_LIMIT,
        ),
        ("DELETE FROM v WHERE s='x'", "SELECT 1 FROM v WHERE s='x'" + NO_LIMIT),
        ("SELECT s FROM v INTO @a", "SELECT s FROM v " + NO_LIMIT),
        ("DO (SELECT s FROM v)", "SELECT (SELECT s FROM v)" + NO_LIMIT),
    ],
)
def test_what_changes_data_has_a_query_that_meets_its_texts(text, collect):
    assert queries(text) == [collect]
    assert read(text).changes_data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET @a=(SELECT s FROM v)", ["SELECT (SELECT s FROM v) LIMIT 1"]),
        (
            "SET @a := (SELECT s FROM v), @b = 5, GLOBAL x = 1 + (SELECT 2), y = DEFAULT",
            ["SELECT (SELECT s FROM v),1 + (SELECT 2) LIMIT 1"],
        ),
        ("SET @a = 5", []),
        ("SET NAMES latin1", []),
        (
            "INSERT INTO d VALUES ((SELECT s FROM v), 5), (DEFAULT, -(SELECT c FROM v))",
            ["SELECT (SELECT s FROM v),-(SELECT c FROM v) LIMIT 1"],
        ),
        (
            "REPLACE d SET a = NOW(), b = (SELECT s FROM v)",
            ["SELECT (SELECT s FROM v) LIMIT 1"],
        ),
        (
            "INSERT INTO d SELECT s FROM v ON DUPLICATE KEY UPDATE a = VALUES(a), "
            "b = (SELECT 1), c = 5",
            ["SELECT s FROM v" + NO_LIMIT, "SELECT (SELECT 1) LIMIT 1"],
        ),
        (
            "INSERT INTO d VALUES (1) ON DUPLICATE KEY UPDATE a=(SELECT s FROM v) "
            "RETURNING id, (SELECT 2)",
            ["SELECT (SELECT 2),(SELECT s FROM v) LIMIT 1"],
        ),
        ("CALL p((SELECT s FROM v), 5, @out)", ["SELECT (SELECT s FROM v) LIMIT 1"]),
        ("CALL db . p (1, (SELECT s FROM v));", ["SELECT (SELECT s FROM v) LIMIT 1"]),
        ("CALL p", []),
        ("CALL p()", []),
        ("CREATE TABLE d LIKE v", []),
        ("UPDATE", []),
    ],
)
def test_values_that_are_subqueries_are_read_beforehand(text, expected):
    assert queries(text) == expected
    assert read(text).changes_data


def test_many_values_are_several_queries():
    rows = ",".join(["((SELECT s FROM v))"] * 1001)
    counts = [
        query.count("SELECT s") for query in queries(f"INSERT INTO d VALUES {rows}")
    ]
    assert counts == [500, 500, 1]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM v",
        "(SELECT s FROM v) UNION SELECT 1;",
        "WITH x AS (SELECT s FROM v) SELECT * FROM x",
        "TABLE v",
        "EXPLAIN DELETE FROM v WHERE s='x'",
        "EXPLAIN ANALYZE SELECT * FROM v",
    ],
)
def test_a_query_meets_its_texts_itself(text):
    assert queries(text) == [text]
    assert not read(text).changes_data


def test_the_changed_tables_are_named():
    assert read("INSERT INTO db.D SELECT s FROM v").tables == (b"d", b"db")
    assert b"t" in read("DELETE t FROM t JOIN v USING (id)").tables
    assert b"t" in read("UPDATE t SET a=(SELECT s FROM v)").tables
