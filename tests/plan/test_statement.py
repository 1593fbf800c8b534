import pytest
from support.oracle import expand, read_corpus
from support.sql_fixtures import MARIADB, SQL, Refused, read_refused

from aurora_ml_proxy.errors import ProxyError
from aurora_ml_proxy.plan.plan import Splice
from aurora_ml_proxy.plan.statement import plan_statement

ADVICE = (
    "; put the value into a column or a variable first",
    ", which is not the same when it is read twice",
    "; call the function in the statement that reads or writes the rows, and store its "
    "result in a column",
    " runs inside the server, where the proxy cannot answer it",
    " is not supported; call it in a SELECT, INSERT, UPDATE, DELETE, SET, DO or CALL",
)


@pytest.mark.parametrize("refused", read_refused(), ids=lambda r: r.statement[:60])
def test_a_refused_statement_has_one_clear_error(refused: Refused):
    with pytest.raises(ProxyError) as caught:
        plan_statement(refused.statement.encode(), MARIADB)
    message = caught.value.message
    if caught.value.kind.errno != 1582:
        name, _, message = message.partition(": ")
        assert name.startswith("aws_comprehend_detect_sentiment")
    for advice in ADVICE:
        message = message.removesuffix(advice)
    assert (caught.value.kind.errno, message) == (refused.errno, refused.message)


@pytest.mark.parametrize("statement", read_corpus(SQL / "splice.sql"))
def test_every_statement_of_the_corpus_is_spliced(statement: str):
    plan = plan_statement(statement.encode(), MARIADB)
    assert isinstance(plan, Splice)
    assert plan.calls
    for call in plan.calls:
        assert 0 <= call.text < plan.appended
        for column in (call.language, call.batch_size_column):
            assert not isinstance(column, int) or 0 <= column < plan.appended
    names = b"aws_comprehend_detect_sentiment"
    unquoted = plan.statement.lower().split(b"`")[::2]
    # A call in what is left of the statement would be an error of the server's.
    assert not any(names in part.partition(b"/*!99999")[0] for part in unquoted)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "",
        ";",
        "SELECT 'F(t,''en'')' FROM fb",
        'SELECT "F(t,en)" FROM fb',
        "SELECT id FROM fb -- F(t,'en')",
        "SELECT id FROM fb # F(t,'en')",
        "SELECT id /* F(t,'en') */ FROM fb",
        "SELECT id /*!999999 F(t,'en') */ FROM fb",
        "SELECT aws_comprehend_detect_sentiment FROM fb",
        "SELECT `F(t,'en')` FROM fb",
        "SELECT fb.aws_comprehend_detect_sentiment(t,'en')",
        "SELECT fb . `aws_comprehend_detect_sentiment` (t,'en')",
        "CREATE FUNCTION aws_comprehend_detect_sentiment(a TEXT) RETURNS INT RETURN 1",
        "CREATE FUNCTION IF NOT EXISTS aws_comprehend_detect_sentiment(a TEXT) RETURN 1",
        "CREATE TABLE aws_comprehend_detect_sentiment (a INT)",
        "INSERT INTO aws_comprehend_detect_sentiment (a) VALUES (1)",
        "CALL aws_comprehend_detect_sentiment(1,2)",
        "CREATE INDEX aws_comprehend_detect_sentiment (a)",
    ],
)
def test_a_name_that_is_no_call_is_the_servers_business(statement: str):
    assert plan_statement(expand(statement).encode(), MARIADB) is None


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT F(t,'en' FROM fb",
        "SELECT F(t,'en')) FROM fb",
        "SELECT F(t,'en') FROM fb WHERE a = 'x",
        "SELECT F(t,'en') AS `s FROM fb",
        "SELECT F(t,'en') /* FROM fb",
        "SELECT F(t,'en') /*! FROM fb",
        "SELECT F(t,'en') /*!999999 FROM fb",
        "SELECT F(,'en') FROM fb",
        "SELECT F(t,) FROM fb",
        "SELECT F(t,,'en') FROM fb",
        "SELECT F(t,'en')\0 FROM fb",
        "SELECT F(t,'en') --\x7f FROM fb",
        "SELECT F(t,'en') FROM fb -- \0",
    ],
)
def test_what_cannot_be_read_is_the_servers_to_judge(statement: str):
    assert plan_statement(expand(statement).encode(), MARIADB) is None


def test_what_starts_with_no_word_that_is_known_is_the_servers_to_judge():
    for sql in ("(`F`(`a`,'en'))", "FETCH F(t,'en')", "UNHEARD OF F(t,'en')"):
        sql = sql.replace("`F`", "`aws_comprehend_detect_sentiment`")
        assert plan_statement(expand(sql).encode(), MARIADB) is None


def test_no_error_repeats_the_customers_text():
    for refused in read_refused():
        with pytest.raises(ProxyError) as caught:
            plan_statement(refused.statement.encode(), MARIADB)
        assert "MIXED" not in caught.value.message
