"""`make demo` as a newcomer sees it, and its pieces."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aurora_ml_proxy.demo import DemoFailed, client, tables
from aurora_ml_proxy.demo.mariadb import find_mariadbd
from aurora_ml_proxy.demo.processes import Children, end, wait_for_line, wait_until
from aurora_ml_proxy.functions import MAX_TEXT_BYTES

ROWS = re.compile(r"^\| .* \|$", re.MULTILINE)
TAKES_AT_MOST_S = 120


def test_the_article_s_table_has_eleven_rows():
    assert len(tables.FEEDBACK) == 11


def test_the_long_text_is_just_short_enough():
    sizes = [len(text.encode()) for _, text in tables.SHAPES if text]
    assert MAX_TEXT_BYTES - 100 < max(sizes) <= MAX_TEXT_BYTES


def test_the_archive_has_200_distinct_texts():
    assert len(set(tables.ARCHIVE_TEXTS)) == len(tables.ARCHIVE_TEXTS) == 200


def test_no_statement_of_the_script_is_too_big_for_an_init_file():
    statements = tables.script("demo", "demo").split(";\n")
    assert max(map(len, statements)) < 60_000


def test_a_table_is_drawn_as_the_command_line_draws_it():
    drawn = client.table(["id", "text"], [(1, "é"), (10, None), (2, "日本")])
    assert drawn.splitlines() == [
        "+----+------+",
        "| id | text |",
        "+----+------+",
        "|  1 | é    |",
        "| 10 | NULL |",
        "|  2 | 日本 |",
        "+----+------+",
    ]


@pytest.fixture
def children(tmp_path):
    children = Children(tmp_path)
    yield children
    children.stop()


def python(code):
    return [sys.executable, "-c", code]


def test_a_child_that_ends_is_quoted(children):
    code = "import sys; sys.exit('error: no room')"
    child = children.start("server", python(code))
    with pytest.raises(DemoFailed, match="server ended with status 1: error: no room"):
        wait_for_line(child, re.compile("(ready)"))


def test_a_child_that_is_never_ready_is_given_up(children):
    child = children.start("server", python("input()"))
    with pytest.raises(DemoFailed, match="ended with status 1"):
        wait_until(child, lambda: False, 60)
    child = children.start("server", python("import time; time.sleep(60)"))
    with pytest.raises(DemoFailed, match="not ready after 0 s: it said nothing"):
        wait_until(child, lambda: False, 0)


def test_children_are_ended_the_last_one_first(children):
    first = children.start("first", python("import time; time.sleep(60)"))
    second = children.start("second", python("import time; time.sleep(60)"))
    children.stop()
    codes = [child.process.returncode for child in (first, second)]
    assert codes == [-signal.SIGTERM] * 2
    end(first.process)  # a second time does no harm


@pytest.fixture
def demo(tmp_path):
    """Start the demo with an empty HOME and a folder for temporary files of its own."""
    if find_mariadbd() is None and (os.geteuid() != 0 or not shutil.which("apt-get")):
        pytest.skip("there is no mariadbd, and no right to install one")
    place = Path(tempfile.mkdtemp(prefix="demo-"))  # tmp_path is closed to user mysql
    place.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    started = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, "-m", "aurora_ml_proxy.cli", "demo", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "HOME": str(home), "TMPDIR": str(place)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
    left = list(place.iterdir())
    shutil.rmtree(place)
    assert left == [], "the demo left files behind"


def transcript():
    """The lines of the README's transcript, but for ports, versions and seconds."""
    text = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    block = text.partition("$ make demo ARGS=--once\n")[2].partition("\n```")[0]
    changing = re.compile(r"…|.* listens on |The client is |\| (batches|row by row)")
    return [line for line in block.splitlines() if not changing.match(line)]


@pytest.mark.mysql
def test_the_demo_once(demo):
    process = demo("--once")
    out, _ = process.communicate(timeout=TAKES_AT_MOST_S)
    assert process.returncode == 0, out
    article, confidence, shapes = out.split("\nSELECT")[1:4]
    assert len(ROWS.findall(article)) == 1 + 11
    assert len(re.findall(r"POSITIVE|NEGATIVE|NEUTRAL", article)) == 11
    assert len(re.findall(r"\| +0\.\d+ \|$|\| +1 \|$", confidence, re.MULTILINE)) == 11
    assert len(re.findall(r"\| NULL +\|$", shapes, re.MULTILINE)) == 2
    batched = re.search(r"\| batches of 25 +\| +(\d+) \| +([\d.]+) \|", out)
    one_by_one = re.search(r"\| row by row +\| +(\d+) \| +([\d.]+) \|", out)
    assert (int(batched[1]), int(one_by_one[1])) == (8, 200)
    assert float(batched[2]) < float(one_by_one[2])
    for line in transcript():
        assert line in out.splitlines()


@pytest.mark.mysql
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_serves_until_it_is_told_to_stop(demo, number):
    process = demo()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    told = re.search(r"mariadb -h 127.0.0.1 -P (\d+) -u demo -pdemo demo", "".join(lines))
    rows = client.Library("test", "demo", "demo", "demo").query(
        int(told[1]), "SELECT aws_comprehend_detect_sentiment('I love it', 'en') AS s"
    )
    assert "POSITIVE" in rows
    process.send_signal(number)
    assert process.wait(30) == 0


@pytest.mark.mysql
def test_the_demo_can_be_interrupted_before_it_serves(demo):
    process = demo()
    process.stdout.readline()  # MariaDB is up, the proxy is not
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in out
