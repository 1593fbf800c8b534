"""The image, compose and the files in examples/: they hold together, and they run."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aurora_ml_proxy.cli import parser
from aurora_ml_proxy.config import ENV_PREFIX, Settings, load
from aurora_ml_proxy.demo import tables

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def instructions(word):
    """What follows the word in the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^{word} (.+)$", text, re.MULTILINE)


def use(monkeypatch, variables):
    for name, value in variables.items():
        if name.startswith(ENV_PREFIX):
            monkeypatch.setenv(name, value)


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    for path in EXAMPLES.iterdir():
        if path.name != "README.md":
            assert f"`{path.name}`" in listed


def test_the_image_copies_what_the_ignore_file_lets_through():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sources = [s for line in instructions("COPY") for s in line.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored


def test_the_image_runs_as_a_user_with_a_number():
    assert instructions("USER") == ["65532:65532"]


def test_the_image_s_variables_are_settings(monkeypatch):
    [line] = instructions("ENV")
    use(monkeypatch, dict(word.split("=", 1) for word in shlex.split(line)))
    settings = load(None)
    assert settings.listen.host == "0.0.0.0"
    assert instructions("EXPOSE") == [str(settings.listen.port)]
    [check] = instructions("HEALTHCHECK")
    assert f"http://127.0.0.1:{settings.admin.port}/healthz" in check


def test_the_image_s_health_check_is_python():
    [check] = instructions("HEALTHCHECK")
    code = re.search(r'"(import .*)"\]$', check)
    compile(code[1], "HEALTHCHECK", "exec")


def test_the_image_s_command_is_the_package_s():
    assert instructions("ENTRYPOINT") == ['["aurora-ml-proxy"]']
    assert instructions("CMD") == ['["serve"]']
    assert parser().parse_args(["serve"])


def read_yaml(path):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.safe_load(path.read_text("utf-8"))


def test_compose_holds_together(monkeypatch):
    services = read_yaml(ROOT / "compose.yaml")["services"]
    proxy, db = services["proxy"], services["db"]
    assert proxy["network_mode"] == "service:db"
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", []):
            assert (ROOT / volume.split(":")[0]).exists()
    variables = {
        k: re.sub(r"\$\{\w+:-(.*)\}", r"\1", v) for k, v in proxy["environment"].items()
    }
    use(monkeypatch, variables)
    settings = load(None)
    assert f"{settings.listen.port}:{settings.listen.port}" in db["ports"]
    assert f"--port={settings.listen.port}" in services["client"]["command"]


def test_the_sidecar_s_variables_are_settings(monkeypatch):
    pod = read_yaml(EXAMPLES / "kubernetes-sidecar.yaml")
    proxy = pod["spec"]["containers"][1]
    use(monkeypatch, {v["name"]: v["value"] for v in proxy["env"]})
    assert load(None).sentiment.backend == "comprehend"


def test_the_unit_file_starts_the_proxy_and_waits_for_the_drain():
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(EXAMPLES / "systemd.service")
    service = unit["Service"]
    _, *arguments = service["ExecStart"].split()
    assert parser().parse_args(arguments)
    assert int(service["TimeoutStopSec"]) > Settings().listen.drain_timeout_s


def test_the_sample_table_is_the_demo_s():
    text = (EXAMPLES / "feedback.sql").read_text("utf-8")
    shown = re.findall(r"^  \('(.*)'\)[,;]$", text, re.MULTILINE)
    assert [row.replace("''", "'") for row in shown] == tables.FEEDBACK


@pytest.fixture(scope="module")
def demo_server(mariadb10):
    """The server with the demo's tables, as long as this file runs."""
    script = tables.script("demo", "demo")
    mariadb10.run_as_root("DROP DATABASE IF EXISTS demo")
    for statement in re.split(r";\n", script.strip().rstrip(";")):
        mariadb10.run_as_root(statement)
    yield mariadb10
    mariadb10.run_as_root("DROP USER demo@'127.0.0.1'")
    mariadb10.run_as_root("DROP DATABASE demo")


@pytest.mark.mysql
@pytest.mark.parametrize("name", ["pymysql_sentiment.py", "streaming_sentiment.py"])
def test_a_script_runs(name, demo_server, shared_proxy):
    port = shared_proxy(demo_server).port
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), str(port)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = set(re.findall("POSITIVE|NEGATIVE|NEUTRAL|MIXED", done.stdout))
    assert found >= {"POSITIVE", "NEGATIVE", "NEUTRAL"}


@pytest.mark.mysql
@pytest.mark.parametrize("name", ["feedback.sql", "queries.sql"])
def test_an_sql_file_runs(name, demo_server, shared_proxy):
    client = shutil.which("mariadb") or shutil.which("mysql")
    if client is None:
        pytest.skip("there is no mariadb or mysql client")
    port = f"-P{shared_proxy(demo_server).port}"
    if name == "feedback.sql":
        demo_server.run_as_root("RENAME TABLE demo.Feedback TO demo.Kept")
    try:
        done = subprocess.run(
            [client, "--no-defaults", "-h127.0.0.1", port, "-udemo", "--table", "demo"],
            input=(EXAMPLES / name).read_text("utf-8"),
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "MYSQL_PWD": "demo"},
        )
    finally:
        if name == "feedback.sql":
            demo_server.run_as_root("DROP TABLE IF EXISTS demo.Feedback")
            demo_server.run_as_root("RENAME TABLE demo.Kept TO demo.Feedback")
    assert (done.returncode, done.stderr) == (0, "")
