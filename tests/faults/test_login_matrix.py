"""Every login plugin under every combination of TLS on the two legs.

The oracle is the server itself: through the proxy a login ends as it ends directly with
the TLS of the upstream's leg. caching_sha2_password is asked for in full (after FLUSH
PRIVILEGES the server has no password cached) and then fast.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import TypeVar

import pymysql
import pytest
from support import libmariadb
from support.command_lines import command_line
from support.proxies import Proxy, start_proxy, stop_proxy
from support.servers import KINDS, Account, Server
from support.watching import clients_of, connect, rows_of, sockets, until

pytestmark = [pytest.mark.mysql, pytest.mark.slow]

T = TypeVar("T")
WHO = "SELECT CURRENT_USER()"
SAY = f"{WHO}; SHOW STATUS LIKE 'Ssl_version';"
NOBODY = Account("nobody", "x", "none")

GetProxy = Callable[[Server, str], Proxy]


@pytest.fixture(scope="module")
def with_mode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GetProxy]:
    """`with_mode(server, upstream_tls)`: one proxy for each."""
    proxies: dict[tuple[str, str], Proxy] = {}

    def get(server: Server, mode: str) -> Proxy:
        key = server.kind, mode
        if key not in proxies:
            settings = {"upstream": {"tls": mode}, "log": {"level": "info"}}
            proxies[key] = start_proxy(server, settings, tmp_path_factory.mktemp("proxy"))
        return proxies[key]

    yield get
    for proxy in proxies.values():
        stop_proxy(proxy)
        unusual = [line for line in proxy.log.splitlines() if " INFO " not in line]
        assert not unusual, unusual[:5]


def upstream_uses_tls(mode: str, client_tls: bool) -> bool:
    return {"as_client": client_tls, "disabled": False}.get(mode, True)


def attempts(server: Server) -> list[list[Account]]:
    """Every account with its password, with it again, and with another one."""
    # The second time, caching_sha2_password knows the password.
    return [
        *(
            [account, account, replace(account, password="wrong")]
            for account in server.accounts
        ),
        [replace(server.account(), password=""), NOBODY],
    ]


def at_once(
    tries: list[list[Account]], attempt: Callable[[Account], T], threads: int = 8
) -> list[T]:
    """What comes of them."""

    def in_order(accounts: list[Account]) -> list[T]:
        return [attempt(account) for account in accounts]

    with ThreadPoolExecutor(threads) as pool:
        return [outcome for some in pool.map(in_order, tries) for outcome in some]


@cache
def directly(server: Server, tls: bool) -> list[tuple[str, str]]:
    return by_command_line(server, server.port, tls, tls)


def by_command_line(
    server: Server, port: int, tls: bool, upstream_tls: bool
) -> list[tuple[str, str]]:
    program = command_line(server.kind)
    assert program is not None
    server.run_as_root("FLUSH PRIVILEGES")

    def attempt(account: Account) -> tuple[str, str]:
        out, complaint = program.run(port, account, SAY, tls=tls)
        if out:
            version = out.splitlines()[1].partition("\t")[2]
            assert version.startswith("TLS") == upstream_tls, (account, out)
        return out, complaint

    return at_once(attempts(server), attempt)


@pytest.mark.parametrize(
    ("kind", "client_tls", "mode"),
    [
        *((kind, tls, "as_client") for kind in KINDS for tls in (False, True)),
        *((kind, False, "required") for kind in KINDS),
        *((kind, True, "disabled") for kind in KINDS),
        ("mariadb10", False, "preferred"),
        ("mysql9", True, "preferred"),
        ("mysql9", True, "required"),
        ("mysql9", False, "disabled"),
    ],
)
def test_a_command_line_client_logs_in_as_it_does_directly(
    get_server: Callable[[str], Server],
    with_mode: GetProxy,
    kind: str,
    client_tls: bool,
    mode: str,
) -> None:
    server = get_server(kind)
    if command_line(kind) is None:
        pytest.skip("its command-line client is not installed")
    proxy = with_mode(server, mode)
    upstream_tls = upstream_uses_tls(mode, client_tls)
    before = sockets(proxy.pid)
    seen = by_command_line(server, proxy.port, client_tls, upstream_tls)
    assert seen == directly(server, upstream_tls)
    accepted = sum(bool(out) for out, _ in seen)
    per_account = 2 if upstream_tls else 1
    assert accepted >= per_account * len(server.accounts) / 2
    # Fewer, if a client of the test before was still on its way out.
    assert until(lambda: sockets(proxy.pid) <= before)


@cache
def changes(server: Server, port: int, *, tls: bool) -> list[tuple[object, ...]]:
    """COM_CHANGE_USER from the account without a password to every other one."""
    first = next(a for a in server.accounts if not a.password)
    server.run_as_root("FLUSH PRIVILEGES")

    def attempt(account: Account) -> tuple[object, ...]:
        connection = libmariadb.Connection(port, first, tls=tls)
        assert connection.outcome == (0, ""), connection.outcome
        assert connection.value("SELECT @x := 1") == "1"
        outcome = connection.change_user(account)
        assert outcome[0] in (0, 1045), outcome
        state: tuple[object, ...] = ()
        if not outcome[0]:
            state = connection.value(WHO), connection.value("SELECT @x")
        back = connection.change_user(first)
        connection.close()
        return account.user, outcome, state, back[0] == 0

    # The library of Debian 12 is older than parsec.
    known = [some for some in attempts(server) if some[0].plugin != "parsec"]
    # The library cannot load two plugins at a time. MariaDB takes a second to refuse, so
    # there the plugins are loaded first, and then all goes at once.
    if not server.is_mariadb:
        return at_once(known, attempt, threads=1)
    for some in {some[0].plugin: some[0] for some in known}.values():
        attempt(some)
    return at_once(known, attempt)


@pytest.mark.skipif(not libmariadb.is_here, reason="no libmariadb")
@pytest.mark.parametrize(
    ("client_tls", "mode"),
    [(False, "disabled"), (False, "required"), (True, "as_client"), (True, "disabled")],
)
@pytest.mark.parametrize("kind", ["mariadb10", "mysql9"])
def test_a_client_changes_its_user_as_it_does_directly(
    get_server: Callable[[str], Server],
    with_mode: GetProxy,
    kind: str,
    client_tls: bool,
    mode: str,
) -> None:
    server = get_server(kind)
    proxy = with_mode(server, mode)
    seen = changes(server, proxy.port, tls=client_tls)
    upstream_tls = upstream_uses_tls(mode, client_tls)
    assert seen == changes(server, server.port, tls=upstream_tls)
    assert sum(not outcome[0] for _, outcome, *_ in seen) >= 3
    assert until(lambda: clients_of(server) == 0)


@pytest.mark.parametrize("plugin", ["caching_sha2", "sha256"])
def test_the_key_that_the_proxy_hands_out_is_one_to_keep(
    mysql9: Server, with_mode: GetProxy, plugin: str
) -> None:
    """Bridge B with a key that the client was given beforehand: the upstream's own does
    not open at the proxy, and the client is told what to do."""
    account = mysql9.account(plugin)
    port = with_mode(mysql9, "required").port
    [(_, key)] = mysql9.run_as_root(
        "SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'"
    )
    mysql9.run_as_root("FLUSH PRIVILEGES")
    with connect(port, account, ssl_disabled=True) as connection:
        assert rows_of(connection, WHO) == ((f"{account.user}@%",),)
    mysql9.run_as_root("FLUSH PRIVILEGES")
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(port, account, ssl_disabled=True, server_public_key=key.encode())
    assert caught.value.args[0] == 1835
    assert "let the client ask for the key" in caught.value.args[1]


def test_an_upstream_without_tls_makes_the_proxy_offer_none(
    mariadb10_plain: Server, with_mode: GetProxy
) -> None:
    proxy = with_mode(mariadb10_plain, "as_client")
    account = mariadb10_plain.account()
    with connect(proxy.port, account) as connection:
        assert rows_of(connection, WHO) == ((f"{account.user}@%",),)
        assert not connection._secure
    program = command_line("mariadb10")
    assert program is not None
    out, complaint = program.run(proxy.port, account, WHO, tls=True)
    # MariaDB's clients before 11.4 take --ssl for a wish.
    assert (out, complaint) == (f"{account.user}@%\n", "")


@pytest.mark.parametrize("mode", ["disabled", "preferred"])
def test_an_upstream_without_tls_and_a_client_with_it(
    mariadb10_plain: Server, with_mode: GetProxy, mode: str
) -> None:
    proxy = with_mode(mariadb10_plain, mode)
    account = mariadb10_plain.account("ed25519")
    program = command_line("mariadb10")
    assert program is not None
    assert program.run(proxy.port, account, WHO, tls=True) == (f"{account.user}@%\n", "")


@pytest.mark.parametrize("tls", [False, True])
def test_an_upstream_without_tls_that_must_have_it(
    mariadb10_plain: Server, with_mode: GetProxy, tls: bool
) -> None:
    proxy = with_mode(mariadb10_plain, "required")
    program = command_line("mariadb10")
    assert program is not None
    _, complaint = program.run(proxy.port, mariadb10_plain.account(), WHO, tls=tls)
    assert "1429" in complaint and "upstream.tls is required" in complaint
