from hypothesis import given
from hypothesis import strategies as st
from support.oracle import expand

from aurora_ml_proxy.errors import ProxyError
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Splice
from aurora_ml_proxy.plan.statement import plan_statement
from aurora_ml_proxy.plan.tokens import read_statement
from plan.test_tokens_fuzz import PIECES, dialects

CALLS = ["F(t,'en')", "G(`a`,'de',5)", "f (CONCAT(a,b), l, n)", "F(a,'en') AS s", "F("]
OTHERS = [
    ",",
    ",",
    "*",
    "t.*",
    "a",
    "s",
    "AS",
    "FROM t",
    "WHERE a",
    "ORDER BY a",
    "(",
    ")",
]

statements = st.lists(
    st.sampled_from(CALLS) | st.sampled_from(OTHERS) | st.sampled_from(PIECES),
    max_size=14,
).map(lambda pieces: "SELECT " + " ".join(pieces))

items = st.lists(
    st.sampled_from(
        ["a", "t.b AS c", "'x'", "COUNT(*)", "F(a,'en')", "G(a,l) AS g", "*"]
    ),
    min_size=1,
    max_size=6,
).map(lambda found: "SELECT " + ", ".join(found) + " FROM t")


@given(statements | items, dialects)
def test_a_spliced_statement_has_no_call_left_in_it(text, dialect):
    sql = expand(text).encode()
    try:
        plan = plan_statement(sql, dialect)
    except ProxyError:
        return
    if not isinstance(plan, Splice):
        return
    after = read_statement(plan.statement, dialect)
    assert len(plan.calls) > 0 and plan.appended > 0
    assert b"AWS_COMPREHEND" not in b"".join(
        token.text for token in after.tokens if token.kind.name == "WORD"
    )


@given(items)
def test_every_call_of_a_plain_list_is_answered(text):
    sql = expand(text)
    calls = sql.count("aws_comprehend")
    stars = [i for i, item in enumerate(text[7:-7].split(", ")) if item == "*"]
    plan = plan_statement(sql.encode(), Dialect())
    assert isinstance(plan, Splice) or not calls or len(stars) > 1
    assert len(plan.calls if plan else ()) == calls
