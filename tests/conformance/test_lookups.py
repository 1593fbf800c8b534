"""The expressions that look answers up, on real servers: every bit of every answer."""

from random import Random

import pymysql
import pytest
from support.inline_plans import inline_plan
from support.servers import Server
from support.watching import connected, rows_of

from aurora_ml_proxy.functions import CONFIDENCE, LABEL, Sentiment
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Inline, InlineCall
from aurora_ml_proxy.plan.template import Unknown
from aurora_ml_proxy.splice.lookups import KnownAnswers, hash_of, render

pytestmark = pytest.mark.mysql

LABELS = ("POSITIVE", "NEGATIVE", "NEUTRAL", "MIXED")
CONFIDENCES = (0.0, 1.0, 5e-324, 2.2250738585072014e-308, 1e-07, 1 - 2**-53, 0.1 + 0.2)
SCHEMA = "lookups"


def made(server: Server) -> Inline:
    version = 101100 if server.is_mariadb else 90700
    return inline_plan(
        calls=(InlineCall(LABEL, (b"t",), 0), InlineCall(CONFIDENCE, (b"t",), 0)),
        dialect=Dialect(is_mariadb=server.is_mariadb, version=version),
    )


def some_answers(count: int) -> dict[str, Sentiment | None]:
    random = Random(count)
    letters = "aAäé ß\u4f60\U0001f600'\\\"%_"
    answers: dict[str, Sentiment | None] = {}
    for i in range(count):
        text = f"{i}" + "".join(random.choices(letters, k=random.randint(0, 12)))
        confidence = CONFIDENCES[i] if i < len(CONFIDENCES) else random.random()
        is_null = random.random() < 0.1
        answers[text] = None if is_null else Sentiment(random.choice(LABELS), confidence)
    return answers


@pytest.mark.parametrize(
    "settings",
    [
        "character_set_results = 'utf8mb4'",
        "collation_connection = 'latin1_swedish_ci'",
        "collation_connection = 'utf16_general_ci'",
        "collation_connection = 'ucs2_bin'",
        "sql_mode = 'ANSI'",
        "sql_mode = 'NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE'",
    ],
)
@pytest.mark.parametrize("count", [0, 10, 32, 33, 2_000])
@pytest.mark.parametrize("kind", ["mariadb10", "mariadb11", "mysql9"])
def test_every_text_finds_its_answer(get_server, kind: str, count: int, settings: str):
    server = get_server(kind)
    answers = some_answers(count)
    known = KnownAnswers()
    known.answers = {hash_of(text.encode()): a for text, a in answers.items()}
    plan = made(server)
    strict, lenient = (
        render(plan, (b"SELECT t,", 0, b",", 1, b" FROM texts"), [known], is_strict=how)
        for how in (True, False)
    )
    server.run_as_root(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}")
    account = server.account()
    with connected(
        server.port, account, database=SCHEMA, charset="utf8mb4"
    ) as connection:
        rows_of(
            connection,
            "CREATE TEMPORARY TABLE texts (t VARCHAR(50) CHARACTER SET utf8mb4)",
        )
        with connection.cursor() as cursor:
            rows = [(text,) for text in answers]
            if rows:
                cursor.executemany("INSERT INTO texts VALUES (%s)", rows)
        rows_of(connection, "INSERT INTO texts VALUES (NULL)")
        rows_of(connection, f"SET {settings}")
        expected = {
            text: (answer and answer.label, answer and answer.confidence)
            for text, answer in answers.items()
        } | {None: (None, None)}
        for sql in (strict, lenient):
            found = rows_of(connection, sql.decode())
            assert {text: answer for text, *answer in found} == {
                text: list(answer) for text, answer in expected.items()
            }
        rows_of(connection, "INSERT INTO texts VALUES ('one more')")
        with pytest.raises(pymysql.err.MySQLError) as caught:
            rows_of(connection, strict.decode())
        assert caught.value.args[0] == 1690
        assert ("one more", None, None) in rows_of(connection, lenient.decode())
        unknown = render(
            plan, (b"SELECT t FROM texts WHERE ", Unknown(0)), [known], is_strict=True
        )
        assert rows_of(connection, unknown.decode()) == (("one more",),)
