"""Every client, straight to the server and through the proxy: everything is equal.

Each program in clients/ logs in with a wrong and a right password, takes the steps of a
.steps file and prints a JSON line a step of what it saw. The lines must be the same
either way. For the calls of ML functions, the server that is asked straight has stored
functions of their names, and the proxy asks a fake Comprehend that answers the same.
Every client runs once on MariaDB and once on MySQL; the other combinations of server, TLS
and prepared statements are marked matrix, and run by `make matrix`.
"""

import itertools
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clients import CLIENTS, PROGRAMS, Client, why_missing
from support.proxies import Proxy
from support.servers import KINDS, Server

from aurora_ml_proxy.backends.oracle import sql_functions

pytestmark = pytest.mark.mysql

TIMEOUT_S = 120
DATABASE = "conformance"

EVERYTHING = PROGRAMS / "everything.steps"
ML = PROGRAMS / "ml.steps"

TOPICS = {
    "log in": "version",
    "wrong password": "wrong password",
    "create": "create",
    "insert": "insert",
    "Unicode": "Unicode",
    "transactions": "rolled back",
    "errors": "duplicate key",
    "big rows": "big select",
    "pool and reset": "reset",
}
"""What every client does, and the step that shows that it did."""

ML_TOPICS = ("select list", "WHERE", "GROUP BY", "update")
"""Steps with calls that must have worked, straight and through the proxy."""

FEEDBACK = """
CREATE TABLE feedback (
    id INT PRIMARY KEY AUTO_INCREMENT, product VARCHAR(20), user_feedback TEXT,
    answer VARCHAR(8)
)"""


def cells(part: str) -> Iterator[Any]:
    """Client, mode, TLS, kind of server."""
    for client in CLIENTS.values():
        # TLS on MySQL, prepared statements without calls there and with calls on MariaDB.
        first, last = client.modes[0], client.modes[-1]
        on_mariadb, on_mysql = (last, first) if part == "ml" else (first, last)
        usual = [("mariadb10", False, on_mariadb), ("mysql9", True, on_mysql)]
        for kind, tls, mode in itertools.product(KINDS, (False, True), client.modes):
            name = f"{client.name}-{mode}-{'tls' if tls else 'plain'}-{kind}"
            marks = [pytest.mark.cell(part)]
            if (kind, tls, mode) not in usual:
                marks.append(pytest.mark.matrix)
            yield pytest.param(client, mode, tls, kind, id=name, marks=marks)


def start_afresh(server: Server) -> None:
    """A database with the functions and 40 rows of feedback, 13 texts among them.

    Without FLUSH PRIVILEGES, caching_sha2_password lets a second login off easily.
    """
    rows = ", ".join(
        f"('{('lamp', 'chair', 'parcel')[n % 3]}', 'text {n % 13}: Grüße, 世界 🎉')"
        for n in range(40)
    )
    server.run_as_root(
        "SET GLOBAL log_bin_trust_function_creators = 1",
        f"DROP DATABASE IF EXISTS {DATABASE}",
        f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
        f"USE {DATABASE}",
        *sql_functions(),
        FEEDBACK,
        f"INSERT INTO feedback (product, user_feedback) VALUES {rows}",
        "FLUSH PRIVILEGES",
    )


MASKS = {
    r"conn(ection)?[=: ]\d+": "conn=...",
    r"(statement handler )\(\d+\)": r"\1(...)",
    # The cipher of the proxy's leg to the server is not that of the client's.
    r"(TLS_|ECDHE-|DHE-)[A-Z0-9_-]+": "CIPHER",
}
"""What differs from one login to the next."""


def lines_seen(
    client: Client, mode: str, tls: bool, server: Server, port: int, steps: Path
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
            str(steps),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=os.environ | client.environment,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    shown = re.sub(rf"\b{port}\b", "PORT", done.stdout)
    for pattern, replacement in MASKS.items():
        shown = re.sub(pattern, replacement, shown)
    return shown.splitlines()


@pytest.fixture
def look(
    client: Client,
    mode: str,
    tls: bool,
    kind: str,
    get_server: Callable[[str], Server],
    oracle_proxy: Callable[[Server], Proxy],
    record_property: Callable[[str, object], None],
) -> Callable[[Path], tuple[list[str], list[str]]]:
    """`look(steps)`: what the client sees, straight and through the proxy."""
    if reason := why_missing(client.name):
        pytest.skip(reason)
    server = get_server(kind)
    proxy = oracle_proxy(server)

    def seen(steps: Path) -> tuple[list[str], list[str]]:
        start_afresh(server)
        straight = lines_seen(client, mode, tls, server, server.port, steps)
        start_afresh(server)
        proxied = lines_seen(client, mode, tls, server, proxy.port, steps)
        record_property("server", server.version)
        for line in map(json.loads, straight):
            if line["step"] == "client":
                version = re.search(r"\d+(\.\d+)+", str(line["version"]))
                record_property("client", version and version[0])
        return straight, proxied

    return seen


@pytest.mark.parametrize(("client", "mode", "tls", "kind"), list(cells("everything")))
def test_a_client_sees_the_same_straight_and_through_the_proxy(
    client: Client,
    tls: bool,
    kind: str,
    look: Callable[[Path], tuple[list[str], list[str]]],
) -> None:
    straight, proxied = look(EVERYTHING)
    assert proxied == straight
    steps = {line["step"]: line for line in map(json.loads, straight)}
    if client.why_no_login(kind, tls):
        assert "log in" in steps
        return
    for topic, step in TOPICS.items():
        assert (step in steps) != (topic in client.without), topic
    assert ("CIPHER" in json.dumps(steps["tls"])) == tls


@pytest.mark.parametrize(("client", "mode", "tls", "kind"), list(cells("ml")))
def test_a_client_s_calls_are_answered_as_by_stored_functions(
    client: Client,
    tls: bool,
    kind: str,
    look: Callable[[Path], tuple[list[str], list[str]]],
) -> None:
    if reason := client.why_no_login(kind, tls):
        pytest.skip(reason)
    straight, proxied = look(ML)
    assert proxied == straight
    steps = {line["step"]: line for line in map(json.loads, straight)}
    for topic in ML_TOPICS:
        assert not steps[topic].get("error"), steps[topic]
