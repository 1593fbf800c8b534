"""The command-line clients as the login tests call them: an account, and what is said."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.servers import TREES, Account

OPTIONS = ("--batch", "--skip-column-names", "--connect-timeout=20")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A client program and the words it has for TLS."""

    words: tuple[str, ...]
    without_tls: tuple[str, ...]
    with_tls: tuple[str, ...]

    def run(
        self, port: int, account: Account, sql: str, *more: str, tls: bool
    ) -> tuple[str, str]:
        """What it prints, and its complaint."""
        done = subprocess.run(
            [
                *self.words,
                *OPTIONS,
                *(self.with_tls if tls else self.without_tls),
                *("--host=127.0.0.1", f"--port={port}", f"--user={account.user}"),
                *more,
            ],
            input=sql,
            capture_output=True,
            text=True,
            timeout=60,
            # Not an option: the mysql program warns of a password in its options.
            env=os.environ | {"MYSQL_PWD": account.password},
        )
        return done.stdout, done.stderr


def command_line(kind: str) -> CommandLine | None:
    """The client that comes with a kind of server, where it is installed."""
    if kind == "mysql9":
        words = _in_tree("mysql9", "mysql", "lib/mysql/plugin")
        plain = ("--ssl-mode=DISABLED", "--get-server-public-key")
        return words and CommandLine(words, plain, ("--ssl-mode=REQUIRED",))
    if kind == "mariadb11":
        plugins = next(TREES.glob("mariadb11/usr/lib/*/libmariadb3/plugin"), Path())
        words = _in_tree("mariadb11", "mariadb", plugins.relative_to(_usr("mariadb11")))
    else:
        found = shutil.which("mariadb")
        words = (found, "--no-defaults") if found else None
    tls = ("--ssl", "--skip-ssl-verify-server-cert")
    return words and CommandLine(words, ("--skip-ssl",), tls)


def _usr(kind: str) -> Path:
    return TREES / kind / "usr"


def _in_tree(kind: str, program: str, plugins: Path | str) -> tuple[str, ...] | None:
    """An unpacked program, run with the loader and the libraries it was built with."""
    path = _usr(kind) / "bin" / program
    if not path.exists():
        return None
    libraries = next(_usr(kind).glob("lib/*-linux-gnu"))
    loader = next(libraries.glob("ld-linux*.so.*"))
    return (
        *(str(loader), "--library-path", str(libraries), str(path)),
        "--no-defaults",
        f"--plugin-dir={_usr(kind) / plugins}",
    )
