"""What a run of the client matrix has seen, kept for the table in docs/clients.md.

In: the outcome of each test marked `cell`. Out: docs/matrix.json, where cells that this
run has not run stay as they were.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.clients import CLIENTS

TLS = {True: "TLS", False: "plain"}


@dataclass(slots=True)
class MatrixRecord:
    """The file, as it is and as it will be."""

    path: Path
    seen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.seen = json.loads(self.path.read_text("utf-8"))

    def add(self, part: str, cell: dict[str, Any], outcome: str) -> None:
        """An outcome: "passed", or what else happened and why, in one line.

        Args:
            part: "everything" or "ml".
            cell: the parameters of the test, and the versions that it met.
        """
        name, kind = cell["client"].name, cell["kind"]
        clients = self.seen.setdefault("clients", {})
        client = clients.setdefault(name, {"cells": {}})
        where = f"{kind} {TLS[cell['tls']]} {cell['mode']}"
        client["cells"].setdefault(where, {})[part] = outcome
        client["title"] = CLIENTS[name].title
        client["without"] = dict(CLIENTS[name].without)
        if version := cell.get("client version"):
            client["version"] = version
        if version := cell.get("server version"):
            self.seen.setdefault("servers", {})[kind] = version

    def write(self) -> None:
        """In the order of the names, so that two runs differ where they saw another."""
        clients = self.seen.get("clients", {})
        self.seen["clients"] = {k: v for k, v in clients.items() if k in CLIENTS}
        text = json.dumps(self.seen, indent=1, sort_keys=True, ensure_ascii=False)
        self.path.write_text(f"{text}\n", "utf-8")
