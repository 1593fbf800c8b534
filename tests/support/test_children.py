"""No process of a test outlives a test run that was killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.children import dies_with_us
from support.watching import until

TESTS = Path(__file__).parents[1]

STARTS = {
    "fake": "from support.fakes import start_fake; child = start_fake().process",
    "proxy": """
from types import SimpleNamespace
from support.proxies import start_proxy
server = SimpleNamespace(host="127.0.0.1", port=1, tls=False)
child = start_proxy(server, {}, pathlib.Path(sys.argv[1])).process
""",
}


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("what", STARTS)
def test_what_tests_start_is_killed_with_them(what: str, tmp_path: Path) -> None:
    if dies_with_us() == []:
        pytest.skip("no setpriv")
    words = f"import pathlib, sys, time\n{STARTS[what]}\nprint(child.pid, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{words}\ntime.sleep(60)", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
    ) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        assert lives(pid)
        run.kill()
    assert until(lambda: not lives(pid))
