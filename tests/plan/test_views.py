"""What defines a view, and the query that meets a statement's texts."""

import pytest
from support.oracle import expand

from aurora_ml_proxy.errors import UnsupportedStatement, WrongArgument
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.statement import plan_statement
from aurora_ml_proxy.plan.views import ViewDefinition, Viewed, read_viewed

NO_LIMIT = " LIMIT 18446744073709551615"


def define(text: str) -> ViewDefinition:
    plan = plan_statement(expand(text).encode(), Dialect(is_mariadb=True))
    assert isinstance(plan, ViewDefinition)
    return plan


def read(text: str) -> Viewed:
    return read_viewed(expand(text).encode(), Dialect(), "f")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CREATE VIEW v AS SELECT F(t,'en') FROM t", b"v"),
        (
            "create or replace view db.`My View` (a) as select F(t,'en') from t",
            b"my view",
        ),
        (
            "CREATE ALGORITHM=MERGE DEFINER=`view`@`%` SQL SECURITY INVOKER VIEW v2 AS "
            "SELECT F(t,'en') FROM t WITH CHECK OPTION;",
            b"v2",
        ),
        ("CREATE DEFINER=trigger@localhost VIEW v AS SELECT F(t,'en') FROM t", b"v"),
        ("ALTER VIEW v AS SELECT F(t,'en') FROM t", b"v"),
        ("CREATE VIEW IF NOT EXISTS v AS SELECT F(t,'en') FROM t", b"v"),
    ],
)
def test_a_definition_goes_out_as_it_was_written(text, name):
    definition = define(text)
    assert definition.statement == expand(text).encode()
    assert definition.name == name
    assert [f.name for f in definition.functions] == [expand("F()")[:-2]]


def test_the_third_argument_is_left_out():
    definition = define("CREATE VIEW v AS SELECT F(t , 'en' , 5 ) a, G(t,lang) FROM t")
    wanted = expand("CREATE VIEW v AS SELECT F(t , 'en' ) a, G(t,lang) FROM t")
    assert definition.statement == wanted.encode()
    assert len(definition.functions) == 2


@pytest.mark.parametrize("call", ["F(t,'xx')", "F(t,'en',0)"])
def test_a_literal_that_no_query_could_use_is_refused(call):
    with pytest.raises(WrongArgument):
        define(f"CREATE VIEW v AS SELECT {call} FROM t")


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.p=F(NEW.t,'en')",
        "CREATE OR REPLACE PROCEDURE x() BEGIN SELECT 1; SELECT F(t,'en') FROM t; END",
        "CREATE DEFINER=view@localhost FUNCTION x() RETURNS TEXT RETURN F('a','en')",
        "ALTER EVENT x DO SELECT F('a','en')",
    ],
)
def test_what_runs_inside_the_server_is_refused(text):
    with pytest.raises(UnsupportedStatement, match="runs inside the server"):
        define(text)


def test_a_view_among_several_statements_is_cut_out_first():
    text = expand("CREATE VIEW v AS SELECT F(t,'en') FROM t; SELECT 1")
    assert plan_statement(text.encode(), Dialect()) is None


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
        ("INSERT INTO d VALUES ((SELECT s FROM v))", None),
        ("CREATE TABLE d AS SELECT s FROM v;", "SELECT s FROM v" + NO_LIMIT),
        ("CREATE TABLE d (s INT) SELECT s FROM v", "SELECT s FROM v" + NO_LIMIT),
        ("CREATE TABLE d (SELECT s FROM v)", "(SELECT s FROM v)" + NO_LIMIT),
        ("CREATE TABLE d LIKE v", None),
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
        ("SET @a=(SELECT s FROM v)", None),
        ("DO (SELECT s FROM v)", "SELECT (SELECT s FROM v)" + NO_LIMIT),
    ],
)
def test_what_changes_data_has_a_query_that_meets_its_texts(text, collect):
    viewed = read(text)
    assert viewed.collect == (collect if collect is None else collect.encode())
    assert viewed.changes_data
    assert viewed.statement == text.encode()


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
    viewed = read(text)
    assert viewed.collect == viewed.statement == text.encode()
    assert not viewed.changes_data


def test_the_changed_tables_are_named():
    assert read("INSERT INTO db.D SELECT s FROM v").tables == (b"d", b"db")
    assert b"t" in read("DELETE t FROM t JOIN v USING (id)").tables
    assert b"t" in read("UPDATE t SET a=(SELECT s FROM v)").tables


def test_what_may_be_a_stored_function_is_named():
    viewed = read("SELECT `My Log`(id), COUNT(*), db.h (s), F(t,'en') FROM v")
    assert viewed.called == (b"h", b"my log")
    assert viewed.has_calls and not read("SELECT * FROM v").has_calls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1; SELECT * FROM v", "one by one"),
        ("CALL p()", "CALL"),
        ("EXECUTE x", "EXECUTE"),
        ("ANALYZE UPDATE t JOIN v USING (id) SET a=s", "EXPLAIN ANALYZE"),
        ("SELECT @n:=id, s FROM v", "assigns"),
        ("SELECT s, FOUND_ROWS() FROM v", "found_rows"),
        ("SELECT s, @@session.warning_count FROM v", "warning_count"),
        ("SELECT s FROM v INTO OUTFILE '/tmp/x'", "INTO a file"),
        ("SELECT 'open FROM v", "cannot be read"),
        ("", "this"),
    ],
)
def test_what_cannot_be_answered_says_why(text, message):
    with pytest.raises(UnsupportedStatement, match=message):
        read(text)
