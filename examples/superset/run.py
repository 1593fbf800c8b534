"""Apache Superset on a private server, through the proxy: sentiment in a chart.

.venv/bin/python examples/superset/run.py [--once] [--screenshot FILE] [--kind KIND]

In: a checkout after `make venv`. Superset comes into an environment of its own
(.cache/superset, a minute or two), all else into a folder that goes away. What is made in
Superset is made and checked through its REST API: a connection, queries in SQL Lab,
datasets on calls, a chart, and data. Without --once it goes on serving until Ctrl-C.
"""

import argparse
import contextlib
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pymysql
from superset_api import Superset, SupersetError

from aurora_ml_proxy.backends.local import judge
from aurora_ml_proxy.demo.tables import OPINIONS, SUBJECTS

ROOT = Path(__file__).parents[2]
VENV = Path(os.environ.get("AURORA_SUPERSET", ROOT / ".cache" / "superset"))
PRIVATE_SERVER = ROOT / "scripts" / "private-server.sh"

PACKAGES = [
    "apache-superset==6.1.0",
    "flask-caching==2.3.1",  # later ones no longer have what Superset 6.1 imports
    "rich",
    "cachetools",
    "pymysql",
    "mysqlclient",
    "gunicorn",
    "playwright",
]
USER, PASSWORD = "superset", "superset"
SCHEMA = "shop"
ROWS = 600

SENTIMENT = "aws_comprehend_detect_sentiment(user_feedback, 'en')"
CONFIDENCE = "aws_comprehend_detect_sentiment_confidence(user_feedback, 'en')"
DATASET = f"""\
SELECT product, written, user_feedback, {SENTIMENT} AS sentiment,
       {CONFIDENCE} AS confidence
FROM feedback"""

CONFIG = """\
SECRET_KEY = {secret!r}
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db"
SQLALCHEMY_ENGINE_OPTIONS = {{"connect_args": {{"timeout": 30}}}}
TALISMAN_ENABLED = False  # its HTTPS only cookies
RATELIMIT_ENABLED = False
"""


def say(text: str) -> None:
    print(text, flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def install() -> None:
    """Superset, in an environment of its own: it pins what others need newer."""
    stamp = VENV / ".installed"
    if stamp.exists() and stamp.read_text() == repr(PACKAGES):
        return
    say(f"Superset comes into {VENV} …")
    pip: list[Any] = [VENV / "bin" / "python", "-m", "pip", "install", "-q"]
    pip.append("--disable-pip-version-check")
    for command in ([sys.executable, "-m", "venv", VENV], [*pip, *PACKAGES]):
        if subprocess.run(command).returncode:
            sys.exit("Superset could not be installed")
    stamp.write_text(repr(PACKAGES))


@contextlib.contextmanager
def private_server(kind: str, folder: Path) -> Iterator[int]:
    """A server with the table, and its port."""
    place = folder / "server"
    folder.chmod(0o755)  # the server is a user of its own
    started = subprocess.run(
        [PRIVATE_SERVER, "start", kind, place, "0"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    try:
        fill(place / "run" / "m.sock")
        yield int(started.stdout)
    finally:
        subprocess.run([PRIVATE_SERVER, "stop", place, "now"], check=False)


def feedback() -> list[tuple[str, date, str]]:
    """The same rows every time; some products are liked more than others."""
    chance = random.Random(7)
    rows = []
    for n in range(ROWS):
        product = chance.choice(SUBJECTS[:6])
        liked = (sum(map(ord, product)) % 5 + 1) / 6
        opinions = [o for o in OPINIONS if is_kind(o) == (chance.random() < liked)]
        text = chance.choice(opinions).format(product)
        rows.append((product, date(2026, 1, 1) + timedelta(days=n // 5), text))
    return rows


def is_kind(opinion: str) -> bool:
    return re.search("love|Thank|happy|nice|Mondays", opinion) is not None


def fill(unix_socket: Path) -> None:
    connection = pymysql.connect(unix_socket=str(unix_socket), user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
        cursor.execute(f"CREATE USER {USER} IDENTIFIED BY '{PASSWORD}'")
        cursor.execute(f"GRANT ALL ON {SCHEMA}.* TO {USER}")
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.feedback (id INT PRIMARY KEY AUTO_INCREMENT,"
            " product VARCHAR(40), written DATE, user_feedback TEXT)"
        )
        cursor.executemany(
            f"INSERT INTO {SCHEMA}.feedback (product, written, user_feedback)"
            " VALUES (%s, %s, %s)",
            feedback(),
        )
        connection.commit()


@contextlib.contextmanager
def proxy(upstream_port: int, folder: Path) -> Iterator[int]:
    """The proxy with its local model, and its port."""
    port = free_port()
    config = folder / "proxy.toml"
    config.write_text(
        f"[listen]\nport = {port}\n"
        f'[upstream]\nhost = "127.0.0.1"\nport = {upstream_port}\n'
    )
    command = [sys.executable, "-m", "aurora_ml_proxy.cli", "serve", "--config", config]
    with process(command, folder / "proxy.log"):
        wait_for(port)
        yield port


@contextlib.contextmanager
def superset(folder: Path) -> Iterator[str]:
    """Superset with an administrator, and its address."""
    (folder / "superset_config.py").write_text(
        CONFIG.format(secret=secrets.token_hex(), folder=folder)
    )
    environment = os.environ | {
        "SUPERSET_CONFIG_PATH": str(folder / "superset_config.py"),
        "SUPERSET_HOME": str(folder),
        "FLASK_APP": "superset",
        "HOME": str(folder),
    }
    program = str(VENV / "bin" / "superset")
    administrator = ["--username", USER, "--password", PASSWORD, "--firstname", "An"]
    administrator += ["--lastname", "Administrator", "--email", "admin@localhost"]
    log = folder / "superset.log"
    for command in (["db", "upgrade"], ["fab", "create-admin", *administrator], ["init"]):
        say(f"superset {' '.join(command[:2])} …")
        with log.open("a") as file:
            done = subprocess.run(
                [program, *command], env=environment, stdout=file, stderr=file
            )
        if done.returncode:
            sys.exit(f"superset {command[0]} failed:\n{log.read_text()[-4000:]}")
    port = free_port()
    serve = [str(VENV / "bin" / "gunicorn"), "--bind", f"127.0.0.1:{port}"]
    serve += ["--workers", "1", "--threads", "8", "--timeout", "120"]
    with process([*serve, "superset.app:create_app()"], log, environment):
        wait_for(port, 120)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def process(command: list[Any], log: Path, environment: Any = None) -> Iterator[None]:
    with log.open("a") as file:
        running = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        try:
            yield
        finally:
            running.terminate()
            running.wait(30)


def wait_for(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def counted() -> Counter[tuple[str, str]]:
    """Rows by product and sentiment, counted here with the same local model."""
    return Counter((product, judge(text).label) for product, _, text in feedback())


def by_product(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter({(r["product"], r["sentiment"]): r["count"] for r in rows})


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Says how it went; an error ends the program."""
    try:
        yield
    except (SupersetError, AssertionError) as error:
        sys.exit(f"failed: {name}\n{error}")
    say(f"ok: {name}")


def build(api: Superset, port: int) -> int:
    """Makes everything in Superset, checks it, and returns the chart's id."""
    truth = counted()
    negative = sum(n for (_, sentiment), n in truth.items() if sentiment == "NEGATIVE")
    with step("a database connection"):
        uri = f"mysql://{USER}:{PASSWORD}@127.0.0.1:{port}/{SCHEMA}?charset=utf8mb4"
        database = api.add_database("shop, through aurora-ml-proxy", uri)
    with step("the same with PyMySQL"):
        other = uri.replace("mysql://", "mysql+pymysql://")
        api.add_database("shop, with PyMySQL", other)
    with step("schemas, tables, columns"):
        assert SCHEMA in api.get(f"database/{database}/schemas/")["result"]
        tables = api.get(f"database/{database}/tables/?q=(schema_name:{SCHEMA})")
        assert [table["value"] for table in tables["result"]] == ["feedback"], tables
        path = f"database/{database}/table_metadata/?name=feedback&schema={SCHEMA}"
        names = [column["name"] for column in api.get(path)["columns"]]
        assert names == ["id", "product", "written", "user_feedback"], names
    with step("SQL Lab: calls in select list, WHERE and GROUP BY"):
        found = api.run_sql(
            database,
            SCHEMA,
            f"SELECT product, {SENTIMENT} AS sentiment, COUNT(*) AS count FROM feedback"
            f" WHERE {SENTIMENT} <> 'MIXED' GROUP BY product, sentiment",
        )
        expected = {k: n for k, n in truth.items() if k[1] != "MIXED"}
        assert by_product(found["data"]) == expected, found
    with step("SQL Lab: an error with the server's words"):
        try:
            api.run_sql(database, SCHEMA, f"SELECT {SENTIMENT} FROM nowhere")
            raise AssertionError("no error")
        except SupersetError as error:
            assert "doesn't exist" in str(error), error
    with step("SQL Lab: CREATE TABLE AS, and a view with a call"):
        options: dict[str, Any] = {
            "select_as_cta": True,
            "ctas_method": "TABLE",
            "tmp_table_name": "kept",
        }
        api.run_sql(database, SCHEMA, DATASET, **options)
        options |= {"ctas_method": "VIEW", "tmp_table_name": "seen"}
        api.run_sql(database, SCHEMA, DATASET, **options)
        for table in ("kept", "seen"):
            sql = f"SELECT COUNT(*) AS n FROM {table} WHERE sentiment = 'NEGATIVE'"
            found = api.run_sql(database, SCHEMA, sql)
            assert found["data"] == [{"n": negative}], (table, found)
    with step("a dataset on a query with calls"):
        dataset = api.add_dataset(database, SCHEMA, "sentiment", DATASET)
        columns = api.columns(dataset)
        assert set(columns) >= {"product", "sentiment", "confidence"}, columns
    with step("chart data: sentiment by product"):
        metric = {"metrics": ["count"], "columns": ["product", "sentiment"]}
        found = api.chart_data(dataset, **metric, orderby=[["count", False]])
        assert by_product(found) == truth, found
    with step("chart data: filters, HAVING, averages, dates"):
        only = [{"col": "sentiment", "op": "IN", "val": ["NEGATIVE", "MIXED"]}]
        found = api.chart_data(dataset, **metric, filters=only)
        expected = {k: n for k, n in truth.items() if k[1] in ("NEGATIVE", "MIXED")}
        assert by_product(found) == expected, found
        found = api.chart_data(dataset, **metric, extras={"having": "COUNT(*) > 20"})
        assert by_product(found) == {k: n for k, n in truth.items() if n > 20}, found
        average = adhoc("AVG(confidence)", "confidence")
        found = api.chart_data(dataset, metrics=[average], columns=["sentiment"])
        assert all(0.5 <= float(row["confidence"]) <= 1 for row in found), found
        week = {"columnType": "BASE_AXIS", "timeGrain": "P1W", "expressionType": "SQL"}
        week |= {"label": "written", "sqlExpression": "written"}
        share = adhoc("SUM(sentiment = 'NEGATIVE')", "negative")
        found = api.chart_data(dataset, columns=[week], metrics=[share])
        assert sum(int(row["negative"]) for row in found) == negative, found
    with step("the values of a filter, the samples of a dataset, a download"):
        path = f"datasource/table/{dataset}/column/sentiment/values/"
        assert set(api.get(path)["result"]) == {s for _, s in truth}
        samples = api.chart_data(dataset, "samples", row_limit=5)
        assert len(samples) == 5 and samples[0]["sentiment"], samples
        csv = api.chart_csv(dataset, columns=["product", "sentiment"], metrics=["count"])
        assert len(csv.splitlines()) == len(truth) + 1, csv
    with step("calls as a calculated column and as a metric of a table"):
        table = api.add_dataset(database, SCHEMA, "feedback")
        column = {"expressionType": "SQL", "label": "sentiment"}
        column["sqlExpression"] = SENTIMENT
        found = api.chart_data(table, columns=["product", column], metrics=["count"])
        assert by_product(found) == truth, found
        metric_of_calls = adhoc(f"SUM({SENTIMENT} = 'NEGATIVE')", "negative")
        found = api.chart_data(table, columns=["product"], metrics=[metric_of_calls])
        assert sum(int(row["negative"]) for row in found) == negative, found
    with step("a chart"):
        form: dict[str, Any] = {"viz_type": "echarts_timeseries_bar", "x_axis": "product"}
        form |= {"metrics": ["count"], "groupby": ["sentiment"], "stack": "Stack"}
        form |= {"xAxisForceCategorical": True, "x_axis_sort_asc": True}
        form |= {"row_limit": 1000, "show_legend": True, "rich_tooltip": True}
        form |= {"color_scheme": "supersetColors", "xAxisLabelInterval": "0"}
        chart = api.add_chart("Sentiment by product", dataset, form)
    return chart


def adhoc(sql: str, label: str) -> dict[str, str]:
    return {"expressionType": "SQL", "sqlExpression": sql, "label": label}


def take_screenshot(url: str, chart_url: str, file: Path) -> None:
    """In a real browser: Debian's, as Playwright's own is a download."""
    if not shutil.which("chromium"):
        say("no chromium, so no picture")
        return
    program = Path(__file__).with_name("screenshot.py")
    words = [VENV / "bin" / "python", program, url, chart_url, USER, PASSWORD, file]
    with step(f"a picture of the chart, {file}"):
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--install", action="store_true", help="install, no more")
    arguments.add_argument("--once", action="store_true", help="end after the checks")
    arguments.add_argument("--screenshot", type=Path, help="a picture of the chart")
    arguments.add_argument("--kind", default="mariadb10", help="or mariadb11, mysql9")
    given = arguments.parse_args()
    install()
    if given.install:
        return
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream_port = stack.enter_context(private_server(given.kind, folder))
        port = stack.enter_context(proxy(upstream_port, folder))
        url = stack.enter_context(superset(folder))
        chart = build(Superset(url, USER, PASSWORD), port)
        chart_url = f"{url}/explore/?slice_id={chart}"
        if given.screenshot:
            take_screenshot(url, chart_url, given.screenshot)
        say(f"The chart: {chart_url}, user and password: {USER}")
        if not given.once:
            say("Ctrl-C ends all of it.")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


if __name__ == "__main__":
    main()
