"""The layout of the package: who may import whom, and what lives where."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "aurora_ml_proxy"
ROOT = PACKAGE.name

STAGES = ("protocol", "intercept", "plan", "evaluate", "splice", "catalog", "session")
"""In the order a query meets them; a stage may import those before it."""

SHARED = ("errors", "functions", "config", "metrics")
"""Tables, settings and counters, for everybody."""

MAY_IMPORT = {
    **{stage: STAGES[:i] for i, stage in enumerate(STAGES)},
    **{name: SHARED[:i] for i, name in enumerate(SHARED)},
    "backends": (),
    "server": (*STAGES, "backends"),
    "check": ("protocol", "evaluate", "backends", "server"),
    "demo": (),
    "cli": ("server", "check", "demo"),
}
"""Besides SHARED and the contract in backends/__init__.py."""

ONLY_IN = {
    "sqlglot": {"plan"},
    "boto3": {"backends"},
    "botocore": {"backends"},
    "vaderSentiment": {"backends"},
    "prometheus_client": {"metrics", "server"},
    "uvloop": {"server"},
    "socket": {"server", "check", "demo"},
    "ssl": {"server", "check"},
    "selectors": {"server"},
    "subprocess": {"demo"},
    "aiohttp": {"server", "backends.fake"},
    "aiomysql": {"check", "demo"},
    "sqlite3": {"evaluate.disk"},
    "redis": {"evaluate.valkey"},
    "pydantic": {"config"},
    "pydantic_settings": {"config"},
}
"""Libraries that are known in one place."""

NO_CLOCK_NO_LOOP = ("protocol", "intercept", "plan", "splice", "catalog")
"""Stages that a test can run by hand, without an event loop."""

TRANSPORTS = {
    *("open_connection", "open_unix_connection", "start_server", "start_unix_server"),
    *("Protocol", "BufferedProtocol", "Transport", "StreamReader", "StreamWriter"),
    *("create_connection", "create_unix_connection", "create_server", "start_tls"),
    *("create_unix_server", "sock_recv", "sock_sendall"),
}
"""Names by which asyncio does I/O."""

NO_REFERENCE = ("create_task", "ensure_future")
"""The loop keeps only a weak reference to what these return; a TaskGroup keeps it."""

NO_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """plan/select.py is plan.select; the package itself is the empty name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def folder_of(name: str) -> str:
    return name.partition(".")[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layout"
            assert node.module is not None
            yield node.module
            if node.module == ROOT or node.module.startswith(f"{ROOT}."):
                # `from aurora_ml_proxy.plan import select` may import a module.
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    if is_module(full):
                        yield full


def is_module(dotted: str) -> bool:
    place = PACKAGE.parent.joinpath(*dotted.split("."))
    return place.is_dir() or place.with_suffix(".py").exists()


def own_imports(path: Path) -> Iterator[str]:
    for module in imports(path):
        if module.startswith(f"{ROOT}."):
            yield module.removeprefix(f"{ROOT}.")


def modules():
    return pytest.mark.parametrize("path", MODULES, ids=lambda p: name_of(p) or ROOT)


def test_every_folder_and_module_has_its_place():
    names = {folder_of(name_of(path)) for path in MODULES} - {""}
    assert names <= set(MAY_IMPORT)


@modules()
def test_a_stage_imports_those_before_it_and_never_after(path):
    me = folder_of(name_of(path))
    allowed = {me, *MAY_IMPORT.get(me, ())}
    if me not in SHARED:
        allowed |= set(SHARED)
    for module in own_imports(path):
        contract = module == "backends" and me in STAGES
        assert folder_of(module) in allowed or contract, f"imports {module}"


@modules()
def test_a_library_is_known_in_one_place(path):
    name = name_of(path)
    for module in imports(path):
        places = ONLY_IN.get(module.partition(".")[0])
        if places is not None:
            at_home = any(name == p or name.startswith(f"{p}.") for p in places)
            assert at_home, f"{module} lives in {', '.join(sorted(places))}"


@modules()
def test_sockets_live_in_server_only(path):
    if folder_of(name_of(path)) in ("server", "check"):
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = node.value.id == "asyncio" and node.attr in TRANSPORTS
            assert not used, f"line {node.lineno}: asyncio.{node.attr}"


@modules()
def test_the_stages_before_session_need_no_event_loop_and_no_clock(path):
    if folder_of(name_of(path)) in NO_CLOCK_NO_LOOP:
        assert {"asyncio", "time", "threading"}.isdisjoint(imports(path))


@modules()
def test_no_task_is_left_to_the_garbage_collector(path):
    if name_of(path) == "server.tasks":
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner, name = node.value.id, node.attr
            loose = owner in ("asyncio", "loop") and name in NO_REFERENCE
            assert not loose, f"line {node.lineno}: use server.tasks.TaskSet"


@modules()
def test_every_module_opens_with_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@modules()
def test_no_module_is_named_after_nothing(path):
    assert path.stem not in NO_NAMES and path.parent.name not in NO_NAMES


def test_every_test_stands_beside_its_module():
    """tests/ mirrors the package; a test of no module of the folder has no twin."""
    tests = Path(__file__).parent
    for stage in (*STAGES, "backends", "server"):
        for test in (tests / stage).rglob("test_*.py"):
            module = test.stem.removeprefix("test_").removesuffix("_fuzz")
            assert (PACKAGE / stage / f"{module}.py").exists(), f"{test}: no such module"


def test_the_package_map_names_every_folder():
    text = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text("utf-8")))
    for stage in (*STAGES, "backends", "server"):
        assert f"\n{stage} " in text
