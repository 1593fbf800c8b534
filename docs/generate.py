"""Tables that stand in the code, written into the files that show them to people.

Run as `python docs/generate.py` (make docs); with --check it writes nothing and fails
when a file is behind. It owns config.example.toml, and in Markdown what stands between
`<!-- generated: NAME -->` and `<!-- end -->`.
"""

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aurora_ml_proxy.config import ENV_PREFIX, Settings
from aurora_ml_proxy.errors import ERRORS
from aurora_ml_proxy.functions import FUNCTIONS, LANGUAGES
from aurora_ml_proxy.metrics import REGISTRY

ROOT = Path(__file__).parent.parent
MARK = re.compile(r"(<!-- generated: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section's name and model, in the order of `Settings`."""
    for name, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type) and issubclass(model, BaseModel)
        yield name, model


def toml_value(field: FieldInfo) -> str:
    """The default as TOML writes it; an example where nothing is the default."""
    value = field.default if field.default is not None else (field.examples or [""])[0]
    return json.dumps(value)


def meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def example_config() -> str:
    """config.example.toml: every key, commented out at its default."""
    lines = [
        "# Every key of aurora-ml-proxy, commented out at its default.",
        "# A key without a default shows an example, and says so.",
        f"# Any key can come from the environment: {ENV_PREFIX}UPSTREAM__HOST=db",
    ]
    for name, model in sections():
        doc = " ".join(inspect.getdoc(model).split())  # type: ignore[union-attr]
        lines += ["", f"# {doc}", f"[{name}]"]
        for key, field in model.model_fields.items():
            lines += [f"# {line}" for line in textwrap.wrap(meaning(field), 86)]
            if field.default is None:
                lines.append("# (unset by default; this is an example)")
            lines.append(f"#{key} = {toml_value(field)}")
    return "\n".join(lines) + "\n"


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def settings_tables() -> str:
    parts = []
    for name, model in sections():
        parts.append(f"\n### `[{name}]`\n\n{inspect.getdoc(model)}\n\n")
        parts.append(row("key", "default", "meaning") + row("---", "---", "---"))
        for key, field in model.model_fields.items():
            default = "unset" if field.default is None else f"`{toml_value(field)}`"
            parts.append(row(f"`{key}`", default, meaning(field)))
    return "".join(parts) + "\n"


def errors_table() -> str:
    head = row("error", "errno", "SQLSTATE", "fault", "meaning") + row(*["---"] * 5)
    return head + "".join(
        row(f"`{name}`", str(kind.errno), kind.sqlstate, kind.fault, kind.meaning)
        for name, kind in ERRORS.items()
    )


def functions_table() -> str:
    head = row("function", "arguments", "result") + row(*["---"] * 3)
    return head + "".join(
        row(f"`{f.name}`", f"{f.min_args} to {f.max_args}", f.result.value)
        for f in FUNCTIONS.values()
    )


def metrics_table() -> str:
    head = row("metric", "type", "meaning") + row(*["---"] * 3)
    return head + "".join(
        row(f"`{m.name}{'_total' * (m.type == 'counter')}`", m.type, m.documentation)
        for m in REGISTRY.collect()
    )


def client_matrix() -> str:
    """What the client matrix has seen, as docs/matrix.json keeps it."""
    record = json.loads((ROOT / "docs" / "matrix.json").read_text("utf-8"))
    kinds = record["servers"]
    notes: dict[str, int] = {}

    def note(text: str) -> str:
        return f"({notes.setdefault(text, len(notes) + 1)})"

    def seen(cells: dict[str, dict[str, str]]) -> str:
        outcomes = [outcome for parts in cells.values() for outcome in parts.values()]
        if not outcomes or "failed" in outcomes:
            return "✗" if outcomes else "not run"
        passed = "passed" in outcomes
        reasons = [o.partition(": ")[2] for o in outcomes if o != "passed"]
        return " ".join(["✓" if passed else "–", *map(note, dict.fromkeys(reasons))])

    table = row("client", "version", "statements", *map(server_title, kinds.values()))
    table += row(*["---"] * (3 + len(kinds)))
    for client in sorted(record["clients"].values(), key=lambda c: c["title"].lower()):
        lacks = [f"no {topic}: {why}" for topic, why in client["without"].items()]
        title = " ".join([client["title"], *map(note, lacks)])
        cells = client["cells"]
        for mode in dict.fromkeys(where.split()[2] for where in cells):
            columns = (
                {w: p for w, p in cells.items() if w.split()[::2] == [kind, mode]}
                for kind in kinds
            )
            table += row(title, client.get("version", ""), mode, *map(seen, columns))
    return table + "".join(f"\n({n}) {text}.\\" for text, n in notes.items())[:-1] + "\n"


def server_title(version: str) -> str:
    """MariaDB 10.11.19 for 10.11.19-MariaDB-0+deb12u1."""
    product = "MariaDB" if "MariaDB" in version else "MySQL"
    return f"{product} {version.partition('-')[0]}"


def languages() -> str:
    return ", ".join(f"`{code}`" for code in sorted(LANGUAGES)) + ".\n"


GENERATED: dict[str, Callable[[], str]] = {
    "settings": settings_tables,
    "errors": errors_table,
    "functions": functions_table,
    "languages": languages,
    "metrics": metrics_table,
    "client matrix": client_matrix,
}


def wanted() -> dict[Path, str]:
    """Every file that this program owns a part of, as it should be."""
    files = {ROOT / "config.example.toml": example_config()}
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text("utf-8")
        if MARK.search(text):
            files[page] = MARK.sub(lambda m: m[1] + GENERATED[m[2]]() + m[3], text)
    return files


def behind() -> list[Path]:
    """The files that do not say what the code says."""
    return [
        path
        for path, text in wanted().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]


def main(argv: list[str]) -> int:
    files = wanted()
    stale = behind()
    if "--check" in argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is behind the code: run make docs")
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path], "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
