"""The client programs of the matrix: how each is called, and what it lacks here.

In: nothing. Out: `CLIENTS`. `scripts/get-clients.sh` installs what they need.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.servers import TREES

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("AURORA_CLIENTS", ROOT / ".cache" / "clients"))
PROGRAMS = ROOT / "tests" / "conformance" / "clients"
CLASSES = CACHE / "java" / "classes"

PYTHON = CACHE / "python" / "bin" / "python"
INSTALL = "run scripts/get-clients.sh"


@dataclass(frozen=True, slots=True)
class Client:
    """A program that takes HOST PORT USER PASSWORD TLS MODE DATABASE STEPS."""

    name: str
    command: tuple[str, ...]
    missing: Callable[[], str | None]
    """Why it cannot run here; None where it can."""
    modes: tuple[str, ...] = ("text",)
    environment: Mapping[str, str] = field(default_factory=dict)


def _python(driver: str, module: str, modes: tuple[str, ...] = ("text",)) -> Client:
    def missing() -> str | None:
        if not PYTHON.exists():
            return f"no {PYTHON}: {INSTALL}"
        found = subprocess.run(
            [str(PYTHON), "-c", f"import {module}"], capture_output=True, text=True
        )
        reason = found.stderr.strip().splitlines()
        return f"{reason[-1]}: {INSTALL}" if found.returncode else None

    program = PROGRAMS / "python_client.py"
    return Client(driver, (str(PYTHON), str(program), driver), missing, modes)


def _node(driver: str, modes: tuple[str, ...] = ("text",)) -> Client:
    modules = CACHE / "node" / "node_modules"

    def missing() -> str | None:
        if not shutil.which("node"):
            return "no node"
        if not (modules / driver).exists():
            return f"no {modules / driver}: {INSTALL}"
        return None

    return Client(
        f"node-{driver}",
        ("node", str(PROGRAMS / "node_client.js"), driver),
        missing,
        modes,
        {"NODE_PATH": str(modules)},
    )


def _java(driver: str) -> Client:
    jar = CACHE / "java" / f"{driver}.jar"
    source = PROGRAMS / "JavaClient.java"
    compiled = CLASSES / "JavaClient.class"

    def missing() -> str | None:
        if not shutil.which("javac"):
            return f"no javac: {INSTALL}"
        if not jar.exists():
            return f"no {jar}: {INSTALL}"
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
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
    return Client(f"java-{driver}", (*command, driver), missing, modes)


def _mariadb_command_line() -> Client:
    return Client(
        "mariadb",
        (sys.executable, str(PROGRAMS / "command_line.py"), "mariadb"),
        lambda: None if shutil.which("mariadb") else f"no mariadb: {INSTALL}",
        environment={
            "COMMAND_LINE": json.dumps(["mariadb", "--no-defaults"]),
            "DUMP": json.dumps(["mariadb-dump", "--no-defaults"]),
        },
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


def _mysql_command_line() -> Client:
    words = command_line_of_tree("mysql9", "mysql")
    program = TREES / "mysql9" / "usr" / "bin" / "mysql"
    return Client(
        "mysql",
        (sys.executable, str(PROGRAMS / "command_line.py"), "mysql"),
        lambda: None if program.exists() else f"no {program}: get-server.sh mysql9",
        environment={"COMMAND_LINE": json.dumps(words)},
    )


TEXT_AND_PREPARED = ("text", "prepared")
CLIENTS = {
    client.name: client
    for client in (
        _python("pymysql", "pymysql"),
        _python("aiomysql", "aiomysql"),
        _python("asyncmy", "asyncmy"),
        _python("mysqlclient", "MySQLdb"),
        _python("connector", "_mysql_connector", TEXT_AND_PREPARED),
        _python("connector-pure", "mysql.connector", TEXT_AND_PREPARED),
        _python("odbc", "pyodbc"),
        _node("mysql2", TEXT_AND_PREPARED),
        _node("mariadb", TEXT_AND_PREPARED),
        _node("mysql"),
        _java("mariadb"),
        _java("mysql"),
        _mariadb_command_line(),
        _mysql_command_line(),
    )
}
