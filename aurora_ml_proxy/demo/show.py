"""The order of events: start all, ask the article's queries, keep serving, end all."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from aurora_ml_proxy.config import ENV_PREFIX
from aurora_ml_proxy.demo import DemoFailed, client, mariadb, tables
from aurora_ml_proxy.demo.client import Client
from aurora_ml_proxy.demo.processes import (
    LISTENING,
    LOOK_EVERY_S,
    Children,
    wait_for_line,
)

Sections = Mapping[str, Mapping[str, object]]
"""A config: sections of keys."""

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ACCOUNT = "demo"
"""Name, password and database alike."""

PREFERRED_PORT = 3307
"""Where the proxy listens when nobody else does: the default of `listen.port`."""

FAKE_LATENCY_S = 0.1
"""Seconds for one call; Comprehend takes about as long from inside its region."""

CONCURRENCY = 8
"""Calls at one time: the default of `sentiment.concurrency`."""

SENTIMENT = """\
SELECT id, user_feedback,
       aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment
FROM Feedback"""

CONFIDENCE = """\
SELECT id,
       aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment,
       aws_comprehend_detect_sentiment_confidence(user_feedback, 'en') AS confidence
FROM Feedback"""

SHAPES = """\
SELECT shape, CHAR_LENGTH(user_feedback) AS characters,
       LEFT(user_feedback, 33) AS starts_with,
       aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment
FROM FeedbackShapes"""

BATCHED = """\
SELECT id, aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment
FROM FeedbackArchive"""

ROW_BY_ROW = BATCHED.replace("'en'", "'en', 1")


@dataclass(frozen=True, slots=True)
class Timing:
    """How one mode of the same query went."""

    mode: str
    calls: int
    seconds: float
    answer: str


def run(*, once: bool) -> int:
    """The demo; 0 when every step worked.

    With `once` it ends after the results, else it serves until it is told to stop.
    """
    try:
        with _signals_interrupt(), _folder() as folder, _children(folder) as children:
            _play(folder, children, once=once)
    except DemoFailed as failed:
        print(f"aurora-ml-proxy demo: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("aurora-ml-proxy demo: interrupted", file=sys.stderr)
        return 130
    return 0


def _play(folder: Path, children: Children, *, once: bool) -> None:
    mariadbd = mariadb.find_or_install()
    script = tables.script(ACCOUNT, ACCOUNT)
    upstream_port = mariadb.start(mariadbd, folder, script, children)
    _say(f"{mariadb.release(mariadbd)} listens on 127.0.0.1:{upstream_port}.")
    local: Sections = {
        "listen": {"port": _proxy_port()},
        "sentiment": {"backend": "local"},
    }
    port = start_proxy("aurora-ml-proxy", local, upstream_port, folder, children)
    _say(f"aurora-ml-proxy listens on 127.0.0.1:{port}; its model is local (VADER).")
    asker = client.pick(ACCOUNT, ACCOUNT, ACCOUNT)
    _say(f"The client is {asker.name}, connected to the proxy.")
    for statement in (SENTIMENT, CONFIDENCE, SHAPES):
        _say(f"\n{statement};")
        _say(asker.query(port, statement))
    _compare(asker, upstream_port, folder, children)
    if not once:
        _serve(port, children)


def _compare(asker: Client, upstream_port: int, folder: Path, children: Children) -> None:
    """Batch mode against row-by-row mode, on a service that answers as slowly as the
    real one and counts its calls."""
    fake_url = start_fake(children)
    settings: Sections = {
        "listen": {"port": 0},
        "sentiment": {"backend": "comprehend", "concurrency": CONCURRENCY},
        "comprehend": {"region": "us-east-1", "endpoint_url": fake_url},
        # Both modes ask about the same texts, and neither by the other's answers.
        "cache": {"enabled": False},
    }
    port = start_proxy("second-proxy", settings, upstream_port, folder, children)
    timings = [
        _time("batches of 25", asker, port, BATCHED, fake_url),
        _time("row by row", asker, port, ROW_BY_ROW, fake_url),
    ]
    if timings[0].answer != timings[1].answer:
        raise DemoFailed("batch mode and row-by-row mode gave different answers")
    rows, texts = tables.ARCHIVE_ROWS, len(tables.ARCHIVE_TEXTS)
    _say(
        f"\nA second proxy asks a fake Comprehend, {FAKE_LATENCY_S} s a call and "
        f"{CONCURRENCY} calls at a time,\nabout {rows:,} rows with {texts} distinct "
        "texts: in batches, and one by one."
    )
    _say(f"\n{BATCHED};\n\n{ROW_BY_ROW};\n")
    lines = [[t.mode, t.calls, Decimal(f"{t.seconds:.2f}")] for t in timings]
    _say(client.table(["mode", "calls", "seconds"], lines))
    _say(f"Both gave the same {rows:,} answers.")


def _time(mode: str, asker: Client, port: int, statement: str, fake_url: str) -> Timing:
    before, started = calls_counted(fake_url), time.monotonic()
    answer = asker.query(port, statement)
    seconds = time.monotonic() - started
    return Timing(mode, calls_counted(fake_url) - before, seconds, answer)


def _serve(port: int, children: Children) -> None:
    """Stay until Ctrl-C, or until one of the children ends by itself."""
    _say("\nThe proxy goes on serving. Connect with any MySQL client, for example:")
    _say(f"  mariadb -h 127.0.0.1 -P {port} -u {ACCOUNT} -p{ACCOUNT} {ACCOUNT}")
    _say("Ctrl-C ends everything and leaves nothing behind.")
    try:
        while all(child.process.poll() is None for child in children.started):
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        _say("\nEnding.")
        return
    ended = next(c for c in children.started if c.process.poll() is not None)
    raise DemoFailed(f"{ended.name} ended: {ended.last_words()}")


def start_proxy(
    name: str,
    settings: Sections,
    upstream_port: int,
    folder: Path,
    children: Children,
) -> int:
    """`aurora-ml-proxy serve`, as a user starts it; its port."""
    config = folder / f"{name}.toml"
    config.write_text(_toml({**settings, "upstream": {"port": upstream_port}}), "utf-8")
    command = [sys.executable, "-m", "aurora_ml_proxy.cli", "serve", "--config"]
    child = children.start(name, [*command, str(config)], _proxy_environment())
    return int(wait_for_line(child, LISTENING))


def start_fake(children: Children) -> str:
    """The fake Comprehend that comes with the package; its URL."""
    command = [sys.executable, "-m", "aurora_ml_proxy.backends.fake", "--port", "0"]
    command += ["--latency", str(FAKE_LATENCY_S), "--answers", "vader"]
    child = children.start("fake-comprehend", command)
    return wait_for_line(child, re.compile(r"(http://\S+)"))


def calls_counted(fake_url: str) -> int:
    """How many calls have reached the fake Comprehend."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{fake_url}/_fake/calls", timeout=10) as reply:
        return len(json.load(reply)["calls"])


def _proxy_environment() -> dict[str, str]:
    """The demo's own settings and the fake's credentials, nobody else's.

    An HTTP proxy in the environment must not stand before the fake.
    """
    aws = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": ACCOUNT}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith((ENV_PREFIX, "AWS_"))
    }
    return {**kept, **aws, "AWS_CONFIG_FILE": os.devnull, "NO_PROXY": "*"}


def _toml(sections: Sections) -> str:
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def _proxy_port() -> int:
    """The usual port where it is free, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PREFERRED_PORT))
        except OSError:
            return 0
    return PREFERRED_PORT


def _say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that the server's user can pass through, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="aurora-ml-proxy-demo-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _children(folder: Path) -> Iterator[Children]:
    """Nobody who is impatient can stop the stopping."""
    children = Children(folder)
    try:
        yield children
    finally:
        for number in STOPPING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        children.stop()


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does."""
    before = {number: signal.getsignal(number) for number in STOPPING_SIGNALS}
    for number in STOPPING_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
