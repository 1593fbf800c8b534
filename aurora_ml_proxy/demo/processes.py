"""Children of the demo, each with a log of its own.

They are ended by pid, the last one first.
"""

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aurora_ml_proxy.demo import DemoFailed

STARTED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.05

LISTENING = re.compile(r"listening on \S*:(\d+)\b")
"""What a proxy says when it is ready, and its port."""


@dataclass(frozen=True, slots=True)
class Child:
    """A program that was started, and what it has said."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def last_words(self) -> str:
        """The last line that speaks of an error, else the last line."""
        lines = [line.strip() for line in self.said().splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        return (errors or lines or ["it said nothing"])[-1]


@dataclass(slots=True)
class Children:
    """All of them; `stop` leaves none behind."""

    folder: Path
    """Where the logs go."""
    started: list[Child] = field(default_factory=list)

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> Child:
        """Start a program in a session of its own.

        Ctrl-C reaches this process only, which then ends the others in order.
        """
        log = self.folder / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=env,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.started.append(child)
        return child

    def stop(self) -> None:
        for child in reversed(self.started):
            end(child.process)
        self.started.clear()


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for one that does not listen."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPPED_WITHIN_S)
    process.kill()
    process.wait()


def wait_until(child: Child, ready: Callable[[], bool], within_s: float) -> None:
    """Return when the child is ready. Raises: DemoFailed when it ends or never is."""
    give_up = time.monotonic() + within_s
    while not ready():
        status = child.process.poll()
        if status is not None:
            said = child.last_words()
            raise DemoFailed(f"{child.name} ended with status {status}: {said}")
        if time.monotonic() > give_up:
            said = child.last_words()
            raise DemoFailed(f"{child.name} is not ready after {within_s:.0f} s: {said}")
        time.sleep(LOOK_EVERY_S)


def wait_for_line(child: Child, pattern: re.Pattern[str]) -> str:
    """The pattern's group in what the child says when it is ready."""
    wait_until(child, lambda: bool(pattern.search(child.said())), STARTED_WITHIN_S)
    found = pattern.search(child.said())
    assert found is not None
    return found[1]
