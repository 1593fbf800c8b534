import pytest
from support.oracle import expand
from support.sql_fixtures import MARIADB, NotSpliced, read_not_spliced, statement_of

from aurora_ml_proxy.functions import CONFIDENCE, FUNCTIONS, LABEL
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Inline, Splice, SplicedCall
from aurora_ml_proxy.plan.select import read_select
from aurora_ml_proxy.plan.splice import NotSpliceable, splice
from aurora_ml_proxy.plan.statement import plan_statement

NAME = "aws_comprehend_detect_sentiment"


def plan(text: str, dialect: Dialect = Dialect()) -> Splice:  # noqa: B008 - frozen
    found = plan_statement(expand(text).encode(), dialect)
    assert isinstance(found, Splice)
    return found


def brief(found: Splice) -> str:
    """The statement, its long parts in short."""
    return (
        found.statement.decode()
        .replace("CAST(NULL AS CHAR(8) CHARSET utf8mb4)", "_")
        .replace(NAME, "F")
    )


def utf8(x: str) -> str:
    converted = f"CAST(CONVERT({x} USING utf8mb4) AS BINARY)"
    return f"IF(CHARSET({x})=_utf8mb4'binary',CAST({x} AS BINARY),{converted})"


def literal(x: str) -> str:
    return f"CAST(CONVERT({x} USING utf8mb4) AS BINARY)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT F(t,'en') AS s FROM fb", f"SELECT _ AS s,{utf8('t')} FROM fb"),
        ("SELECT F(t,'en')FROM fb", f"SELECT _ AS `F(t,'en')`,{utf8('t')}FROM fb"),
        ("SELECT F( t ,'en') FROM fb", f"SELECT _ AS `F( t ,'en')`,{utf8('t')} FROM fb"),
        (
            "SELECT F(t,'en') s, id FROM fb ORDER BY id;",
            f"SELECT _ s, id,{utf8('t')} FROM fb ORDER BY id",
        ),
        (
            "SELECT F(t,'en') a, G(t,'en') b FROM fb",
            f"SELECT _ a, _ b,{utf8('t')} FROM fb",
        ),
        (
            "SELECT F(t,l) a, G(t,l) b FROM fb",
            f"SELECT _ a, _ b,{utf8('t')},{utf8('l')} FROM fb",
        ),
        (
            "SELECT F(RAND(),'en') a, G(RAND(),'en') b",
            f"SELECT _ a, _ b,{utf8('RAND()')},{utf8('RAND()')}",
        ),
        (
            "SELECT F(t,'en',n) a FROM fb",
            f"SELECT _ a,{utf8('t')},COALESCE(n) FROM fb",
        ),
        ("SELECT F('x','en') a", f"SELECT _ a,{literal(chr(39) + 'x' + chr(39))}"),
        ("SELECT F(5,'en') a", f"SELECT _ a,{literal('5')}"),
        ("SELECT F(N'x','en') a", "SELECT _ a," + literal("N'x'")),
        ("SELECT F(_latin1'x','en') a", "SELECT _ a," + utf8("_latin1'x'")),
        (
            "SELECT F(t /* c */,'en') FROM fb",
            f"SELECT _ AS `F(t /* c */,'en')`,{utf8('t')} FROM fb",
        ),
        ("SELECT *, F(t,'en') a FROM fb", f"SELECT *, _ a,{utf8('t')} FROM fb"),
        (
            "WITH c AS (SELECT 1) SELECT F(t,'en') a FROM c",
            f"WITH c AS (SELECT 1) SELECT _ a,{utf8('t')} FROM c",
        ),
        (
            "SELECT/*! F(t,'en') a, */ id /* x */ FROM fb",
            f"SELECT/*! _ a, */ id,{utf8('t')} /* x */ FROM fb",
        ),
        (f"SELECT`{NAME}`(t,'en') a", f"SELECT _ a,{utf8('t')}"),
    ],
)
def test_the_statement_that_is_sent(text, expected):
    assert brief(plan(text)) == expected


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT F(t,'en') a, b FROM fb", [0]),
        ("SELECT a, b, F(t,'en'), c, G(t,'en') FROM fb", [2, 4]),
        ("SELECT *, F(t,'en') FROM fb", [-1]),
        ("SELECT fb.*, F(t,'en'), a FROM fb", [-2]),
        ("SELECT F(t,'en'), fb.*, G(t,'en') FROM fb", [0, -1]),
    ],
)
def test_columns_are_counted_from_the_end_behind_a_star(text, columns):
    assert [call.column for call in plan(text).calls] == columns


def test_what_a_call_needs_is_told():
    found = plan("SELECT a, F(t,l,n) x, G(u,'de',7) y FROM fb")
    assert found.calls == (
        SplicedCall(LABEL, 1, 0, 1, 25, 2),
        SplicedCall(CONFIDENCE, 2, 3, "de", 7, None),
    )
    assert (found.appended, found.items) == (4, 3)
    assert found.first_item_of_appended == (2, 2, 2, 3)
    assert plan("SELECT *, F(t,'en') FROM fb").first_item_of_appended == ()


@pytest.mark.parametrize("argument", ["t", "`t`", "fb.t", "test.fb.`t`", "NULL", "x'41'"])
def test_columns_and_literals_are_asked_for_once(argument):
    sharing = not argument.startswith("x'")
    found = plan(f"SELECT F({argument},'en') a, G({argument},'en') b FROM fb")
    assert found.appended == (1 if sharing else 2)


@pytest.mark.parametrize("argument", ["RAND()", "@v", "t + 1", "(t)", "a.b()", "?"])
def test_anything_else_is_asked_for_as_often_as_it_stands_there(argument):
    found = plan(f"SELECT F({argument},'en') a, G({argument},'en') b FROM fb")
    assert found.appended == 2


def test_a_generated_name_is_cut_where_the_servers_cut_it():
    text = "é" * 200
    found = plan(f"SELECT F('{text}','en')")
    name = found.statement.split(b"`")[1]
    assert len(name) in (254, 255)
    assert name.decode().startswith(f"{NAME}('éé")
    found = plan("SELECT F('😀','en')")
    assert f"`{NAME}('?','en')`".encode() in found.statement
    found = plan_statement(
        b"SELECT " + NAME.encode() + b"('\xe9','en')", Dialect(charset="latin1")
    )
    assert isinstance(found, Splice)
    assert b"`" + NAME.encode() + b"('\xe9','en')`" in found.statement


@pytest.mark.parametrize(
    "text",
    [
        "SELECT F(t,'en') AS s, id FROM fb ORDER BY fb.s",
        "SELECT F(t,'en') AS s, id FROM fb ORDER BY 's'",
        "SELECT F(t,'en') AS t FROM fb WHERE t > 'a'",
        "SELECT F(t,'en') AS s, (SELECT MAX(x.s) FROM x) FROM fb",
        "SELECT F((SELECT MAX(t) FROM fb),'en') AS s FROM fb",
        "SELECT F(LAG(t) OVER (ORDER BY id),'en') AS s FROM fb",
        "SELECT F(t,'en') AS s, RANK() OVER (ORDER BY id) FROM fb",
        "SELECT @a := id, F(t,'en') FROM fb",
        "SELECT F(@a,'en'), @b",
        "SELECT NEXT VALUE FOR q, F(t,'en') FROM fb",
        "SELECT F(t,'en') AS s, 1 FROM fb ORDER BY FIELD(id,1,2), 2",
        "SELECT id, fb.*, F(t,'en') FROM fb ORDER BY 1",
        "SELECT F(t,'en') AS 's' FROM fb ORDER BY id",
        "SELECT F(t,'en') AS 's\\t' FROM fb",
    ],
)
def test_what_does_not_depend_on_a_call_is_left_in_peace(text):
    assert plan(text).calls


@pytest.mark.parametrize("entry", read_not_spliced(), ids=lambda e: e.statement[:60])
def test_what_depends_on_a_call_is_not_spliced_but_answered_inline(entry: NotSpliced):
    statement = statement_of(entry.statement)
    select = read_select(statement)
    assert select is not None and select.items
    with pytest.raises(NotSpliceable) as caught:
        splice(statement, select, find_calls(statement, FUNCTIONS))
    assert str(caught.value) == entry.reason
    assert isinstance(plan_statement(entry.statement.encode(), MARIADB), Inline)
