"""The client programs of the matrix: how each is called, and what it lacks here.

In: nothing. Out: `CLIENTS`. `scripts/get-clients.sh` installs what they need.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.servers import TREES

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("AURORA_CLIENTS", ROOT / ".cache" / "clients"))
PROGRAMS = ROOT / "tests" / "conformance" / "clients"
CLASSES = CACHE / "java" / "classes"

PYTHON = CACHE / "python" / "bin" / "python"
MYCLI = CACHE / "mycli" / "bin" / "mycli"
INSTALL = "run scripts/get-clients.sh"

GO_DRIVER = "golang-github-go-sql-driver-mysql-dev"
TEXT_AND_PREPARED = ("text", "prepared")
POOL = "pool and reset"


@dataclass(frozen=True, slots=True)
class Client:
    """A program that takes HOST PORT USER PASSWORD TLS MODE DATABASE STEPS."""

    name: str
    title: str
    command: tuple[str, ...]
    missing: Callable[[], str | None]
    """Why it cannot run here; None where it can."""
    modes: tuple[str, ...] = ("text",)
    environment: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)
    """Topics of the matrix that it has nothing for, and why."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Kinds of server that it cannot log in to, perhaps only without TLS, and why."""

    def why_no_login(self, kind: str, tls: bool) -> str | None:
        """Why it cannot log in, with or without the proxy; None where it can."""
        without_tls = None if tls else self.cannot.get(f"{kind} without TLS")
        return self.cannot.get(kind) or without_tls


def _fails(*command: str) -> str | None:
    """The last line of what the command complains of; None where it does not fail."""
    found = subprocess.run(command, capture_output=True, text=True)
    lines = found.stderr.strip().splitlines() or ["it fails"]
    return f"{lines[-1]}: {INSTALL}" if found.returncode else None


def _no_program(name: str) -> str | None:
    return None if shutil.which(name) else f"no {name}: {INSTALL}"


def _absent(path: Path, how: str = INSTALL) -> str | None:
    return None if path.exists() else f"no {path.name}: {how}"


def _python(
    driver: str,
    title: str,
    module: str,
    modes: tuple[str, ...] = ("text",),
    without: Mapping[str, str] | None = None,
    cannot: Mapping[str, str] | None = None,
) -> Client:
    def missing() -> str | None:
        return _absent(PYTHON) or _fails(str(PYTHON), "-c", f"import {module}")

    program = PROGRAMS / "python_client.py"
    command = (str(PYTHON), str(program), driver)
    name = f"python-{driver}" if driver == "mariadb" else driver
    return Client(
        name, title, command, missing, modes, without=without or {}, cannot=cannot or {}
    )


def _node(
    driver: str,
    modes: tuple[str, ...] = ("text",),
    cannot: Mapping[str, str] | None = None,
) -> Client:
    modules = CACHE / "node" / "node_modules"

    def missing() -> str | None:
        return _no_program("node") or _absent(modules / driver)

    return Client(
        f"node-{driver}",
        f"node {driver}",
        ("node", str(PROGRAMS / "node_client.js"), driver),
        missing,
        modes,
        {"NODE_PATH": str(modules)},
        cannot=cannot or {},
    )


def _is_behind(made: Path, source: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def _java(driver: str, title: str) -> Client:
    jar = CACHE / "java" / f"{driver}.jar"
    source = PROGRAMS / "JavaClient.java"

    def missing() -> str | None:
        if reason := _no_program("javac") or _absent(jar):
            return reason
        if _is_behind(CLASSES / "JavaClient.class", source):
            CLASSES.mkdir(exist_ok=True)
            subprocess.run(
                ["javac", "-encoding", "UTF-8", "-d", str(CLASSES), str(source)],
                check=True,
            )
        return None

    # A short life: the simplest compiler and collector start fastest.
    options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g")
    locale = (
        "-Duser.language=en",
        "-Duser.timezone=UTC",
        "-Dfile.encoding=UTF-8",
    )
    command = ("java", *options, *locale, "-cp", f"{CLASSES}:{jar}", "JavaClient")
    modes = ("text", "prepared", "cursor")
    return Client(f"java-{driver}", title, (*command, driver), missing, modes)


def _php(driver: str, title: str, extension: str) -> Client:
    def missing() -> str | None:
        check = f"extension_loaded('{extension}') || exit(fwrite(STDERR, '{absent}'));"
        return _no_program("php") or _fails("php", "-r", check)

    absent = f"no PHP extension {extension}"

    # The big row, its JSON and the packet are in memory at once.
    program = (str(PROGRAMS / "php_client.php"), driver)
    command = ("php", "-d", "memory_limit=1G", "-d", "display_errors=stderr", *program)
    return Client(f"php-{driver}", title, command, missing, TEXT_AND_PREPARED)


def _perl(driver: str) -> Client:
    def missing() -> str | None:
        return _fails("perl", f"-MDBD::{driver}", "-MJSON::PP", "-e", "1")

    return Client(
        f"perl-{driver}",
        f"Perl DBD::{driver}",
        ("perl", str(PROGRAMS / "perl_client.pl"), driver),
        missing,
        TEXT_AND_PREPARED,
    )


def _go() -> Client:
    source = PROGRAMS / "go_client.go"
    program = CACHE / "go" / "go_client"

    def missing() -> str | None:
        if reason := _no_program("go"):
            return reason
        if not _is_behind(program, source):
            return None
        program.parent.mkdir(exist_ok=True)
        # Debian's packages are sources in a GOPATH.
        there = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
        package = ["dpkg-query", "-W", "-f", "${Version}", GO_DRIVER]
        version = subprocess.run(package, capture_output=True, text=True).stdout
        flags = ["-ldflags", f"-X main.version={version}"]
        built = subprocess.run(
            ["go", "build", *flags, "-o", str(program), str(source)],
            capture_output=True,
            text=True,
            env=os.environ | there | {"GOCACHE": str(CACHE / "go" / "cache")},
        )
        lines = built.stderr.strip().splitlines() or [""]
        return f"{lines[-1]}: {INSTALL}" if built.returncode else None

    title = "Go go-sql-driver/mysql"
    return Client("go", title, (str(program),), missing, TEXT_AND_PREPARED)


def _r() -> Client:
    def missing() -> str | None:
        library = ("Rscript", "--vanilla", "-e", "library(RMySQL)")
        return _no_program("Rscript") or _fails(*library)

    return Client(
        "r-rmysql",
        "R RMySQL",
        ("Rscript", "--vanilla", str(PROGRAMS / "r_client.R")),
        missing,
        environment={"LC_ALL": "C.UTF-8"},
        without={POOL: "it has neither a pool nor a reset"},
    )


def command_line_of_tree(kind: str, program: str) -> list[str]:
    """The words that run a command line of an unpacked server."""
    tree = TREES / kind
    libraries = next(tree.glob("usr/lib/*-linux-gnu"), tree)
    loader = next(libraries.glob("ld-linux*.so.*"), libraries)
    # MariaDB's client plugins are among its libraries, MySQL's among the server's.
    plugins = libraries / "libmariadb3" / "plugin"
    if not plugins.exists():
        plugins = tree / "usr" / "lib" / "mysql" / "plugin"
    return [
        *(str(loader), "--library-path", str(libraries)),
        str(tree / "usr" / "bin" / program),
        *("--no-defaults", f"--plugin-dir={plugins}"),
    ]


def _command_line(
    name: str,
    title: str,
    words: Sequence[str],
    missing: Callable[[], str | None],
    dump: Sequence[str] = (),
    without: Mapping[str, str] | None = None,
) -> Client:
    environment = {"COMMAND_LINE": json.dumps(words)}
    if dump:
        environment["DUMP"] = json.dumps(dump)
    return Client(
        name,
        title,
        (sys.executable, str(PROGRAMS / "command_line.py"), name),
        missing,
        environment=environment,
        without=without or {},
    )


CONNECTOR_PYTHON = {
    "mysql9 without TLS": "it wants TLS for the full exchange of caching_sha2_password"
}

CLIENTS = {
    client.name: client
    for client in (
        _python(
            "pymysql",
            "PyMySQL",
            "pymysql",
            without={POOL: "it has neither a pool nor a reset"},
        ),
        _python("sqlalchemy", "SQLAlchemy with PyMySQL", "sqlalchemy, pymysql"),
        _python("aiomysql", "aiomysql", "aiomysql"),
        _python("asyncmy", "asyncmy", "asyncmy"),
        _python("mysqlclient", "mysqlclient", "MySQLdb"),
        _python("mariadb", "MariaDB Connector/Python (C)", "mariadb", TEXT_AND_PREPARED),
        _python(
            "connector",
            "MySQL Connector/Python (C)",
            "_mysql_connector",
            TEXT_AND_PREPARED,
            cannot=CONNECTOR_PYTHON,
        ),
        _python(
            "connector-pure",
            "MySQL Connector/Python (pure)",
            "mysql.connector",
            TEXT_AND_PREPARED,
            cannot=CONNECTOR_PYTHON,
        ),
        _python(
            "odbc",
            "MariaDB Connector/ODBC with pyodbc",
            "pyodbc",
            ("prepared",),
            {POOL: "its pool is the driver manager's, which has to be set up as root"},
        ),
        _node("mysql2", TEXT_AND_PREPARED),
        _node("mariadb", TEXT_AND_PREPARED),
        _node(
            "mysql", cannot={"mysql9": "node's mysql does not know caching_sha2_password"}
        ),
        _java("mariadb", "MariaDB Connector/J"),
        _java("mysql", "MySQL Connector/J"),
        _php("mysqli", "PHP mysqli", "mysqli"),
        _php("pdo", "PHP PDO", "pdo_mysql"),
        _perl("mysql"),
        _perl("MariaDB"),
        _go(),
        _r(),
        _command_line(
            "mariadb",
            "`mariadb` and `mariadb-dump`",
            ["mariadb", "--no-defaults"],
            lambda: _no_program("mariadb"),
            ["mariadb-dump", "--no-defaults"],
            {POOL: "it has no reset"},
        ),
        _command_line(
            "mysql",
            "`mysql` 9",
            command_line_of_tree("mysql9", "mysql"),
            lambda: _absent(TREES / "mysql9/usr/bin/mysql", "run scripts/get-server.sh"),
        ),
        _command_line(
            "mycli",
            "mycli",
            [str(MYCLI)],
            lambda: _absent(MYCLI),
            without={POOL: "it has no reset"},
        ),
    )
}


@functools.cache
def why_missing(name: str) -> str | None:
    """`Client.missing`, asked once a run."""
    return CLIENTS[name].missing()
