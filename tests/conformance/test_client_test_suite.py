"""MariaDB's own tests of its C client, straight to a server and through the proxy.

`mariadb-client-test` (Debian: mariadb-test) has 300 tests of cursors, long data,
multi-results, COM_CHANGE_USER and the like. It ends at the first failure, and some fail
against any server that is not set up by mysql-test-run: so each runs by itself, and what
counts is that it ends in the same way with the same words.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.proxies import Proxy
from support.servers import REQUIRED, ServerPool, ServerUnavailable

pytestmark = [pytest.mark.mysql, pytest.mark.slow]

PROGRAM = "mariadb-client-test"
TIMEOUT_S = 60
ENOUGH_TESTS = 250
ENOUGH_PASSED = 200


def names_of_tests() -> list[str]:
    shown = subprocess.run(
        [PROGRAM, "--no-defaults", "--show-tests"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        words[0].rstrip(";")
        for line in shown.stdout.splitlines()
        if len(words := line.split()) == 1
    ]


def run_tests(names: list[str], port: int, directory: Path) -> dict[str, str]:
    """Name to exit code and output, without what no two runs have in common."""
    found = {}
    for name in names:
        done = subprocess.run(
            [
                PROGRAM,
                "--no-defaults",
                "-h127.0.0.1",
                f"-P{port}",
                "-uroot",
                "--silent",
                f"--vardir={directory}",
                name,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            cwd=directory,
        )
        output = done.stdout.decode(errors="backslashreplace")
        output = output.replace(str(port), "PORT").replace(str(directory), "DIR")
        output = re.sub(r"(connection|thread)( id)?:? \d+", r"\1 ID", output)
        found[name] = f"exit code {done.returncode}\n{output}"
    return found


def test_the_c_client_tests_end_alike(
    server_pool: ServerPool,
    proxy: Callable[..., Proxy],
    tmp_path: Path,
) -> None:
    if not shutil.which(PROGRAM):
        pytest.skip(f"no {PROGRAM}: run scripts/get-clients.sh")
    try:
        one = server_pool.start_throw_away(REQUIRED, "client-test-straight")
        other = server_pool.start_throw_away(REQUIRED, "client-test-proxied")
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    names = names_of_tests()
    assert len(names) > ENOUGH_TESTS
    ports = {"straight": one.port, "proxied": proxy(other).port}
    with ThreadPoolExecutor() as pool:
        running = {}
        for way, port in ports.items():
            (tmp_path / way).mkdir()
            running[way] = pool.submit(run_tests, names, port, tmp_path / way)
    straight, proxied = running["straight"].result(), running["proxied"].result()
    passed = sum(outcome.startswith("exit code 0") for outcome in straight.values())
    assert passed > ENOUGH_PASSED
    assert proxied == straight
