"""The proxy as its users run it: a process of its own, with a config file.

In: a `Server` and settings. Out: a `Proxy` that listens. Knows nothing of pytest.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.children import dies_with_us
from support.servers import Server

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 40

CLI = ("-m", "aurora_ml_proxy.cli")
INLINE_ONLY = (str(Path(__file__).with_name("inline_only.py")),)
HASHES_FIRST = (str(Path(__file__).with_name("hashes_first.py")),)
"""What Python runs: the command line, the one that never splices, and the one that reads
every text by its hash first, for a proxy with a cache."""

Settings = Mapping[str, Mapping[str, Any]]


class ProxyFailed(Exception):
    """The proxy did not start, or did not end well; the message has its log."""


@dataclass(slots=True)
class Proxy:
    """A proxy process that listens on host and port."""

    server: Server
    process: subprocess.Popen[str]
    host: str = ""
    port: int = 0
    tls: bool = True
    lines: list[str] = field(default_factory=list)
    _listening: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has written on standard error so far."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening on (\S+):(\d+)", line)
            if found and not self.port:
                self.host, self.port = found[1].strip("[]"), int(found[2])
                self._listening.set()
        self._listening.set()


def start_proxy(
    server: Server,
    settings: Settings,
    directory: Path,
    program: tuple[str, ...] = CLI,
) -> Proxy:
    """Starts `aurora-ml-proxy serve` in front of the server, on a free port."""
    sections: dict[str, dict[str, Any]] = {
        "listen": {"port": 0, "drain_timeout_s": 5},
        "upstream": {"host": server.host, "port": server.port},
        # Tests count calls, and would find the answers to each other's texts.
        "cache": {"enabled": False},
    }
    for section, values in settings.items():
        sections.setdefault(section, {}).update(values)
    config = directory / "proxy.toml"
    config.write_text(_toml(sections))
    process = subprocess.Popen(
        dies_with_us(sys.executable, *program, "serve", "--config", str(config)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={
            k: v for k, v in os.environ.items() if not k.startswith("AURORA_ML_PROXY__")
        },
    )
    proxy = Proxy(server, process, tls=server.tls)
    proxy._reader = threading.Thread(target=proxy._read, daemon=True)
    proxy._reader.start()
    if not proxy._listening.wait(START_TIMEOUT_S) or not proxy.port:
        process.kill()
        _collect(proxy)
        raise ProxyFailed(f"the proxy did not start:\n{proxy.log}")
    return proxy


def stop_proxy(proxy: Proxy) -> None:
    """Ends the proxy with SIGTERM; `ProxyFailed` for a traceback or an exit code."""
    proxy.process.send_signal(signal.SIGTERM)
    try:
        proxy.process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        proxy.process.kill()
    code = _collect(proxy)
    if code != 0:
        raise ProxyFailed(f"the proxy ended with {code} after SIGTERM:\n{proxy.log}")
    if "Traceback (most recent call last)" in proxy.log:
        raise ProxyFailed(f"a traceback in the proxy's log:\n{proxy.log}")


def _collect(proxy: Proxy) -> int:
    """Waits for the process and the rest of its log; its exit code."""
    code = proxy.process.wait()
    assert proxy._reader is not None and proxy.process.stderr is not None
    proxy._reader.join()
    proxy.process.stderr.close()
    return code


def _toml(sections: Settings) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's.
    return "".join(
        f"[{name}]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for name, values in sections.items()
    )
