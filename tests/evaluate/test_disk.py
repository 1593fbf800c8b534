"""The file: what survives, what is shared, what it does when something is wrong."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
import time

import pytest

from aurora_ml_proxy.config import ConfigError
from aurora_ml_proxy.evaluate.disk import Disk
from aurora_ml_proxy.evaluate.records import write_record
from aurora_ml_proxy.evaluate.store import StoreFailed

TTL_S = 3600


def some(first: int, count: int, given_s: float | None = None) -> dict[bytes, bytes]:
    given_s = time.time() if given_s is None else given_s
    keys = [b"%048d" % n for n in range(first, first + count)]
    return {key: write_record(key, b"123456789", int(given_s)) for key in keys}


@pytest.fixture
async def new_disk(tmp_path):
    made = []

    def new(limit_bytes: int = 1 << 30) -> Disk:
        made.append(Disk(tmp_path / "answers.sqlite", limit_bytes, TTL_S))
        return made[-1]

    yield new
    for disk in made:
        await disk.close()


async def count(disk: Disk, records) -> int:
    return len((await disk.read(list(records))).records)


async def test_answers_survive_and_the_file_is_its_owners_alone(tmp_path, new_disk):
    path, records = tmp_path / "answers.sqlite", some(0, 100)
    disk = Disk(path, 1 << 30, TTL_S)
    await disk.write(1, records)
    await disk.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await count(new_disk(), records) == 100


_WRITE_AND_DIE = """
import asyncio, os, pathlib, signal, sys
from aurora_ml_proxy.evaluate.disk import Disk
from aurora_ml_proxy.evaluate.records import write_record

async def main():
    disk = Disk(pathlib.Path(sys.argv[1]), 1 << 30, 3600)
    key = b"%048d" % 7
    await disk.write(1, {key: write_record(key, b"v", int(sys.argv[2]))})
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""

_WRITE_MANY = """
import asyncio, pathlib, sys
from aurora_ml_proxy.evaluate.disk import Disk
from aurora_ml_proxy.evaluate.records import write_record

async def main():
    disk = Disk(pathlib.Path(sys.argv[1]), 1 << 30, 3600)
    for n in range(100):
        first = int(sys.argv[2]) * 10000 + n * 25
        keys = [b"%048d" % (first + i) for i in range(25)]
        await disk.write(1, {key: write_record(key, b"v", 2**31) for key in keys})
        await disk.read(keys)
    await disk.close()

asyncio.run(main())
"""


def processes(program: str, *arguments: list[str]) -> list[int]:
    """Run them at one time; their exit statuses."""
    words = [[sys.executable, "-c", program, *some] for some in arguments]
    return [process.wait() for process in [subprocess.Popen(w) for w in words]]


async def test_answers_survive_a_process_that_is_killed(tmp_path, new_disk):
    arguments = [str(tmp_path / "answers.sqlite"), str(int(time.time()))]
    assert await asyncio.to_thread(processes, _WRITE_AND_DIE, arguments) == [-9]
    assert await count(new_disk(), some(7, 1)) == 1


async def test_many_processes_make_the_file_and_write_at_one_time(tmp_path, new_disk):
    arguments = [[str(tmp_path / "answers.sqlite"), str(n)] for n in range(4)]
    assert await asyncio.to_thread(processes, _WRITE_MANY, *arguments) == [0] * 4
    disk = new_disk()
    for n in range(4):
        assert await count(disk, some(10_000 * n, 2_500)) == 2_500
    [[whole]] = disk._file.execute("PRAGMA integrity_check").fetchall()
    assert whole == "ok"


async def test_a_full_file_forgets_its_oldest_answers_and_stays_in_its_bounds(
    tmp_path, new_disk
):
    disk = new_disk(limit_bytes=1 << 20)
    for first in range(0, 20_000, 100):
        await disk.write(1, some(first, 100))
    assert disk._used_bytes() <= 1.1 * (1 << 20)
    assert await count(disk, some(0, 5_000)) == 0
    assert await count(disk, some(15_000, 5_000)) == 5_000
    assert (tmp_path / "answers.sqlite").stat().st_size <= 1.5 * (1 << 20)


async def test_expired_answers_go_little_by_little(new_disk):
    disk = new_disk()
    await disk.write(1, some(0, 300, time.time() - 2 * TTL_S))
    fresh = some(1_000, 300)
    for key, record in fresh.items():
        await disk.write(1, {key: record})
    [[left]] = disk._file.execute("SELECT COUNT(*) FROM answers").fetchall()
    assert left == 300 and await count(disk, fresh) == 300


async def test_a_locked_file_is_a_failure_within_its_time(tmp_path, new_disk):
    disk = new_disk()
    other = sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(StoreFailed, match="locked"):
        await disk.write(1, some(0, 1))
    assert time.monotonic() - started < Disk.patience_s
    assert (await disk.read(list(some(0, 1)))).records == {}  # a writer stops no reader
    other.execute("ROLLBACK")
    other.close()
    await disk.write(1, some(0, 1))


async def test_a_file_that_is_damaged_is_a_failure_and_no_answer(tmp_path, new_disk):
    disk, records = new_disk(), some(0, 2_000)
    await disk.write(1, records)
    disk._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "answers.sqlite"
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xa5" * 4096 * 20)
    disk._file.execute("PRAGMA cache_size = 0")
    with pytest.raises(StoreFailed):
        await new_disk().read(list(records))


def test_what_cannot_be_opened_is_told_in_one_line(tmp_path):
    (tmp_path / "text").write_text("not a database at all, but long enough" * 100)
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE t(x)")
    other.close()
    for name, reason in [
        ("text", "not a database"),
        ("other", "no answer cache"),
        ("", "directory"),
        ("missing/answers", "No such file"),
    ]:
        with pytest.raises(ConfigError, match=rf"^cache\.path: .*{reason}"):
            Disk(tmp_path / name, 1 << 20, TTL_S)
    # Nobody else's file is touched.
    assert (tmp_path / "text").read_text().startswith("not a database")


def test_a_file_of_another_version_is_left_alone(tmp_path):
    Disk(tmp_path / "answers", 1 << 20, TTL_S)
    other = sqlite3.connect(tmp_path / "answers")
    other.execute("PRAGMA user_version = 2")
    other.close()
    with pytest.raises(ConfigError, match="no answer cache of this version"):
        Disk(tmp_path / "answers", 1 << 20, TTL_S)
