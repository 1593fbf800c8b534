"""Random statements: only ProxyError may come out, and the user's text stays whole."""

from hypothesis import given
from hypothesis import strategies as st
from support.oracle import expand
from support.sql_fixtures import MARIADB, MYSQL

from aurora_ml_proxy.errors import ProxyError
from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Inline
from aurora_ml_proxy.plan.prepared import plan_text
from aurora_ml_proxy.plan.statement import plan_statement
from aurora_ml_proxy.plan.template import Lenient, Template
from aurora_ml_proxy.plan.tokens import read_statement, tokenize
from plan.test_tokens_fuzz import PIECES
from plan.test_tokens_fuzz import dialects as any_dialects

WORDS = """
SELECT DISTINCT ALL FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET WINDOW INTO FOR UPDATE
DELETE INSERT REPLACE VALUES ROW VALUE SET WITH RECURSIVE AS ON USING JOIN LEFT RIGHT
CROSS NATURAL UNION EXCEPT AND OR NOT BETWEEN CASE WHEN THEN ELSE END INTERVAL DAY
RETURNING DUPLICATE KEY CYCLE RESTRICT PARTITION IGNORE STATEMENT CREATE TABLE CALL DO
EXPLAIN ANALYZE OVER ROLLUP LATERAL EXISTS IN DEFAULT
, , . * = := ; || && - + @a 1 'x' a b t `q` fb x.y COUNT(*) 2
"""

CALLS = ("F(t,'en')", "G(a.t,l,n)", "F('x','en')", "F(F(t,'en'),'de')", "F(MAX(t),'en')")

HEADS = (
    "SELECT",
    "SELECT a FROM fb WHERE",
    "SELECT a, F(t,'en') AS s FROM fb a JOIN b ON",
    "SELECT t FROM fb WHERE F(t,'en') = 'x' AND a LIMIT 3",
    "SELECT LOWER(F(t,'en')) FROM fb GROUP BY",
    "(SELECT t FROM fb) UNION (SELECT u FROM fb) ORDER BY F(t,'en')",
    "WITH c AS (SELECT F(t,'en') AS s FROM fb)",
    "UPDATE fb SET a = F(t,'en'),",
    "DELETE FROM fb WHERE F(t,'en')",
    "INSERT INTO fb (a, b)",
    "INSERT INTO fb (a, b) VALUES (F('x','en'), 1)",
    "INSERT INTO fb SELECT F(t,'en') FROM",
    "SET STATEMENT a = 1 FOR SELECT LOWER(F(t,'en'))",
    "VALUES",
    "",
)

pieces = (
    st.sampled_from(WORDS.split())
    | st.sampled_from([*CALLS, "-- c\n"])
    | st.sampled_from(PIECES)
)
groups = st.recursive(
    st.lists(pieces, max_size=6).map(" ".join),
    lambda inner: st.tuples(inner, inner, inner).map(lambda p: f"{p[0]} ({p[1]}) {p[2]}"),
    max_leaves=5,
)
statements = st.tuples(st.sampled_from(HEADS), groups).map(" ".join).map(expand)
dialects = st.sampled_from([MARIADB, MYSQL]) | any_dialects


@given(statements, dialects)
def test_a_statement_is_planned_or_refused_or_the_servers(text, dialect):
    sql = text.encode()
    try:
        plan_text(sql, dialect)
    except ProxyError:
        pass
    try:
        plan = plan_statement(sql, dialect)
    except ProxyError:
        return
    if isinstance(plan, Inline):
        assert_whole(sql, plan, dialect)


def assert_whole(sql: bytes, plan: Inline, dialect: Dialect) -> None:
    """With the calls back in their places, the user's text is what it was."""
    statement = read_statement(sql, dialect)
    calls = [
        sql[statement.tokens[c.first].start : statement.tokens[c.last].end]
        for c in find_calls(statement, FUNCTIONS)
    ]
    wanted = sql
    for token in statement.tokens:
        if token.text == b";":
            wanted = sql[: token.start]
            break
    back = put_back(plan.statement, calls)
    before = [token.text for token in tokenize(wanted, dialect)]
    behind = [token.text for token in tokenize(back, dialect)]
    left = iter(behind)
    assert all(text in left for text in before), "a token is gone"
    if len(before) == len(behind):
        assert back == wanted, "nothing was put in"


def put_back(template: Template, calls: list[bytes]) -> bytes:
    """The statement with the calls' own text for their answers."""
    parts = []
    for piece in template:
        match piece:
            case bytes():
                parts.append(piece)
            case int() | Lenient():
                parts.append(calls[piece if isinstance(piece, int) else piece.call])
            case _:
                parts.append(b"unknown")
    return b"".join(parts)


@given(st.binary(max_size=60), any_dialects)
def test_random_bytes_around_a_call(noise, dialect):
    call = b"aws_comprehend_detect_sentiment("
    for sql in (
        b"SELECT " + call + noise + b",'en') FROM t",
        noise + b" SELECT " + call + b"t,'en')",
        b"SELECT LOWER(" + call + b"t,'en')) FROM t" + noise,
    ):
        try:
            plan_statement(sql, dialect)
        except ProxyError:
            pass
