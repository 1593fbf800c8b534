"""Several statements in one packet: packet for packet what the server gives."""

from collections.abc import Callable, Iterator

import pytest
from pymysql.constants import COMMAND
from support.oracle import expand
from support.proxies import Proxy
from support.servers import Server
from support.several import PacketClient

pytestmark = pytest.mark.mysql

ON, OFF = b"\0\0", b"\1\0"
SPLICED = "SELECT id, F(t,'en') AS s FROM fb"
INLINE = "SELECT id FROM fb WHERE F(t,'en') = 'POSITIVE'"

PACKETS = [
    f"{SPLICED}; SELECT 2",
    f"{INLINE}; SELECT 2",
    f"SELECT 1; {SPLICED}",
    f"SELECT 1; {INLINE}; ",
    f"{SPLICED};{INLINE};{SPLICED};{INLINE}",
    f"{SPLICED}; -- behind",
    f"{INLINE}; /* behind */",
    f"{SPLICED};;",
    f"{SPLICED} ; ; ",
    f"{SPLICED};;SELECT 2",
    f"{SPLICED}; ; SELECT 2",
    f"; {SPLICED}",
    f";; {SPLICED}; SELECT 1",
    f"-- first;\n{SPLICED} # ; no\n; /* ; */ SELECT 2",
    f"SELECT ';', \";\", `id;` FROM (SELECT 1 AS `id;`) x; {INLINE}",
    "SET @a = 'x'; SELECT F(@a,'en'), @a; SET @a = 'I hate it'; SELECT F(@a,'en')",
    "SELECT F('I love it','en'); SELECT LOWER(F('I love it','en')); SELECT 3",
    # Errors end the packet.
    f"{SPLICED}; SELECT nope; SELECT 3",
    f"{INLINE}; SELEC 2;\n SELECT 3",
    f"SELECT 1; SELEC 2;\n {SPLICED} ;  ",
    f"SELECT 1; SELECT nope; {SPLICED}",
    f"SELECT 1; SELECT nope, F(t,'en') FROM fb; {SPLICED}",
    f"SELECT 1; SELECT LOWER(F(nope,'en')) FROM fb; {SPLICED}",
    f"SELECT 1; SELECT F(t,'en' FROM fb; {SPLICED}",
    "SELECT 1; SELECT F(t,'en') FRM fb, x; SELECT 3",
    "SELECT 1; SELECT LOWER(F(t,'en')) FRM fb y z; SELECT 3",
    f"{SPLICED}; SELECT 'no end",
    f"SELECT 1; {SPLICED}; SELECT `no end; SELECT 3",
    f"{SPLICED}; /*! SELECT 2; */ SELECT 3",
    # What changes rows, and what tells of it.
    "INSERT INTO fb (id, t) VALUES (90,F('a','en')),(91,'x'); SELECT ROW_COUNT(); "
    "UPDATE fb SET t = F(t,'en') WHERE id >= 90; SELECT ROW_COUNT(), LAST_INSERT_ID(); "
    "SELECT id, t FROM fb WHERE id >= 90; DELETE FROM fb WHERE id >= 90",
    "ALTER TABLE fb AUTO_INCREMENT = 7; INSERT INTO fb (n) VALUES (1000); "
    "SELECT LAST_INSERT_ID() - MAX(id), MAX(F(t,'en')) FROM fb; "
    "DELETE FROM fb WHERE n = 1000; ALTER TABLE fb AUTO_INCREMENT = 7",
    "BEGIN; DELETE FROM fb WHERE F(t,'en') = 'POSITIVE'; SELECT COUNT(*) FROM fb; "
    "ROLLBACK",
    f"START TRANSACTION; {SPLICED}",
    "ROLLBACK; SELECT SQL_CALC_FOUND_ROWS F(t,'en') AS s FROM fb LIMIT 2; "
    "SELECT FOUND_ROWS()",
    "SELECT SQL_CALC_FOUND_ROWS id FROM fb WHERE F(t,'en') <> 'x' LIMIT 1; "
    "SELECT FOUND_ROWS()",
    f"SELECT 1/0; SHOW WARNINGS; {SPLICED}; SHOW WARNINGS",
    f"{SPLICED}; SELECT CAST('x' AS SIGNED); SHOW WARNINGS",
    # How the rest is read may change on the way.
    'SET sql_mode=\'ANSI_QUOTES\'; SELECT "id", F("t",\'en\') AS "s;" FROM fb; '
    'SET sql_mode=DEFAULT; SELECT F("I love it;",\'en\'); SELECT ";"',
    "SELECT F('\\';','en') AS s; SET sql_mode='NO_BACKSLASH_ESCAPES'; "
    "SELECT F('\\','en') AS s; SELECT '\\'; SET sql_mode=DEFAULT",
    "CALL several('é;'); SELECT LOWER(F('é','en')); CALL several('x')",
    f"CALL several('x'); {SPLICED}; CALL several('y')",
    # A call that is none.
    "SELECT 1; SELECT 'F(t,''en'')'; SELECT 2",
    # Compound statements behind the last call.
    f"{SPLICED}; CREATE PROCEDURE later() BEGIN SELECT 1; SELECT 2; END; "
    "DROP PROCEDURE later; SELECT 4",
    "CREATE TEMPORARY TABLE made (s VARCHAR(8)) SELECT F(t,'en') AS s FROM fb; "
    "SELECT s FROM made ORDER BY s; DROP TEMPORARY TABLE made",
]


@pytest.fixture
def sides(
    server: Server, oracle_proxy: Callable[[Server], Proxy]
) -> Iterator[Callable[..., tuple[PacketClient, PacketClient]]]:
    """`sides(**options)`: a client of the server, and one of the proxy."""
    proxy = oracle_proxy(server)
    server.run_as_root(
        "DROP PROCEDURE IF EXISTS oracle.several",
        "CREATE PROCEDURE oracle.several(x VARCHAR(20) CHARSET utf8mb4) "
        "BEGIN SELECT x; DO 0; SELECT x, 2; END",
    )
    clients: list[PacketClient] = []

    def get(**options: bool) -> tuple[PacketClient, PacketClient]:
        both = (
            PacketClient(server, server, **options),
            PacketClient(server, proxy, **options),
        )
        clients.extend(both)
        return both

    yield get
    for client in clients:
        client.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("deprecates_eof", [False, True])
def test_the_response_is_the_servers_packet_for_packet(
    sides: Callable[..., tuple[PacketClient, PacketClient]], deprecates_eof: bool
) -> None:
    direct, proxied = sides(deprecates_eof=deprecates_eof)
    different = []
    for packet in map(expand, PACKETS):
        wanted, got = direct.query(packet), proxied.query(packet)
        if wanted == got:
            wanted, got = direct.query("SHOW WARNINGS"), proxied.query("SHOW WARNINGS")
        if wanted != got:
            different.append(f"{packet}\n  direct:  {wanted}\n  proxied: {got}")
    assert not different, "\n".join(different)


def test_without_the_capability_the_server_says_what_is_wrong(
    sides: Callable[..., tuple[PacketClient, PacketClient]],
) -> None:
    direct, proxied = sides(several=False)
    for packet in map(expand, PACKETS[:12]):
        assert direct.query(packet) == proxied.query(packet), packet


def test_set_option_switches_it_on_and_off(
    sides: Callable[..., tuple[PacketClient, PacketClient]],
) -> None:
    direct, proxied = sides(several=False)
    packet = expand(PACKETS[0])
    for option in (ON, b"\7\0", OFF, ON):
        for client in (direct, proxied):
            client.command(COMMAND.COM_SET_OPTION, option)
        assert direct.query(packet) == proxied.query(packet), option


@pytest.mark.parametrize(
    "packet",
    [
        f"{SPLICED}; BEGIN NOT ATOMIC SELECT 1; {INLINE}; END",
        f"INSERT INTO fb (n) VALUES (77); CREATE PROCEDURE p() BEGIN {SPLICED}; END",
        f"INSERT INTO fb (n) VALUES (77); LOAD DATA LOCAL INFILE 'x' INTO TABLE fb; "
        f"{SPLICED}",
    ],
)
def test_what_cannot_be_cut_is_refused_before_anything_is_executed(
    sides: Callable[..., tuple[PacketClient, PacketClient]], packet: str
) -> None:
    _, proxied = sides()
    [(seq, error)] = proxied.query(expand(packet))
    assert seq == 1 and error[:3] == b"\xff" + (1235).to_bytes(2, "little")
    rows = proxied.query("SELECT COUNT(*) FROM fb WHERE n = 77")
    assert (4, b"\1" + b"0") in rows
