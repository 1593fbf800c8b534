"""A store in one SQLite file: it survives a restart, and the proxies of a machine share
it.

SQLite's own locks and its write-ahead log keep the file whole, whoever dies when. All
work is done in one thread, never in the event loop's.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aurora_ml_proxy.config import ConfigError
from aurora_ml_proxy.evaluate.records import given_of
from aurora_ml_proxy.evaluate.store import Reading, StoreFailed

T = TypeVar("T")

_APPLICATION_ID = 0x41754D4C
"""Marks a file as one of ours, for SQLite and for file(1)."""
_SCHEMA = 1

_OPENING_S = 10.0
"""Seconds to wait at the start for another proxy that is making the file."""
_WRITING_S = 0.5
"""Seconds to wait for another proxy's write: it takes milliseconds."""

_CLOSING_S = 1.0

_KEYS_AT_ONCE = 500
"""Keys in one SELECT; SQLite takes 32,766 parameters, older ones 999."""

_MAKE = f"""
CREATE TABLE answers(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL);
CREATE TABLE state(generation INTEGER NOT NULL);
INSERT INTO state VALUES(1);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA};
"""
"""Ids grow in the order of writing: the oldest answers have the smallest."""


class Disk:
    """A `Store` in a file."""

    name = "disk"
    patience_s = 2.0

    def __init__(self, path: Path, limit_bytes: int, ttl_s: float) -> None:
        """Open the file, or make it. Raises: ConfigError."""
        self._limit_bytes = limit_bytes
        self._ttl_s = ttl_s
        try:
            # Its owner's alone: whoever can write to it can make answers up.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._file = _open(path)
        except OSError as error:
            raise ConfigError(f"cache.path: {path}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise ConfigError(f"cache.path: {path}: {error}") from None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers-on-disk")

    async def read(self, keys: Sequence[bytes]) -> Reading:
        """See `Store`."""
        return await self._run(lambda: self._read(keys))

    async def write(self, generation: int, records: Mapping[bytes, bytes]) -> None:
        """See `Store`."""
        await self._run(lambda: self._write(generation, records))

    async def forget_all(self) -> int:
        """See `Store`."""
        return await self._run(self._forget_all)

    async def close(self) -> None:
        """See `Store`. It does not wait for a disk that hangs."""
        try:
            async with asyncio.timeout(_CLOSING_S):
                await self._run(self._file.close)
        except (TimeoutError, StoreFailed):
            pass
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreFailed(str(error)) from None

    def _read(self, keys: Sequence[bytes]) -> Reading:
        records: dict[bytes, bytes] = {}
        with _Transaction(self._file, "DEFERRED"):
            generation = self._generation()
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                sql = f"SELECT key, record FROM answers WHERE key IN ({marks})"
                records.update(self._file.execute(sql, some))
        return Reading(generation, records)

    def _write(self, generation: int, records: Mapping[bytes, bytes]) -> None:
        with _Transaction(self._file, "IMMEDIATE"):
            if self._generation() != generation:
                return
            self._file.executemany(
                "INSERT OR REPLACE INTO answers(key, record) VALUES(?, ?)",
                records.items(),
            )
            self._make_room(2 * len(records))

    def _make_room(self, count: int) -> None:
        """Delete some of the oldest: those that have expired, or all if it is full.

        A little at every write, so that no write takes long.
        """
        sql = "SELECT id, record FROM answers ORDER BY id LIMIT ?"
        rows = self._file.execute(sql, (count,)).fetchall()
        if self._used_bytes() <= self._limit_bytes:
            oldest_s = time.time() - self._ttl_s
            rows = [row for row in rows if given_of(row[1]) < oldest_s]
        if rows:
            self._file.execute("DELETE FROM answers WHERE id <= ?", (rows[-1][0],))

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._file.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _forget_all(self) -> int:
        with _Transaction(self._file, "IMMEDIATE"):
            self._file.execute("DELETE FROM answers")
            self._file.execute("UPDATE state SET generation = generation + 1")
            return self._generation()

    def _generation(self) -> int:
        [generation] = self._file.execute("SELECT generation FROM state").fetchone()
        return int(generation)


class _Transaction:
    """BEGIN, and COMMIT or ROLLBACK."""

    def __init__(self, file: sqlite3.Connection, kind: str) -> None:
        self._file = file
        self._kind = kind

    def __enter__(self) -> None:
        self._file.execute(f"BEGIN {self._kind}")

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:
            self._file.execute("COMMIT")
        elif self._file.in_transaction:
            self._file.execute("ROLLBACK")


def _open(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    give_up_s = time.monotonic() + _OPENING_S
    try:
        while True:
            try:
                _prepare(file)
                return file
            except sqlite3.OperationalError:
                # Another proxy is making it: SQLite does not wait for all its locks.
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(0.05)
    except BaseException:
        file.close()
        raise


def _prepare(file: sqlite3.Connection) -> None:
    with _Transaction(file, "IMMEDIATE"):
        _make_if_new(file)
    # With the log an answer may be lost when the power fails, and the file is whole.
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")
    file.execute(f"PRAGMA busy_timeout = {int(_WRITING_S * 1000)}")


def _make_if_new(file: sqlite3.Connection) -> None:
    application, version, tables = (
        file.execute(sql).fetchone()[0]
        for sql in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT COUNT(*) FROM sqlite_schema",
        )
    )
    if (application, version, tables) == (0, 0, 0):
        for sql in _MAKE.split(";"):
            file.execute(sql)
    elif (application, version) != (_APPLICATION_ID, _SCHEMA):
        raise sqlite3.DatabaseError("this is no answer cache of this version")
