import pytest
from support.sql_fixtures import outline_of, statement_of, text

from aurora_ml_proxy.plan.rehearsal import created_table, rehearsal


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO a.b (c, `d`) SELECT F(t,'en'), 1 FROM fb", "a.b (c,`d`) 2"),
        ("INSERT IGNORE a (c) SELECT F(t,'en'), 1 FROM fb", "a (c) 2"),
        ("INSERT INTO a SELECT F(t,'en'), 1, n FROM fb", "a 3"),
        ("INSERT INTO a (c) SELECT *, F(t,'en') FROM fb", "a (c) 1"),
        ("INSERT INTO a SELECT *, F(t,'en') FROM fb", "a 0"),
        (
            "INSERT INTO a WITH x AS (SELECT 1, 2) SELECT n FROM fb WHERE F(t,'en') = 1",
            "a 1",
        ),
        ("INSERT INTO a (SELECT F(t,'en'), 1 FROM fb) UNION SELECT 2, 3", "a 2"),
        ("INSERT INTO a SELECT MATCH t, s AGAINST ('x'), F(t,'en') FROM fb", "a 0"),
        ("INSERT INTO a VALUES (F('x','en'), 1), (2, 3)", "a 0"),
        ("REPLACE a SET c = 1, d = F(c,'en')", "a (c,d) 2"),
        ("INSERT INTO a VALUES (1, F('x','en')) AS new(c, d)", "a 0"),
        ("INSERT INTO a TABLE b ON DUPLICATE KEY UPDATE c = F('x','en')", "a 0"),
    ],
)
def test_an_insert_is_rehearsed_with_nulls(statement, expected):
    *names, count = expected.split(" ")
    nulls = ",".join(["NULL"] * int(count))
    wanted = f"EXPLAIN INSERT INTO {' '.join(names)} VALUES ({nulls})"
    assert text(rehearsal(outline_of(statement))) == wanted


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE IGNORE a x, b SET x.c = F(t,'en'), d := 1 WHERE n = 1 LIMIT 1",
            "UPDATE IGNORE a x, b SET x.c=NULL,d=NULL WHERE 1=0",
        ),
        (
            "UPDATE a LEFT JOIN b ON F(a.t,'en') = 'x' AND b.c = 1 SET d = 1",
            "UPDATE a LEFT JOIN b ON «0» = 'x' AND b.c = 1 SET d=NULL WHERE 1=0",
        ),
        (
            "DELETE QUICK FROM a WHERE F(t,'en') = 'x' ORDER BY G(t,'en'), b LIMIT 2",
            "DELETE QUICK FROM a WHERE 1=0 ORDER BY «1» , b",
        ),
        (
            "DELETE FROM x USING a x JOIN b USING (c) WHERE F(t,'en') = 'x'",
            "DELETE FROM x USING a x JOIN b USING (c) WHERE 1=0",
        ),
        (
            "DELETE FROM a WHERE F(t,'en') = 'x' ORDER BY (SELECT MAX(b) FROM c)",
            "DELETE FROM a WHERE 1=0",
        ),
    ],
)
def test_a_change_is_rehearsed_on_no_row(statement, expected):
    assert text(rehearsal(outline_of(statement))) == f"EXPLAIN {expected}"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT F(t,'en') FROM fb",
        "CREATE TABLE a SELECT F(t,'en') FROM fb",
        "DO F('x','en')",
        "WITH x AS (SELECT 1) UPDATE a, x SET b = F(t,'en')",
        "UPDATE a, (SELECT 1) x SET b = F(t,'en')",
        "UPDATE a SET = F(t,'en')",
        "UPDATE a SET F(t,'en')",
        "DELETE WHERE F(t,'en')",
    ],
)
def test_other_statements_are_not(statement):
    assert rehearsal(outline_of(statement)) == ()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE TABLE a SELECT F(t,'en') FROM fb", "a"),
        ("CREATE TABLE IF NOT EXISTS `a b`.c (d INT) AS SELECT F(t,'en')", "`a b`.c"),
        ("CREATE TEMPORARY TABLE a AS SELECT F(t,'en')", "a"),
        ("CREATE OR REPLACE TABLE a AS SELECT F(t,'en')", ""),
        ("CREATE VIEW a AS SELECT F(t,'en')", ""),
        ("CREATE TABLE", ""),
        ("INSERT INTO a VALUES (F('x','en'))", ""),
    ],
)
def test_the_table_that_may_be_there(statement, expected):
    assert created_table(statement_of(statement)).decode() == expected
