"""How many calls a statement makes: counted at the service, never inside the proxy."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest
from pymysql.constants import CLIENT
from support.fakes import AWS_ENVIRONMENT, Fake
from support.oracle import SCHEMA
from support.proxies import Proxy
from support.servers import Server

from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import CONFIDENCE, LABEL

pytestmark = pytest.mark.mysql

ProxyFactory = Callable[..., Proxy]
LABEL_OF, CONFIDENCE_OF = LABEL.name, CONFIDENCE.name


@pytest.fixture
def start(
    oracle_proxy: Callable[[Server], Proxy],
    mariadb10: Server,
    proxy: ProxyFactory,
    fake: Fake,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Any]]:
    """`start(long_text="null")`: a cursor through a proxy with these settings."""
    usual = oracle_proxy(mariadb10)
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    connections = []

    def connect(client_flag: int = 0, **sentiment: object) -> Any:
        through = proxy(mariadb10, fake.settings(**sentiment)) if sentiment else usual
        account = mariadb10.account()
        connections.append(
            pymysql.connect(
                host=through.host,
                port=through.port,
                user=account.user,
                password=account.password,
                database=SCHEMA,
                autocommit=True,
                client_flag=client_flag,
            )
        )
        return connections[-1].cursor()

    yield connect
    for connection in connections:
        connection.close()


def fill(cursor: Any, texts: list[str]) -> None:
    cursor.execute("DROP TABLE IF EXISTS costs")
    cursor.execute(
        "CREATE TABLE costs (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT, "
        "lang VARCHAR(5) DEFAULT 'en') CHARSET utf8mb4"
    )
    cursor.executemany("INSERT INTO costs (t) VALUES (%s)", [(t,) for t in texts])


def sizes(fake: Fake) -> list[int]:
    return sorted(len(call["texts"]) for call in fake.calls())


def test_a_thousand_rows_with_two_hundred_texts_make_eight_calls(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, [f"text {i % 200}" for i in range(1000)])
    cursor.execute(
        f"SELECT t, {LABEL_OF}(t,'en'), {CONFIDENCE_OF}(t,'en') FROM costs ORDER BY id"
    )
    rows = cursor.fetchall()
    assert sizes(fake) == [25] * 8
    assert len(rows) == 1000
    for text, label, confidence in rows:
        answer = expected(text, "en")
        assert (label, confidence) == (answer.label, answer.confidence)


def test_texts_that_a_collation_folds_are_different_texts(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, ["Good", "good", "good ", "göod"])
    cursor.execute(f"SELECT t, {LABEL_OF}(t,'en') FROM costs ORDER BY id")
    assert [row[1] for row in cursor.fetchall()] == [
        expected(text, "en").label for text in ("Good", "good", "good ", "göod")
    ]
    assert sizes(fake) == [4]


def test_only_returned_rows_are_asked_about(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, [f"text {i}" for i in range(100)])
    cursor.execute(
        f"SELECT {LABEL_OF}(t,'en') FROM costs WHERE id > 10 ORDER BY id LIMIT 3"
    )
    assert fake.calls()[0]["texts"] == ["text 10", "text 11", "text 12"]
    assert sizes(fake) == [3]


@pytest.mark.parametrize(("size", "calls"), [(1, [1] * 7), (3, [1, 3, 3]), (25, [7])])
def test_max_batch_size_packs_at_most_so_many(
    start: Callable[..., Any], fake: Fake, size: int, calls: list[int]
) -> None:
    cursor = start()
    fill(cursor, [f"text {i}" for i in range(7)])
    cursor.execute(f"SELECT {LABEL_OF}(t,'en',{size}) FROM costs ORDER BY id")
    assert [row[0] for row in cursor.fetchall()] == [
        expected(f"text {i}", "en").label for i in range(7)
    ]
    assert sizes(fake) == calls
    operation = "DetectSentiment" if size == 1 else "BatchDetectSentiment"
    assert {call["operation"] for call in fake.calls()} == {operation}


def test_max_batch_size_may_be_any_integer_expression(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, [f"text {i}" for i in range(4)])
    cursor.execute(f"SELECT {LABEL_OF}(t,'en',1+1) FROM costs")
    assert sizes(fake) == [2, 2]


def test_a_language_column_makes_a_batch_a_language(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, [f"text {i}" for i in range(6)])
    cursor.execute("UPDATE costs SET lang = ELT(id % 3 + 1, 'en', 'de', NULL)")
    cursor.execute(f"SELECT t, lang, {LABEL_OF}(t, lang) FROM costs ORDER BY id")
    for text, language, label in cursor.fetchall():
        assert label == (expected(text, language).label if language else None)
    assert sorted((c["language"], len(c["texts"])) for c in fake.calls()) == [
        ("de", 2),
        ("en", 2),
    ]


@pytest.mark.parametrize(
    ("arguments", "errno"),
    [
        ("t", 1582),
        ("", 1582),
        ("t,'en',5,6", 1582),
        ("t,'xx'", 1210),
        ("t,'EN'", 1210),
        ("t,''", 1210),
        ("t,CONCAT('x','x')", 1210),
        ("t,'en',0", 1210),
        ("t,'en',26", 1210),
        ("t,'en',-1", 1210),
        ("t,'en',NULL", 1210),
        ("t,'en','5'", 1210),
        ("t,'en',2.5", 1210),
        ("t,'en',1.0", 1210),
        ("t,'en',99999999999999999999", 1210),
        pytest.param("t,'en'," + "9" * 5000, 1210, id="5000 digits"),
        ("X'C328','en'", 1300),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_the_function_before_any_call(
    start: Callable[..., Any], fake: Fake, arguments: str, errno: int
) -> None:
    cursor = start()
    fill(cursor, ["a text"])
    with pytest.raises(pymysql.MySQLError) as caught:
        cursor.execute(f"SELECT {LABEL_OF}({arguments}) FROM costs")
    assert caught.value.args[0] == errno
    assert LABEL_OF in caught.value.args[1]
    assert fake.calls() == []
    cursor.execute("SHOW WARNINGS")
    assert cursor.fetchall() == (("Error", errno, caught.value.args[1]),)
    cursor.execute("SELECT 1")
    assert cursor.fetchall() == ((1,),)


def test_null_and_empty_texts_are_null_without_a_call(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, ["", ""])
    cursor.execute(
        f"SELECT {LABEL_OF}(t,'en'), {LABEL_OF}(NULL,'en'), {LABEL_OF}('x',NULL), "
        f"{CONFIDENCE_OF}('','en') FROM costs"
    )
    assert cursor.fetchall() == ((None,) * 4,) * 2
    assert fake.calls() == []


LONG = "é" * 2499 + "x" + "é" * 10  # the 5,000th byte is in the middle of a character


def test_a_long_text_is_an_error_by_default(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, ["é" * 2500, LONG])
    with pytest.raises(pymysql.MySQLError, match="over the limit of 5000") as caught:
        cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs ORDER BY id")
    assert caught.value.args[0] == 1406
    cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs WHERE id = 1")
    assert cursor.fetchall() == ((expected("é" * 2500, "en").label,),)


def test_a_long_text_is_cut_between_characters_with_a_warning(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start(long_text="truncate")
    fill(cursor, [LONG, LONG, "short"])
    cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs ORDER BY id")
    cut = expected("é" * 2499 + "x", "en").label
    assert [row[0] for row in cursor.fetchall()] == [
        cut,
        cut,
        expected("short", "en").label,
    ]
    assert cursor._result.warning_count == 1
    cursor.execute("SHOW COUNT(*) WARNINGS")
    assert cursor.fetchall() == ((1,),)
    cursor.execute("SHOW WARNINGS")
    ((level, errno, message),) = cursor.fetchall()
    assert (level, errno) == ("Warning", 1406)
    assert "5019 bytes" in message and LABEL_OF in message
    cursor.execute("show warnings;")
    assert len(cursor.fetchall()) == 1
    cursor.execute("SELECT 1 FROM costs LIMIT 1")
    cursor.execute("SHOW WARNINGS")
    assert cursor.fetchall() == ()


def test_a_long_text_is_null_with_a_warning(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start(long_text="null")
    fill(cursor, [LONG, "short"])
    cursor.execute(
        f"SELECT {LABEL_OF}(t,'en'), CAST('7x' AS SIGNED) FROM costs ORDER BY id"
    )
    assert [row[0] for row in cursor.fetchall()] == [None, expected("short", "en").label]
    cursor.execute("SHOW WARNINGS")
    shown = cursor.fetchall()  # the server's own first, then ours
    assert [row[1] for row in shown] == [1292] * (len(shown) - 1) + [1406]
    assert sizes(fake) == [1]


def test_a_failed_text_is_an_error_by_default(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, ["fine", "poisoned", "fine too"])
    fake.behave(poison_items={"poisoned": "INTERNAL_SERVER_ERROR"})
    with pytest.raises(pymysql.MySQLError) as caught:
        cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs ORDER BY id")
    assert caught.value.args[0] == 1105
    assert LABEL_OF in caught.value.args[1]
    assert "poisoned" not in caught.value.args[1]
    cursor.execute("SHOW COUNT(*) WARNINGS")
    assert cursor.fetchall() == ((1,),)
    cursor.execute("SELECT COUNT(*) FROM costs")
    assert cursor.fetchall() == ((3,),)


def test_a_failed_text_is_null_with_one_warning_a_failure_when_so_set(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start(on_error="null")
    fill(cursor, ["fine", "poisoned", "bad", "fine too"])
    fake.behave(poison_items={"poisoned": "BAD", "bad": "BAD"})
    cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs ORDER BY id")
    assert [row[0] for row in cursor.fetchall()] == [
        expected("fine", "en").label,
        None,
        None,
        expected("fine too", "en").label,
    ]
    cursor.execute("SHOW WARNINGS")
    assert [row[1] for row in cursor.fetchall()] == [1105]


def test_a_throttled_call_is_tried_again(start: Callable[..., Any], fake: Fake) -> None:
    cursor = start()
    fill(cursor, ["a", "b"])
    fake.behave(script=["throttle"])
    cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs ORDER BY id")
    assert [row[0] for row in cursor.fetchall()] == [
        expected("a", "en").label,
        expected("b", "en").label,
    ]
    assert len(fake.calls()) == 2


def test_calls_are_under_way_at_the_same_time(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start(concurrency=4)
    fill(cursor, [f"text {i}" for i in range(200)])
    fake.behave(latency_s=0.1)
    cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs")
    assert max(call["in_flight"] for call in fake.calls()) == 4


@pytest.mark.parametrize(
    ("behind", "has_second"),
    [("", 0), (";", 0), ("; -- a comment", 1), (";/* a comment */", 1), (";#x", 1)],
)
def test_a_comment_behind_the_semicolon_is_a_statement_of_its_own(
    start: Callable[..., Any], fake: Fake, behind: str, has_second: int
) -> None:
    """To a session with multi-statements, as the server has it: an empty OK."""
    cursor = start(client_flag=CLIENT.MULTI_STATEMENTS)
    fill(cursor, ["a text"])
    cursor.execute(f"SELECT {LABEL_OF}(t,'en') FROM costs{behind}")
    assert cursor.fetchall() == ((expected("a text", "en").label,),)
    assert bool(cursor.nextset()) == bool(has_second)
    cursor.execute("SELECT 1")
    assert cursor.fetchall() == ((1,),)


def test_a_session_without_rows_is_asked_how_it_reads_statements(
    start: Callable[..., Any], fake: Fake
) -> None:
    cursor = start()
    fill(cursor, ["a text"])
    cursor.execute("SET sql_select_limit = 0")
    cursor.execute(f'SELECT {LABEL_OF}(t,"en") FROM costs')
    assert cursor.fetchall() == ()
    cursor.execute(f'SELECT {LABEL_OF}(t,"en") FROM costs LIMIT 1')
    assert cursor.fetchall() == ((expected("a text", "en").label,),)


def test_a_long_statement_that_names_a_function_holds_nobody_up(
    start: Callable[..., Any], fake: Fake
) -> None:
    """It is cut into tokens in a thread, and a name in a string not at all."""
    cursor, other = start(), start()
    fill(cursor, [])
    values = ",".join(["('it''s a text')"] * 20_000)
    sent = threading.Thread(
        target=cursor.execute,
        args=(f"INSERT INTO costs (t) VALUES {values}, ('{LABEL_OF} (x)')",),
    )
    sent.start()
    waits = []
    while sent.is_alive():
        before = time.monotonic()
        other.execute("SELECT 1")
        waits.append(time.monotonic() - before)
    sent.join()
    assert max(waits) < 1, max(waits)
    cursor.execute("SELECT COUNT(*) FROM costs")
    assert cursor.fetchall() == ((20_001,),)


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT id, {LABEL_OF}(t,'en') FROM costs",
        f"SELECT COUNT(*) FROM costs WHERE {LABEL_OF}(t,'en') = 'NEGATIVE'",
    ],
    ids=["splice", "inline"],
)
def test_a_thousand_texts_take_as_long_as_their_rounds(
    start: Callable[..., Any], fake: Fake, query: str
) -> None:
    """1.15 times five rounds of 200 ms, and the query itself."""
    cursor = start()
    fill(cursor, [f"text {i}" for i in range(1000)])
    cursor.execute(query)  # opens the connections to the service
    started = time.perf_counter()
    cursor.execute("SELECT id, SHA2(t, 256) FROM costs")
    itself_s = time.perf_counter() - started
    fake.behave(latency_s=0.2)
    took_s = []
    for _ in range(3):  # the machine may be busy with something else
        started = time.perf_counter()
        cursor.execute(query)
        took_s.append(time.perf_counter() - started)
    assert min(took_s) <= 1.15 * 5 * 0.2 + itself_s, took_s
    assert len(fake.calls()) == 4 * 40
