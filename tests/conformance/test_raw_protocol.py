"""What drivers do not do: raw commands, straight to the server and through the proxy.

Each scenario is a function that talks through a `WireClient`. Every byte that the server
sends after the login must come through the proxy as it is: the sequence numbers, the
statement ids and the split into packets included.
"""

import struct
from collections.abc import Callable

import pytest
from support import wire_client as wire
from support.proxies import Proxy
from support.servers import Server
from support.wire_client import Closed, WireClient, shown

pytestmark = pytest.mark.mysql

DATABASE = "raw"
CAPABILITIES = {
    "old": wire.USUAL,
    "deprecate-eof": wire.USUAL | wire.DEPRECATE_EOF | wire.SESSION_TRACK,
    "mariadb": (wire.USUAL & ~wire.LONG_PASSWORD)
    | wire.DEPRECATE_EOF
    | wire.MARIADB_PROGRESS
    | wire.MARIADB_BULK
    | wire.MARIADB_EXTENDED_METADATA
    | wire.MARIADB_CACHE_METADATA,
    "mysql": wire.USUAL
    | wire.DEPRECATE_EOF
    | wire.SESSION_TRACK
    | wire.OPTIONAL_RESULTSET_METADATA
    | wire.QUERY_ATTRIBUTES,
}
SET_UP = (
    "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(50), n INT UNIQUE)",
    "INSERT INTO t (s, n) VALUES ('one', 1), ('', 2), (NULL, 3), ('four', 4), ('é', 5)",
    "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT s FROM t ORDER BY id; "
    "UPDATE t SET n = n + 100 WHERE id = 1; END",
    "CREATE TABLE loaded (a VARCHAR(50), b INT)",
)

Scenario = Callable[[WireClient], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


QUERIES = (
    "SELECT 1",
    "SELECT * FROM t ORDER BY id",
    "SELECT s FROM t ORDER BY id",
    "SELECT s FROM t WHERE n = 404",
    "SELECT '', NULL, 0, 'é', 1.50, X'00FF'",
    "INSERT INTO t (s, n) VALUES ('six', 6), ('seven', 7)",
    "UPDATE t SET s = 'changed' WHERE n > 5",
    "SELECT * FROM nowhere",
    "SELEKT",
    "SELECT id, (SELECT id FROM t LIMIT 2) FROM t",
    "SELECT CAST('1x' AS SIGNED)",
    "SHOW WARNINGS",
    "DO 1",
    "SET @a = 1, NAMES utf8mb4, autocommit = 0",
    "START TRANSACTION READ ONLY",
    "COMMIT",
    "SET autocommit = 1",
    "USE raw",
    "CALL p()",
    "SELECT 1; SELECT s FROM t; UPDATE t SET s = 'z' WHERE n = 5; SELECT 2",
    "SELECT 1; SELECT * FROM nowhere; SELECT 2",
    "SELECT 1;",
    "DO 1; DO 2; DO 3",
    "",
    "-- nothing",
    "SET NAMES latin1",
    b"SELECT '\xe9'",
    b"SELECT '\xff\xfe",
    "DEALLOCATE PREPARE nothing",
)


@scenario
def queries(client: WireClient) -> None:
    for sql in QUERIES:
        client.say(client.query(sql))


@scenario
def queries_in_one_segment(client: WireClient) -> None:
    client.say_at_once([client.query(sql) for sql in QUERIES])


@scenario
def queries_byte_by_byte(client: WireClient) -> None:
    for sql in QUERIES:
        client.say_byte_by_byte(client.query(sql))


@scenario
def rows_of_all_lengths(client: WireClient) -> None:
    for size in (0, 1, 249, 250, 251, 252, 65534, 65535, 65536, 65537, 200_000):
        client.say(client.query(f"SELECT REPEAT('x', {size}), 'after'"))
    client.say(client.query("SELECT " + ", ".join(map(str, range(1000)))))


@scenario
def many_rows(client: WireClient) -> None:
    three = (
        "SELECT a.n, b.s, REPEAT('r', c.id) FROM t a, t b, t c, t d, t e ORDER BY 1,2,3"
    )
    client.say(client.query(three))
    client.say(client.query(f"{three} LIMIT 700; {three} LIMIT 800"))


@scenario
def rows_at_the_limit_of_a_packet(client: WireClient) -> None:
    for length, size in (
        (wire.WHOLE - 1, wire.WHOLE - 5),
        (wire.WHOLE, wire.WHOLE - 4),
        (wire.WHOLE + 1, wire.WHOLE + 1 - 9),
        (2 * wire.WHOLE, 2 * wire.WHOLE - 9),
        (2 * wire.WHOLE + 1, 2 * wire.WHOLE + 1 - 9),
    ):
        client.say(client.query(f"SELECT REPEAT('x', {size})"))
        assert any(len(packet) == min(length, wire.WHOLE) + 4 for packet in client.heard)
    client.say(client.query("SELECT 'after'"))


@scenario
def commands_at_the_limit_of_a_packet(client: WireClient) -> None:
    for length in (wire.WHOLE - 1, wire.WHOLE, wire.WHOLE + 1, 2 * wire.WHOLE):
        empty = client.query("SELECT LENGTH('')")
        payload = client.query(f"SELECT LENGTH('{'y' * (length - len(empty))}')")
        assert len(payload) == length
        client.say(payload)
        client.say_at_once([payload, client.query("SELECT 'after'"), payload])


@scenario
def other_commands(client: WireClient) -> None:
    client.say(bytes([wire.COM_PING]))
    client.say(bytes([wire.COM_INIT_DB]) + b"raw")
    client.say(bytes([wire.COM_INIT_DB]) + b"nowhere")
    client.say(client.query("SELECT DATABASE()"))
    client.say(bytes([wire.COM_FIELD_LIST]) + b"t\0%")
    client.say(bytes([wire.COM_FIELD_LIST]) + b"t\0s")
    client.say(bytes([wire.COM_FIELD_LIST]) + b"nowhere\0")
    client.say(b"\x05made_by_command")
    client.say(b"\x05made_by_command")
    client.say(b"\x06made_by_command")
    client.say(b"\x0c" + struct.pack("<I", 4_000_000_000))
    client.say(b"\x0d")


@scenario
def set_option(client: WireClient) -> None:
    multi = client.query("SELECT 1; SELECT 2")
    client.say(multi)
    client.say(b"\x1b\x01\x00")
    client.say(multi)
    client.say(b"\x1b\x00\x00")
    client.say(multi)
    client.say(b"\x1b\x07\x00")
    client.say(b"\x1b")
    client.say(client.query("SELECT 3"))


@scenario
def reset_connection(client: WireClient) -> None:
    client.say(client.query("SET @a = 5; CREATE TEMPORARY TABLE temporary (n INT)"))
    client.say(bytes([wire.COM_STMT_PREPARE]) + b"SELECT 1")
    client.say(b"\x1f")
    client.say(client.query("SELECT @a, DATABASE()"))
    client.say(client.query("SELECT * FROM temporary"))
    client.say(execute(client.statement(1)))


@scenario
def unknown_commands(client: WireClient) -> None:
    for command in (
        b"\x00",
        b"\x0b",
        b"\x0f",
        b"\x10",
        b"\x14",
        b"\x1d",
        b"\x30",
        b"\xf0",
    ):
        client.say(command)
        client.say(command + b"with something behind it")
    client.say(b"")
    client.say_at_once([b"", b"\x30", b"", client.query("SELECT 'after'"), b""])


@scenario
def quit_and_no_more(client: WireClient) -> None:
    client.say(client.query("SELECT 1"))
    client.say(bytes([wire.COM_QUIT]))


@scenario
def queries_then_quit_in_one_segment(client: WireClient) -> None:
    queries = [client.query("SELECT s FROM t"), client.query("SELECT 2")]
    client.say_at_once([*queries, bytes([wire.COM_QUIT])])


@scenario
def killed_by_itself(client: WireClient) -> None:
    client.say(client.query("SET @me = CONNECTION_ID()"))
    client.say(client.query("KILL QUERY CONNECTION_ID()"))
    client.say(client.query("SELECT 1"))
    client.say(client.query("KILL CONNECTION_ID()"))
    assert client.is_closed()


@scenario
def out_of_order(client: WireClient) -> None:
    client.say(client.query("SELECT 1"))
    client.send(client.query("SELECT 2"), sequence=3)
    client.follow(client.query("SELECT 2"))


def execute(
    statement: int, values: tuple[bytes | None, ...] = (), cursor: int = 0
) -> bytes:
    """COM_STMT_EXECUTE with strings."""
    payload = struct.pack("<BIBI", wire.COM_STMT_EXECUTE, statement, cursor, 1)
    if values:
        nulls = sum(1 << i for i, value in enumerate(values) if value is None)
        payload += nulls.to_bytes((len(values) + 7) // 8, "little") + b"\x01"
        payload += b"\xfe\x00" * len(values)
        payload += b"".join(bytes([len(v)]) + v for v in values if v is not None)
    return payload


def prepare(sql: str) -> bytes:
    return bytes([wire.COM_STMT_PREPARE]) + sql.encode()


def fetch(statement: int, rows: int) -> bytes:
    return struct.pack("<BII", wire.COM_STMT_FETCH, statement, rows)


def close(statement: int) -> bytes:
    return struct.pack("<BI", wire.COM_STMT_CLOSE, statement)


def long_data(statement: int, parameter: int, data: bytes) -> bytes:
    head = struct.pack("<BIH", wire.COM_STMT_SEND_LONG_DATA, statement, parameter)
    return head + data


@scenario
def prepared_statements(client: WireClient) -> None:
    client.say(prepare("SELECT * FROM t WHERE n > ? AND n < ? ORDER BY id"))
    client.say(execute(client.statement(1), (b"1", b"5")))
    client.say(execute(client.statement(1), (None, b"5")))
    client.say(execute(client.statement(1), (b"404", b"500")))
    client.say(prepare("INSERT INTO t (s, n) VALUES (?, ?)"))
    client.say(execute(client.statement(2), (b"prepared", b"20")))
    client.say(execute(client.statement(2), (b"again", b"20")))
    client.say(execute(client.statement(2), (None, None)))
    client.say(prepare("DO 1"))
    client.say(execute(client.statement(3)))
    client.say(prepare("SELECT 1, 'é'"))
    client.say(execute(client.statement(4)))
    client.say(prepare("CALL p()"))
    client.say(execute(client.statement(5)))
    client.say(prepare("SELECT id, (SELECT id FROM t LIMIT 2) FROM t"))
    client.say(execute(client.statement(6)))
    for wrong in ("SELEKT", "SELECT * FROM nowhere", "SELECT 1; SELECT 2", ""):
        client.say(prepare(wrong))
    client.say(execute(client.statement(77)))
    client.say(b"\x1a" + struct.pack("<I", client.statement(2)))
    client.say(b"\x1a" + struct.pack("<I", client.statement(77)))
    client.say(close(client.statement(77)))
    client.say(close(client.statement(1)))
    client.say(execute(client.statement(1), (b"1", b"5")))
    client.say(client.query("SELECT 'after'"))


@scenario
def broken_statements(client: WireClient) -> None:
    client.say(prepare("SELECT ?"))
    client.say(struct.pack("<BIBI", wire.COM_STMT_EXECUTE, client.statement(1), 0, 1))
    client.say(
        struct.pack("<BIBI", wire.COM_STMT_EXECUTE, client.statement(1), 0, 1) + b"\x00"
    )
    client.say(execute(client.statement(1), (b"x",))[:-1])
    client.say(client.query("SELECT 'after'"))


@scenario
def prepared_in_one_segment(client: WireClient) -> None:
    client.say(prepare("SELECT s FROM t WHERE n = ?"))
    client.say(prepare("INSERT INTO t (s, n) VALUES (?, ?)"))
    select, insert = client.statements
    client.say_at_once(
        [
            execute(select, (b"1",)),
            close(select),
            prepare("SELEKT"),
            execute(select, (b"1",)),
            bytes([wire.COM_PING]),
            prepare("SELECT * FROM t"),
            long_data(insert, 0, b"long "),
            long_data(insert, 0, b"data"),
            bytes([wire.COM_PING]),
            close(insert),
            client.query("SELECT * FROM t"),
        ]
    )


@scenario
def execute_the_last_prepared(client: WireClient) -> None:
    last = 0xFFFFFFFF
    client.say_at_once([prepare("SELECT s FROM t WHERE n = ?"), execute(last, (b"4",))])
    client.say_at_once([prepare("SELEKT"), execute(last, (b"4",))])
    client.say_at_once([prepare("SELECT 1"), execute(last), close(last), execute(last)])


@scenario
def long_data_in_pieces(client: WireClient) -> None:
    client.say(prepare("SELECT LENGTH(?), ?, LEFT(?, 3)"))
    client.say(long_data(client.statement(1), 0, b"one "))
    client.say(long_data(client.statement(1), 0, b"two "))
    client.say(long_data(client.statement(1), 2, b""))
    # Values sent ahead are left out of the command; their types are not.
    head = (
        struct.pack("<BIBI", wire.COM_STMT_EXECUTE, client.statement(1), 0, 1)
        + b"\x00\x01"
    )
    client.say(head + b"\xfc\x00\xfe\x00\xfc\x00" + b"\x03mid")
    client.say(long_data(client.statement(1), 9, b"no such parameter"))
    client.say(long_data(client.statement(55), 0, b"no such statement"))
    client.say(client.query("SELECT 1"))
    client.say(b"\x1a" + struct.pack("<I", client.statement(1)))
    client.say(long_data(client.statement(1), 0, b"z" * (wire.WHOLE + 10)))
    client.say(long_data(client.statement(1), 2, b"w" * (wire.WHOLE - 7)))
    client.say(head + b"\xfc\x00\xfe\x00\xfc\x00" + b"\x03mid")


@scenario
def cursors(client: WireClient) -> None:
    client.say(prepare("SELECT * FROM t ORDER BY id"))
    client.say(execute(client.statement(1), cursor=1))
    client.say(fetch(client.statement(1), 2))
    client.say(client.query("SELECT 'between'"))
    client.say(fetch(client.statement(1), 2))
    client.say(fetch(client.statement(1), 2))
    client.say(fetch(client.statement(1), 2))
    client.say(execute(client.statement(1), cursor=1))
    client.say(fetch(client.statement(1), 1000))
    # Not without a cursor from here: MySQL 9.7 then answers definitions and an OK.
    client.say(prepare("CALL p()"))
    client.say(execute(client.statement(2), cursor=1))
    client.say(prepare("UPDATE t SET s = 'c' WHERE id = 1"))
    client.say(execute(client.statement(3), cursor=1))
    client.say(fetch(client.statement(3), 1))
    client.say(fetch(client.statement(99), 1))
    client.say(prepare("SELECT s FROM t WHERE n = 404"))
    client.say(execute(client.statement(4), cursor=1))
    client.say(fetch(client.statement(4), 1))


@scenario
def cursors_in_one_segment(client: WireClient) -> None:
    client.say(prepare("SELECT * FROM t ORDER BY id"))
    one = client.statement(1)
    client.say_at_once(
        [
            execute(one, cursor=1),
            fetch(one, 2),
            fetch(one, 100),
            fetch(one, 1),
            close(one),
        ]
    )
    client.say(client.query("SELECT 'after'"))


LOAD = (
    "LOAD DATA LOCAL INFILE 'anything' INTO TABLE {} CHARACTER SET utf8mb4 "
    "FIELDS TERMINATED BY ','"
)
FILES: tuple[tuple[bytes, ...], ...] = (
    (b"one,1\ntwo,2\n",),
    (b"on", b"e,1\nt", b"wo,2\n"),
    (),
    (b"wrong,wrong\n", b"only one\n"),
    tuple(b"x,1\n" for _ in range(300)),
    (b"x,12345\n" * 100_000,),
)


@scenario
def load_data_local(client: WireClient) -> None:
    load = client.query(LOAD.format("loaded"))
    for parts in FILES:
        client.say(load, parts)
        client.say(client.query("SHOW WARNINGS LIMIT 3"))
    client.say(client.query("SELECT COUNT(*), SUM(b) FROM loaded"))
    client.say(client.query(LOAD.format("nowhere")), (b"one,1\n",))
    client.say(client.query("SELECT 'after'"))


@scenario
def load_data_local_among_others(client: WireClient) -> None:
    load = LOAD.format("loaded")
    client.say(
        client.query(f"SELECT 1; {load}; SELECT COUNT(*) FROM loaded"), (b"a,1\n",)
    )
    client.say(client.query(f"{load}; {load}; SELECT 2"), (b"a,1\nb,2\n",))


@scenario
def load_data_local_prepared(client: WireClient) -> None:
    client.say(prepare(LOAD.format("loaded")))
    client.say(execute(client.statement(1)), (b"one,1\ntwo,2\n",))
    client.say(client.query("SELECT COUNT(*) FROM loaded"))


@scenario
def change_user(client: WireClient) -> None:
    def change(user: str, database: str = DATABASE) -> bytes:
        names = user.encode() + b"\0\0" + database.encode() + b"\0"
        return bytes([wire.COM_CHANGE_USER]) + names + struct.pack("<H", 45) + b"\0"

    client.say(client.query("SET @a = 1; CREATE TEMPORARY TABLE temporary (n INT)"))
    client.say(change("nopassword"))
    client.say(client.query("SELECT CURRENT_USER(), @a, DATABASE()"))
    client.say(client.query("SELECT * FROM temporary"))
    client.say(change("nopassword", "nowhere"))
    client.say(client.query("SELECT CURRENT_USER(), DATABASE()"))
    client.say(change("nobody"))
    client.say(client.query("SELECT CURRENT_USER(), DATABASE()"))


@scenario
def bulk_execute(client: WireClient) -> None:
    client.say(prepare("INSERT INTO t (s, n) VALUES (?, ?)"))
    head = (
        struct.pack("<BIH", wire.COM_STMT_BULK_EXECUTE, client.statement(1), 128)
        + b"\xfe\x00\xfe\x00"
    )
    rows = b"\0\x01a\0\x0250" + b"\0\x01b\0\x0251" + b"\x01\0\x0252"
    client.say(head + rows)
    client.say(head + rows)
    client.say(client.query("SELECT * FROM t WHERE n >= 50"))


@scenario
def progress_reports(client: WireClient) -> None:
    client.say(client.query("SET progress_report_time = 1"))
    client.say(
        client.query("SELECT 1; ALTER TABLE t ADD COLUMN more INT, ALGORITHM=COPY")
    )


@scenario
def no_metadata(client: WireClient) -> None:
    client.say(client.query("SET resultset_metadata = NONE"))
    client.say(client.query("SELECT * FROM t ORDER BY id"))
    client.say(prepare("SELECT * FROM t WHERE n = ?"))
    client.say(execute(client.statement(1), (b"1",)))
    client.say(client.query("SET resultset_metadata = FULL"))
    client.say(client.query("SELECT 1"))


@scenario
def query_attributes(client: WireClient) -> None:
    attribute = b"\x01\x01\x00\x01\xfe\x00\x04name\x05value"
    client.say(bytes([wire.COM_QUERY]) + attribute + b"SELECT 1")
    client.say(bytes([wire.COM_QUERY]) + attribute[:5] + b"SELECT 1")
    client.say(client.query("SELECT 'after'"))


ONLY = {
    "bulk-execute": "mariadb",
    "progress-reports": "mariadb",
    "no-metadata": "mysql",
    "query-attributes": "mysql",
}
"""Scenarios that make sense with these capabilities only."""

LEFT_OUT = wire.SSL | 1 << 29
"""What the proxy may not carry: capabilities beyond 32 bits.

TLS is its own business.
"""

SLOW = ("rows-at-the-limit-of-a-packet", "commands-at-the-limit-of-a-packet")


def combinations() -> list[object]:
    """Scenario, capabilities, kind of server, TLS."""
    return [
        pytest.param(
            name,
            capabilities,
            kind,
            tls,
            id=f"{name}-{capabilities}-{kind}-{way}",
            marks=pytest.mark.slow if name in SLOW else (),
        )
        for name in SCENARIOS
        for kind in ("mariadb10", "mysql9", "mariadb11")
        for capabilities in CAPABILITIES
        for tls, way in ((False, "plain"), (True, "tls"))
        if ONLY.get(name, capabilities) == capabilities
        and (capabilities not in ("mariadb", "mysql") or kind.startswith(capabilities))
        and (kind != "mariadb11" or capabilities == "mariadb")
        # TLS changes how bytes are cut, not what they are.
        and (not tls or capabilities == "deprecate-eof")
    ]


def heard(
    server: Server, port: int, name: str, capabilities: str, tls: bool
) -> list[str]:
    """All that a client hears in a scenario, on tables as they were at the start."""
    server.run_as_root(
        f"DROP DATABASE IF EXISTS {DATABASE}",
        f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
        f"USE {DATABASE}",
        *SET_UP,
    )
    flags = CAPABILITIES[capabilities]
    with WireClient(server.host, port, "nopassword", flags, DATABASE, tls) as client:
        try:
            SCENARIOS[name](client)
            end = "as told"
        except Closed:
            end = "closed by the server"
        return [*shown(client.heard), end]


@pytest.mark.parametrize(("name", "capabilities", "kind", "tls"), combinations())
def test_the_server_s_bytes_come_through_as_they_are(
    name: str,
    capabilities: str,
    kind: str,
    tls: bool,
    get_server: Callable[[str], Server],
    shared_proxy: Callable[[Server], Proxy],
) -> None:
    server = get_server(kind)
    straight = heard(server, server.port, name, capabilities, tls)
    proxied = heard(server, shared_proxy(server).port, name, capabilities, tls)
    assert proxied == straight


@pytest.mark.parametrize("kind", ["mariadb10", "mysql9", "mariadb11"])
def test_the_greeting_is_the_server_s(
    kind: str,
    get_server: Callable[[str], Server],
    shared_proxy: Callable[[Server], Proxy],
) -> None:
    server = get_server(kind)
    seen = []
    for port in (server.port, shared_proxy(server).port):
        with WireClient(server.host, port, "nopassword", wire.USUAL, "test") as client:
            greeting = client.greeting
        version, _, rest = greeting.partition(b"\0")
        # The connection id and the scramble are different at every login.
        flags = int.from_bytes(rest[13:15] + rest[18:20], "little") & ~LEFT_OUT
        seen.append((version, flags, rest[15:18], rest[20], rest[-30:].split(b"\0")[-2]))
    straight, proxied = seen
    assert proxied == straight
