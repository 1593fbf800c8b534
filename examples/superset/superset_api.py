"""As much of Superset's REST API as the example speaks, over the standard library.

In: an address and an administrator. Out: databases, queries, datasets, charts and their
data. Anything that Superset calls an error raises `SupersetError` with its words.
"""

import http.cookiejar
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 60


class SupersetError(Exception):
    """What Superset said, and to what."""


class Superset:
    """A session, logged in."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self._headers = {"Content-Type": "application/json", "Referer": url}
        login = {"username": user, "password": password, "provider": "db"}
        token = self.post("security/login", login)["access_token"]
        self._headers["Authorization"] = f"Bearer {token}"
        self._headers["X-CSRFToken"] = self.get("security/csrf_token/")["result"]

    def get(self, path: str) -> Any:
        return json.loads(self.ask("GET", path))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return json.loads(self.ask("POST", path, body))

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The bytes of the answer; a path without api/ is one of the API's."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}",
            method=method,
            headers=self._headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise SupersetError(f"{method} {path}: {error.code} {said[:2000]}") from None

    def add_database(self, name: str, uri: str) -> int:
        """Connects; Superset tries it before it keeps it."""
        body: dict[str, Any] = {"database_name": name, "sqlalchemy_uri": uri}
        self.post("database/test_connection/", body)
        body |= {"expose_in_sqllab": True, "allow_dml": True}
        body |= {"allow_ctas": True, "allow_cvas": True}
        return int(self.post("database/", body)["id"])

    def run_sql(self, database: int, schema: str, sql: str, **more: Any) -> Any:
        """What SQL Lab shows: `data`, `columns` and `query`."""
        body = {"database_id": database, "schema": schema, "sql": sql, **more}
        return self.post("sqllab/execute/", body)

    def add_dataset(
        self, database: int, schema: str, name: str, sql: str | None = None
    ) -> int:
        """A table, or a query under a name."""
        body = {"database": database, "schema": schema, "table_name": name}
        if sql is not None:
            body["sql"] = sql
        return int(self.post("dataset/", body)["id"])

    def columns(self, dataset: int) -> dict[str, str]:
        """Name and type of the columns of a dataset."""
        found = self.get(f"dataset/{dataset}")["result"]["columns"]
        return {column["column_name"]: column["type"] for column in found}

    def chart_data(
        self, dataset: int, result_type: str = "full", **query: Any
    ) -> list[dict[str, Any]]:
        """The rows behind a chart, asked for as the browser does."""
        body = _asked(dataset, result_type, "json", query)
        [result] = self.post("chart/data", body)["result"]
        if result.get("error"):
            raise SupersetError(result["error"])
        return list(result["data"])

    def chart_csv(self, dataset: int, **query: Any) -> str:
        """The same as a download."""
        return self.ask(
            "POST", "chart/data", _asked(dataset, "full", "csv", query)
        ).decode()

    def add_chart(self, name: str, dataset: int, form: dict[str, Any]) -> int:
        """A chart as Explore saves it."""
        form = {"datasource": f"{dataset}__table", **form}
        body = {
            "slice_name": name,
            "viz_type": form["viz_type"],
            "datasource_id": dataset,
            "datasource_type": "table",
            "params": json.dumps(form),
        }
        return int(self.post("chart/", body)["id"])


def _asked(dataset: int, result_type: str, form: str, query: dict[str, Any]) -> Any:
    lists: dict[str, Any] = {
        name: [] for name in ("columns", "metrics", "orderby", "filters")
    }
    return {
        "datasource": {"id": dataset, "type": "table"},
        "queries": [{"row_limit": 1000, "extras": {}, **lists, **query}],
        "result_format": form,
        "result_type": result_type,
        "force": True,
    }
