"""Fixtures of the conformance tests: the fake Comprehend, and a proxy that asks it."""

from collections.abc import Callable, Iterator

import pytest
from support.fakes import AWS_ENVIRONMENT, Fake, start_fake, stop_fake
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
