"""A statement with calls and other sessions: locks, transactions, limits."""

import pymysql
import pytest
from support.inline_faults import CALL, ROWS, UPDATE, Session, label
from support.watching import rows_of, until

pytestmark = pytest.mark.mysql

LOCK_WAIT, DEADLOCK, READ_ONLY, TEXTS_CHANGED = 1205, 1213, 1792, 1020
LATENT = {"latency_s": 0.7}


def meanwhile(session: Session, sql: str, *statements: str) -> None:
    """Other sessions' statements, which wait for no lock, while the model answers."""
    other = session.another()
    rows_of(other, "SET innodb_lock_wait_timeout = 1")
    session.fake.behave(**LATENT)
    asking = session.starts(sql)
    assert until(session.fake.calls)
    for statement in statements:
        rows_of(other, statement)
    assert asking.is_alive(), "the model has answered too early"
    session.fake.behave(latency_s=0)
    asking.ended()
    assert asking.error == ()


def test_no_row_is_locked_while_a_model_answers(texts) -> None:
    session = texts()
    meanwhile(session, UPDATE, "UPDATE fb SET n = 9")
    assert session.is_right()
    assert session.as_root("SELECT DISTINCT n FROM fb") == ((9,),)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE fb SET t = CONCAT('changed ', id) WHERE id IN (3, 60)",
        "INSERT INTO fb (id, t) VALUES (100, 'one more')",
        "DELETE FROM fb WHERE id < 10",
    ],
)
def test_texts_that_change_while_a_model_answers(texts, change: str) -> None:
    session = texts()
    meanwhile(session, UPDATE, change)
    assert session.is_right()
    # Of a first try that failed nothing is told.
    assert session.warnings() == []


def test_a_query_whose_rows_change_while_a_model_answers(texts) -> None:
    session = texts()
    change = "UPDATE fb SET t = CONCAT('changed ', id) WHERE id IN (3, 60)"
    made = f"SET @c = (SELECT GROUP_CONCAT({CALL} ORDER BY id) FROM fb)"
    meanwhile(session, made, change)
    rows = session.as_root("SELECT t FROM fb ORDER BY id")
    assert session.run("SELECT @c") == ((",".join(label(t) for (t,) in rows),),)


@pytest.mark.parametrize("charset", ["ucs2", "utf16", "utf32", "latin1"])
def test_a_miss_is_known_in_any_character_set(texts, charset: str) -> None:
    """The server writes its error messages in character_set_results."""
    session = texts()
    session.run(f"SET character_set_results = {charset}")
    meanwhile(session, UPDATE, "INSERT INTO fb (id, t) VALUES (100, 'one more')")
    session.run("SET character_set_results = utf8mb4")
    assert session.is_right()


INSERT = f"INSERT INTO kept (id, s) SELECT id, {CALL} FROM fb ORDER BY id"
CHANGE_LAST = "UPDATE fb SET t = 'changed' WHERE id = 60"


def with_table(session: Session, kind: str, engine: str) -> Session:
    session.as_root("DROP TABLE IF EXISTS kept")
    session.run(f"CREATE {kind} TABLE kept (id INT, s VARCHAR(20)) ENGINE={engine}")
    return session


def test_an_insert_that_the_server_undoes_is_sent_again(texts) -> None:
    session = with_table(texts(), "", "InnoDB")
    meanwhile(session, INSERT, CHANGE_LAST)
    rows = session.run("SELECT COUNT(*), COUNT(DISTINCT id), MAX(s) FROM kept")
    assert rows[0][:2] == (ROWS, ROWS)
    assert session.run("SELECT s FROM kept WHERE id = 60") == ((label("changed"),),)


@pytest.mark.parametrize("kind", ["", "TEMPORARY"])
def test_an_insert_that_the_server_does_not_undo_is_not_sent_again(
    texts, kind: str
) -> None:
    session = with_table(texts(), kind, "MyISAM")
    session.fake.behave(**LATENT)
    asking = session.starts(INSERT)
    assert until(session.fake.calls)
    session.as_root(CHANGE_LAST)
    asking.ended()
    assert asking.error[:1] == (TEXTS_CHANGED,)
    [(count, distinct)] = session.run("SELECT COUNT(*), COUNT(DISTINCT id) FROM kept")
    assert count == distinct == ROWS - 1


def test_an_insert_into_a_view_of_what_is_not_undone(texts) -> None:
    session = with_table(texts(), "", "MyISAM")
    session.as_root("CREATE OR REPLACE VIEW kept_view AS SELECT * FROM kept")
    session.fake.behave(**LATENT)
    asking = session.starts(INSERT.replace("kept", "kept_view"))
    assert until(session.fake.calls)
    session.as_root(CHANGE_LAST)
    asking.ended()
    assert asking.error[:1] == (TEXTS_CHANGED,)
    [(count, distinct)] = session.run("SELECT COUNT(*), COUNT(DISTINCT id) FROM kept")
    assert count == distinct


# Tables and transactions that are locked or read only.


def test_under_lock_tables(texts) -> None:
    session = texts()
    session.run("LOCK TABLES fb WRITE")
    session.run(UPDATE)
    [(count,)] = session.run(f"SELECT COUNT(*) FROM fb WHERE s = {CALL}")
    session.run("UNLOCK TABLES")
    assert count == ROWS and session.is_right()


def test_under_a_lock_for_reading_the_server_refuses_the_change(texts) -> None:
    session = texts()
    session.run("LOCK TABLES fb READ")
    assert session.error_of(UPDATE) == 1099
    session.run("UNLOCK TABLES")
    assert session.is_untouched() and session.is_usable()


def test_in_a_read_only_transaction(texts) -> None:
    session = texts()
    session.run("START TRANSACTION READ ONLY")
    [(count,)] = session.run(f"SELECT COUNT(*) FROM fb WHERE {CALL} = 'MIXED'")
    assert count == sum(label(f"text {i}") == "MIXED" for i in range(1, ROWS + 1))
    assert session.error_of(UPDATE) == READ_ONLY
    session.run("COMMIT")
    assert session.is_untouched()
    session.run(UPDATE)
    assert session.is_right()


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize(
    "level", ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
)
def test_in_any_isolation(texts, level: str, autocommit: bool) -> None:
    session = texts()
    session.run(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    session.run(f"SET autocommit = {int(autocommit)}")
    session.run(UPDATE)
    found = session.run(f"SELECT COUNT(*) FROM fb WHERE s = {CALL}")
    assert found == ((ROWS,),)
    assert autocommit or session.is_untouched()
    session.run("ROLLBACK")
    assert session.is_right() if autocommit else session.is_untouched()


def test_a_transaction_that_cannot_see_what_others_have_changed(texts) -> None:
    """REPEATABLE READ reads the old text, and UPDATE meets the new one: one clear error,
    and a new transaction has no such trouble."""
    session = texts()
    session.run("BEGIN")
    session.run("SELECT COUNT(*) FROM fb")
    session.as_root("UPDATE fb SET t = 'changed' WHERE id = 60")
    assert session.error_of(UPDATE) == TEXTS_CHANGED
    session.run("ROLLBACK")
    assert session.is_untouched()
    session.run(UPDATE)
    assert session.is_right()


def test_a_lock_wait_is_told_and_not_waited_for_again(texts) -> None:
    session = texts()
    other = session.another(autocommit=False)
    rows_of(other, "UPDATE fb SET n = 1 WHERE id = 60")
    session.run("SET innodb_lock_wait_timeout = 1")
    assert session.error_of(UPDATE) == LOCK_WAIT
    assert len(session.fake.calls()) == 3
    rows_of(other, "ROLLBACK")
    assert session.is_untouched() and session.is_usable()


def test_a_deadlock_is_the_statements_own(texts) -> None:
    session = texts()
    other = session.another(autocommit=False)
    rows_of(other, "UPDATE fb SET n = 1 WHERE id BETWEEN 20 AND 60")
    session.run("BEGIN")
    session.run("UPDATE fb SET n = 2 WHERE id = 1")
    asking = session.starts(f"{UPDATE} WHERE id = 60")
    assert until(lambda: is_waiting_for_a_lock(session))
    # The server ends the transaction that has changed less.
    rows_of(other, "UPDATE fb SET n = 1 WHERE id = 1")
    asking.ended()
    assert asking.error[:1] == (DEADLOCK,)
    rows_of(other, "COMMIT")
    # The transaction is gone: what it did first is undone.
    assert session.run("SELECT n FROM fb WHERE id = 1") == ((1,),)
    session.run(UPDATE)
    assert session.is_right()


def is_waiting_for_a_lock(session: Session) -> bool:
    [(count,)] = session.as_root(
        "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE TRX_STATE = 'LOCK WAIT'"
    )
    return bool(count)


# The server's limits.


def test_sql_select_limit_is_for_the_users_own_rows(texts) -> None:
    session = texts()
    session.run("SET sql_select_limit = 2")
    session.run(UPDATE)
    assert session.is_right()
    rows = session.run(f"SELECT id FROM fb WHERE {CALL} IS NOT NULL ORDER BY id")
    assert rows == ((1,), (2,))
    session.run("SET sql_select_limit = 0")
    assert session.run(f"SELECT id FROM fb WHERE {CALL} IS NOT NULL") == ()


def limit_time(session: Session, ms: int) -> int:
    """Let statements take so long; the error of one that takes longer."""
    if session.server.is_mariadb:
        session.run(f"SET max_statement_time = {ms / 1000}")
        return 1969
    session.run(f"SET max_execution_time = {ms}")
    return 3024


CROSS = "fb a, fb b, fb c, fb d"


@pytest.mark.parametrize(
    "sql",
    [
        # The harvest takes too long.
        "SELECT COUNT(*) FROM fb a, fb b, fb c, fb d, fb e WHERE "
        "aws_comprehend_detect_sentiment(CONCAT(a.t, b.t, c.t, d.t, e.t), 'en') = 'x'",
        # The statement does.
        "SELECT SUM(SHA2(CONCAT(a.t, b.t, c.t, d.t), 512) > '8') "
        "FROM fb a, fb b, fb c, fb d WHERE "
        "aws_comprehend_detect_sentiment(a.t, 'en') IS NOT NULL",
    ],
    ids=["harvest", "statement"],
)
def test_a_statement_that_takes_too_long(texts, sql: str) -> None:
    session = texts()
    errno = limit_time(session, 1_000)
    assert session.error_of(sql) == errno
    assert session.is_usable()


def test_a_model_may_take_longer_than_a_statement(texts) -> None:
    session = texts()
    limit_time(session, 300)
    session.fake.behave(**LATENT)
    [(count,)] = session.run(f"SELECT COUNT(*) FROM fb WHERE {CALL} IS NOT NULL")
    assert count == ROWS
    session.run(UPDATE)
    assert session.is_right()


def test_max_allowed_packet(texts) -> None:
    """With its answers in it the statement would be two megabytes."""
    session = texts()
    [(before,)] = session.as_root("SELECT @@global.max_allowed_packet")
    texts_ = ", ".join(f"({i}, 'more {i}')" for i in range(1_000, 61_000))
    session.as_root(f"INSERT INTO fb (id, t) VALUES {texts_}")
    session.as_root("SET GLOBAL max_allowed_packet = 1048576")
    try:
        small = session.another()
        with pytest.raises(pymysql.err.MySQLError) as caught:
            rows_of(small, UPDATE)
    finally:
        session.as_root(f"SET GLOBAL max_allowed_packet = {before}")
    assert caught.value.args[0] == 1153 and "1,048,576" in caught.value.args[1]
    assert session.is_untouched()
    assert rows_of(small, "SELECT 1") == ((1,),)
