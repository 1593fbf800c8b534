import pytest
from support.sql_fixtures import MARIADB, MYSQL, inline_of, outline_of, text

from aurora_ml_proxy.plan.settings import with_settings

NO_CACHE = "SET STATEMENT optimizer_switch='subquery_cache=off' FOR "

IN_SUBQUERY = "SELECT (SELECT 1 FROM a WHERE F(b.t,'en') = 'x' LIMIT 1) AS c FROM b"


def sent(statement: str, dialect=MARIADB) -> str:
    return text(inline_of(statement, dialect).statement)


@pytest.mark.parametrize(
    ("statement", "has_setting"),
    [
        (IN_SUBQUERY, True),
        ("SELECT 1 FROM a WHERE b IN (SELECT c FROM d WHERE F(t,'en') = 'x')", True),
        ("SELECT 1 FROM a JOIN b ON EXISTS (SELECT F(a.t,'en') c FROM d)", True),
        ("SELECT 1 FROM (SELECT (SELECT F(t,'en') c FROM a) d FROM b) e", True),
        ("UPDATE a SET b = (SELECT F(a.t,'en') c FROM d)", True),
        ("SELECT LOWER(F(t,'en')) c FROM a WHERE b IN (SELECT c FROM d)", False),
        ("SELECT (SELECT F('x','en') a) b FROM c", False),
        ("SELECT c FROM (SELECT LOWER(F(t,'en')) c FROM a) d", False),
        ("WITH a AS (SELECT LOWER(F(t,'en')) c FROM b) SELECT c FROM a", False),
        ("DO (SELECT F(t,'en') a FROM b)", False),
        (f"EXPLAIN {IN_SUBQUERY}", False),
    ],
)
def test_a_call_in_a_subquery_is_sent_without_mariadbs_cache(statement, has_setting):
    assert sent(statement).startswith(NO_CACHE) == has_setting
    assert "subquery_cache" not in sent(statement, MYSQL)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "SET STATEMENT max_statement_time=1 FOR ",
            "SET STATEMENT optimizer_switch='subquery_cache=off',"
            "max_statement_time=1 FOR ",
        ),
        (
            "SET STATEMENT Optimizer_Switch='mrr=on' FOR ",
            "SET STATEMENT Optimizer_Switch='mrr=on' FOR ",
        ),
    ],
)
def test_the_users_own_settings_are_kept(before, expected):
    assert sent(before + IN_SUBQUERY).startswith(f"{expected}SELECT")


def test_settings_of_a_query_stand_in_one_list():
    outline = outline_of(IN_SUBQUERY)
    query = with_settings(outline, (b"SELECT 1",), b"a=1", b"b=2")
    assert text(query) == (
        "SET STATEMENT optimizer_switch='subquery_cache=off',a=1,b=2 FOR SELECT 1"
    )
    plain = outline_of("SELECT F(t,'en') FROM a")
    assert text(with_settings(plain, (b"SELECT 1",))) == "SELECT 1"
