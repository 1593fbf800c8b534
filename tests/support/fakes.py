"""The fake Comprehend in a process of its own, counted over HTTP.

Calls are counted here, at the service, and never inside the proxy.
"""

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from typing import Any

from support.children import dies_with_us

AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials that the fake takes, and nothing of this machine's own."""


@dataclass(slots=True)
class Fake:
    """A fake Comprehend that listens on `url`."""

    process: subprocess.Popen[str]
    url: str

    def settings(self, **sentiment: object) -> dict[str, dict[str, object]]:
        """The settings of a proxy that asks this service."""
        return {
            "sentiment": {"backend": "comprehend", **sentiment},
            "comprehend": {"region": "us-east-1", "endpoint_url": self.url},
        }

    def calls(self) -> list[dict[str, Any]]:
        """Every call since the last reset."""
        found: list[dict[str, Any]] = self._ask("GET", "calls")["calls"]
        return found

    def behave(self, **behaviour: object) -> None:
        """Changes the behaviour; see `backends.fake_service.Behaviour`."""
        self._ask("POST", "behaviour", behaviour)

    def reset(self) -> None:
        """Back to the usual behaviour, and an empty log of calls."""
        self._ask("POST", "reset")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_fake/{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            text = response.read()
        return json.loads(text) if text else None


def start_fake(*arguments: str) -> Fake:
    """Starts the fake on a free port."""
    process = subprocess.Popen(
        dies_with_us(sys.executable, "-m", "aurora_ml_proxy.backends.fake", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    return Fake(process, url)


def stop_fake(fake: Fake) -> None:
    """Ends it."""
    fake.process.terminate()
    fake.process.wait(10)
    assert fake.process.stdout is not None
    fake.process.stdout.close()
