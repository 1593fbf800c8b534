"""What a test can see of a process and a server from outside, and how it waits for it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pymysql
from support.servers import Account, Server

T = TypeVar("T")
PAUSE_S = 0.02


def until(condition: Callable[[], T], timeout_s: float = 10.0) -> T:
    """What the condition gives once it is true; the last value after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(PAUSE_S)
    return value


def steady(reading: Callable[[], T], for_s: float = 1.0, timeout_s: float = 30.0) -> T:
    """A reading that has not changed for a while."""
    end = time.monotonic() + timeout_s
    last, since = reading(), time.monotonic()
    while time.monotonic() - since < for_s and time.monotonic() < end:
        time.sleep(PAUSE_S)
        if (value := reading()) != last:
            last, since = value, time.monotonic()
    return last


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    return _status(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """The most resident memory that a process has had, in MiB."""
    return _status(pid, "VmHWM")


def _status(pid: int, key: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) / 1024
    raise AssertionError(f"no {key}")


def open_files(pid: int) -> list[str]:
    """What the process has open, by descriptor."""
    found = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(entry.path))
        except FileNotFoundError:
            continue
    return found


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    return sum(name.startswith("socket:") for name in open_files(pid))


def cpu_s(pid: int) -> float:
    """Processor seconds that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_of(server: Server, name: str) -> int:
    """A counter of SHOW GLOBAL STATUS."""
    [(_, value)] = server.run_as_root(f"SHOW GLOBAL STATUS LIKE '{name}'")
    return int(value)


def clients_of(server: Server) -> int:
    """Connections over TCP that the server has; the tests' own use the socket."""
    [(count,)] = server.run_as_root(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE HOST LIKE '%:%'"
    )
    return int(count)


@contextmanager
def connected(
    port: int, account: Account, **options: Any
) -> Iterator["pymysql.connections.Connection[Any]"]:
    """A PyMySQL connection to 127.0.0.1, closed at the end whatever has become of it."""
    connection = connect(port, account, **options)
    try:
        yield connection
    finally:
        if connection.open:
            connection._force_close()


def connect(
    port: int, account: Account, **options: Any
) -> "pymysql.connections.Connection[Any]":
    return pymysql.connect(
        **{
            "host": "127.0.0.1",
            "port": port,
            "user": account.user,
            "password": account.password,
            "autocommit": True,
            "read_timeout": 60,
            **options,
        }
    )


def rows_of(connection: "pymysql.connections.Connection[Any]", sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
