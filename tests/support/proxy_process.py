"""A proxy process that may fail to start, or that is sent signals by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def write_config(path: Path, **sections: dict[str, Any]) -> Path:
    # JSON's strings, numbers and booleans are TOML's.
    path.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items())
            for name, values in sections.items()
        )
    )
    return path


def serve(config: Path, timeout_s: float = 30) -> tuple[int, str]:
    """Exit status and standard error of a proxy that ends by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "aurora_ml_proxy.cli", "serve", "--config", str(config)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    return done.returncode, done.stderr
