"""Clients that compress: they see what they see without the proxy, on a smaller wire.

The programs of the matrix run with $COMPRESS set; raw conversations in envelopes bring
back the very packets of uncompressed ones. A relay between client and proxy counts the
bytes: that a client asked for compression proves nothing.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import test_raw_protocol as raw
from support import wire_client as wire
from support.clients import CLIENTS, Client, command_line_of_tree, why_missing
from support.compressed_client import CompressedClient, careless
from support.oracle import SCHEMA
from support.proxies import Proxy
from support.relays import Relay, relay
from support.servers import Server
from support.watching import until
from support.wire_client import Closed, shown
from test_client_matrix import EVERYTHING, ML, lines_seen, start_afresh

from aurora_ml_proxy.functions import LABEL

pytestmark = pytest.mark.mysql

CANNOT = (
    *("pymysql", "sqlalchemy", "aiomysql", "asyncmy", "node-mysql", "go", "r-rmysql"),
    "mycli",
)
"""Clients of the matrix that don't compress, or not in the version that Debian has."""

CAN_COMPRESS = {
    name: ("zlib", "zstd") if name == "mysql" else ("zlib",)
    for name in CLIENTS
    if name not in CANNOT
}

IN_EVERY_RUN = {
    ("mysql", "mysql9"),
    ("mariadb", "mariadb10"),
    ("connector-pure", "mysql9"),
    ("php-mysqli", "mariadb10"),
}
"""The rest with `make matrix`."""


def compressed(name: str, algorithm: str) -> Client:
    client = CLIENTS[name]
    return replace(client, environment={**client.environment, "COMPRESS": algorithm})


def clients() -> Iterator[object]:
    for name, algorithms in CAN_COMPRESS.items():
        for algorithm in algorithms:
            for kind in ("mariadb10", "mysql9"):
                if (algorithm, kind) == ("zstd", "mariadb10"):
                    continue  # it has none
                is_usual = (name, kind) in IN_EVERY_RUN
                yield pytest.param(
                    name,
                    algorithm,
                    kind,
                    id=f"{name}-{algorithm}-{kind}",
                    marks=() if is_usual else pytest.mark.matrix,
                )


@pytest.mark.parametrize("steps", [EVERYTHING, ML], ids=lambda steps: steps.stem)
@pytest.mark.parametrize(("name", "algorithm", "kind"), list(clients()))
def test_a_compressed_client_sees_the_same_straight_and_through_the_proxy(
    name: str,
    algorithm: str,
    kind: str,
    steps: Path,
    get_server: Callable[[str], Server],
    oracle_proxy: Callable[[Server], Proxy],
) -> None:
    if reason := why_missing(name):
        pytest.skip(reason)
    server = get_server(kind)
    proxy = oracle_proxy(server)
    client = compressed(name, algorithm)
    tls, mode = kind == "mysql9", client.modes[-1]
    start_afresh(server)
    straight = lines_seen(client, mode, tls, server, server.port, steps)
    start_afresh(server)
    before = len(proxy.lines)
    proxied = lines_seen(client, mode, tls, server, proxy.port, steps)
    assert proxied == straight

    def told() -> set[str]:
        return set(re.findall(r"compression=(\w+)", "".join(proxy.lines[before:])))

    assert until(told) == {algorithm}


# Packet for packet, by a client that is as strict as libmysql.

ALGORITHMS = {"mariadb10": ("zlib",), "mysql9": ("zlib", "zstd")}


def conversations() -> list[object]:
    return [
        pytest.param(
            name,
            algorithm,
            kind,
            tls,
            id=f"{name}-{algorithm}-{kind}-{'tls' if tls else 'plain'}",
            marks=pytest.mark.slow if name in raw.SLOW else (),
        )
        for name in raw.SCENARIOS
        for kind, algorithms in ALGORITHMS.items()
        for algorithm in algorithms
        for tls in (False, True)
        # Numbers of packets mean nothing inside envelopes, nor does a wrong one.
        if name != "out-of-order"
        and ONLY.get(name, kind) == kind
        and (not tls or name in WITH_TLS)
    ]


ONLY = {
    "bulk-execute": "mariadb10",
    "progress-reports": "mariadb10",
    "no-metadata": "mysql9",
    "query-attributes": "mysql9",
}
WITH_TLS = ("queries-in-one-segment", "load-data-local-among-others", "change-user")
FLAGS = {"mariadb10": "mariadb", "mysql9": "mysql"}


def heard(
    server: Server, port: int, name: str, kind: str, tls: bool, algorithm: str
) -> list[str]:
    server.run_as_root(
        f"DROP DATABASE IF EXISTS {raw.DATABASE}",
        f"CREATE DATABASE {raw.DATABASE} CHARACTER SET utf8mb4",
        f"USE {raw.DATABASE}",
        *raw.SET_UP,
    )
    flags = raw.CAPABILITIES[FLAGS[kind]]
    with CompressedClient(
        server.host, port, "nopassword", flags, raw.DATABASE, tls, algorithm=algorithm
    ) as client:
        try:
            raw.SCENARIOS[name](client)
            end = "as told"
        except Closed:
            end = "closed by the server"
        return [*shown(client.heard), end]


@pytest.mark.parametrize(("name", "algorithm", "kind", "tls"), conversations())
def test_in_envelopes_the_packets_are_those_of_an_uncompressed_connection(
    name: str,
    algorithm: str,
    kind: str,
    tls: bool,
    get_server: Callable[[str], Server],
    shared_proxy: Callable[[Server], Proxy],
) -> None:
    server = get_server(kind)
    straight = raw.heard(server, server.port, name, FLAGS[kind], tls)
    proxied = heard(server, shared_proxy(server).port, name, kind, tls, algorithm)
    assert proxied == straight


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_long_command_whose_parts_are_all_called_0(
    kind: str, get_server: Callable[[str], Server], shared_proxy: Callable[..., Proxy]
) -> None:
    server = get_server(kind)
    with CompressedClient(
        server.host,
        shared_proxy(server).port,
        "nopassword",
        wire.USUAL,
        "test",
        algorithm="zlib",
    ) as client:
        query = client.query("SELECT LENGTH('" + "x" * (wire.WHOLE + 100) + "')")
        client.envelopes.begin()
        client.envelopes.sendall(careless(query))
        client.follow(query)
        assert b"16777315" in client.heard[-2]


# What is on the wire.

TEXT = "I love it, what a wonderful product! "
FUNCTION = LABEL.name
SPLICED = f"SELECT id, t, {FUNCTION}(t, 'en') AS s FROM compressed ORDER BY id"
INLINE = (
    f"SELECT {FUNCTION}(t, 'en') AS s, COUNT(*), MIN(t) FROM compressed GROUP BY s "
    "ORDER BY s"
)


@pytest.fixture
def on_the_wire(
    oracle_proxy: Callable[[Server], Proxy],
) -> Iterator[Callable[[Server], Relay]]:
    """`on_the_wire(server)`: a relay before the proxy that asks the fake."""
    relays = []

    def get(server: Server) -> Relay:
        through = oracle_proxy(server)
        context = relay(through.host, through.port)
        relays.append(context)
        return context.__enter__()

    yield get
    for context in relays:
        context.__exit__(None, None, None)


COMMAND_LINES = {
    ("mariadb10", "none"): ["mariadb", "--no-defaults", "--skip-ssl"],
    ("mariadb10", "zlib"): ["mariadb", "--no-defaults", "--skip-ssl", "--compress"],
    **{
        ("mysql9", algorithm): [
            *command_line_of_tree("mysql9", "mysql"),
            *("--ssl-mode=DISABLED", "--get-server-public-key"),
            f"--compression-algorithms={word}",
        ]
        for algorithm, word in (
            ("none", "uncompressed"),
            ("zlib", "zlib"),
            ("zstd", "zstd"),
        )
    },
}


def ask(
    server: Server, port: int, algorithm: str, sql: str, *more: str
) -> tuple[str, str]:
    """What the command line prints, and its complaint."""
    words = COMMAND_LINES[server.kind, algorithm]
    if not (shutil.which(words[0]) or Path(words[0]).exists()):
        pytest.skip(f"no {words[0]}")
    account = server.account()
    done = subprocess.run(
        [*words, "-h127.0.0.1", f"-P{port}", f"-u{account.user}", *more],
        input=sql,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"MYSQL_PWD": account.password},
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_calls_are_answered_in_envelopes_and_the_wire_is_smaller(
    kind: str,
    get_server: Callable[[str], Server],
    on_the_wire: Callable[[Server], Relay],
) -> None:
    server = get_server(kind)
    wire = on_the_wire(server)
    rows = ", ".join(f"({i}, '{TEXT * 5}{i % 40}')" for i in range(2000))
    server.run_as_root(
        f"DROP TABLE IF EXISTS {SCHEMA}.compressed",
        f"CREATE TABLE {SCHEMA}.compressed (id INT PRIMARY KEY, t TEXT) CHARSET utf8mb4",
        f"INSERT INTO {SCHEMA}.compressed VALUES {rows}",
    )
    # A statement of 400 kB, and one that no server can take.
    again = f"{SPLICED} LIMIT 3; SELECT LENGTH('{TEXT * 10_000}'); {INLINE}; SELECT (;"
    sql = f"USE {SCHEMA}; {SPLICED}; {again}"
    seen, sizes = {}, {}
    for algorithm in ("none", *ALGORITHMS[kind]):
        wire.reset()
        seen[algorithm] = ask(server, wire.port, algorithm, sql)
        sizes[algorithm] = wire.up, wire.down
    assert len(seen["none"][0].splitlines()) > 2000
    assert "1064" in seen["none"][1]
    up, down = sizes["none"]
    for algorithm in ALGORITHMS[kind]:
        assert seen[algorithm] == seen["none"]
        assert sizes[algorithm][0] < up / 4
        assert sizes[algorithm][1] < down / 4


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_server_says_of_its_own_leg_that_it_is_not_compressed(
    kind: str,
    get_server: Callable[[str], Server],
    shared_proxy: Callable[[Server], Proxy],
) -> None:
    server = get_server(kind)
    for algorithm in ALGORITHMS[kind]:
        sql = "SHOW STATUS LIKE 'Compression'"
        straight, _ = ask(server, server.port, algorithm, sql, "-N")
        proxied, _ = ask(server, shared_proxy(server).port, algorithm, sql, "-N")
        assert (straight, proxied) == ("Compression\tON\n", "Compression\tOFF\n")


def test_a_client_that_wants_nothing_else_is_refused_where_it_is_off(
    mysql9: Server, proxy: Callable[..., Proxy]
) -> None:
    off = proxy(mysql9, {"listen": {"compression": "off"}})
    for algorithm in ALGORITHMS["mysql9"]:
        out, complaint = ask(mysql9, off.port, algorithm, "SELECT 1")
        assert not out and "2066" in complaint
    assert ask(mysql9, off.port, "none", "SELECT 1", "-N") == ("1\n", "")
