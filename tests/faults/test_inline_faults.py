"""A statement with calls outside the select list, and what goes wrong meanwhile."""

import time
from contextlib import contextmanager

import pytest
from support.inline_faults import CALL, ROWS, SCHEMA, UPDATE, Session, label
from support.watching import (
    clients_of,
    connect,
    connected,
    rows_of,
    sockets,
    steady,
    until,
)

pytestmark = pytest.mark.mysql

INTERRUPTED, BACKEND_FAILED, TEXT_TOO_LONG, LOST = 1317, 1105, 1406, 2013
SLOW = {"latency_s": 2}


def is_asking(session: Session) -> bool:
    return bool(until(lambda: len(session.fake.calls())))


@contextmanager
def table_locked(session: Session):
    """Nobody else reads the table."""
    account = session.server.account()
    with connected(session.server.port, account, database=SCHEMA) as locker:
        rows_of(locker, "LOCK TABLES fb WRITE")
        yield


def waits_for_table(session: Session) -> bool:
    def is_waiting() -> bool:
        [(count,)] = session.as_root(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
            "WHERE STATE LIKE 'Waiting for table metadata lock'"
        )
        return bool(count)

    return bool(until(is_waiting))


# KILL.


def test_kill_query_while_a_model_answers(texts) -> None:
    session = texts(concurrency=1)
    session.fake.behave(**SLOW)
    asking = session.starts(UPDATE)
    assert is_asking(session)
    started = time.monotonic()
    rows_of(session.another(), f"KILL QUERY {session.connection.thread_id()}")
    asking.ended()
    assert time.monotonic() - started < 1.5
    assert asking.error[:1] == (INTERRUPTED,)
    made = len(session.fake.calls())
    assert steady(lambda: len(session.fake.calls()), for_s=2.5) == made < 3
    assert session.is_usable() and session.is_untouched()


def test_kill_query_in_mid_harvest(texts) -> None:
    session = texts()
    with table_locked(session):
        asking = session.starts(UPDATE)
        assert waits_for_table(session)
        rows_of(session.another(), f"KILL QUERY {session.connection.thread_id()}")
        asking.ended()
    assert asking.error[:1] == (INTERRUPTED,)
    assert session.fake.calls() == []
    assert session.is_usable() and session.is_untouched()


def test_kill_query_in_mid_statement(texts) -> None:
    session = texts()
    other = session.another(autocommit=False)
    rows_of(other, "UPDATE fb SET n = 1 WHERE id = 60")
    asking = session.starts(UPDATE)
    assert until(lambda: len(session.fake.calls()) == 3)
    assert until(lambda: waits_for_row(session))
    rows_of(session.another(), f"KILL QUERY {session.connection.thread_id()}")
    asking.ended()
    assert asking.error[:1] == (INTERRUPTED,)
    rows_of(other, "ROLLBACK")
    assert session.is_usable() and session.is_untouched()


def waits_for_row(session: Session) -> bool:
    [(count,)] = session.as_root(
        "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE TRX_STATE = 'LOCK WAIT'"
    )
    return bool(count)


# Clients that vanish.


def vanish(session: Session, is_there) -> None:
    """A client starts the statement and is gone once it has got so far."""
    before = sockets(session.proxy.pid)
    clients = clients_of(session.server)
    account = session.server.account()
    victim = connect(session.proxy.port, account, database=SCHEMA)
    victim._execute_command(3, UPDATE)
    assert is_there()
    victim._force_close()
    # Sockets to the service stay; the two of the session do not.
    assert until(lambda: sockets(session.proxy.pid) <= before + 1)
    session.clients = clients


def test_a_client_that_vanishes_while_a_model_answers(texts) -> None:
    session = texts(concurrency=1)
    session.fake.behave(**SLOW)
    vanish(session, lambda: is_asking(session))
    assert until(lambda: clients_of(session.server) == session.clients, timeout_s=1)
    made = len(session.fake.calls())
    assert steady(lambda: len(session.fake.calls()), for_s=2.5) == made < 3
    assert session.is_untouched() and session.is_usable()


def test_a_client_that_vanishes_in_mid_harvest(texts) -> None:
    session = texts()
    with table_locked(session):
        vanish(session, lambda: waits_for_table(session))
    assert until(lambda: clients_of(session.server) <= session.clients)
    assert session.fake.calls() == []
    assert session.is_untouched() and session.is_usable()


# Upstreams that die.


@pytest.mark.parametrize("when", ["harvest", "answers"])
def test_an_upstream_that_dies(texts, when: str) -> None:
    session = texts(concurrency=1)
    session.fake.behave(**SLOW)
    victim = session.another()
    if when == "harvest":
        with table_locked(session):
            asking = session.starts(UPDATE)
            assert waits_for_table(session)
            session.as_root(f"KILL {session.connection.thread_id()}")
            asking.ended()
    else:
        asking = session.starts(UPDATE)
        assert is_asking(session)
        session.as_root(f"KILL {session.connection.thread_id()}")
        asking.ended()
    # A server that kills a connection under way may say so before it hangs up.
    assert asking.error[0] in (LOST, INTERRUPTED, 1927, 4031), asking.error
    assert session.error_of("SELECT 1") in (0, LOST, 2006, 2013)
    assert session.is_untouched()
    assert steady(lambda: len(session.fake.calls()), for_s=2.5) < 3
    assert rows_of(victim, "SELECT 1") == ((1,),)


# Models that fail.


POISON = {"poison_items": {"text 7": "INTERNAL_FAILURE"}}


@pytest.mark.parametrize(
    "sql",
    [
        UPDATE,
        f"INSERT INTO fb (id, s) SELECT id + 1000, {CALL} FROM fb",
        f"DELETE FROM fb WHERE {CALL} IS NOT NULL",
        f"CREATE TABLE made AS SELECT id, {CALL} AS s FROM fb",
        f"SELECT COUNT(*) FROM fb WHERE {CALL} = 'MIXED'",
    ],
)
def test_a_text_without_an_answer_is_an_error_before_anything_is_changed(
    texts, sql: str
) -> None:
    session = texts()
    session.fake.behave(**POISON)
    session.run("BEGIN")
    session.run("UPDATE fb SET n = 5 WHERE id = 1")
    assert session.error_of(sql) == BACKEND_FAILED
    [(level, errno, message)] = session.warnings()
    assert (level, errno) == ("Error", BACKEND_FAILED) and "text 7" not in message
    # The transaction is what it was.
    assert session.run("SELECT n, COUNT(*) FROM fb GROUP BY n ORDER BY n") == (
        (None, ROWS - 1),
        (5, 1),
    )
    session.run("COMMIT")
    assert session.is_untouched() and len(session.labels()) == ROWS
    assert session.as_root("SHOW TABLES LIKE 'made'") == ()


def test_a_service_that_denies_everything(texts) -> None:
    session = texts()
    session.fake.behave(script=["denied"] * 3)
    assert session.error_of(UPDATE) == BACKEND_FAILED
    assert session.is_untouched() and session.is_usable()
    session.fake.reset()
    session.run(UPDATE)
    assert session.is_right()


def assert_warned(session: Session) -> None:
    assert session.run("SHOW COUNT(*) WARNINGS") == ((1,),)
    [(level, errno, message)] = session.warnings()
    assert (level, errno) == ("Warning", BACKEND_FAILED)
    assert "INTERNAL_FAILURE" in message and "text 7" not in message


def test_an_update_with_a_text_without_an_answer_that_is_null(texts) -> None:
    session = texts(on_error="null")
    session.fake.behave(**POISON)
    session.as_root("UPDATE fb SET s = 'before'")
    with session.connection.cursor() as cursor:
        assert cursor.execute(UPDATE) == ROWS
        assert cursor.warning_count == 1
    assert_warned(session)
    labels = session.labels()
    assert labels.pop(7) is None
    assert labels == {i: label(f"text {i}") for i in labels}


def test_an_insert_with_a_text_without_an_answer_that_is_null(texts) -> None:
    session = texts(on_error="null")
    session.fake.behave(**POISON)
    session.run(f"INSERT INTO fb (id, s) SELECT id + 1000, {CALL} FROM fb")
    assert_warned(session)
    assert session.labels()[1007] is None
    assert session.labels()[1008] == label("text 8")


def test_a_query_with_a_text_without_an_answer_that_is_null(texts) -> None:
    session = texts(on_error="null")
    session.fake.behave(**POISON)
    assert session.run(f"SELECT id FROM fb WHERE {CALL} IS NULL") == ((7,),)
    assert_warned(session)


# Texts that are too long.


LONG = "x" * 4_999 + "é" + "y" * 1_000_000


def with_a_long_text(session: Session) -> Session:
    session.as_root(f"UPDATE fb SET t = '{LONG}' WHERE id = 7")
    return session


def test_a_long_text_is_an_error(texts) -> None:
    session = with_a_long_text(texts())
    assert session.error_of(UPDATE) == TEXT_TOO_LONG
    assert session.is_untouched() and session.is_usable()


def test_a_long_text_of_a_row_that_the_statement_leaves_out(texts) -> None:
    session = with_a_long_text(texts())
    session.run(f"{UPDATE} WHERE id <> 7")
    assert session.labels()[7] is None and session.labels()[8] == label("text 8")


@pytest.mark.parametrize(
    ("what", "answer"), [("truncate", label("x" * 4_999)), ("null", None)]
)
def test_a_long_text_that_is_cut_or_null(texts, what: str, answer: str | None) -> None:
    session = with_a_long_text(texts(long_text=what))
    with session.connection.cursor() as cursor:
        cursor.execute(UPDATE)
        assert cursor.warning_count == 1
    [(_, errno, _)] = session.warnings()
    assert errno == TEXT_TOO_LONG
    assert session.labels()[7] == answer
    assert session.labels()[8] == label("text 8")
