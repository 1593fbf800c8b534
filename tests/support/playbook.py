"""A conversation stepped by hand, and complete fakes of what stands at a session's ends.

A `Playbook` runs a login generator: the test says what is read and sees what is sent.
`FakePort` and `FakeLeg` keep all they are told; they wait for nothing and refuse nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import Policy
from aurora_ml_proxy.functions import FUNCTIONS, Answer, Failure, Sentiment
from aurora_ml_proxy.intercept.names import NameFilter
from aurora_ml_proxy.protocol.login import Greeting
from aurora_ml_proxy.protocol.packets import Packet
from aurora_ml_proxy.protocol.results import Layout
from aurora_ml_proxy.protocol.vocabulary import Capabilities, MariaDBCapabilities
from aurora_ml_proxy.session.conversation import (
    Action,
    ClientClosed,
    Conversation,
    ReadFromClient,
    ReadFromUpstream,
    UpstreamClosed,
)
from aurora_ml_proxy.session.login import Legs, Login, LoginPolicy
from aurora_ml_proxy.session.session import Context, Session


class Playbook:
    """Steps a conversation; `action` is what it wants, `result` how it ended."""

    def __init__(self, conversation: Conversation[Any]) -> None:
        self._conversation = conversation
        self.action: Action | None = None
        self.result: Any = None
        self.failure: Exception | None = None
        self._step(lambda: next(conversation))

    def _step(self, step: Callable[[], Action]) -> None:
        try:
            self.action = step()
        except StopIteration as end:
            self.action, self.result = None, end.value
        except Exception as failure:
            self.action, self.failure = None, failure

    def sees(self, *actions: Action) -> "Playbook":
        """The next actions are these, all but the last with nothing for an outcome."""
        for action in actions:
            assert self.action == action, f"{self.action} {self.failure!r}"
            if not isinstance(action, ReadFromClient | ReadFromUpstream):
                self._step(lambda: self._conversation.send(b""))
        return self

    def client_says(self, payload: bytes) -> "Playbook":
        assert self.action == ReadFromClient(), f"{self.action} {self.failure!r}"
        self._step(lambda: self._conversation.send(payload))
        return self

    def upstream_says(self, payload: bytes) -> "Playbook":
        assert self.action == ReadFromUpstream(), f"{self.action} {self.failure!r}"
        self._step(lambda: self._conversation.send(payload))
        return self

    def client_leaves(self) -> "Playbook":
        return self.fails(ClientClosed())

    def upstream_leaves(self) -> "Playbook":
        return self.fails(UpstreamClosed())

    def fails(self, error: Exception) -> "Playbook":
        """What the conversation waits for ends in this."""
        self._step(lambda: self._conversation.throw(error))
        return self


class FakePort:
    """A peer that takes everything."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.capacity: int | None = None
        """Bytes that make it full; no limit without."""
        self.is_full = False
        self.is_paused = False
        self.has_eof = False
        self.is_closed = False
        self.pauses = 0

    def write(self, data: bytes) -> None:
        assert not self.has_eof
        if not self.is_closed:
            self.written += data
            if self.capacity is not None and len(self.written) >= self.capacity:
                self.is_full = True

    def write_eof(self) -> None:
        self.has_eof = True

    def pause_reading(self) -> None:
        self.pauses += not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True


class FakeLeg:
    """A peer during the login: it says `script`, then hangs up."""

    def __init__(self, script: Iterable[bytes | Exception], *, tls: bool = True) -> None:
        self.script = deque(script)
        self.heard: list[bytes] = []
        self._tls = tls

    async def read_packet(self) -> Packet | None:
        if not self.script:
            return None
        said = self.script.popleft()
        if isinstance(said, Exception):
            raise said
        return Packet(said, 0)

    async def send(self, payload: bytes) -> None:
        self.heard.append(payload)

    async def start_tls(self) -> bool:
        return self._tls


class FakeBackend:
    """A model service in memory: it counts, and answers when `gate` is open."""

    name = "fake"
    identity = ("fake",)
    is_instant = False

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], str, bool]] = []
        self.replies: dict[str, Answer] = {}
        """Answers by text; every other text is NEUTRAL, 0.5."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.script: list[list[Answer] | Failure | None] = []
        """What the next calls are answered; None as usual."""
        self.poison: dict[str, Failure] = {}
        """Texts that make their whole call fail."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.cancelled = 0
        self.is_closed = False

    async def detect_sentiment(
        self, texts: Sequence[str], language: str, *, single: bool
    ) -> list[Answer] | Failure:
        self.calls.append((list(texts), language, single))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        if self.script:
            step = self.script.pop(0)
            if step is not None:
                return step
        for text in texts:
            if text in self.poison:
                return self.poison[text]
        return [self.replies.get(text, Sentiment("NEUTRAL", 0.5)) for text in texts]

    async def close(self) -> None:
        self.is_closed = True


class Spawner:
    """Starts tasks and keeps them, and what went wrong in them."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []

    def __call__(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)


NO_CAPABILITIES = Capabilities(0)
NO_MARIADB_CAPABILITIES = MariaDBCapabilities(0)
USUAL_POLICY = Policy()


async def settle() -> None:
    """Let every task run until it waits for the test."""
    for _ in range(12):
        await asyncio.sleep(0)


def make_login(
    capabilities: Capabilities,
    mariadb_capabilities: MariaDBCapabilities,
    *,
    server_version: str = "11.8.2-MariaDB",
    connection_id: int = 7,
) -> Login:
    """A login that has succeeded, without TLS on either leg."""
    greeting = Greeting(
        server_version=server_version,
        connection_id=connection_id,
        nonce=b"n" * 20,
        capabilities=capabilities,
        mariadb_capabilities=mariadb_capabilities,
        plugin="mysql_native_password",
        capabilities_at=0,
    )
    legs = Legs(False, False, greeting.nonce, greeting.plugin, capabilities)
    layout = Layout(capabilities, mariadb_capabilities)
    return Login(greeting, layout, "somebody", legs, 2)


class Stage:
    """A whole session between fake ports, with a fake backend behind it."""

    def __init__(
        self,
        capabilities: Capabilities = NO_CAPABILITIES,
        mariadb_capabilities: MariaDBCapabilities = NO_MARIADB_CAPABILITIES,
        *,
        policy: Policy = USUAL_POLICY,
        concurrency: int = 4,
        context: Context | None = None,
        **login: Any,
    ) -> None:
        self.client, self.upstream = FakePort(), FakePort()
        self.backend = FakeBackend()
        self.spawn = Spawner()
        self.context = context or Context(
            Engine(self.backend, concurrency),
            policy,
            NameFilter(FUNCTIONS),
            self.spawn,
            upstream="db:3306",
        )
        key: Any = None  # no leg has TLS, so that nothing is ever encrypted
        self.session = Session(
            self.client,
            self.upstream,
            make_login(capabilities, mariadb_capabilities, **login),
            LoginPolicy(False, "off", True, key),
            self.context,
        )

    async def client_sends(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.session.client_received(chunk)
            await settle()

    async def upstream_sends(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.session.upstream_received(chunk)
            await settle()

    def taken_from_upstream(self) -> bytes:
        """What the upstream was sent since the last time."""
        data = bytes(self.upstream.written)
        self.upstream.written.clear()
        return data

    def taken_from_client(self) -> bytes:
        """What the client was sent since the last time."""
        data = bytes(self.client.written)
        self.client.written.clear()
        return data
