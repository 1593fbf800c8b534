"""One script, straight to the server and through the proxy: everything is equal.

Each program in clients/ logs in with a wrong and a right password, reads, writes, fails
and prints a JSON line a step of what it saw. The lines must be the same either way.
Every client runs once on each kind of server; the other combinations of TLS and
prepared statements are marked matrix, and run by `make matrix`.
"""

import functools
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.clients import CLIENTS, Client
from support.proxies import Proxy
from support.servers import Server

pytestmark = pytest.mark.mysql

TIMEOUT_S = 120
DATABASE = "conformance"

MARIADB_11 = ("pymysql", "mysqlclient", "node-mariadb", "java-mariadb", "mariadb")
"""The clients that also meet MariaDB 11, which is much like 10."""

FEEDBACK = {
    1: ("I love it, what a wonderful product!", "POSITIVE"),
    2: ("This is terrible, I hate it.", "NEGATIVE"),
    3: ("The parcel has a lid.", "NEUTRAL"),
    4: ("I love it, what a wonderful product!", "POSITIVE"),
}


def combinations() -> Iterator[Any]:
    """Client, mode, TLS, kind of server."""
    for client in CLIENTS.values():
        for kind in ("mariadb10", "mysql9", "mariadb11"):
            if kind == "mariadb11" and client.name not in MARIADB_11:
                continue
            for tls in (False, True):
                for mode in client.modes:
                    # TLS and prepared statements on MySQL, neither on MariaDB.
                    usual = (tls, mode) == (
                        (False, "text")
                        if kind.startswith("mariadb")
                        else (True, client.modes[-1])
                    )
                    yield pytest.param(
                        client,
                        mode,
                        tls,
                        kind,
                        id=f"{client.name}-{mode}-{'tls' if tls else 'plain'}-{kind}",
                        marks=() if usual else pytest.mark.matrix,
                    )


@functools.cache
def why_missing(name: str) -> str | None:
    return CLIENTS[name].missing()


def lines_seen(
    client: Client, mode: str, tls: bool, server: Server, port: int, steps: str = "all"
) -> list[str]:
    """What the program prints, without what differs from one login to the next."""
    account = server.account()
    done = subprocess.run(
        [
            *client.command,
            server.host,
            str(port),
            account.user,
            account.password,
            str(int(tls)),
            mode,
            DATABASE,
            steps,
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=os.environ | client.environment,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    masked = re.sub(r"conn(ection)?[=: ]\d+", "conn=...", done.stdout)
    return re.sub(rf"\b{port}\b", "PORT", masked).splitlines()


def start_afresh(server: Server) -> None:
    """An empty database; and MySQL forgets the passwords it has seen.

    Without FLUSH PRIVILEGES, caching_sha2_password lets a second login off easily.
    """
    server.run_as_root(
        f"DROP DATABASE IF EXISTS {DATABASE}",
        f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
        "FLUSH PRIVILEGES",
    )


@pytest.mark.parametrize(("client", "mode", "tls", "kind"), list(combinations()))
def test_a_client_sees_the_same_straight_and_through_the_proxy(
    client: Client,
    mode: str,
    tls: bool,
    kind: str,
    get_server: Callable[[str], Server],
    shared_proxy: Callable[[Server], Proxy],
) -> None:
    if reason := why_missing(client.name):
        pytest.skip(reason)
    server = get_server(kind)
    start_afresh(server)
    straight = lines_seen(client, mode, tls, server, server.port)
    start_afresh(server)
    proxied = lines_seen(client, mode, tls, server, shared_proxy(server).port)
    assert proxied == straight


@pytest.mark.parametrize("kind", ["mariadb10", "mysql9"])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_calls_the_function_through_the_proxy(
    name: str,
    kind: str,
    get_server: Callable[[str], Server],
    shared_proxy: Callable[[Server], Proxy],
) -> None:
    if reason := why_missing(name):
        pytest.skip(reason)
    if (name, kind) == ("node-mysql", "mysql9"):
        pytest.skip("node's mysql does not know caching_sha2_password")
    server = get_server(kind)
    start_afresh(server)
    server.run_as_root(
        f"CREATE TABLE {DATABASE}.feedback (id INT PRIMARY KEY, user_feedback TEXT)",
        f"INSERT INTO {DATABASE}.feedback VALUES "
        + ", ".join(f"({id}, '{text}')" for id, (text, _) in FEEDBACK.items()),
    )
    port = shared_proxy(server).port
    tls = kind == "mysql9"
    seen = "\n".join(lines_seen(CLIENTS[name], "text", tls, server, port, "ml"))
    words = re.findall("POSITIVE|NEGATIVE|NEUTRAL|MIXED", seen)
    assert words == [answer for _, answer in FEEDBACK.values()], seen
