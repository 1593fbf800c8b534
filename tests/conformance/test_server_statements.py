"""Server-side prepared statements with ML calls: packet for packet what a server gives
that has stored functions of their names.

What the corpus of inline/*.sql does not do (test_inline_oracle runs it in prepared form
too): parameters of every type, long data, cursors, bulk, resets, and all of it at once.
"""

import re
import struct
from collections.abc import Callable, Iterator

import pymysql
import pytest
from conformance.test_raw_protocol import (
    CAPABILITIES,
    close,
    fetch,
    long_data,
    prepare,
)
from support import wire_client as wire
from support.fakes import Fake
from support.oracle import SCHEMA, expand
from support.proxies import Proxy
from support.servers import Server
from support.wire_client import Closed, WireClient, shown

pytestmark = pytest.mark.mysql

Scenario = Callable[[WireClient], None]
SCENARIOS: dict[str, Scenario] = {}

LAST = 0xFFFFFFFF
SPLICED = "SELECT id, F(t,?) AS s, n, G(t,'en'), d, dt FROM fb WHERE id < ? ORDER BY id"
INLINE = "SELECT id, LOWER(F(t,?)) FROM fb WHERE F(t,'en') <> ? AND id < ? ORDER BY id"


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def ml(sql: str) -> bytes:
    return prepare(expand(sql))


def execute(
    client: WireClient, statement: int, *values: bytes | None, cursor: int = 0
) -> bytes:
    """COM_STMT_EXECUTE with strings."""
    written = (None if v is None else bytes((len(v),)) + v for v in values)
    return typed(client, statement, *((0xFE, value) for value in written), cursor=cursor)


def reset(statement: int) -> bytes:
    return struct.pack("<BI", 0x1A, statement)


def typed(
    client: WireClient,
    statement: int,
    *values: tuple[int, bytes | None],
    new_types: bool = True,
    cursor: int = 0,
    attributes: bytes = b"",
) -> bytes:
    """COM_STMT_EXECUTE with values of any type, written as they go over the wire."""
    counts = bool(client.capabilities & wire.QUERY_ATTRIBUTES)
    flags = cursor | (8 if counts else 0)
    payload = struct.pack("<BIBI", wire.COM_STMT_EXECUTE, statement, flags, 1)
    total = len(values) + bool(attributes)
    if counts:
        payload += bytes((total,))
    if not total:
        return payload
    nulls = sum(1 << i for i, (_, value) in enumerate(values) if value is None)
    payload += nulls.to_bytes((total + 7) // 8, "little") + bytes((new_types,))
    if new_types:
        payload += b"".join(struct.pack("<H", kind) + bytes(counts) for kind, _ in values)
        payload += b"\xfe\0\4name" if attributes else b""
    return payload + b"".join(v for _, v in values if v is not None) + attributes


@scenario
def spliced(client: WireClient) -> None:
    client.say(ml(SPLICED))
    one = client.statement(1)
    client.say(execute(client, one, b"en", b"4"))
    client.say(execute(client, one, b"fr", b"100"))
    client.say(execute(client, one, None, b"100"))
    client.say(execute(client, one, b"en", b"0"))
    client.say(ml("SELECT F(?,'en'), F(?,?), ? AS x, G(?,'en')"))
    two = client.statement(2)
    client.say(execute(client, two, b"one", b"two", b"de", b"three", b"four"))
    client.say(execute(client, two, None, b"", b"de", None, b"four"))
    client.say(ml("SELECT fb.*, F(t,'en') FROM fb ORDER BY id LIMIT ?"))
    client.say(typed(client, client.statement(3), (8, struct.pack("<q", 2))))
    client.say(execute(client, one, b"en", b"3"))
    client.say(close(one))
    client.say(execute(client, one, b"en", b"3"))
    client.say(client.query("SELECT 'after'"))


@scenario
def inline(client: WireClient) -> None:
    client.say(ml(INLINE))
    one = client.statement(1)
    for values in ((b"en", b"x", b"9"), (b"fr", b"MIXED", b"9"), (None, None, b"9")):
        client.say(execute(client, one, *values))
        client.say(execute(client, one, *values))
    client.say(ml("SELECT F(t,'en') s, COUNT(*) FROM fb GROUP BY s ORDER BY 1 LIMIT ?"))
    client.say(typed(client, client.statement(2), (3, struct.pack("<i", 2))))
    client.say(ml("SELECT id FROM fb WHERE F(t,'en')=? ORDER BY id LIMIT ?"))
    three = client.statement(3)
    client.say(typed(client, three, (253, b"\x05MIXED"), (8, struct.pack("<q", 1))))
    client.say(
        typed(
            client, three, (253, b"\x05MIXED"), (8, struct.pack("<q", 2)), new_types=False
        )
    )
    client.say(ml("SELECT F(CONCAT(F(?,'en'),?),'en') = ? OR ?"))
    client.say(execute(client, client.statement(4), b"a", b"b", b"MIXED", b"0"))
    client.say(close(one))
    client.say(execute(client, one, b"en", b"x", b"9"))
    client.say(client.query("SELECT 'after'"))


@scenario
def parameters_of_every_type(client: WireClient) -> None:
    values: tuple[tuple[int, bytes], ...] = (
        (0x01, b"\xfb"),
        (0x8001, b"\xfb"),
        (0x02, struct.pack("<h", -300)),
        (0x8002, struct.pack("<H", 65535)),
        (0x0D, struct.pack("<H", 2020)),
        (0x03, struct.pack("<i", -70000)),
        (0x8003, struct.pack("<I", 4_000_000_000)),
        (0x08, struct.pack("<q", -(2**62))),
        (0x8008, struct.pack("<Q", 2**64 - 1)),
        (0x04, struct.pack("<f", 1.5)),
        (0x05, struct.pack("<d", -1e300)),
        (0xF6, b"\x0712.5000"),
        (0x0A, b"\x04" + struct.pack("<HBB", 2024, 2, 29)),
        (0x0C, b"\x07" + struct.pack("<HBBBBB", 2024, 2, 29, 1, 2, 3)),
        (0x07, b"\x0b" + struct.pack("<HBBBBBI", 2024, 2, 29, 1, 2, 3, 500_000)),
        (0x0B, b"\x08" + struct.pack("<BIBBB", 1, 2, 3, 4, 5)),
        (0x0B, b"\x00"),
        (0xFD, "\x06é—z".encode()[:7]),
        (0xFE, b"\x03abc"),
        (0x0F, b"\x03abc"),
        (0xFC, b"\xfc\x00\x01" + b"b" * 256),
        (0xF9, b"\x01t"),
    )
    for sql in ("SELECT F(?,'en'), ? AS x", "SELECT UPPER(F(?,'en')), ? AS x"):
        for value in (*values, (0x06, None)):
            # Each a new statement: what MySQL infers of a type depends on those before.
            client.say(ml(sql))
            client.say(typed(client, client.statements[-1], value, value))
            client.say(close(client.statements[-1]))


@scenario
def changes(client: WireClient) -> None:
    client.say(client.query("CREATE TEMPORARY TABLE made (id INT PRIMARY KEY, s TEXT)"))
    client.say(ml("INSERT INTO made VALUES (?, F(?,'en')), (?, ?)"))
    one = client.statement(1)
    client.say(execute(client, one, b"1", b"I love it", b"2", b"plain"))
    client.say(execute(client, one, b"2", b"again", b"3", b"x"))
    client.say(client.query("SHOW WARNINGS"))
    client.say(ml("INSERT INTO made SELECT id + ?, F(t,'en') FROM fb WHERE id < ?"))
    client.say(execute(client, client.statement(2), b"10", b"4"))
    client.say(ml("UPDATE made SET s = CONCAT(s, F(s,?)) WHERE id > ?"))
    client.say(execute(client, client.statement(3), b"fr", b"10"))
    client.say(ml("DELETE FROM made WHERE F(s,'en') = ? OR id = ?"))
    client.say(execute(client, client.statement(4), b"MIXED", b"12"))
    client.say(ml("REPLACE INTO made SET id = ?, s = F(?,'en')"))
    client.say(execute(client, client.statement(5), b"1", b"replaced"))
    client.say(client.query("SELECT * FROM made ORDER BY id"))
    client.say(ml("SET @v = F(?,'en')"))
    client.say(execute(client, client.statement(6), b"text"))
    client.say(ml("DO G(?,'en')"))
    client.say(execute(client, client.statement(7), b"text"))
    client.say(client.query("SELECT CAST(@v AS CHAR(8))"))


@scenario
def calls(client: WireClient) -> None:
    client.say(ml("CALL several(F(?,'en'))"))
    client.say(execute(client, client.statement(1), b"I love it"))
    client.say(execute(client, client.statement(1), None))


@scenario
def sent_ahead(client: WireClient) -> None:
    client.say(ml("SELECT F(?,'en'), LENGTH(?), ? AS x"))
    client.say(ml("SELECT LOWER(F(?,'en')), LENGTH(?), ? AS x"))
    # What was sent ahead is left out of the command; its type is not.
    ahead = (0xFC, b"")
    for one in client.statements:
        client.say(long_data(one, 0, b"I love "))
        client.say(long_data(one, 1, b"x" * 70_000))
        client.say(long_data(one, 0, b"it"))
        client.say(typed(client, one, ahead, ahead, (0xFE, b"\3mid")))
        # It is gone with the execution.
        client.say(execute(client, one, b"I hate it", b"y", b"z"))
        client.say(long_data(one, 0, b"thrown away"))
        client.say(reset(one))
        client.say(execute(client, one, b"I hate it", b"y", b"z"))
        client.say(long_data(one, 1, b""))
        client.say(typed(client, one, (0xFE, b"\1a"), ahead, (0xFE, b"\1c")))
        client.say(long_data(one, 0, b"both"))
        client.say(typed(client, one, ahead, (0xFE, None), (0xFE, b"\1c")))
    client.say(client.query("SELECT 'after'"))


@scenario
def cursors(client: WireClient) -> None:
    client.say(ml(SPLICED))
    client.say(ml(INLINE))
    for one, values in zip(
        client.statements, ((b"en", b"100"), (b"en", b"x", b"100")), strict=True
    ):
        client.say(execute(client, one, *values, cursor=1))
        client.say(fetch(one, 2))
        client.say(client.query("SELECT 'between'"))
        client.say(fetch(one, 2))
        client.say(fetch(one, 100))
        client.say(fetch(one, 1))
        client.say(execute(client, one, *values, cursor=1))
        client.say(fetch(one, 1))
        client.say(reset(one))
        client.say(fetch(one, 1))
        # Not without a cursor from here: MySQL 9.7 then answers definitions and an OK.
        client.say(execute(client, one, *values, cursor=1))
        client.say(execute(client, one, *values, cursor=1))
        client.say(fetch(one, 1))
    client.say(ml("SELECT id FROM fb WHERE F(t,'en') <> 'x' ORDER BY id LIMIT 3"))
    client.say(execute(client, client.statement(3)))


@scenario
def in_one_segment(client: WireClient) -> None:
    client.say(ml(SPLICED))
    client.say(ml(INLINE))
    spliced, inline = client.statements
    client.say_at_once(
        [
            execute(client, spliced, b"en", b"100"),
            execute(client, inline, b"en", b"x", b"100"),
            client.query("SELECT 'between'"),
            long_data(spliced, 0, b"en"),
            reset(spliced),
            execute(client, spliced, b"fr", b"100", cursor=1),
            fetch(spliced, 3),
            execute(client, inline, b"fr", b"x", b"100", cursor=1),
            fetch(inline, 3),
            close(spliced),
            execute(client, inline, b"de", b"x", b"100"),
            close(inline),
            bytes([wire.COM_PING]),
        ]
    )
    client.say(execute(client, inline, b"de", b"x", b"100"))
    client.say(client.query("SELECT 'after'"))


@scenario
def the_last_prepared(client: WireClient) -> None:
    client.say_at_once([ml(SPLICED), execute(client, LAST, b"en", b"4")])
    client.say_at_once([ml(INLINE), execute(client, LAST, b"en", b"x", b"4")])
    client.say(execute(client, LAST, b"en", b"x", b"4"))
    client.say_at_once([prepare("SELECT 1 + ?"), execute(client, LAST, b"4")])
    client.say(execute(client, client.statement(1), b"en", b"4"))
    client.say(execute(client, client.statement(2), b"en", b"x", b"4"))
    client.say(execute(client, LAST, b"4"))
    client.say_at_once([prepare("SELEKT"), execute(client, LAST, b"4")])
    client.say_at_once([ml("SELECT F(t,'en'), nothing FROM fb"), execute(client, LAST)])
    client.say_at_once([ml("SELECT F(t,'en') FRM fb"), execute(client, LAST)])
    client.say_at_once([ml("SELECT F('a','en')"), execute(client, LAST), close(LAST)])
    client.say(client.query("SELECT 'after'"))


@scenario
def the_last_prepared_before_a_text(client: WireClient) -> None:
    """A text is prepared and forgotten before it is answered."""
    answered = client.query(expand("SELECT id FROM fb WHERE F(t,'en') <> 'x'"))
    refused = client.query(expand("SELECT nothing FROM fb WHERE F(t,'en') <> 'x'"))
    for text in (answered, refused):
        client.say(text)
        client.say(execute(client, LAST, b"4"))
    client.say(prepare("SELECT 1 + ?"))
    for text in (answered, refused):
        client.say(text)
        client.say(execute(client, LAST, b"4"))
    client.say(ml(INLINE))
    client.say(answered)
    client.say(execute(client, LAST, b"en", b"x", b"4"))
    client.say(prepare("SELEKT"))
    client.say(answered)
    client.say(execute(client, LAST, b"4"))


@scenario
def what_is_wrong(client: WireClient) -> None:
    for sql in (
        "SELECT F(nothing,'en') FROM fb",
        "SELECT F(t,'en') FROM nowhere",
        "SELECT F(t,'en') FRM fb",
        "SELECT id FROM fb WHERE F(t,'en') = nothing",
        "SELECT 1; SELECT F(t,'en') FROM fb",
        "SELECT F(t,'en'",
    ):
        client.say(ml(sql))
        client.say(client.query("SHOW WARNINGS"))
    client.say(ml("SELECT F(?,'en') FROM fb WHERE id = (SELECT id FROM fb WHERE n > ?)"))
    client.say(execute(client, client.statement(1), b"a", b"-100"))
    client.say(ml("SELECT id, F(t,'en') FROM fb WHERE id < ?"))
    two = client.statement(2)
    client.say(struct.pack("<BIBI", wire.COM_STMT_EXECUTE, two, 0, 1))
    client.say(execute(client, client.statement(77)))
    client.say(reset(client.statement(77)))
    client.say(close(client.statement(77)))
    client.say(client.query("SELECT 'after'"))


@scenario
def forgotten(client: WireClient) -> None:
    client.say(ml(SPLICED))
    client.say(b"\x1f")  # COM_RESET_CONNECTION
    client.say(execute(client, client.statement(1), b"en", b"4"))
    client.say(ml(SPLICED))
    client.say(execute(client, client.statement(2), b"en", b"4"))


@scenario
def found_rows(client: WireClient) -> None:
    client.say(client.query("SELECT SQL_CALC_FOUND_ROWS id FROM fb LIMIT 1"))
    client.say(ml(INLINE.replace("<>", "<> 'é' AND 'a' <>")))
    client.say(client.query("SELECT FOUND_ROWS()"))
    client.say(execute(client, client.statement(1), b"en", b"x", b"4"))
    client.say(client.query("SELECT FOUND_ROWS()"))


@scenario
def bulk(client: WireClient) -> None:
    client.say(client.query("CREATE TEMPORARY TABLE made (id INT PRIMARY KEY, s TEXT)"))
    client.say(ml("INSERT INTO made VALUES (?, F(?,'en'))"))
    head = struct.pack("<BIH", wire.COM_STMT_BULK_EXECUTE, client.statement(1), 128)
    head += b"\xfe\x00\xfe\x00"
    client.say(head + b"\0\x011\0\x01a" + b"\0\x012\0\x01b" + b"\0\x013\x01")
    client.say(head + b"\0\x014\0\x01a" + b"\0\x011\0\x01b")
    client.say(ml("UPDATE made SET s = CONCAT(F(s,'en'),?) WHERE id = ?"))
    head = struct.pack("<BIH", wire.COM_STMT_BULK_EXECUTE, client.statement(2), 128)
    head += b"\xfe\x00\x01\x00"
    client.say(head + b"\0\x01x\0\x01" + b"\0\x01y\0\x02")
    client.say(client.query("SELECT * FROM made ORDER BY id"))


@scenario
def attributes(client: WireClient) -> None:
    client.say(ml(SPLICED))
    client.say(ml(INLINE))
    for one, values in zip(
        client.statements, ((b"\2en", b"\0014"), (b"\2en", b"\1x", b"\0014")), strict=True
    ):
        pairs = [(0xFE, value) for value in values]
        client.say(typed(client, one, *pairs, attributes=b"\5value"))
        client.say(typed(client, one, *pairs))
        client.say(typed(client, one, *pairs, new_types=False))


ONLY = {"bulk": "mariadb", "attributes": "mysql"}


def combinations() -> list[object]:
    return [
        pytest.param(name, capabilities, kind, id=f"{name}-{capabilities}-{kind}")
        for name in SCENARIOS
        for kind in ("mariadb10", "mysql9", "mariadb11")
        for capabilities in CAPABILITIES
        if ONLY.get(name, capabilities) == capabilities
        and (capabilities not in ("mariadb", "mysql") or kind.startswith(capabilities))
        and (kind != "mariadb11" or capabilities == "mariadb")
    ]


@pytest.fixture
def heard(oracle_proxy: Callable[[Server], Proxy]) -> Callable[..., list[str]]:
    def hear(server: Server, port: int, name: str, capabilities: str) -> list[str]:
        flags = CAPABILITIES[capabilities]
        with WireClient(server.host, port, "nopassword", flags, SCHEMA) as client:
            client.say(client.query("DO 1"))
            try:
                SCENARIOS[name](client)
                end = "as told"
            except Closed:
                end = "closed by the server"
            return [*shown(_without_types(client.heard)), end]

    return hear


_PARAMETER = re.compile(rb"^(...)(.)\x03def\0\0\0\x01\?\0\x0c", re.DOTALL)


def _without_types(packets: list[bytes]) -> list[bytes]:
    """Without what MySQL infers of a parameter: of a function's it is the declared type,
    and Aurora's are not known."""
    return [b"a parameter" if _PARAMETER.match(each) else each for each in packets]


@pytest.mark.parametrize(("name", "capabilities", "kind"), combinations())
def test_every_packet_is_as_with_stored_functions(
    name: str,
    capabilities: str,
    kind: str,
    get_server: Callable[[str], Server],
    oracle_proxy: Callable[[Server], Proxy],
    heard: Callable[..., list[str]],
) -> None:
    server = get_server(kind)
    proxy = oracle_proxy(server)
    server.run_as_root(
        f"DROP PROCEDURE IF EXISTS {SCHEMA}.several",
        f"CREATE PROCEDURE {SCHEMA}.several(x VARCHAR(20) CHARSET utf8mb4) "
        "BEGIN SELECT x; DO 0; SELECT x, 2; END",
    )
    straight = heard(server, server.port, name, capabilities)
    proxied = heard(server, proxy.port, name, capabilities)
    assert proxied == straight


@pytest.fixture
def connection(
    server: Server, oracle_proxy: Callable[[Server], Proxy]
) -> Iterator[WireClient]:
    proxy = oracle_proxy(server)
    with WireClient(server.host, proxy.port, "nopassword", wire.USUAL, SCHEMA) as client:
        yield client


def statements_in(server: Server) -> int:
    account = server.account()
    with (
        pymysql.connect(
            host=server.host,
            port=server.port,
            user=account.user,
            password=account.password,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")
        return int(cursor.fetchone()[1])


def test_what_is_closed_leaves_nothing_in_the_server(
    server: Server, connection: WireClient
) -> None:
    before = statements_in(server)
    for _ in range(300):
        connection.say(ml(SPLICED))
        connection.say(ml(INLINE))
        spliced, inline = connection.statements[-2:]
        connection.say(execute(connection, spliced, b"en", b"4"))
        connection.say(execute(connection, inline, b"en", b"x", b"4"))
        connection.say(close(spliced))
        connection.say(close(inline))
    connection.say(connection.query("DO 1"))
    assert statements_in(server) == before


def test_thousands_of_statements_are_told_apart(connection: WireClient) -> None:
    for number in range(1500):
        connection.say(ml(f"SELECT {number}, F(?,'en')"))
    assert len(set(connection.statements)) == 1500
    for number in (0, 700, 1499):
        connection.heard.clear()
        connection.say(execute(connection, connection.statement(number + 1), b"text"))
        row = connection.heard[-2]
        assert int.from_bytes(row[6 : 6 + 2], "little") == number


def test_an_execution_asks_for_each_text_once(
    fake: Fake, server: Server, oracle_proxy: Callable[[Server], Proxy]
) -> None:
    proxy = oracle_proxy(server)
    with WireClient(server.host, proxy.port, "nopassword", wire.USUAL, SCHEMA) as client:
        client.say(ml(SPLICED))
        client.say(ml(INLINE))
        assert fake.calls() == []
        client.say(execute(client, client.statement(1), b"en", b"100", cursor=1))
        for _ in range(4):
            client.say(fetch(client.statement(1), 2))
        texts = [text for call in fake.calls() for text in call["texts"]]
        assert sorted(texts) == sorted(set(texts)) and len(texts) == 4


def test_without_metadata_there_is_one_clear_error(
    get_server: Callable[[str], Server], oracle_proxy: Callable[[Server], Proxy]
) -> None:
    server = get_server("mysql9")
    proxy = oracle_proxy(server)
    flags = CAPABILITIES["mysql"]
    with WireClient(server.host, proxy.port, "nopassword", flags, SCHEMA) as client:
        client.say(client.query("SET resultset_metadata = NONE"))
        client.say(ml(SPLICED))
        error = client.heard[-1]
        assert error[4:7] == b"\xff\x0f\x05" and b"resultset_metadata" in error
        client.say(client.query("SET resultset_metadata = FULL"))
        client.say(ml(SPLICED))
        client.say(execute(client, client.statement(1), b"en", b"4")[:-5] + b"")
