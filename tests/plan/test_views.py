"""What defines a view, and which statements may read one."""

import pytest
from support.oracle import expand

from aurora_ml_proxy.errors import UnsupportedStatement, WrongArgument
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.statement import plan_statement
from aurora_ml_proxy.plan.views import ViewDefinition, Viewed, read_viewed


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


def test_what_may_be_a_stored_function_is_named():
    viewed = read("SELECT `My Log`(id), COUNT(*), db.h (s), F(t,'en') FROM v")
    assert viewed.called == (b"h", b"my log")
    assert viewed.has_calls and not read("SELECT * FROM v").has_calls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1; SELECT * FROM v", "one by one"),
        ("CALL p()", "CALL"),
        ("CALL p(5, @s)", "CALL"),
        ("SET @a=(SELECT @n:=s FROM v)", "assigns"),
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


def test_a_call_is_sent_once():
    assert read("CALL p((SELECT s FROM v))").is_sent_once
    assert not read("SET @a := (SELECT s FROM v)").is_sent_once


def test_the_third_argument_is_left_out_everywhere():
    viewed = read("SELECT F(t,'en',5), s FROM v")
    wanted = expand("SELECT F(t,'en'), s FROM v").encode()
    assert viewed.statement == wanted
    assert viewed.collected.queries == (wanted,)
