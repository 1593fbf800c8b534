"""Fixtures of the fault tests: a fake upstream, and the fake Comprehend."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from support.fake_server import FakeServer, Script, fake_server
from support.fakes import AWS_ENVIRONMENT, Fake, start_fake, stop_fake
from support.inline_faults import Session, create_texts
from support.proxies import Proxy, start_proxy, stop_proxy
from support.servers import Server


@dataclass(frozen=True, slots=True)
class Proxied:
    """A fake server behind a proxy."""

    port: int
    """The proxy's."""
    pid: int
    server: FakeServer


@pytest.fixture
def upstream() -> Iterator[Callable[[Script], FakeServer]]:
    """`upstream(script)` starts a fake server of this test's own."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(fake_server(script))


@pytest.fixture(scope="module")
def impatient(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Script], Proxied]]:
    """`impatient(script)`: a proxy before a fake server, one for all tests of a module.

    It waits a second for a login and a second for the upstream.
    """
    settings = {
        "listen": {"login_timeout_s": 1},
        "upstream": {"connect_timeout_s": 1},
    }
    with fake_server(lambda talk: None) as server:
        running = start_proxy(server, settings, tmp_path_factory.mktemp("proxy"))

        def with_script(script: Script) -> Proxied:
            server.script = script
            server.talks.clear()
            return Proxied(running.port, running.pid, server)

        yield with_script
        stop_proxy(running)


@pytest.fixture(scope="session")
def _fake_service() -> Iterator[Fake]:
    fake = start_fake()
    yield fake
    stop_fake(fake)


@pytest.fixture
def fake(_fake_service: Fake, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """The fake Comprehend, its log empty; proxies that start after it can log in."""
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    _fake_service.reset()
    return _fake_service


@pytest.fixture(scope="session")
def asking(
    tmp_path_factory: pytest.TempPathFactory, _fake_service: Fake
) -> Iterator[Callable[..., Proxy]]:
    """`asking(server, **sentiment)`: a proxy that asks the fake Comprehend, one for all
    tests with the same settings."""
    proxies: dict[tuple[object, ...], Proxy] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS_ENVIRONMENT.items():
            patch.setenv(name, value)

        def get(server: Server, **sentiment: object) -> Proxy:
            key = (server.kind, *sorted(sentiment.items()))
            if key not in proxies:
                settings = _fake_service.settings(**sentiment)
                directory = tmp_path_factory.mktemp("proxy")
                proxies[key] = start_proxy(server, settings, directory)
            return proxies[key]

        yield get
        for proxy in proxies.values():
            stop_proxy(proxy)


@pytest.fixture(params=["mariadb10", "mysql9"])
def texts(
    request: pytest.FixtureRequest,
    get_server: Callable[[str], Server],
    asking: Callable[..., Proxy],
    fake: Fake,
) -> Iterator[Callable[..., Session]]:
    """`texts(**options)`: a session behind the proxy, with sixty texts in a table."""
    server = get_server(request.param)
    create_texts(server)
    with ExitStack() as stack:
        yield lambda **sentiment: stack.enter_context(
            Session(server, asking(server, **sentiment), fake)
        )
