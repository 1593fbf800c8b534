"""/healthz, /readyz and /metrics."""

import re
import signal
import socket
import urllib.error
import urllib.request

import pymysql
import pytest
from support.fake_server import Talk, fake_server
from support.proxies import Proxy
from support.servers import Account, Server
from support.watching import connect, connected, rows_of, until

ANYBODY = Account("anybody", "", "native")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def admin() -> int:
    return free_port()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}{path}", timeout=10
        ) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(port: int, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", get(port, "/metrics")[1], re.M)
    return float(found[1]) if found else 0.0


def start(proxy, server, admin: int) -> Proxy:
    running: Proxy = proxy(
        server,
        {"admin": {"port": admin}, "upstream": {"connect_timeout_s": 1}},
    )
    return running


@pytest.mark.mysql
def test_metrics_tell_of_connections_while_they_last(
    mariadb10: Server, proxy, admin: int
) -> None:
    running = start(proxy, mariadb10, admin)
    assert get(admin, "/healthz") == (200, "ok\n")
    assert get(admin, "/readyz") == (200, "ok\n")
    account = mariadb10.account()
    with connected(running.port, account) as connection:
        assert metric(admin, "aurora_ml_proxy_connections") == 1
        assert metric(admin, 'aurora_ml_proxy_logins_total{outcome="ok"}') == 1
        sql = "SELECT aws_comprehend_detect_sentiment(s, 'en') FROM (SELECT 'good' s) t"
        assert rows_of(connection, sql) == (("POSITIVE",),)
        ok = 'aurora_ml_proxy_ml_statements_total{outcome="ok"}'
        assert until(lambda: metric(admin, ok) == 1)
    assert until(lambda: metric(admin, "aurora_ml_proxy_connections") == 0)
    with pytest.raises(pymysql.err.OperationalError):
        connect(running.port, account, password="wrong")
    assert metric(admin, 'aurora_ml_proxy_logins_total{outcome="refused"}') == 1
    assert get(admin, "/nothing")[0] == 404


def test_ready_again_without_any_client(proxy, admin: int) -> None:
    """A balancer that is told 503 sends no client that could find the upstream alive."""
    alive = True

    def script(talk: Talk) -> None:
        if alive:
            talk.greet()
            talk.read()
            talk.send(b"\xff\x15\x04#28000no")

    with fake_server(script) as server:
        running = start(proxy, server, admin)
        assert get(admin, "/readyz") == (200, "ok\n")
        alive = False
        with pytest.raises(pymysql.err.OperationalError):
            connect(running.port, ANYBODY)
        for _ in range(2):
            assert get(admin, "/readyz") == (503, "the upstream cannot be reached\n")
        assert get(admin, "/healthz") == (200, "ok\n")
        alive = True
        assert get(admin, "/readyz") == (200, "ok\n")
        seen = len(server.talks)
        assert get(admin, "/readyz") == (200, "ok\n")
        assert len(server.talks) == seen


@pytest.mark.mysql
def test_not_ready_while_draining(mariadb10: Server, proxy, admin: int) -> None:
    running = start(proxy, mariadb10, admin)
    with connected(running.port, mariadb10.account()) as connection:
        rows_of(connection, "START TRANSACTION")
        running.process.send_signal(signal.SIGTERM)
        assert until(lambda: "draining" in running.log)
        assert get(admin, "/readyz") == (503, "draining\n")
        assert get(admin, "/healthz") == (200, "ok\n")
        rows_of(connection, "ROLLBACK")
        assert running.process.wait(10) == 0
