"""SQL's own PREPARE and EXECUTE: packet for packet what the server gives.

What a client sees of more statements: section `prepare` of the inline corpus.
"""

from collections.abc import Callable, Iterator

import pytest
from support.oracle import expand
from support.proxies import Proxy
from support.servers import Server
from support.several import PacketClient

pytestmark = pytest.mark.mysql

COM_RESET_CONNECTION = 0x1F

SPLICED = "SELECT id, F(t,''en'') AS s FROM fb WHERE id < ?"
INLINE = "SELECT COUNT(*), ? FROM fb WHERE F(t,''en'') = ?"

SESSIONS = [
    [f"PREPARE q FROM '{SPLICED}'", "SET @a = 4", "EXECUTE q USING @a", "EXECUTE q",
     "EXECUTE q USING @a, @a", "EXECUTE Q USING @none", "SET @a = 'x'",
     "EXECUTE q USING @a", "DROP PREPARE q", "EXECUTE q USING @a"],
    [f"PREPARE q FROM '{INLINE}'", "SET @a = 1.5, @b = 'POSITIVE'",
     "EXECUTE q USING @a, @b", "SET @a = NOW() + INTERVAL 0 DAY, @a = DATE(@a) < 'a'",
     "EXECUTE q USING @a, @b", "SHOW WARNINGS"],
    # Names.
    [f"PREPARE q FROM '{SPLICED}'", "PREPARE q FROM 'SELECT 1'", "EXECUTE q"],
    [f"PREPARE q FROM '{SPLICED}'", "PREPARE q FROM 'SELEC 1'", "EXECUTE q"],
    [f"PREPARE q FROM '{SPLICED}'", "SET @t = 'SELECT 2'", "PREPARE q FROM @t",
     "EXECUTE q", "DEALLOCATE PREPARE q", "EXECUTE q"],
    ["PREPARE q FROM 'SELECT F(nope,''en'') FROM fb'", "EXECUTE q"],
    ["PREPARE q FROM 'SELECT F(t,''en'') FROM fb x y'", "EXECUTE q"],
    ["PREPARE q FROM 'SELECT LOWER(F(t,''en'')) FROM fb WHERE id IN (SELECT 1, 2)'",
     "EXECUTE q"],
    ["PREPARE q FROM 'SELECT F(t,''en'') FROM nowhere'", "EXECUTE q"],
    ["PREPARE q FROM @nothing", "PREPARE q FROM 'SELECT 1; SELECT F(1,''en'')'",
     "EXECUTE q"],
    ['PREPARE q FROM "SELECT F(?,\'en\'), ?"', "SET @a = 'é😀\\\\'",
     "EXECUTE q USING @a, @a"],
    ["SET @t = 'SELECT F(?,\"en\") AS `s?`, ? AS é, ''é😀'' FROM fb LIMIT ?'",
     "PREPARE q FROM @t", "SET @a = 2, @b = 'I hate it'", "EXECUTE q USING @b, @b, @a"],
    ["PREPARE q FROM 'SELECT F(?,?), UPPER(F(?,''en''))'",
     "SET @a = 'x', @b = 'fr'", "EXECUTE q USING @a, @b, @a"],
    [f"PREPARE q FROM '{SPLICED}'; SET @a = 4; CALL nothing(); EXECUTE q USING @a"],
    # Several in one packet.
    [f"PREPARE q FROM '{SPLICED}'; SET @a = 3; EXECUTE q USING @a; SELECT 2; "
     "EXECUTE q USING @a; DROP PREPARE q; EXECUTE q USING @a; SELECT 3"],
    ["SET @t = 'SELECT UPPER(F(t,''en'')) FROM fb'; PREPARE q FROM @t; SELECT 1; "
     "EXECUTE q"],
    [f"PREPARE q FROM '{SPLICED}'", "SET @a = 3; EXECUTE q USING @a"],
    # What runs in a stored procedure.
    [f"PREPARE q FROM '{SPLICED}'", "SET @a = 4; CALL nothing()", "EXECUTE q USING @a"],
]  # fmt: skip

MARIADB = [
    ["EXECUTE IMMEDIATE 'SELECT F(?,''en''), ?' USING 'I love it', 1"],
    ["EXECUTE IMMEDIATE CONCAT('SELECT F(t,''en'') FROM ', 'fb')"],
    ["EXECUTE IMMEDIATE 'SELECT F(t,''en'') FRM fb, x'"],
    ["EXECUTE IMMEDIATE 'SELECT F(t,''en'') FROM nowhere'"],
    ["EXECUTE IMMEDIATE 'SELECT F(?,''en'')'"],
    ["PREPARE q FROM CONCAT('SELECT LOWER(F(?,''en''))')", "EXECUTE q USING 'I hate it'",
     "EXECUTE q USING (SELECT 1)", "EXECUTE q USING F('a','en')", "EXECUTE q USING NULL"],
]  # fmt: skip


@pytest.fixture
def sides(
    server: Server, oracle_proxy: Callable[[Server], Proxy]
) -> Iterator[Callable[[], tuple[PacketClient, PacketClient]]]:
    """`sides()`: a client of the server, and one of the proxy."""
    proxy = oracle_proxy(server)
    server.run_as_root(
        "DROP PROCEDURE IF EXISTS oracle.again",
        "CREATE PROCEDURE oracle.again() BEGIN PREPARE q FROM 'SELECT 7, ?'; END",
        "DROP PROCEDURE IF EXISTS oracle.inside",
        "CREATE PROCEDURE oracle.inside() EXECUTE q USING @a",
        "DROP PROCEDURE IF EXISTS oracle.nothing",
        "CREATE PROCEDURE oracle.nothing() DO 0",
    )
    clients: list[PacketClient] = []

    def get() -> tuple[PacketClient, PacketClient]:
        both = PacketClient(server, server), PacketClient(server, proxy)
        clients.extend(both)
        return both

    yield get
    for client in clients:
        client.close()


@pytest.mark.timeout(180)
def test_the_responses_are_the_servers(
    server: Server, sides: Callable[[], tuple[PacketClient, PacketClient]]
) -> None:
    different = []
    for statements in [*SESSIONS, *(MARIADB if server.is_mariadb else ())]:
        direct, proxied = sides()
        for statement in map(expand, statements):
            wanted, got = direct.query(statement), proxied.query(statement)
            if wanted != got:
                different.append(f"{statement}\n  direct:  {wanted}\n  proxied: {got}")
    assert not different, "\n".join(different)


def prepared(client: PacketClient) -> None:
    client.query(expand(f"PREPARE q FROM '{SPLICED}'"))
    client.query("SET @a = 4")
    assert len(client.query("EXECUTE q USING @a")) > 1


def errno_of(packets: list[tuple[int, bytes]]) -> int:
    [(_, packet)] = packets[-1:]
    assert packet[:1] == b"\xff", packet
    return int.from_bytes(packet[1:3], "little")


@pytest.mark.parametrize(
    "change",
    ["USE mysql", "SET sql_mode='ANSI_QUOTES'", "SET NAMES latin1", "CALL again()"],
)
def test_a_text_that_may_mean_something_else_is_refused(
    sides: Callable[[], tuple[PacketClient, PacketClient]], change: str
) -> None:
    _, proxied = sides()
    prepared(proxied)
    proxied.query(change)
    assert errno_of(proxied.query("EXECUTE q USING @a")) == 1235
    proxied.query("USE oracle")
    prepared(proxied)


def test_an_execute_that_the_proxy_does_not_see_fails(
    sides: Callable[[], tuple[PacketClient, PacketClient]],
) -> None:
    _, proxied = sides()
    prepared(proxied)
    assert errno_of(proxied.query("CALL inside()")) == 1690


def test_a_session_that_is_reset_has_nothing_prepared(
    sides: Callable[[], tuple[PacketClient, PacketClient]],
) -> None:
    _, proxied = sides()
    prepared(proxied)
    proxied.command(COM_RESET_CONNECTION, b"")
    assert errno_of(proxied.query("EXECUTE q USING @a")) == 1243
