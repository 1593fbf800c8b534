"""Other sessions change rows after the texts were read and before the statement runs.

They do it at the service, before it answers: at the same moment every time. Whatever they
do, the answer is right or there is one clear error with nothing half-done behind it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest
from support.fakes import AWS_ENVIRONMENT
from support.meddling import Meddle, MeddlingFake, meddling_fake
from support.oracle import SCHEMA, expand
from support.proxies import Proxy, start_proxy, stop_proxy
from support.servers import Server

pytestmark = pytest.mark.mysql

KINDS = ("mariadb10", "mysql9")

ROWS = 30

CALLS_AT_MOST = 14
"""Two for the first harvest, and one for each of ten tries; some more do no harm."""


@dataclass(slots=True)
class Arena:
    """A client of the proxy, another of the server, and the service between."""

    server: Server
    proxy: Proxy
    fake: MeddlingFake
    direct: Any
    client: Any

    @property
    def is_mariadb(self) -> bool:
        return self.server.is_mariadb

    def meddle(self, *statements: str, at: int = 1) -> None:
        """When the service gets that call, another session runs these statements."""
        self.meddle_always(
            lambda n: [run(self.direct, s) for s in statements] if n == at else None
        )

    def meddle_always(self, meddle: Meddle) -> None:
        self.fake.begin(meddle)

    def rows(self, statement: str) -> Any:
        """What the server itself says, with its own functions."""
        return run(self.direct, statement)

    def value(self, statement: str) -> Any:
        [(value,)] = self.rows(statement)
        return value

    def table(self, name: str, columns: str, engine: str = "InnoDB") -> None:
        """Makes a table anew."""
        run(self.direct, f"DROP TABLE IF EXISTS {name}")
        run(
            self.direct,
            f"CREATE TABLE {name} ({columns}) ENGINE={engine} CHARSET utf8mb4",
        )

    def checksums(self) -> Any:
        """Of the tables that every test finds."""
        return self.rows("CHECKSUM TABLE notes, target")


def run(connection: Any, statement: str) -> Any:
    """The rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(expand(statement))
        return cursor.fetchall()


def change(connection: Any, statement: str) -> int:
    """How many rows a statement says it has changed."""
    with connection.cursor() as cursor:
        return int(cursor.execute(expand(statement)))


def connect(at: Server | Proxy, server: Server) -> Any:
    account = server.account()
    return pymysql.connect(
        host=at.host,
        port=at.port,
        user=account.user,
        password=account.password,
        database=SCHEMA,
        autocommit=True,
        charset="utf8mb4",
    )


@pytest.fixture(scope="module")
def meddler() -> Iterator[MeddlingFake]:
    with meddling_fake() as fake:
        yield fake


@pytest.fixture(scope="module")
def meddled_proxy(
    meddler: MeddlingFake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Server], Proxy]]:
    """`meddled_proxy(server)`: a proxy that asks the meddling service."""
    proxies: dict[str, Proxy] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS_ENVIRONMENT.items():
            patch.setenv(name, value)

        def get(server: Server) -> Proxy:
            if server.kind not in proxies:
                proxies[server.kind] = start_proxy(
                    server, meddler.settings(), tmp_path_factory.mktemp("proxy")
                )
            return proxies[server.kind]

        yield get
        for proxy in proxies.values():
            stop_proxy(proxy)


@pytest.fixture(scope="module")
def with_tables() -> set[str]:
    """The kinds of servers whose tables are made."""
    return set()


@pytest.fixture(params=KINDS)
def arena(
    request: pytest.FixtureRequest,
    get_server: Callable[[str], Server],
    oracle_proxy: Callable[[Server], Proxy],
    meddled_proxy: Callable[[Server], Proxy],
    meddler: MeddlingFake,
    with_tables: set[str],
) -> Iterator[Arena]:
    server = get_server(request.param)
    oracle_proxy(server)  # makes the schema with the functions
    proxy = meddled_proxy(server)
    with connect(server, server) as direct, connect(proxy, server) as client:
        arena = Arena(server, proxy, meddler, direct, client)
        run(direct, "SET innodb_lock_wait_timeout=2")
        if server.kind not in with_tables:
            with_tables.add(server.kind)
            arena.table(
                "notes", "id INT PRIMARY KEY AUTO_INCREMENT, t VARCHAR(99), n INT"
            )
            arena.table("target", "t VARCHAR(99), s VARCHAR(20)")
        rows = ",".join(f"({i + 1},'text {i}',0)" for i in range(ROWS))
        for statement in (
            "BEGIN",
            "DELETE FROM notes",
            "DELETE FROM target",
            f"INSERT INTO notes VALUES {rows}",
            "COMMIT",
        ):
            run(direct, statement)
        meddler.begin(lambda _: None)
        yield arena
    # In a meddler's thread pytest would not see them.
    assert meddler.failures == []


def expect_texts_changed(client: Any, statement: str) -> str:
    with pytest.raises(pymysql.MySQLError) as caught:
        run(client, statement)
    errno, message = caught.value.args
    assert errno == 1020, message
    return str(message)


NEW = "INSERT INTO notes (t,n) VALUES ('a new text',0),('and another',0)"
CHANGED = "UPDATE notes SET t=CONCAT(t,' changed') WHERE id IN (3,20)"
GONE = "DELETE FROM notes WHERE id IN (3,20)"
MEDDLINGS = {"new": NEW, "changed": CHANGED, "gone": GONE}

QUERIES = {
    "where": "SELECT id FROM notes WHERE F(t,'en')='NEGATIVE' ORDER BY id",
    "group": "SELECT F(t,'en') s, COUNT(*) FROM notes GROUP BY s ORDER BY s",
    "score": "SELECT id FROM notes WHERE F(t,'en')<>'MIXED' AND G(t,'en')>.7 ORDER BY id",
    "order": "SELECT id FROM notes ORDER BY F(t,'en'), G(t,'en'), id",
    "limit": "SELECT id FROM notes WHERE F(t,'en')='NEGATIVE' ORDER BY id DESC LIMIT 7",
    "inner": "SELECT COUNT(*) FROM notes WHERE id IN "
    "(SELECT id FROM notes WHERE F(t,'en')='NEGATIVE')",
    "union": "SELECT F(t,'en') s FROM notes WHERE id<9 UNION "
    "SELECT LOWER(F(t,'en')) FROM notes ORDER BY s",
}

CHANGES = {
    "update where": (
        "UPDATE notes SET n=1 WHERE F(t,'en')='NEGATIVE'",
        "SELECT COUNT(*) FROM notes WHERE (n=1)<>(F(t,'en')='NEGATIVE')",
    ),
    "update set": (
        "UPDATE notes SET n=LENGTH(F(t,'en'))",
        "SELECT COUNT(*) FROM notes WHERE n<>LENGTH(F(t,'en'))",
    ),
    "delete": (
        "DELETE FROM notes WHERE F(t,'en')='NEGATIVE'",
        "SELECT COUNT(*) FROM notes WHERE F(t,'en')='NEGATIVE'",
    ),
    "insert select": (
        "INSERT INTO target SELECT t, LOWER(F(t,'en')) FROM notes",
        "SELECT COUNT(*)+(SELECT COUNT(*) FROM target)-(SELECT COUNT(*) FROM notes) "
        "FROM notes LEFT JOIN target USING (t) WHERE NOT s<=>LOWER(F(t,'en'))",
    ),
    "insert where": (
        "INSERT INTO target (t) SELECT t FROM notes WHERE F(t,'en')='NEGATIVE'",
        "SELECT COUNT(*)-SUM(F(t,'en')='NEGATIVE') FROM target",
    ),
    "replace": (
        "REPLACE INTO target SELECT t, LOWER(F(t,'en')) FROM notes",
        "SELECT COUNT(*) FROM notes LEFT JOIN target USING (t) "
        "WHERE NOT s<=>LOWER(F(t,'en'))",
    ),
    "create": (
        "CREATE TABLE made AS SELECT t, F(t,'en') s FROM notes",
        "SELECT COUNT(*) FROM notes LEFT JOIN made USING (t) WHERE NOT s<=>F(t,'en')",
    ),
}
"""A statement, and what counts the rows that it has left wrong."""

DOOMED = "SET @doomed=(SELECT SUM(F(t,'en')='NEGATIVE') FROM notes)"

AFFECTED = {
    "update where": "SELECT SUM(F(t,'en')='NEGATIVE') FROM notes",
    "update set": "SELECT COUNT(*) FROM notes",
    "delete": "SELECT @doomed",
    "insert select": "SELECT COUNT(*) FROM notes",
    "insert where": "SELECT SUM(F(t,'en')='NEGATIVE') FROM notes",
    "replace": "SELECT COUNT(*) FROM notes",
    "create": "SELECT COUNT(*) FROM notes",
}


# Once.


@pytest.mark.parametrize("meddling", MEDDLINGS.values(), ids=MEDDLINGS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_sees_what_has_come_in_between(
    arena: Arena, query: str, meddling: str
) -> None:
    arena.meddle(meddling)
    rows = run(arena.client, QUERIES[query])
    assert rows == arena.rows(QUERIES[query])
    assert len(arena.fake.texts) <= ROWS + 2
    assert len(set(arena.fake.texts)) == len(arena.fake.texts)


@pytest.mark.parametrize("meddling", MEDDLINGS.values(), ids=MEDDLINGS)
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_meets_what_has_come_in_between(
    arena: Arena, kind: str, meddling: str
) -> None:
    statement, wrong = CHANGES[kind]
    arena.meddle(meddling, DOOMED)
    try:
        affected = change(arena.client, statement)
        assert not arena.value(wrong)
    finally:
        if kind == "create":
            run(arena.direct, "DROP TABLE IF EXISTS made")
    assert affected == arena.value(AFFECTED[kind])
    assert len(arena.fake.texts) <= ROWS + 2


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_new_text_may_come_with_any_call(arena: Arena, at: int) -> None:
    arena.meddle(NEW, at=at)
    statement, wrong = CHANGES["update where"]
    affected = change(arena.client, statement)
    if at == 3:  # there is no third call without a miss
        assert len(arena.fake.calls) == 2
    assert affected == arena.value("SELECT SUM(n) FROM notes")
    assert arena.value(wrong) == 0


def test_rows_are_not_locked_while_the_model_answers(arena: Arena) -> None:
    """A meddler that has to wait for a lock fails, and with it the test."""
    run(arena.client, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    for statement in (
        "UPDATE notes SET n=1 WHERE F(t,'en')='NEGATIVE'",
        "DELETE FROM notes WHERE F(t,'en')='MIXED'",
        "SELECT id FROM notes WHERE F(t,'en')='POSITIVE' FOR UPDATE",
        "INSERT INTO target SELECT t, LOWER(F(t,'en')) FROM notes",
    ):
        arena.meddle("UPDATE notes SET n=n+1 WHERE id<20", NEW.replace("new", "newer"))
        arena.client.begin()
        run(arena.client, statement)
        arena.client.rollback()
        assert arena.fake.failures == []
        run(arena.direct, "DELETE FROM notes WHERE t NOT LIKE 'text%'")


def test_a_table_that_is_altered_or_dropped_in_between(arena: Arena) -> None:
    arena.table("own", "t VARCHAR(99), u VARCHAR(99)")
    run(arena.direct, "INSERT INTO own SELECT t, t FROM notes")
    arena.meddle("ALTER TABLE own DROP COLUMN t")
    with pytest.raises(pymysql.MySQLError) as caught:
        run(arena.client, "SELECT COUNT(*) FROM own WHERE F(t,'en')='NEGATIVE'")
    assert caught.value.args[0] == 1054
    arena.meddle("DROP TABLE own")
    with pytest.raises(pymysql.MySQLError) as caught:
        run(arena.client, "UPDATE own SET u='' WHERE F(u,'en')='NEGATIVE'")
    assert caught.value.args[0] == 1146
    assert run(arena.client, "SELECT 1") == ((1,),)


# All the time.


def test_a_writer_that_never_stops_makes_a_query_fail_in_the_end(arena: Arena) -> None:
    for query in ("where", "group", "order", "inner"):
        arena.meddle_always(_busy_writer(arena))
        expect_texts_changed(arena.client, QUERIES[query])
        assert len(arena.fake.calls) <= CALLS_AT_MOST


def test_a_writer_that_never_stops_makes_a_limited_query_fail_as_soon(
    arena: Arena,
) -> None:
    arena.meddle_always(_busy_writer(arena))
    expect_texts_changed(arena.client, QUERIES["limit"])
    assert len(arena.fake.calls) <= CALLS_AT_MOST


@pytest.mark.parametrize("kind", CHANGES)
def test_a_writer_that_never_stops_makes_a_change_fail_with_nothing_done(
    arena: Arena, kind: str
) -> None:
    statement, _ = CHANGES[kind]
    arena.meddle_always(_busy_writer(arena))
    message = expect_texts_changed(arena.client, statement)
    assert "aws_comprehend_detect_sentiment" in message
    assert 5 <= len(arena.fake.calls) <= CALLS_AT_MOST
    last = f"changed {len(arena.fake.calls)}"
    assert arena.rows("SELECT COUNT(*), SUM(n) FROM notes") == ((ROWS, 0),)
    assert arena.rows("SELECT t FROM notes WHERE t NOT LIKE 'text%'") == ((last,),)
    assert arena.value("SELECT COUNT(*) FROM target") == 0
    with pytest.raises(pymysql.MySQLError, match="doesn't exist"):
        arena.rows("SELECT 1 FROM made")


def _busy_writer(arena: Arena) -> Meddle:
    return lambda n: arena.rows(f"UPDATE notes SET t='changed {n}' WHERE id=20")


def test_a_change_is_all_or_nothing_when_its_last_row_fails(arena: Arena) -> None:
    arena.table("own", "id INT PRIMARY KEY, t VARCHAR(99), n INT UNIQUE")
    run(arena.direct, "INSERT INTO own SELECT id, t, -id FROM notes")
    before = arena.rows("CHECKSUM TABLE own")
    arena.meddle("INSERT INTO own VALUES (3000,'a new text',-3000)")
    with pytest.raises(pymysql.MySQLError) as caught:
        run(
            arena.client,
            "UPDATE own SET n=CASE id WHEN 1 THEN -2 WHEN 2 THEN n "
            "ELSE LENGTH(F(t,'en'))*10000+id END ORDER BY id DESC",
        )
    assert caught.value.args[0] == 1062
    run(arena.direct, "DELETE FROM own WHERE id=3000")
    assert arena.rows("CHECKSUM TABLE own") == before


# Transactions.


def begin_with_an_old_snapshot(arena: Arena) -> None:
    """A transaction that has seen the rows before others came."""
    run(arena.client, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    arena.client.begin()
    run(arena.client, "SELECT COUNT(*) FROM notes")
    run(arena.client, "INSERT INTO target VALUES ('mine',NULL)")
    run(arena.direct, NEW)
    run(arena.direct, CHANGED)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_in_an_old_snapshot_is_answered_from_it(arena: Arena, query: str) -> None:
    before = arena.rows(QUERIES[query])
    begin_with_an_old_snapshot(arena)
    assert run(arena.client, QUERIES[query]) == before
    arena.client.rollback()
    assert run(arena.client, QUERIES[query]) == arena.rows(QUERIES[query])


@pytest.mark.parametrize("kind", [k for k in CHANGES if k != "create"])
def test_a_change_in_an_old_snapshot_is_right_or_one_clear_error(
    arena: Arena, kind: str
) -> None:
    """It meets rows that were committed later, which no harvest in it can read."""
    statement, wrong = CHANGES[kind]
    begin_with_an_old_snapshot(arena)
    before = arena.checksums()
    try:
        run(arena.client, statement)
    except pymysql.MySQLError as error:
        assert error.args[0] == 1020
        assert "inside a transaction, start it anew" in error.args[1]
        assert len(arena.fake.calls) <= CALLS_AT_MOST
        assert run(arena.client, "SELECT t FROM target") == (("mine",),)
        arena.client.rollback()
        assert arena.checksums() == before
        run(arena.client, statement)
        assert not arena.value(wrong)
        return
    arena.client.commit()
    run(arena.direct, "DELETE FROM target WHERE t='mine'")
    assert not arena.value(wrong)


@pytest.mark.parametrize("read", ["FOR UPDATE", "LOCK IN SHARE MODE"])
def test_what_reads_newer_rows_than_the_snapshot_keeps_its_locks(
    arena: Arena, read: str
) -> None:
    """Why such a change is an error: no harvest could read those rows without a lock."""
    run(arena.client, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    arena.client.begin()
    old = run(arena.client, "SELECT t FROM notes WHERE id=3")
    run(arena.direct, CHANGED)
    run(arena.client, "SAVEPOINT earlier")
    assert run(arena.client, f"SELECT t FROM notes WHERE id=3 {read}") != old
    run(arena.client, "ROLLBACK TO earlier")
    run(arena.direct, "SET innodb_lock_wait_timeout=1")
    with pytest.raises(pymysql.MySQLError) as caught:
        run(arena.direct, "UPDATE notes SET n=1 WHERE id=3")
    assert caught.value.args[0] == 1205
    run(arena.client, "HANDLER notes OPEN")
    [(_, text, _)] = run(arena.client, "HANDLER notes READ `PRIMARY`=(20)")
    assert not text.endswith("changed")
    run(arena.client, "HANDLER notes CLOSE")
    arena.client.rollback()


@pytest.mark.parametrize("kind", [k for k in CHANGES if k != "create"])
def test_read_committed_meets_what_has_come_in_between(arena: Arena, kind: str) -> None:
    statement, wrong = CHANGES[kind]
    run(arena.client, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    arena.client.begin()
    run(arena.client, "SELECT COUNT(*) FROM notes")
    arena.meddle(NEW)
    run(arena.client, statement)
    arena.client.commit()
    assert not arena.value(wrong)


@pytest.mark.parametrize("start", ["BEGIN", "SET autocommit=0"])
def test_rollback_undoes_the_statement_and_what_was_before_it(
    arena: Arena, start: str
) -> None:
    run(arena.client, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    before = arena.checksums()
    run(arena.client, start)
    run(arena.client, "INSERT INTO target VALUES ('mine',NULL)")
    arena.meddle(CHANGED)
    run(arena.client, "UPDATE notes SET n=7 WHERE F(t,'en')='NEGATIVE'")
    run(arena.client, "INSERT INTO target SELECT t, LOWER(F(t,'en')) FROM notes")
    assert run(arena.client, "SELECT COUNT(*) FROM target") == ((ROWS + 1,),)
    assert arena.value("SELECT COUNT(*) FROM target") == 0
    arena.client.rollback()
    run(arena.direct, "UPDATE notes SET t=REPLACE(t,' changed','')")
    assert arena.checksums() == before


def test_an_error_leaves_the_transaction_as_it_was(arena: Arena) -> None:
    run(arena.client, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    arena.client.begin()
    run(arena.client, "INSERT INTO target VALUES ('mine',NULL)")
    arena.meddle_always(_busy_writer(arena))
    expect_texts_changed(arena.client, CHANGES["insert select"][0])
    assert run(arena.client, "SELECT t FROM target") == (("mine",),)
    assert arena.value("SELECT COUNT(*) FROM target") == 0
    arena.client.commit()
    assert arena.rows("SELECT t FROM target") == (("mine",),)


def test_a_row_that_somebody_has_locked_is_waited_for(arena: Arena) -> None:
    run(arena.client, "SET innodb_lock_wait_timeout=1")
    arena.meddle("BEGIN", "UPDATE notes SET n=5 WHERE id=6")
    with pytest.raises(pymysql.MySQLError) as caught:
        run(arena.client, "UPDATE notes SET n=1 WHERE F(t,'en')='NEGATIVE'")
    arena.direct.rollback()
    assert caught.value.args[0] == 1205
    assert arena.value("SELECT SUM(n) FROM notes") == 0


# Tables that cannot undo.


@pytest.mark.parametrize("engine", ["MyISAM", "MEMORY", "Aria"])
@pytest.mark.parametrize("kind", ["insert select", "insert where"])
def test_a_miss_never_inserts_rows_twice(arena: Arena, engine: str, kind: str) -> None:
    if engine == "Aria" and not arena.is_mariadb:
        pytest.skip("an engine of MariaDB")
    arena.table("own", "t VARCHAR(99), s VARCHAR(20)", engine)
    arena.meddle(NEW)
    try:
        run(arena.client, CHANGES[kind][0].replace("target", "own"))
    except pymysql.MySQLError as error:
        assert error.args[0] == 1020
    assert arena.value("SELECT COUNT(*)-COUNT(DISTINCT t) FROM own") == 0


@pytest.mark.parametrize("engine", ["MyISAM", "MEMORY"])
def test_a_miss_never_inserts_rows_twice_into_a_temporary_table(
    arena: Arena, engine: str
) -> None:
    run(
        arena.client,
        f"CREATE TEMPORARY TABLE mine (t VARCHAR(99), s VARCHAR(20)) ENGINE={engine}",
    )
    arena.meddle(NEW)
    try:
        run(arena.client, "INSERT INTO mine SELECT t, LOWER(F(t,'en')) FROM notes")
    except pymysql.MySQLError as error:
        assert error.args[0] == 1020
    assert run(arena.client, "SELECT COUNT(*)-COUNT(DISTINCT t) FROM mine") == ((0,),)


def test_a_miss_never_inserts_rows_twice_into_a_table_that_hides_another(
    arena: Arena,
) -> None:
    run(
        arena.client,
        "CREATE TEMPORARY TABLE target (t VARCHAR(99), s VARCHAR(20)) ENGINE=MyISAM",
    )
    arena.meddle(NEW)
    try:
        run(arena.client, CHANGES["insert select"][0])
    except pymysql.MySQLError as error:
        assert error.args[0] == 1020
    assert run(arena.client, "SELECT COUNT(*)-COUNT(DISTINCT t) FROM target") == ((0,),)


@pytest.mark.parametrize("name", ["mine", "target"])
def test_a_temporary_table_that_undoes_meets_what_has_come_in_between(
    arena: Arena, name: str
) -> None:
    run(
        arena.client,
        f"CREATE TEMPORARY TABLE {name} (t VARCHAR(99), s VARCHAR(20)) ENGINE=InnoDB",
    )
    arena.meddle(NEW)
    run(arena.client, f"INSERT INTO {name} SELECT t, LOWER(F(t,'en')) FROM notes")
    assert run(arena.client, f"SELECT COUNT(*), SUM(s=LOWER(F(t,'en'))) FROM {name}") == (
        (ROWS + 2, ROWS + 2),
    )


def test_a_miss_never_counts_twice_in_a_temporary_table_of_a_join(arena: Arena) -> None:
    run(arena.client, "CREATE TEMPORARY TABLE mine (id INT, seen INT) ENGINE=MyISAM")
    run(arena.client, "INSERT INTO mine SELECT id, 0 FROM notes")
    arena.meddle(CHANGED)
    try:
        run(
            arena.client,
            "UPDATE mine STRAIGHT_JOIN notes USING (id) SET seen=seen+1 "
            "WHERE F(t,'en')<>'x'",
        )
    except pymysql.MySQLError as error:
        assert error.args[0] == 1020
    [(most,)] = run(arena.client, "SELECT MAX(seen) FROM mine")
    # MariaDB collects all rows of a join before it updates any.
    assert most == (0 if arena.is_mariadb else 1)


def test_a_miss_never_inserts_rows_twice_through_a_view(arena: Arena) -> None:
    arena.table("own", "t VARCHAR(99), s VARCHAR(20)", "MyISAM")
    run(arena.direct, "CREATE OR REPLACE VIEW seen AS SELECT t, s FROM own")
    arena.meddle(NEW)
    try:
        run(arena.client, "INSERT INTO seen SELECT t, LOWER(F(t,'en')) FROM notes")
    except pymysql.MySQLError as error:
        assert error.args[0] == 1020
    finally:
        run(arena.direct, "DROP VIEW seen")
    assert arena.value("SELECT COUNT(*)-COUNT(DISTINCT t) FROM own") == 0


def test_a_miss_never_inserts_rows_twice_through_a_trigger(
    arena: Arena, request: pytest.FixtureRequest
) -> None:
    arena.table("own", "t VARCHAR(99), s VARCHAR(20)")
    arena.table("logged", "t VARCHAR(99)", "MyISAM")
    run(
        arena.direct,
        "CREATE TRIGGER logs AFTER INSERT ON own FOR EACH ROW "
        "INSERT INTO logged VALUES (NEW.t)",
    )
    arena.meddle(NEW)
    try:
        run(arena.client, CHANGES["insert select"][0].replace("target", "own"))
    except pymysql.MySQLError as error:
        assert error.args[0] in (1020, 1785)
    assert arena.value("SELECT COUNT(*)-COUNT(DISTINCT t) FROM logged") == 0


def test_the_error_of_a_half_done_change_does_not_say_try_again(arena: Arena) -> None:
    arena.table("own", "t VARCHAR(99), s VARCHAR(20)", "MyISAM")
    arena.meddle(NEW)
    statement = CHANGES["insert select"][0].replace("target", "own")
    message = expect_texts_changed(arena.client, statement)
    assert arena.value("SELECT COUNT(*) FROM own") == ROWS
    assert "Try again" not in message


@pytest.mark.parametrize("name", ["users", "hosts", "events", "feedback"])
def test_a_table_may_be_named_as_one_of_the_servers_own(arena: Arena, name: str) -> None:
    """performance_schema has users, information_schema of MariaDB has events."""
    arena.table(name, "id INT, t VARCHAR(99), n INT")
    run(arena.direct, f"INSERT INTO {name} SELECT * FROM notes")
    arena.meddle(f"INSERT INTO {name} VALUES (99,'a new text',0)")
    try:
        run(arena.client, f"UPDATE {name} SET n=1 WHERE F(t,'en')='NEGATIVE'")
        wrong = f"SELECT COUNT(*) FROM {name} WHERE (n=1)<>(F(t,'en')='NEGATIVE')"
        assert arena.value(wrong) == 0
    finally:
        run(arena.direct, f"DROP TABLE {name}")


# What a statement does besides, which must be done once.

NUMBERED = "SELECT @n:=@n+1 rn, id FROM notes WHERE F(t,'en')='NEGATIVE'"


@pytest.mark.parametrize(
    ("statement", "meddling"),
    [
        pytest.param(NUMBERED, "DO 1", id="quiet"),
        (f"{NUMBERED} ORDER BY id LIMIT 5", "DO 1"),
        (
            "SELECT @n:=@n+1 rn, id, LOWER(F(t,'en')) FROM notes ORDER BY id LIMIT 5",
            "DO 1",
        ),
        (
            "SELECT MIN(rn), MAX(rn) FROM (SELECT @n:=@n+1 rn, t FROM notes) x "
            "WHERE F(t,'en')<>'x'",
            "DO 1",
        ),
        (
            "SELECT MIN(rn), MAX(rn), COUNT(*) FROM (SELECT @n:=@n+1 rn, t FROM notes) x "
            "WHERE F(t,'en')<>'x' AND rn>5",
            NEW,
        ),
        pytest.param(NUMBERED, NEW, id="retry"),
    ],
)
def test_row_numbers_in_a_variable_count_once(
    arena: Arena, statement: str, meddling: str
) -> None:
    run(arena.client, "SET @n=0")
    arena.meddle(meddling)
    rows = run(arena.client, statement)
    run(arena.direct, "SET @n=0")
    assert rows == arena.rows(statement)


def test_a_sequence_gives_no_more_numbers_than_rows(arena: Arena) -> None:
    if not arena.is_mariadb:
        pytest.skip("MySQL has no sequences")
    run(arena.direct, "CREATE OR REPLACE SEQUENCE numbers")
    try:
        rows = run(
            arena.client,
            "SELECT NEXTVAL(numbers), id FROM notes WHERE F(t,'en')='NEGATIVE' "
            "ORDER BY id LIMIT 5",
        )
        assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    finally:
        run(arena.direct, "DROP SEQUENCE numbers")


@pytest.mark.parametrize("meddling", ["DO 1", CHANGED])
def test_a_counter_in_an_update_counts_once(arena: Arena, meddling: str) -> None:
    run(arena.client, "SET @n=0")
    arena.meddle(meddling)
    affected = change(
        arena.client, "UPDATE notes SET n=(@n:=@n+1) WHERE F(t,'en')='NEGATIVE'"
    )
    assert run(arena.client, "SELECT @n") == ((affected,),)
    assert arena.value("SELECT MAX(n) FROM notes") == affected


def test_a_counter_counts_nothing_when_the_statement_fails(arena: Arena) -> None:
    run(arena.client, "SET @n=0.50, @M='é'")
    arena.meddle_always(_busy_writer(arena))
    expect_texts_changed(
        arena.client,
        "SELECT @n:=@n+1, @m:=CONCAT(@m,'x') FROM notes WHERE F(t,'en')='NEGATIVE'",
    )
    shown = "SELECT @n, @m, COLLATION(@m), COERCIBILITY(@m)"
    [(n, m, collation, level)] = run(arena.client, shown)
    assert (str(n), m) == ("0.50", "é")
    run(arena.direct, "SET @m='é'")
    assert arena.rows("SELECT COLLATION(@m), COERCIBILITY(@m)") == ((collation, level),)


# Two at once.


def test_two_sessions_change_the_same_rows_at_once(arena: Arena) -> None:
    statements = ["UPDATE notes SET n=n+1 WHERE F(t,'en')='NEGATIVE'"] * 5
    with connect(arena.proxy, arena.server) as other, ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(lambda c: [change(c, s) for s in statements], client)
            for client in (arena.client, other)
        ]
        affected = [future.result(60) for future in both]
    negatives = arena.value("SELECT SUM(F(t,'en')='NEGATIVE') FROM notes")
    assert affected == [[negatives] * 5] * 2
    assert (
        arena.value("SELECT COUNT(*) FROM notes WHERE n<>10*(F(t,'en')='NEGATIVE')") == 0
    )


def test_two_sessions_that_add_texts_and_count_them_at_once(arena: Arena) -> None:
    """Each session's statements are the writer that the other one meets."""

    def work(client: Any, name: str) -> list[int]:
        counts = []
        for i in range(8):
            run(client, f"INSERT INTO notes (t,n) VALUES ('{name} {i}',0)")
            [(count,)] = run(client, "SELECT COUNT(F(t,'en')) FROM notes WHERE n=0")
            counts.append(count)
        return counts

    with connect(arena.proxy, arena.server) as other, ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(work, client, name)
            for client, name in ((arena.client, "one"), (other, "two"))
        ]
        counts = [future.result(60) for future in both]
    for seen in counts:
        assert seen == sorted(seen)
        assert all(ROWS + i < count <= ROWS + i + 9 for i, count in enumerate(seen))
    assert max(map(max, counts)) == ROWS + 16
