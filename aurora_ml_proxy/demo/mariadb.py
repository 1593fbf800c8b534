"""A private MariaDB: found or installed, on a free port, in a folder that goes away.

Its root is the operating system's user over the unix socket, as MariaDB installs it;
by TCP there is the demo's account and no other.
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
from pathlib import Path

from aurora_ml_proxy.demo import DemoFailed
from aurora_ml_proxy.demo.processes import STARTED_WITHIN_S, Children, wait_until

SERVER_PATH = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin")
"""Where servers stand that are not on a user's PATH."""

PACKAGES = ("mariadb-server-core", "mariadb-client-core")
"""Debian's and Ubuntu's programs without the service that mariadb-server adds."""

INSTALL_HINT = (
    "there is no mariadbd on this machine; as root: apt-get install "
    f"--no-install-recommends {' '.join(PACKAGES)}"
)


def find_program(*names: str) -> str | None:
    """The first of these programs that this machine has."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SERVER_PATH])
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def find_mariadbd() -> str | None:
    """A server that is MariaDB; MySQL also calls its own mysqld."""
    found = find_program("mariadbd", "mysqld")
    return found if found and "MariaDB" in version(found) else None


def release(mariadbd: str) -> str:
    """The server's name and version, for the output."""
    found = re.search(r"\d+\.\d+\.\d+", version(mariadbd))
    return f"MariaDB {found[0]}" if found else "MariaDB"


def version(program: str) -> str:
    """What the program answers to --version."""
    done = subprocess.run(
        [program, "--no-defaults", "--version"], capture_output=True, text=True
    )
    return done.stdout.strip()


def find_or_install() -> str:
    """The path of a mariadbd. Raises: DemoFailed, saying what to install."""
    found = find_mariadbd()
    if found:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise DemoFailed(INSTALL_HINT)
    print(f"installing {' and '.join(PACKAGES)} with apt-get …", flush=True)
    apt_get("update", "-qq")
    apt_get("install", "-qq", "-y", "--no-install-recommends", "--no-remove", *PACKAGES)
    found = find_mariadbd()
    if not found:
        raise DemoFailed(INSTALL_HINT)
    return found


def apt_get(*arguments: str) -> None:
    """Run apt-get without a question and, by --no-remove, without taking anything away.

    A machine with a MySQL server keeps it: the two exclude each other's packages.
    """
    done = subprocess.run(
        ["apt-get", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise DemoFailed(f"apt-get {arguments[0]} failed: {lines[-1]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_user() -> str | None:
    """Whom a server that root starts runs as; None where another user starts it.

    mariadbd refuses to be root unless that is asked for by name.
    """
    if os.geteuid() != 0:
        return None
    for name in ("mysql", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            pass
    return "root"


def start(mariadbd: str, folder: Path, script: str, children: Children) -> int:
    """Start a server that runs the script before it listens; its port."""
    data, port = folder / "mariadb", free_port()
    data.mkdir()
    init_file = data / "demo.sql"
    init_file.write_text(script, "utf-8")
    # TMPDIR may be closed to the server's user.
    options = ["--no-defaults", f"--datadir={data / 'data'}", f"--tmpdir={data}"]
    user = server_user()
    if user:
        options.append(f"--user={user}")
        shutil.chown(data, user)
        shutil.chown(init_file, user)
    install(data, options)
    child = children.start(
        "mariadbd",
        [
            mariadbd,
            *options,
            f"--socket={data / 'm.sock'}",
            f"--pid-file={data / 'm.pid'}",
            f"--init-file={init_file}",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
        ],
    )
    ready = re.compile(r"ready for connections")
    wait_until(child, lambda: bool(ready.search(child.said())), STARTED_WITHIN_S)
    if "\nERROR: " in child.said():  # in the script; the server starts all the same
        raise DemoFailed(f"{child.name}: {child.last_words()}")
    return port


def install(data: Path, options: list[str]) -> None:
    """Make the server's system tables."""
    program = find_program("mariadb-install-db", "mysql_install_db")
    if not program:
        raise DemoFailed("there is a mariadbd but no mariadb-install-db")
    done = subprocess.run(
        [program, *options, "--skip-test-db"], capture_output=True, text=True, cwd=data
    )
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
        errors = [line for line in lines if "ERROR" in line]
        raise DemoFailed(f"mariadb-install-db failed: {[*errors, lines[-1]][0]}")
