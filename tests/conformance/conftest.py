"""Fixtures of the conformance tests: the fake Comprehend, and a proxy that asks it."""

from collections.abc import Callable, Iterator

import pytest
from support.fakes import AWS_ENVIRONMENT, Fake, start_fake, stop_fake
from support.oracle import create_oracle
from support.proxies import Proxy, start_proxy, stop_proxy
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
def oracle_proxy(
    tmp_path_factory: pytest.TempPathFactory, fake_service: Fake
) -> Iterator[Callable[[Server], Proxy]]:
    """`oracle_proxy(server)`: a server with the oracle's functions and tables in its
    schema `oracle`, and a proxy before it that asks the fake Comprehend."""
    proxies: dict[str, Proxy] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS_ENVIRONMENT.items():
            patch.setenv(name, value)

        def get(server: Server) -> Proxy:
            if server.kind not in proxies:
                create_oracle(server)
                proxies[server.kind] = start_proxy(
                    server, fake_service.settings(), tmp_path_factory.mktemp("proxy")
                )
            return proxies[server.kind]

        yield get
        for proxy in proxies.values():
            stop_proxy(proxy)
