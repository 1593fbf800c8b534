"""How many calls a statement makes whose calls stand anywhere: counted at the service.

Every statement is also run straight against the server, which has functions of the same
names: what is cheap must still be right.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest
from support.fakes import Fake
from support.oracle import SCHEMA, expand
from support.proxies import Proxy
from support.servers import Server

from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import CONFIDENCE, LABEL

pytestmark = pytest.mark.mysql

KINDS = ("mariadb10", "mysql9")

ROWS = 1000

_TABLES = (
    "CREATE TABLE lots (id INT PRIMARY KEY, t VARCHAR(200), a INT, b INT, "
    "created DATETIME, indexed DATETIME, p INT, note VARCHAR(20), c DOUBLE, "
    "KEY (indexed), KEY (p)) CHARSET utf8mb4",
    "CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(50), kind INT) "
    "CHARSET utf8mb4",
    "CREATE TABLE answers (id INT PRIMARY KEY AUTO_INCREMENT, t VARCHAR(200), "
    "s VARCHAR(20), c DOUBLE) CHARSET utf8mb4",
    "CREATE TABLE few (id INT PRIMARY KEY, t VARCHAR(200)) CHARSET utf8mb4",
)


@dataclass(slots=True)
class Sides:
    """One client of the server and one of the proxy before it."""

    server: Server
    proxy: Proxy
    fake: Fake
    direct: Any
    proxied: Any

    def same(self, statement: str) -> None:
        """Runs a query on both sides, and compares the rows."""
        wanted = run(self.direct, statement)
        self.fake.reset()
        assert run(self.proxied, statement) == wanted

    def same_change(self, statement: str) -> None:
        """Runs a statement on both sides, compares what it has done, and undoes it."""
        wanted = self._changed(self.direct, statement)
        self.fake.reset()
        assert self._changed(self.proxied, statement) == wanted

    def fails(self, statement: str, errno: int) -> str:
        """Runs a statement that fails on both sides alike; the message."""
        with pytest.raises(pymysql.MySQLError) as wanted:
            run(self.direct, statement)
        assert wanted.value.args[0] == errno
        self.fake.reset()
        with pytest.raises(pymysql.MySQLError) as caught:
            run(self.proxied, statement)
        assert caught.value.args == wanted.value.args
        return str(caught.value.args[1])

    def queries(self, statement: str) -> int:
        """Runs a statement through the proxy; how many queries the server has seen."""
        before = self._questions()
        run(self.proxied, statement)
        return self._questions() - before - 1

    def _questions(self) -> int:
        [(_, number)] = run(self.proxied, "SHOW SESSION STATUS LIKE 'Questions'")
        return int(number)

    @staticmethod
    def _changed(connection: Any, statement: str) -> tuple[Any, ...]:
        cursor = connection.cursor()
        connection.begin()
        try:
            affected = cursor.execute(expand(statement))
            return (
                affected,
                run(connection, "SELECT * FROM lots ORDER BY id"),
                run(connection, "SELECT t, s, c FROM answers ORDER BY t"),
            )
        finally:
            connection.rollback()


def run(connection: Any, statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(expand(statement))
        return cursor.fetchall()


def connect(at: Server | Proxy, server: Server, **options: Any) -> Any:
    account = server.account()
    usual = {
        "user": account.user,
        "password": account.password,
        "database": SCHEMA,
        "autocommit": True,
        "charset": "utf8mb4",
    }
    return pymysql.connect(host=at.host, port=at.port, **{**usual, **options})


@pytest.fixture(scope="module")
def with_tables() -> Callable[[Server], None]:
    """Makes the tables, once on each server."""
    made: set[str] = set()

    def make(server: Server) -> None:
        if server.kind in made:
            return
        made.add(server.kind)
        with connect(server, server) as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS lots, products, answers, few")
            for statement in _TABLES:
                cursor.execute(statement)
            cursor.executemany(
                "INSERT INTO lots VALUES (%s,%s,%s,%s,%s,%s,%s,'',0)",
                [_lots_row(i) for i in range(ROWS)],
            )
            cursor.executemany(
                "INSERT INTO products VALUES (%s,%s,%s)",
                [(i, f"product {i}", i % 2) for i in range(5)],
            )
            cursor.executemany(
                "INSERT INTO few VALUES (%s,%s)",
                list(enumerate([None, "", "Good", "good", "good ", "Good", None, ""])),
            )
            cursor.execute("ANALYZE TABLE lots, products")
            cursor.fetchall()

    return make


def _lots_row(i: int) -> tuple[object, ...]:
    day = f"2020-{i * 7 % 12 + 1:02}-{i * 11 % 28 + 1:02} 00:{i // 60:02}:{i % 60:02}"
    return i, f"text {i}", i % 10, i % 7, day, day, i % 5


@pytest.fixture(params=KINDS)
def sides(
    request: pytest.FixtureRequest,
    get_server: Callable[[str], Server],
    oracle_proxy: Callable[[Server], Proxy],
    with_tables: Callable[[Server], None],
    fake: Fake,
) -> Iterator[Sides]:
    server = get_server(request.param)
    proxy = oracle_proxy(server)
    with_tables(server)
    with connect(server, server) as direct, connect(proxy, server) as proxied:
        yield Sides(server, proxy, fake, direct, proxied)


def texts(fake: Fake) -> list[str]:
    return [text for call in fake.calls() for text in call["texts"]]


def assert_full_batches(fake: Fake, count: int) -> None:
    """So many texts, none twice, in as few calls as they fit in."""
    asked = texts(fake)
    assert len(asked) == len(set(asked)) == count
    assert len(fake.calls()) == math.ceil(count / 25)


# Conditions.


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("a=1 AND F(t,'en')='NEGATIVE'", 100),
        ("F(t,'en')='NEGATIVE' AND a=1", 100),
        ("a=1 && F(t,'en')='NEGATIVE'", 100),
        ("F(t,'en')='NEGATIVE' AND a=1 AND G(t,'en')>0.6 AND b=2", 14),
        ("a=1 AND (F(t,'en')='NEGATIVE' OR G(t,'en')>0.9)", 100),
        ("(F(t,'en')='NEGATIVE' OR b=3) AND a=1", 100),
        ("(a=1 OR a=2) AND F(t,'en')='NEGATIVE'", 200),
        ("id BETWEEN 10 AND 19 AND F(t,'en')='NEGATIVE'", 10),
        ("F(t,'en')='NEGATIVE' AND id BETWEEN 10 AND 19", 10),
        ("F(t,'en') BETWEEN 'A' AND 'P' AND id BETWEEN 10 AND 19 AND a IN (1,2)", 2),
        ("NOT F(t,'en')='NEGATIVE' AND NOT a<>1", 100),
        ("CASE WHEN F(t,'en')='MIXED' AND b=1 THEN 1 END IS NULL AND a=1", 100),
        ("F(t,'en')='NEGATIVE' AND RAND()<2 AND a=1", 100),
        ("a=(SELECT MIN(kind)+1 FROM products) AND F(t,'en')='NEGATIVE'", 100),
        ("(a=1 AND F(t,'en')='NEGATIVE')", 100),
        ("b<9 AND (a=1 AND (F(t,'en')='NEGATIVE'))", 100),
    ],
)
def test_conditions_without_a_call_come_first(
    sides: Sides, condition: str, count: int
) -> None:
    sides.same(f"SELECT id FROM lots WHERE {condition} ORDER BY id")
    assert_full_batches(sides.fake, count)


@pytest.mark.parametrize(
    ("tables", "count"),
    [
        ("JOIN products q ON q.id=p WHERE q.kind=1 AND a=1 AND F(t,'en')='MIXED'", 100),
        ("JOIN products q ON q.id=p AND q.kind=1 WHERE a=1 AND F(t,'en')='MIXED'", 100),
        ("JOIN products q ON q.id=p AND F(t,'en')='MIXED' WHERE q.kind=1 AND a=1", 100),
        ("JOIN products q ON F(t,'en')='MIXED' AND q.id=p AND q.kind=1 AND a=1", 100),
        (", products q WHERE F(t,'en')='MIXED' AND q.id=p AND q.kind=1 AND a=1", 100),
        ("LEFT JOIN products q ON q.id=p WHERE F(t,'en')='MIXED' AND a=1", 100),
        ("JOIN products q ON q.id=p AND F(q.name,'en')<>'x' WHERE a=1", 5),
        ("LEFT JOIN products q ON q.id=p AND F(t,'en')='MIXED' WHERE a=1", 100),
        (
            "LEFT JOIN products q ON q.id=p AND F(t,'en')='MIXED' WHERE kind=1 AND a=1",
            100,
        ),
        (
            "LEFT JOIN products q ON q.id=p AND F(t,'en')='MIXED' "
            "WHERE kind=1 AND l.id BETWEEN 1 AND 40",
            16,
        ),
        (
            "LEFT JOIN products q ON q.id=p AND F(t,'en')='MIXED' "
            "WHERE kind IS NULL AND LEFT(t,6) IN ('text 1','text 2') AND a<>2",
            200,
        ),
        (
            "LEFT JOIN products q ON F(t,'en')='MIXED' AND q.id=p LEFT JOIN products r "
            "ON r.id=b AND F(q.name,'en')<>'x' WHERE a=1 AND b=1",
            20,
        ),
        (
            "LEFT JOIN products q ON q.id=p AND F(t,'en')='MIXED' LEFT JOIN products r "
            "ON r.id=b WHERE r.kind=1 AND l.id<100",
            100,
        ),
        ("RIGHT JOIN products q ON q.id=p AND F(t,'en')='MIXED' WHERE a=1", 100),
        (
            "RIGHT JOIN products q ON q.id=p AND F(q.name,'en')='MIXED' WHERE kind=1 "
            "AND q.id IN (1,2,3)",
            2,
        ),
        (
            "LEFT JOIN (products q JOIN products r ON r.id=q.id AND F(r.name,'en')<>'x') "
            "ON q.id=p WHERE a=1 AND b=1",
            5,
        ),
    ],
)
def test_conditions_on_joined_tables_come_first(
    sides: Sides, tables: str, count: int
) -> None:
    sides.same(f"SELECT l.id FROM lots l {tables} ORDER BY l.id")
    asked = texts(sides.fake)
    assert len(asked) == len(set(asked)) <= count


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        (
            "SELECT id FROM products WHERE id IN "
            "(SELECT p FROM lots WHERE a=1 AND F(t,'en')='MIXED') ORDER BY id",
            100,
        ),
        (
            "SELECT COUNT(*) FROM (SELECT t FROM lots WHERE a=1) x "
            "WHERE F(x.t,'en')='MIXED'",
            100,
        ),
        ("SELECT COUNT(*) FROM (SELECT F(t,'en') s FROM lots WHERE a=1) x", 100),
        (
            "WITH x AS (SELECT id, t FROM lots WHERE a=1) "
            "SELECT COUNT(*) FROM x WHERE F(t,'en')='MIXED' AND id<100",
            10,
        ),
        (
            "SELECT id FROM lots WHERE id<5 UNION SELECT id FROM lots "
            "WHERE a=1 AND F(t,'en')='MIXED' ORDER BY id",
            100,
        ),
        ("SELECT F(t,'en') s, COUNT(*) FROM lots WHERE a=1 GROUP BY s ORDER BY s", 100),
    ],
)
def test_conditions_of_inner_queries_come_first(
    sides: Sides, statement: str, count: int
) -> None:
    sides.same(statement)
    assert_full_batches(sides.fake, count)


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        (
            "SELECT id FROM products q WHERE EXISTS (SELECT 1 FROM lots "
            "WHERE p=q.id AND a=1 AND F(t,'en')='MIXED') ORDER BY id",
            100,
        ),
        (
            "SELECT id FROM products q WHERE kind=1 AND EXISTS (SELECT 1 FROM lots "
            "WHERE p=q.id AND F(t,'en')='MIXED') ORDER BY id",
            400,
        ),
        (
            "SELECT id, (SELECT COUNT(*) FROM lots WHERE p=q.id AND a=1 AND "
            "F(t,'en')='MIXED') FROM products q WHERE q.kind=1 ORDER BY id",
            100,
        ),
        (
            "SELECT id, (SELECT MAX(F(t,'en')) FROM lots WHERE p=q.id AND id<50) "
            "FROM products q WHERE q.kind=1 ORDER BY id",
            20,
        ),
        (
            "SELECT id FROM products q WHERE kind=1 AND EXISTS (SELECT 1 FROM lots "
            "WHERE p=q.id AND F(q.name,'en')<>'x') ORDER BY id",
            2,
        ),
        (
            "SELECT id, (SELECT F(t,'en') FROM lots WHERE p=q.id ORDER BY id LIMIT 1) "
            "FROM products q WHERE q.kind=1 ORDER BY id",
            2,
        ),
        (
            "SELECT id, (SELECT LOWER(F(t,'en')) FROM lots WHERE p=q.id AND "
            "F(t,'en')<>'x' ORDER BY created DESC, id LIMIT 1 OFFSET 3) s "
            "FROM products q WHERE q.kind=1 ORDER BY id",
            400,
        ),
        (
            "SELECT id, (SELECT G(t,'en') FROM lots WHERE p=q.id ORDER BY id DESC "
            "LIMIT 2,1)+1 FROM products q ORDER BY id LIMIT 3 OFFSET 1",
            3,
        ),
        (
            "SELECT id n, (SELECT MAX(F(t,'en')) FROM lots WHERE p=q.id AND a=q.id) "
            "FROM products q ORDER BY n LIMIT 2",
            200,
        ),
        (
            "SELECT id, (SELECT (SELECT F(t,'en') FROM lots WHERE p=r.id AND a>q.id "
            "ORDER BY id LIMIT 1) FROM products r WHERE r.id=q.id) FROM products q "
            "WHERE kind=1 ORDER BY id",
            2,
        ),
        (
            "SELECT COUNT(s) FROM (SELECT id, (SELECT F(t,'en') FROM lots WHERE p=q.id "
            "ORDER BY id LIMIT 1) s FROM products q) x",
            5,
        ),
    ],
)
def test_correlated_conditions_narrow_the_harvest(
    sides: Sides, statement: str, count: int
) -> None:
    sides.same(statement)
    assert_full_batches(sides.fake, count)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lots SET note='x' WHERE F(t,'en')='NEGATIVE' AND a=1",
        "UPDATE lots SET note=F(t,'en'), c=G(t,'en') WHERE a=1",
        "UPDATE lots SET note=F(t,'en') WHERE a=1 AND G(t,'en')>0.7",
        "UPDATE lots l JOIN products q ON q.id=p SET l.note=q.name "
        "WHERE q.kind=1 AND a=1 AND F(t,'en')='NEGATIVE'",
        "DELETE FROM lots WHERE F(t,'en')='NEGATIVE' AND a=1",
        "DELETE l FROM lots l JOIN products q ON q.id=p "
        "WHERE F(t,'en')='NEGATIVE' AND a=1 AND q.kind=1",
        "INSERT INTO answers (t,s,c) SELECT t, F(t,'en'), G(t,'en') FROM lots WHERE a=1",
        "INSERT INTO answers (t) SELECT t FROM lots WHERE F(t,'en')='MIXED' AND a=1",
        "REPLACE INTO answers (t) SELECT t FROM lots WHERE a=1 AND F(t,'en')='MIXED'",
    ],
)
def test_conditions_of_a_change_come_first(sides: Sides, statement: str) -> None:
    sides.same_change(statement)
    assert_full_batches(sides.fake, 100)


# LIMIT.


@pytest.mark.parametrize(
    ("items", "behind"),
    [
        ("id", "ORDER BY id LIMIT 5"),
        ("id, t", "ORDER BY id DESC LIMIT 5"),
        ("id", "ORDER BY indexed LIMIT 5"),
        ("id", "ORDER BY created LIMIT 5"),
        ("id", "ORDER BY created DESC, id LIMIT 5"),
        ("id", "ORDER BY a, id LIMIT 5"),
        ("id", "ORDER BY id LIMIT 5 OFFSET 5"),
        ("id", "ORDER BY created, id LIMIT 5,5"),
        ("id, F(t,'en')", "ORDER BY id LIMIT 5"),
        ("id, LOWER(F(t,'en')), G(t,'en')", "ORDER BY created, id LIMIT 5"),
        ("*", "ORDER BY indexed, id LIMIT 5"),
    ],
)
def test_a_limit_behind_a_condition_asks_about_a_prefix(
    sides: Sides, items: str, behind: str
) -> None:
    sides.same(f"SELECT {items} FROM lots WHERE F(t,'en')='NEGATIVE' {behind}")
    asked = texts(sides.fake)
    assert len(asked) == len(set(asked)) <= (200 if "5,5" in behind else 100)


def test_a_limit_behind_a_condition_on_a_join_asks_about_a_prefix(sides: Sides) -> None:
    sides.same(
        "SELECT l.id FROM lots l JOIN products q ON q.id=p "
        "WHERE q.kind=1 AND F(t,'en')='NEGATIVE' ORDER BY l.id LIMIT 5"
    )
    assert len(texts(sides.fake)) <= 100


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        ("SELECT id, LOWER(F(t,'en')) FROM lots ORDER BY id LIMIT 5", 5),
        ("SELECT id, LOWER(F(t,'en')) FROM lots ORDER BY created,id LIMIT 5 OFFSET 3", 5),
        (
            "SELECT id, LOWER(F(t,'en')), ROUND(G(t,'en'),2) FROM lots WHERE a=1 "
            "ORDER BY created DESC, id LIMIT 7",
            7,
        ),
        (
            "SELECT id, LOWER(F(t,'en')) FROM "
            "(SELECT * FROM lots ORDER BY id LIMIT 5) x ORDER BY id",
            5,
        ),
        (
            "SELECT id, s FROM (SELECT id, LOWER(F(t,'en')) s FROM lots "
            "ORDER BY id LIMIT 5) x ORDER BY id",
            5,
        ),
    ],
)
def test_a_call_in_the_select_list_is_asked_for_returned_rows(
    sides: Sides, statement: str, count: int
) -> None:
    sides.same(statement)
    assert_full_batches(sides.fake, count)


# Texts and batches.


def test_each_text_is_asked_once_over_all_calls_of_a_statement(sides: Sides) -> None:
    sides.same(
        "SELECT F(t,'en') s, COUNT(*), AVG(G(t,'en')) FROM lots "
        "WHERE F(t,'en')<>'MIXED' AND a<3 GROUP BY F(t,'en') "
        "HAVING MAX(F(t,'en'))<>'x' ORDER BY F(t,'en')"
    )
    assert_full_batches(sides.fake, 300)


def test_both_functions_share_their_calls(sides: Sides) -> None:
    sides.same(
        "SELECT id, CONCAT(F(t,'en'),' ',G(t,'en')), LOWER(F(t,'en')) FROM lots "
        "WHERE a=1 AND G(t,'en')>0.5 ORDER BY id"
    )
    assert_full_batches(sides.fake, 100)


@pytest.mark.parametrize("count", [1, 25, 26, 110, 510])
def test_calls_are_full_batches(sides: Sides, count: int) -> None:
    sides.same(f"SELECT COUNT(*) FROM lots WHERE id<{count} AND F(t,'en')='MIXED'")
    assert_full_batches(sides.fake, count)


def test_rows_of_one_text_make_one_question(sides: Sides) -> None:
    sides.same(
        "SELECT id FROM lots WHERE F(CONCAT('text ',a),'en')='NEGATIVE' ORDER BY id"
    )
    assert_full_batches(sides.fake, 10)


def test_texts_that_a_collation_folds_are_asked_apart(sides: Sides) -> None:
    sides.same("SELECT id FROM few WHERE LOWER(F(t,'en'))<>'x' ORDER BY id")
    assert sorted(texts(sides.fake)) == ["Good", "good", "good "]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT LOWER(F(NULL,'en')), LOWER(F('','en')), LOWER(F('x',NULL)), G('','en')+1",
        "SELECT COUNT(F(t,'en')), COUNT(*) FROM few WHERE t IS NULL OR t=''",
        "SELECT id FROM few WHERE F(t,'en') IS NULL AND (t IS NULL OR t='') ORDER BY id",
        "SELECT COUNT(*) FROM lots WHERE F(t,NULL) IS NULL",
        "SELECT COUNT(*) FROM lots WHERE id<0 AND F(t,'en')='MIXED'",
    ],
)
def test_null_and_empty_texts_cost_nothing(sides: Sides, statement: str) -> None:
    sides.same(statement)
    assert sides.fake.calls() == []


@pytest.mark.parametrize(
    "statement",
    [
        "EXPLAIN SELECT id FROM lots WHERE F(t,'en')='NEGATIVE'",
        "EXPLAIN SELECT F(t,'en') s, COUNT(*) FROM lots GROUP BY s",
        "EXPLAIN UPDATE lots SET b=2 WHERE F(t,'en')='NEGATIVE'",
        "EXPLAIN DELETE FROM lots WHERE F(t,'en')='NEGATIVE'",
        "EXPLAIN INSERT INTO answers (t,s) SELECT t, LOWER(F(t,'en')) FROM lots",
        "EXPLAIN FORMAT=JSON SELECT id FROM lots WHERE G(t,'en')>0.5 LIMIT 3",
        "DESCRIBE SELECT LOWER(F('a text','en'))",
    ],
)
def test_explain_asks_nothing_and_changes_nothing(sides: Sides, statement: str) -> None:
    assert run(sides.proxied, statement)
    assert sides.fake.calls() == []
    assert run(sides.direct, "SELECT COUNT(*), SUM(b) FROM lots")[0][0] == ROWS


# Statements that fail.


@pytest.mark.parametrize(
    ("statement", "errno"),
    [
        ("SELECT LOWER(F(name,'en')) FROM nowhere", 1146),
        ("SELECT LOWER(F(name,'en')) FROM products FORM x", 1064),
        ("SELECT id FROM products WHERE F(nope,'en')='x'", 1054),
        ("SELECT id FROM products WHERE F(name,'en')='x' ORDER BY nope LIMIT 5", 1054),
        ("SELECT id FROM products WHERE F(name,'en')='x' AND nope=1", 1054),
        ("SELECT nope FROM products WHERE F(name,'en')='x'", 1054),
        ("SELECT nope, LOWER(F(name,'en')) FROM products", 1054),
        ("SELECT id FROM products WHERE F(name,'en')='x' ORDER BY nope", 1054),
        ("SELECT 1 FROM products GROUP BY F(name,'en') HAVING nope", 1054),
        ("SELECT id FROM products WHERE F(name,'en')='x' AND", 1064),
        ("SELECT id FROM products WHERE LOWER(F(name,'en'),1)='x'", 1582),
        ("UPDATE products SET nope=1 WHERE F(name,'en')='x'", 1054),
        ("DELETE FROM products WHERE F(name,'en')='x' ORDER BY nope", 1054),
        ("INSERT INTO answers (nope) SELECT F(name,'en') FROM products", 1054),
        ("INSERT INTO answers (t,s) SELECT F(name,'en') FROM products", 1136),
        ("INSERT INTO nowhere (t) SELECT F(name,'en') FROM products", 1146),
        ("INSERT INTO answers (t) VALUES (LOWER(F('a','en'))),('b','c')", 1136),
        ("INSERT INTO answers SELECT F(name,'en') FROM products", 1136),
        ("REPLACE INTO answers (t,nope) SELECT F(name,'en'), 1 FROM products", 1054),
        ("DELETE q FROM products q WHERE F(q.name,'en')='x' AND nope=1", 1054),
        ("UPDATE products SET kind=1 WHERE F(name,'en')='x' ORDER BY nope", 1054),
        ("CREATE TABLE products AS SELECT F(name,'en') FROM products", 1050),
        ("CREATE TABLE made AS SELECT nope, F(name,'en') FROM products", 1054),
        ("SELECT 1 FROM products UNION SELECT F(name,'en'), 2 FROM products", 1222),
        ("SELECT id FROM products q, lots WHERE F(q.name,'en')='x'", 1052),
        ("SET @@nope = F('a','en')", 1193),
    ],
)
def test_a_failing_statement_costs_nothing(
    sides: Sides, statement: str, errno: int
) -> None:
    with pytest.raises(pymysql.MySQLError) as caught:
        run(sides.proxied, statement)
    assert caught.value.args[0] == errno
    assert sides.fake.calls() == []


CHANGES = (
    "UPDATE products SET kind=1 WHERE F(name,'en')='x'",
    "DELETE FROM products WHERE F(name,'en')='x'",
    "INSERT INTO products (name) VALUES (F('a','en'))",
    "INSERT INTO products SELECT * FROM products WHERE F(name,'en')='x'",
    "UPDATE products a JOIN products b USING (id) SET a.kind=1 WHERE F(b.name,'en')='x'",
)


@pytest.mark.parametrize(
    ("before", "errno"),
    [
        ("SET SESSION TRANSACTION READ ONLY", 1792),
        ("SET TRANSACTION READ ONLY", 1792),
        ("START TRANSACTION READ ONLY", 1792),
        ("LOCK TABLES products READ, products a READ, products b READ", 1099),
        ("LOCK TABLES lots READ", 1100),
    ],
)
def test_a_change_where_none_is_allowed_costs_nothing(
    sides: Sides, before: str, errno: int
) -> None:
    def fails(connection: Any, change: str) -> tuple[Any, ...]:
        run(connection, before)
        with pytest.raises(pymysql.MySQLError) as caught:
            run(connection, change)
        run(connection, "ROLLBACK")
        run(connection, "UNLOCK TABLES")
        return caught.value.args

    errors = [fails(sides.proxied, change) for change in CHANGES]
    assert sides.fake.calls() == []
    assert errors == [fails(sides.direct, change) for change in CHANGES]
    assert errors[0][0] == errno


def test_a_change_on_a_server_that_is_read_only_costs_nothing(sides: Sides) -> None:
    sides.server.run_as_root(
        "DROP USER IF EXISTS 'writer'@'%'",
        "CREATE USER 'writer'@'%' IDENTIFIED BY 'secret'",
        f"GRANT ALL ON {SCHEMA}.* TO 'writer'@'%'",
    )
    options = {"user": "writer", "password": "secret"}
    sides.server.run_as_root("SET GLOBAL read_only=1")
    try:
        with connect(sides.proxy, sides.server, **options) as writer:
            for change in CHANGES:
                with pytest.raises(pymysql.MySQLError) as caught:
                    run(writer, change)
                assert caught.value.args[0] == 1290
    finally:
        sides.server.run_as_root("SET GLOBAL read_only=0")
    assert sides.fake.calls() == []


def test_a_table_that_is_there_is_not_made_and_costs_nothing(sides: Sides) -> None:
    run(
        sides.proxied,
        "CREATE TABLE IF NOT EXISTS products AS SELECT F(nope,'en') FROM lots",
    )
    [(_, number, message)] = run(sides.proxied, "SHOW WARNINGS")
    assert (number, message) == (1050, "Table 'products' already exists")
    assert sides.fake.calls() == []


@pytest.mark.parametrize("statement", [*CHANGES, "SELECT nope, -F('a','en') FROM few"])
def test_looking_before_leaves_no_trace(sides: Sides, statement: str) -> None:
    """Whether the statement fails or not, in a transaction that goes on."""

    def seen(connection: Any) -> list[Any]:
        run(connection, "SET @@insert_id=77")
        connection.begin()
        run(connection, "SELECT SQL_CALC_FOUND_ROWS id FROM lots LIMIT 3")
        found: list[Any] = []
        try:
            run(connection, statement)
            if not statement.startswith("SELECT"):
                found.append(run(connection, "SELECT FOUND_ROWS()"))
        except pymysql.MySQLError as error:
            found.append(error.args)
        found.append(run(connection, "SELECT ROW_COUNT(), LAST_INSERT_ID(), 1"))
        found.append(run(connection, "SHOW WARNINGS"))
        connection.rollback()
        return found

    assert seen(sides.proxied) == seen(sides.direct)
    counted = "SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'"
    assert sides.server.run_as_root(counted)[0][1] == "0"


def test_a_statement_that_cannot_be_prepared_is_answered_all_the_same(
    sides: Sides,
) -> None:
    [(usual,)] = sides.server.run_as_root("SELECT @@GLOBAL.max_prepared_stmt_count")
    sides.server.run_as_root("SET GLOBAL max_prepared_stmt_count=0")
    try:
        sides.same("SELECT COUNT(*) FROM lots WHERE F(t,'en')='MIXED' AND a=1")
        assert run(sides.proxied, "SHOW WARNINGS") == ()
    finally:
        sides.server.run_as_root(f"SET GLOBAL max_prepared_stmt_count={usual}")
    assert_full_batches(sides.fake, 100)


@pytest.mark.parametrize(
    ("statement", "errno"),
    [
        ("SELECT COUNT(*) FROM lots WHERE F(t,'en')='x'", 1142),
        ("UPDATE lots SET b=1 WHERE F(t,'en')='x'", 1142),
        ("DELETE FROM lots WHERE F(t,'en')='x'", 1142),
        ("INSERT INTO few SELECT id, F(t,'en') FROM answers", 1142),
        ("UPDATE answers SET t='' WHERE F(t,'en')='x'", 1142),
    ],
)
def test_a_missing_privilege_costs_nothing(
    sides: Sides, statement: str, errno: int
) -> None:
    sides.server.run_as_root(
        "DROP USER IF EXISTS 'reads_answers'@'%'",
        "CREATE USER 'reads_answers'@'%' IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON {SCHEMA}.answers TO 'reads_answers'@'%'",
    )
    run(sides.direct, "INSERT INTO answers (t) VALUES ('a text')")
    try:
        with connect(
            sides.proxy, sides.server, user="reads_answers", password="secret"
        ) as reader:
            with pytest.raises(pymysql.MySQLError) as caught:
                run(reader, statement)
            assert caught.value.args[0] == errno
            assert run(reader, "SELECT 1") == ((1,),)
    finally:
        run(sides.direct, "DELETE FROM answers")
    assert sides.fake.calls() == []


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("RAND()", "RAND"),
        ("CONCAT(t,RAND(3))", "RAND"),
        ("UUID()", "UUID"),
        ("CONCAT(t,uuid())", "UUID"),
        ("@v:=t", "a user variable that the same statement assigns"),
        ("CONCAT(t,SLEEP(0))", "SLEEP"),
        ("SYSDATE()", "SYSDATE"),
    ],
)
def test_an_argument_that_is_another_one_each_time_is_refused(
    sides: Sides, argument: str, reason: str
) -> None:
    for function in (LABEL, CONFIDENCE):
        with pytest.raises(pymysql.MySQLError) as caught:
            run(
                sides.proxied,
                f"SELECT COUNT(*) FROM lots WHERE {function.name}({argument},'en')='x'",
            )
        errno, message = caught.value.args
        assert errno == 1235
        assert message.startswith(f"{function.name}: its argument depends on {reason},")
    assert sides.fake.calls() == []


def test_now_in_an_argument_is_asked_about(sides: Sides) -> None:
    """The second may end between the harvest and the statement, which costs a retry."""
    sides.same("SELECT COUNT(*) FROM lots WHERE id<20 AND F(CONCAT(t,NOW()),'en')='x'")
    assert len(texts(sides.fake)) in (20, 40)


def test_microseconds_in_an_argument_do_not_cost_ten_harvests(sides: Sides) -> None:
    with pytest.raises(pymysql.MySQLError):
        run(
            sides.proxied,
            "SELECT COUNT(*) FROM lots WHERE id<20 AND F(CONCAT(t,NOW(6)),'en')='x'",
        )
    assert len(texts(sides.fake)) <= 40


@pytest.mark.parametrize("behind", ["RAND()", "RAND() LIMIT 5", "UUID() LIMIT 5"])
def test_a_random_order_costs_no_text_twice(sides: Sides, behind: str) -> None:
    rows = run(
        sides.proxied,
        "SELECT t, UPPER(F(t,'en')) FROM lots WHERE a=1 AND F(t,'en')='NEGATIVE' "
        f"ORDER BY {behind}",
    )
    assert {label for _, label in rows} == {"NEGATIVE"}
    assert len(set(rows)) == len(rows) == (5 if "LIMIT" in behind else 23)
    asked = texts(sides.fake)
    assert len(asked) == len(set(asked)) <= 100


# Many texts.


def test_a_hundred_literals_are_asked_in_four_calls_and_few_queries(sides: Sides) -> None:
    values = ",".join(f"('new {i}', LOWER(F('new {i}','en')))" for i in range(100))
    statement = f"INSERT INTO answers (t,s) VALUES {values}"
    sides.same_change(statement)
    assert_full_batches(sides.fake, 100)
    try:
        assert sides.queries(statement) <= 5
        rows = run(sides.direct, "SELECT t, s FROM answers")
        assert dict(rows) == {t: expected(t, "en").label.lower() for t, _ in rows}
        assert len(rows) == 100
    finally:
        run(sides.direct, "DELETE FROM answers")


@contextmanager
def numbered(sides: Sides, count: int) -> Iterator[str]:
    """A table of so many distinct texts."""
    run(sides.direct, "DROP TABLE IF EXISTS numbered")
    run(
        sides.direct,
        "CREATE TABLE numbered (id INT PRIMARY KEY, t VARCHAR(200), s VARCHAR(20), "
        "c DOUBLE) CHARSET utf8mb4",
    )
    for start in range(0, count, 10_000):
        rows = (
            f"({i},'what somebody has written, {i}',NULL,0)"
            for i in range(start, min(start + 10_000, count))
        )
        run(sides.direct, f"INSERT INTO numbered VALUES {','.join(rows)}")
    yield "numbered"
    run(sides.direct, "DROP TABLE numbered")


MANY = (
    "SELECT COUNT(*), SUM(id), SUM(ROUND(G(t,'en')*1024)) FROM numbered "
    "WHERE F(t,'en')='NEGATIVE'"
)


def test_ten_thousand_texts(sides: Sides) -> None:
    with numbered(sides, 10_000):
        sides.same(MANY)
    assert_full_batches(sides.fake, 10_000)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_thousand_texts(sides: Sides) -> None:
    """12.1 MB of statement; both servers take 16 MB at least by default."""
    with numbered(sides, 100_000):
        before = _received(sides)
        sides.same(MANY)
        assert _received(sides) - before < 14_000_000
    assert_full_batches(sides.fake, 100_000)


def _received(sides: Sides) -> int:
    [(_, number)] = run(sides.proxied, "SHOW SESSION STATUS LIKE 'Bytes_received'")
    return int(number)


@pytest.fixture
def short_packets(sides: Sides) -> Iterator[Callable[[int], Any]]:
    """`short_packets(bytes)`: a client whose server takes no longer statement."""
    [(usual,)] = sides.server.run_as_root("SELECT @@GLOBAL.max_allowed_packet")
    clients = []

    def connect_short(limit: int) -> Any:
        sides.server.run_as_root(f"SET GLOBAL max_allowed_packet={limit}")
        clients.append(connect(sides.proxy, sides.server))
        return clients[-1]

    yield connect_short
    sides.server.run_as_root(f"SET GLOBAL max_allowed_packet={usual}")
    for client in clients:
        client.close()


LONG_CHANGES = {
    "update": "UPDATE numbered SET s=F(t,'en'), c=G(t,'en')+G(t,'en')+G(t,'en')"
    "+G(t,'en')+G(t,'en')",
    "insert": "INSERT INTO answers (t,c) SELECT t, G(t,'en')+G(t,'en')+G(t,'en')"
    "+G(t,'en')+G(t,'en') FROM numbered",
}


@pytest.mark.parametrize("change", LONG_CHANGES)
def test_a_statement_over_max_allowed_packet_is_a_clear_error(
    sides: Sides, short_packets: Callable[[int], Any], change: str
) -> None:
    with numbered(sides, 4500):
        client = short_packets(1 << 20)
        with pytest.raises(pymysql.MySQLError) as caught:
            run(client, LONG_CHANGES[change])
        errno, message = caught.value.args
        assert errno == 1153
        assert "max_allowed_packet of 1,048,576" in message
        assert message.startswith(LABEL.name if change == "update" else CONFIDENCE.name)
        assert run(client, "SELECT COUNT(*) FROM numbered WHERE s IS NULL AND c=0") == (
            (4500,),
        )
        assert run(client, "SELECT COUNT(*) FROM answers") == ((0,),)


def test_a_max_allowed_packet_under_a_megabyte_is_a_clear_error(
    sides: Sides, short_packets: Callable[[int], Any]
) -> None:
    with numbered(sides, 1000):
        client = short_packets(64 << 10)
        with pytest.raises(pymysql.MySQLError) as caught:
            run(client, LONG_CHANGES["update"])
        assert caught.value.args[0] == 1153
        assert "max_allowed_packet" in caught.value.args[1]
        assert run(client, "SELECT 1") == ((1,),)
