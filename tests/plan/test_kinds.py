import pytest
from support.sql_fixtures import statement_of

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.kinds import Kinds, read_kinds


def kinds_of(text: str) -> Kinds | None:
    statement = statement_of(text)
    return read_kinds(statement, find_calls(statement, FUNCTIONS)[0])


QUERY = Kinds(changes_data=False, is_explained=False, is_query=True)
READS = Kinds(changes_data=False, is_explained=False)
CHANGES = Kinds(changes_data=True, is_explained=False)
EXPLAINED = Kinds(changes_data=False, is_explained=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT F(t,'en')", QUERY),
        ("(SELECT F(t,'en'))", QUERY),
        ("VALUES (F(t,'en'))", QUERY),
        ("WITH a AS (SELECT F(t,'en')) SELECT 1", QUERY),
        ("SET @a = F(t,'en')", READS),
        ("DO F(t,'en')", READS),
        ("INSERT INTO a VALUES (F(t,'en'))", CHANGES),
        ("REPLACE INTO a VALUES (F(t,'en'))", CHANGES),
        ("UPDATE a SET b = F(t,'en')", CHANGES),
        ("DELETE FROM a WHERE F(t,'en')", CHANGES),
        ("WITH a AS (SELECT F(t,'en')) DELETE FROM b", CHANGES),
        ("SET STATEMENT a = 1 FOR UPDATE b SET c = F(t,'en')", CHANGES),
        ("CALL p(F(t,'en'))", CHANGES),
        ("CREATE TABLE a AS SELECT F(t,'en')", CHANGES),
        ("EXPLAIN SELECT F(t,'en')", EXPLAINED),
        ("DESC FORMAT=JSON UPDATE a SET b = F(t,'en')", EXPLAINED),
        ("EXPLAIN ANALYZE SELECT F(t,'en')", READS),
        ("ANALYZE FORMAT=JSON UPDATE a SET b = F(t,'en')", CHANGES),
        ("WHATEVER F(t,'en')", None),
    ],
)
def test_the_kinds_of_statements(text, expected):
    assert kinds_of(text) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("CREATE TRIGGER a BEFORE INSERT ON b FOR EACH ROW SET c = F(t,'en')", "trigger"),
        ("CREATE OR REPLACE PROCEDURE a() SELECT F(t,'en')", "stored procedure"),
        ("CREATE FUNCTION a() RETURNS INT RETURN F(t,'en')", "stored function"),
        ("CREATE EVENT a ON SCHEDULE EVERY 1 DAY DO SELECT F(t,'en')", "event"),
        ("CREATE TABLE a (b INT AS (F(t,'en')))", "column's definition"),
        ("ALTER TABLE a ADD CHECK (F(t,'en'))", "column's definition"),
    ],
)
def test_what_the_server_would_run_by_itself_is_refused(text, what):
    with pytest.raises(UnsupportedStatement, match=f"a call in an? {what} runs inside"):
        kinds_of(text)


@pytest.mark.parametrize("keyword", ["SHOW", "KILL", "HANDLER", "RETURN", "LOAD"])
def test_other_statements_are_refused_by_their_names(keyword):
    with pytest.raises(UnsupportedStatement, match=f"in the statement {keyword} "):
        kinds_of(f"{keyword} F(t,'en')")
