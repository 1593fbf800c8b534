"""Apache Superset on each server: the program in examples/superset checks it by itself.

It installs Superset, starts server, proxy and Superset, and makes and checks databases,
queries, datasets and a chart through Superset's REST API. With calls of ML functions.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.children import dies_with_us
from support.servers import wanted_kinds

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "superset" / "run.py"
TIMEOUT_S = 900

pytestmark = [
    pytest.mark.mysql,
    pytest.mark.slow,
    pytest.mark.matrix,
    pytest.mark.timeout(TIMEOUT_S + 60),
]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        dies_with_us(sys.executable, str(PROGRAM), *options),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


@pytest.fixture(scope="module")
def superset() -> None:
    """Superset is installed; a reason where it cannot be."""
    done = run("--install")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"Superset cannot be installed: {reason}")


@pytest.mark.parametrize("kind", ["mariadb10", "mysql9"])
def test_superset_charts_sentiment(kind: str, superset: None, tmp_path: Path) -> None:
    if kind not in wanted_kinds():
        pytest.skip(f"AURORA_TEST_SERVERS leaves out {kind}")
    picture = tmp_path / "chart.png"
    done = run("--once", "--kind", kind, "--screenshot", str(picture))
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "ok: chart data: sentiment by product" in done.stdout
    if "no chromium" not in done.stdout:
        assert picture.read_bytes().startswith(b"\x89PNG")
