import pytest
from support.oracle import expand
from support.sql_fixtures import (
    MARIADB,
    MYSQL,
    Planned,
    inline_of,
    read_planned,
    text,
)

from aurora_ml_proxy.plan.statement import plan_statement


@pytest.mark.parametrize("planned", read_planned(), ids=lambda p: p.statement[:60])
def test_the_statement_that_is_sent(planned: Planned):
    plan = inline_of(planned.statement, MYSQL if planned.is_mysql else MARIADB)
    assert text(plan.statement) == planned.sent


def test_keys_are_the_texts_with_their_language_where_it_is_no_literal():
    plan = inline_of("SELECT LOWER(F(t,'en')), LOWER(F(u,l)), LOWER(F(F(v,'en'),'en'))")
    both = "CONCAT(CONVERT(l USING utf8mb4),':',CONVERT(u USING utf8mb4))"
    assert [text(call.key) for call in plan.calls] == ["t", both, "«3»", "v"]


@pytest.mark.parametrize(
    ("statement", "known"),
    [
        ("SELECT UPPER(F(t,'en')), UPPER(G(u,'en'))", [0, 0]),
        ("SELECT UPPER(F(t,'en')), UPPER(F(u,'de'))", [0, 1]),
        ("SELECT UPPER(F(t,l)), UPPER(F(u,m))", [0, 0]),
        ("SELECT UPPER(F('a','en')), UPPER(F('b','en')), UPPER(F('a','en'))", [0, 1, 0]),
        ("SELECT UPPER(F('a','en')), UPPER(F(t,'en')), UPPER(F(@a,'en'))", [0, 1, 2]),
    ],
)
def test_literals_have_a_set_of_answers_each_and_languages_one(statement, known):
    plan = inline_of(statement)
    assert [call.known for call in plan.calls] == known
    assert plan.known_sets == max(known) + 1


def test_a_growing_prefix_is_checked_by_one_more_column():
    plan = inline_of("SELECT id FROM fb WHERE F(t,'en') = 'x' LIMIT 1")
    assert plan.has_check
    assert text(plan.statement).startswith("SELECT id,CASE WHEN «?0» THEN ")
    assert not inline_of("SELECT id FROM fb WHERE F(t,'en') = 'x'").has_check


@pytest.mark.parametrize(
    ("statement", "changes_data", "keeps_found_rows", "tables"),
    [
        ("SELECT UPPER(F(t,'en')) FROM fb", False, False, ()),
        ("DO F('x','en')", False, True, ()),
        ("INSERT INTO `S`.fb (s) VALUES (F('x','en'))", True, True, (b"fb", b"s")),
    ],
)
def test_what_the_session_has_to_know(statement, changes_data, keeps_found_rows, tables):
    plan = inline_of(statement)
    assert plan.changes_data == changes_data
    assert plan.keeps_found_rows == keeps_found_rows
    assert plan.tables == tables


@pytest.mark.parametrize(
    ("statement", "writes_file", "may_swallow_errors"),
    [
        ("SELECT F(t,'en') FROM fb INTO OUTFILE '/tmp/x'", True, False),
        ("SELECT F('x','en') INTO DUMPFILE '/tmp/x'", True, False),
        ("SELECT F(outfile,'en') INTO @a FROM fb", False, False),
        ("DO F('x','en')", False, True),
    ],
)
def test_what_cannot_be_tried_twice(statement, writes_file, may_swallow_errors):
    plan = inline_of(statement)
    assert plan.writes_file == writes_file
    assert plan.may_swallow_errors == may_swallow_errors


def test_an_explained_statement_asks_nothing():
    plan = inline_of("EXPLAIN SELECT id FROM fb WHERE F(t,'en') = 'x' LIMIT 2")
    assert plan.is_explained and not plan.has_check
    assert plan.harvests == ()


MALFORMED = """\
INSERT F('x','en')
INSERT INTO t (F('x','en')
WITH a AS (SELECT F('x','en')) INSERT INTO
WITH a AS (SELECT F('x','en')) INSERT INTO t .
WITH a AS (SELECT F('x','en')) INSERT INTO t () VALUES () AS
WITH a AS (SELECT F('x','en')) INSERT INTO t VALUES ROW
WITH a AS (SELECT F('x','en')) DELETE
WITH a AS (SELECT F('x','en')) UPDATE
WITH a AS (SELECT F('x','en')) UPDATE SET
WITH a AS (SELECT F('x','en'))
WITH a (SELECT F('x','en')
WITH a AS (SELECT F('x','en')) CYCLE b
WITH RECURSIVE a AS (SELECT LOWER(F('x','en'))) CYCLE b SELECT 1
WITH
UPDATE SET F('x','en')
UPDATE t SET = F('x','en')
UPDATE = F('x','en')
UPDATE t SET a = F('x','en') WHERE
UPDATE t SET a = F('x','en') , WHERE ORDER BY LIMIT
DELETE FROM WHERE F('x','en')
DELETE F('x','en')
DELETE FROM t USING WHERE F('x','en') RETURNING
SELECT LOWER(F(t,'en')) FROM
SELECT LOWER(F(t,'en')) FROM WHERE GROUP BY HAVING ORDER BY LIMIT
SELECT LOWER(F(t,'en')) AS FROM fb
SELECT AS x, LOWER(F(t,'en'))
SELECT FROM fb WHERE F(t,'en') LIMIT 1
SELECT a FROM b JOIN c ON JOIN d ON F(t,'en')
SELECT a FROM b JOIN c ON WHERE F(t,'en')
SELECT a FROM b WHERE F(t,'en') AND
SELECT a FROM b WHERE AND F(t,'en') AND AND
SELECT a FROM b WHERE BETWEEN CASE END F(t,'en') AND END END AND
SELECT a FROM b GROUP BY , F(t,'en'), 5, HAVING AND
SELECT a UNION ORDER BY F(t,'en')
UNION SELECT a ORDER BY F(t,'en')
(SELECT a) UNION ORDER BY F(t,'en')
SELECT () UNION () ORDER BY F(t,'en')
SELECT LOWER(F(t,'en')), (), ((SELECT)), (SELECT FROM) FROM () JOIN ()
SET STATEMENT a = F('x','en')
SET STATEMENT a = 1 FOR
SET F('x','en')
VALUES F('x','en')
VALUES () , (F('x','en'))
VALUES (,F('x','en'),)
CALL F('x','en')
DO , F('x','en') ,
INSERT INTO t SET , = F('x','en'), a
INSERT INTO t (a,,b) VALUES (1,F(a,'en'),), ()
INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = F(VALUES(),'en')
INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY F(a.,'en')
INSERT INTO t (a) VALUES (1) RETURNING , F(a,'en') ,
INSERT INTO t (a) SELECT F(a,'en') RETURNING
REPLACE INTO t PARTITION F('x','en')
EXPLAIN F('x','en')
EXPLAIN
"""


@pytest.mark.parametrize("statement", MALFORMED.splitlines())
@pytest.mark.parametrize("dialect", [MARIADB, MYSQL], ids=["mariadb", "mysql"])
def test_what_makes_no_sense_is_no_error_of_ours(statement, dialect):
    """The server says what is wrong with it; an exception would end the connection."""
    plan_statement(expand(statement).encode(), dialect)


def test_a_thousand_rows_are_planned_in_a_moment():
    rows = ",".join(f"({i},F('text {i}','en'))" for i in range(1000))
    plan = inline_of(f"INSERT INTO fb (id, s) VALUES {rows}")
    assert len(plan.calls) == 1000
    assert len(plan.harvests) == 4
