"""Fixtures: real servers, and the proxy in front of them.

A server starts when a test first asks for it and stays until the run ends.
AURORA_TEST_SERVERS=mariadb10,mysql9 restricts the kinds.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.proxies import Proxy, ProxyFailed, Settings, start_proxy, stop_proxy
from support.servers import (
    KINDS,
    PLAIN,
    REQUIRED,
    Server,
    ServerPool,
    ServerUnavailable,
    wanted_kinds,
)
from support.valkey import ValkeyServer, ValkeyUnavailable, make_valkey

ProxyFactory = Callable[..., Proxy]

# A busy machine makes examples slow, which says nothing about the code.
settings.register_profile(
    "fast", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", settings.get_profile("fast"), max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


IN_EVERY_RUN = {
    "test_inline_oracle": ("mariadb10", "mysql9"),
    "test_random_sql": ("mariadb10", "mysql9"),
    "test_both_ways": ("mariadb10", "mysql9"),
    "test_views": ("mariadb10",),
    "test_several_statements": ("mariadb10",),
    "test_prepared_text": ("mysql9",),
    "test_server_statements": ("mariadb10", "mysql9"),
    "test_inline_costs": ("mariadb10",),
    "test_inline_concurrency": ("mysql9",),
    "test_inline_faults": ("mariadb10",),
    "test_inline_locks": ("mysql9",),
    "test_lookups": ("mariadb10", "mysql9"),
}
"""The servers on which these modules run always; on the others with `make matrix`, so
that a run stays under half an hour."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what only `make matrix` runs."""
    for item in items:
        kinds = IN_EVERY_RUN.get(item.path.stem)
        left_out = [kind for kind in KINDS if kinds and kind not in kinds]
        if any(kind in item.name for kind in left_out):
            item.add_marker(pytest.mark.matrix)


@pytest.fixture(scope="session")
def server_pool() -> Iterator[ServerPool]:
    """The servers of this run; `get_server` is what a test wants."""
    pool = ServerPool()
    yield pool
    pool.stop()


@pytest.fixture(scope="session")
def get_server(server_pool: ServerPool) -> Callable[[str], Server]:
    """The running server of a kind; skips the test where it cannot be had."""

    def get(kind: str) -> Server:
        try:
            return server_pool.get(kind)
        except ServerUnavailable as reason:
            if kind.startswith(REQUIRED) and REQUIRED in wanted_kinds():
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))

    return get


@pytest.fixture(scope="session")
def mariadb10(get_server: Callable[[str], Server]) -> Server:
    """MariaDB 10.11 with TLS."""
    return get_server("mariadb10")


@pytest.fixture(scope="session")
def mariadb10_plain(get_server: Callable[[str], Server]) -> Server:
    """MariaDB 10.11 without TLS."""
    return get_server(PLAIN)


@pytest.fixture(scope="session")
def mariadb11(get_server: Callable[[str], Server]) -> Server:
    """MariaDB 11.8, with its own TLS."""
    return get_server("mariadb11")


@pytest.fixture(scope="session")
def mysql9(get_server: Callable[[str], Server]) -> Server:
    """MySQL 9, with its own TLS."""
    return get_server("mysql9")


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, get_server: Callable[[str], Server]) -> Server:
    """Each kind of server in turn."""
    return get_server(request.param)


@pytest.fixture(scope="session")
def _valkey() -> Iterator[ValkeyServer]:
    try:
        server = make_valkey()
        server.start()
    except ValkeyUnavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture
def valkey(_valkey: ValkeyServer) -> Iterator[ValkeyServer]:
    """A Valkey or Redis that is empty, and that a test may freeze or stop."""
    _valkey.ask(b"FLUSHALL")
    yield _valkey
    if _valkey.process is None:
        _valkey.start()
    _valkey.thaw()


def _factory(directories: Callable[[], Path], proxies: list[Proxy]) -> ProxyFactory:
    def start(server: Server, settings: Settings | None = None) -> Proxy:
        proxy = start_proxy(server, settings or {}, directories())
        proxies.append(proxy)
        return proxy

    return start


def _stop_all(proxies: list[Proxy]) -> None:
    failures = []
    for proxy in proxies:
        try:
            stop_proxy(proxy)
        except Exception as failure:
            failures.append(str(failure))
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyFactory]:
    """`proxy(server, settings)` starts a proxy of this test's own.

    It is stopped by SIGTERM; a traceback in its log fails the test.
    """
    proxies: list[Proxy] = []
    yield _factory(lambda: tmp_path_factory.mktemp("proxy"), proxies)
    _stop_all(proxies)


@pytest.fixture(scope="session")
def shared_proxy(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Server], Proxy]]:
    """`shared_proxy(server)`: a proxy with default settings, one for all tests."""
    proxies: list[Proxy] = []
    start = _factory(lambda: tmp_path_factory.mktemp("proxy"), proxies)
    by_kind: dict[str, Proxy | ProxyFailed] = {}

    def get(server: Server) -> Proxy:
        if server.kind not in by_kind:
            try:
                by_kind[server.kind] = start(server)
            except ProxyFailed as failure:
                by_kind[server.kind] = failure
        found = by_kind[server.kind]
        if isinstance(found, ProxyFailed):
            pytest.fail(str(found), pytrace=False)
        return found

    yield get
    _stop_all(proxies)
