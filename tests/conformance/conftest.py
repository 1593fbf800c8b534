"""Fixtures of the conformance tests: the fake Comprehend, and a proxy that asks it.

With AURORA_MATRIX=FILE, a run also keeps in it what the client matrix has seen.
"""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from support.fakes import AWS_ENVIRONMENT, Fake, start_fake, stop_fake
from support.matrix_record import MatrixRecord
from support.oracle import create_oracle
from support.proxies import CLI, Proxy, start_proxy, stop_proxy
from support.servers import Server


@pytest.fixture(scope="session")
def fake_service() -> Iterator[Fake]:
    """One fake for the whole run; `fake` is what a test wants."""
    fake = start_fake()
    yield fake
    stop_fake(fake)


@pytest.fixture
def fake(fake_service: Fake) -> Fake:
    """The fake Comprehend, its log empty and its behaviour the usual one."""
    fake_service.reset()
    return fake_service


@pytest.fixture(scope="session")
def oracle_of() -> Callable[[Server], None]:
    """`oracle_of(server)` makes the oracle's functions and tables, once."""
    made: set[str] = set()

    def make(server: Server) -> None:
        if server.kind not in made:
            made.add(server.kind)
            create_oracle(server)

    return make


@pytest.fixture(scope="session")
def oracle_proxy(
    tmp_path_factory: pytest.TempPathFactory,
    fake_service: Fake,
    oracle_of: Callable[[Server], None],
) -> Iterator[Callable[..., Proxy]]:
    """`oracle_proxy(server)`: a server with the oracle's functions and tables in its
    schema `oracle`, and a proxy before it that asks the fake Comprehend. With
    HASHES_FIRST it has a cache, and reads texts by their hashes first."""
    proxies: dict[tuple[str, tuple[str, ...]], Proxy] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS_ENVIRONMENT.items():
            patch.setenv(name, value)

        def get(server: Server, program: tuple[str, ...] = CLI) -> Proxy:
            oracle_of(server)
            if (server.kind, program) not in proxies:
                settings = fake_service.settings()
                settings["cache"] = {"enabled": program != CLI}
                directory = tmp_path_factory.mktemp("proxy")
                started = start_proxy(server, settings, directory, program)
                proxies[server.kind, program] = started
            return proxies[server.kind, program]

        yield get
        for proxy in proxies.values():
            stop_proxy(proxy)


RECORD = pytest.StashKey[MatrixRecord]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps how each cell of the client matrix ended."""
    report = yield
    marker = item.get_closest_marker("cell")
    path = os.environ.get("AURORA_MATRIX")
    # A test that is skipped or fails while its fixtures are made is not called.
    if path and marker and (report.when == "call" or not report.passed):
        assert isinstance(item, pytest.Function)
        if RECORD not in item.session.stash:
            item.session.stash[RECORD] = MatrixRecord(Path(path))
        versions = {f"{name} version": value for name, value in report.user_properties}
        record = item.session.stash[RECORD]
        record.add(marker.args[0], item.callspec.params | versions, _outcome(report))
    return report


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return f"xfailed: {report.wasxfail}"
    if report.skipped and isinstance(report.longrepr, tuple):
        return f"skipped: {report.longrepr[2].removeprefix('Skipped: ')}"
    return str(report.outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes it down."""
    if record := session.stash.get(RECORD, None):
        record.write()
