"""Private MySQL and MariaDB servers, each started once, when a test first asks for it.

In: a kind. Out: a `Server` that answers, with an account for every login plugin it has.
Starting, stopping and fetching are `scripts/private-server.sh`'s.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from support.certificates import make_certificates

SCRIPT = Path(__file__).parents[2] / "scripts" / "private-server.sh"
TREES = Path(os.environ.get("AURORA_MYSQL_TREES", "/opt/mysql-trees"))

KINDS = ("mariadb10", "mariadb11", "mysql9")
REQUIRED = "mariadb10"
PLAIN = "mariadb10-plain"
"""A mariadb10 that does not offer TLS."""

_PLUGINS = {
    "mariadb10": ("native", "ed25519"),
    "mariadb11": ("native", "ed25519", "parsec"),
    "mysql9": ("caching_sha2", "sha256"),
}
_OPTIONS = (
    "--max-allowed-packet=128M",
    "--local-infile=1",
    "--innodb-flush-log-at-trx-commit=0",
)
_DIRECTORY_PREFIX = "aurora-servers-"


class ServerUnavailable(Exception):
    """This machine cannot have such a server; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Account:
    """Someone who may log in, with all privileges."""

    user: str
    password: str
    plugin: str
    require_ssl: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    kind: str
    host: str
    port: int
    socket: Path
    directory: Path
    """Its folder: data/, run/err.log, run/m.pid; a user of its own reads it."""
    version: str
    tls: bool
    tls_ca: Path | None
    """Who signed its certificate, where the tests did it."""
    accounts: tuple[Account, ...]

    @property
    def is_mariadb(self) -> bool:
        return self.kind.startswith("mariadb")

    def account(self, plugin: str | None = None, require_ssl: bool = False) -> Account:
        """The account of a plugin; of the server's usual plugin without a name."""
        wanted = plugin or self.accounts[0].plugin
        return next(
            account
            for account in self.accounts
            if account.plugin == wanted and account.require_ssl == require_ssl
        )

    def run_as_root(self, *statements: str) -> tuple[tuple[Any, ...], ...]:
        """Runs statements as root over the socket; the rows of the last one."""
        return _run(self.socket, statements)


def wanted_kinds() -> tuple[str, ...]:
    """The kinds that AURORA_TEST_SERVERS (comma separated) leaves; all without it."""
    chosen = os.environ.get("AURORA_TEST_SERVERS")
    if chosen is None:
        return KINDS
    names = tuple(name.strip() for name in chosen.split(",") if name.strip())
    unknown = set(names) - set(KINDS)
    if unknown:
        raise ValueError(f"AURORA_TEST_SERVERS: unknown {', '.join(sorted(unknown))}")
    return names


class ServerPool:
    """The servers of one test run."""

    def __init__(self) -> None:
        self._servers: dict[str, Server | ServerUnavailable] = {}
        self._root: Path | None = None

    def get(self, kind: str) -> Server:
        """The running server of a kind, or `ServerUnavailable`."""
        if kind not in self._servers:
            try:
                self._servers[kind] = self._start(kind)
            except ServerUnavailable as reason:
                self._servers[kind] = reason
        found = self._servers[kind]
        if isinstance(found, ServerUnavailable):
            raise found
        return found

    def start_throw_away(self, kind: str, name: str) -> Server:
        """A server of its own, for a test that leaves it in disorder."""
        return self._start(kind, name)

    def stop(self) -> None:
        """Stops every server, and removes their folders."""
        if self._root is not None:
            _remove(self._root)

    def _start(self, kind: str, name: str | None = None) -> Server:
        base_kind = kind.removesuffix("-plain")
        if base_kind not in wanted_kinds():
            raise ServerUnavailable(f"AURORA_TEST_SERVERS leaves out {base_kind}")
        if self._root is None:
            _sweep()
            self._root = Path(
                tempfile.mkdtemp(prefix=f"{_DIRECTORY_PREFIX}{os.getpid()}-")
            )
            # The servers run as user mysql and must get through.
            self._root.chmod(0o755)
        directory = self._root / (name or kind)
        directory.mkdir()
        options = list(_OPTIONS)
        tls_ca = None
        if kind == "mariadb10":
            certificates = make_certificates(directory)
            tls_ca = certificates.authority
            options += [
                f"--ssl-ca={certificates.authority}",
                f"--ssl-cert={certificates.certificate}",
                f"--ssl-key={certificates.key}",
            ]
        started = subprocess.run(
            [str(SCRIPT), "start", base_kind, str(directory), "0", *options],
            capture_output=True,
            text=True,
        )
        if started.returncode:
            lines = started.stderr.strip().splitlines() or ["no reason given"]
            raise ServerUnavailable(f"{kind}: {lines[-1]}")
        socket = directory / "run" / "m.sock"
        accounts = _make_accounts(base_kind, socket)
        [(version,)] = _run(socket, ["SELECT VERSION()"])
        return Server(
            kind=kind,
            host="127.0.0.1",
            port=int(started.stdout),
            socket=socket,
            directory=directory,
            version=version,
            tls=kind != PLAIN,
            tls_ca=tls_ca,
            accounts=accounts,
        )


def _make_accounts(kind: str, socket: Path) -> tuple[Account, ...]:
    accounts = [
        Account(
            f"{plugin}{'_ssl' * require_ssl}", f"secret {plugin}", plugin, require_ssl
        )
        for plugin in _PLUGINS[kind]
        for require_ssl in (False, True)
    ]
    default_plugin = _PLUGINS[kind][0]
    statements = [
        "CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4",
        "CREATE USER IF NOT EXISTS 'root'@'%'",
        "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION",
        "CREATE USER 'nopassword'@'%'",
        "GRANT ALL ON *.* TO 'nopassword'@'%'",
    ]
    statements += [
        f"INSTALL SONAME 'auth_{plugin}'"
        for plugin in _PLUGINS[kind]
        if plugin in ("ed25519", "parsec")
    ]
    for account in accounts:
        require = "REQUIRE SSL" if account.require_ssl else ""
        proof = _identified(account)
        statements += [
            f"CREATE USER '{account.user}'@'%' IDENTIFIED {proof} {require}",
            f"GRANT ALL ON *.* TO '{account.user}'@'%'",
        ]
    _run(socket, statements)
    # An account of the default plugin without a password has a plugin name of its own,
    # so that `Server.account` does not take it for the one with a password.
    return (*accounts, Account("nopassword", "", f"{default_plugin} without password"))


def _identified(account: Account) -> str:
    match account.plugin:
        case "native":
            return f"BY '{account.password}'"
        case "ed25519" | "parsec":
            return f"VIA {account.plugin} USING PASSWORD('{account.password}')"
        case plugin:
            return f"WITH {plugin}_password BY '{account.password}'"


def _run(socket: Path, statements: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
    with (
        pymysql.connect(
            unix_socket=str(socket), user="root", autocommit=True, charset="utf8mb4"
        ) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)
        return tuple(cursor.fetchall())


def _remove(root: Path) -> None:
    for directory in root.iterdir():
        subprocess.run([str(SCRIPT), "stop", str(directory), "now"], check=False)
    shutil.rmtree(root, ignore_errors=True)


def _sweep() -> None:
    """Ends what a killed test run has left behind."""
    for root in Path(tempfile.gettempdir()).glob(f"{_DIRECTORY_PREFIX}*"):
        owner = root.name.removeprefix(_DIRECTORY_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            _remove(root)
