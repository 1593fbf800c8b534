"""Every login plugin, with a cold and a warm cache, with TLS and without.

A command line logs in straight and through the proxy: what it prints is equal, whether
that is the user's name or why the server refuses.
"""

import os
import subprocess
from collections.abc import Callable

import pytest
from support.clients import CLIENTS, command_line_of_tree
from support.proxies import Proxy
from support.servers import Account, Server

pytestmark = pytest.mark.mysql

TLS_OPTIONS = {
    ("mariadb", False): ["--skip-ssl"],
    ("mariadb", True): ["--ssl", "--skip-ssl-verify-server-cert"],
    ("mysql", False): ["--ssl-mode=DISABLED", "--get-server-public-key"],
    ("mysql", True): ["--ssl-mode=REQUIRED"],
}


def printed(
    server: Server, port: int, account: Account, password: str, tls: bool
) -> tuple[int, str]:
    """The exit code and the output of one login."""
    maker = "mariadb" if server.is_mariadb else "mysql"
    tree = "mysql9" if maker == "mysql" else "mariadb11"
    words = ["mariadb", "--no-defaults"]
    if server.kind in ("mysql9", "mariadb11"):
        words = command_line_of_tree(tree, maker)
    done = subprocess.run(
        [
            *words,
            *("-h", server.host, "-P", str(port), "-u", account.user),
            *TLS_OPTIONS[maker, tls],
            *("-N", "-e", "SELECT CURRENT_USER(), USER()"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"MYSQL_PWD": password},
        timeout=60,
    )
    return done.returncode, done.stdout.replace(str(port), "PORT")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_account_logs_in_as_it_does_straight(
    server: Server, tls: bool, shared_proxy: Callable[[Server], Proxy]
) -> None:
    if reason := CLIENTS["mariadb" if server.is_mariadb else "mysql"].missing():
        pytest.skip(reason)
    proxied = shared_proxy(server).port
    for account in server.accounts:
        for secret in (account.password, account.password + "wrong"):
            seen = []
            for port in (server.port, proxied):
                # MySQL forgets the passwords it has seen; the second login is easier.
                server.run_as_root("FLUSH PRIVILEGES")
                cold = printed(server, port, account, secret, tls)
                warm = printed(server, port, account, secret, tls)
                seen.append((cold, warm))
            assert seen[1] == seen[0], account
            if secret == account.password and (tls or not account.require_ssl):
                assert seen[0][0][0] == 0, seen[0]
