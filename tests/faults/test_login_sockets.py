"""Logins over a unix socket, where clients and servers send passwords as in TLS.

caching_sha2_password is asked for in full: after FLUSH PRIVILEGES the server has no
password cached.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest
from support.command_lines import command_line
from support.proxies import Proxy
from support.servers import Server
from support.watching import connected, rows_of

pytestmark = pytest.mark.mysql

WHO = "SELECT CURRENT_USER()"


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.mark.parametrize("plugin", ["caching_sha2", "sha256"])
@pytest.mark.parametrize("mode", ["as_client", "required"])
def test_a_client_on_the_proxys_unix_socket(
    mysql9: Server,
    proxy: Callable[..., Proxy],
    socket_path: Path,
    plugin: str,
    mode: str,
) -> None:
    settings = {"listen": {"socket": str(socket_path)}, "upstream": {"tls": mode}}
    running = proxy(mysql9, settings)
    account = mysql9.account(plugin)
    seen = f"{account.user}@%"
    mysql9.run_as_root("FLUSH PRIVILEGES")
    for _ in range(2):  # in full, then fast
        with connected(0, account, unix_socket=str(socket_path)) as connection:
            assert rows_of(connection, WHO) == ((seen,),)
    wrong = replace(account, password="wrong")
    with (
        pytest.raises(pymysql.err.OperationalError, match="1045"),
        connected(0, wrong, unix_socket=str(socket_path)),
    ):
        pass
    program = command_line("mysql9")
    if program is not None:
        for _ in range(2):
            mysql9.run_as_root("FLUSH PRIVILEGES")
            over_socket = ("--host=localhost", f"--socket={socket_path}")
            said = program.run(running.port, account, WHO, *over_socket, tls=False)
            assert said == (f"{seen}\n", "")
