"""A login as a generator: it yields an action and is sent its outcome.

MySQL's login takes turns, so a generator says it as it is, can be stepped by hand in a
test, and cannot await by accident. `carry_out` gives it a network.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, assert_never

from aurora_ml_proxy.errors import ProxyError
from aurora_ml_proxy.session.ports import Leg


@dataclass(frozen=True, slots=True)
class ReadFromClient:
    """Outcome: the payload of the client's next packet."""


@dataclass(frozen=True, slots=True)
class ReadFromUpstream:
    """Outcome: the payload of the upstream's next packet."""


@dataclass(frozen=True, slots=True)
class SendToClient:
    """Number and send a payload. Outcome: nothing."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class SendToUpstream:
    """Number and send a payload. Outcome: nothing."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class StartClientTls:
    """The client asked for TLS: shake hands as the server. Outcome: nothing."""


@dataclass(frozen=True, slots=True)
class StartUpstreamTls:
    """An SSLRequest was sent: shake hands as the client. Outcome: nothing."""


Action: TypeAlias = (
    ReadFromClient
    | ReadFromUpstream
    | SendToClient
    | SendToUpstream
    | StartClientTls
    | StartUpstreamTls
)


class ClientClosed(Exception):
    """The client hung up where a packet was awaited."""


class UpstreamClosed(Exception):
    """The upstream hung up where a packet was awaited."""


T = TypeVar("T")
Conversation: TypeAlias = Generator[Action, bytes, T]
"""What is sent in is the packet read, or nothing of meaning."""


async def carry_out(conversation: Conversation[T], client: Leg, upstream: Leg) -> T:
    """Run a conversation over two legs to its end, and give its result.

    What goes wrong on a leg is raised inside the conversation, which may have something
    left to say to the other one.
    Raises: what the conversation raises.
    """
    action = next(conversation)
    while True:
        try:
            try:
                outcome = await _perform(action, client, upstream)
            except (ClientClosed, UpstreamClosed, ProxyError) as trouble:
                action = conversation.throw(trouble)
            else:
                action = conversation.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result


async def _perform(action: Action, client: Leg, upstream: Leg) -> bytes:
    """Do it. Raises: ClientClosed, UpstreamClosed, ProxyError."""
    match action:
        case ReadFromClient():
            packet = await client.read_packet()
            if packet is None:
                raise ClientClosed
            return packet.payload
        case ReadFromUpstream():
            packet = await upstream.read_packet()
            if packet is None:
                raise UpstreamClosed
            return packet.payload
        case SendToClient(payload):
            await client.send(payload)
        case SendToUpstream(payload):
            await upstream.send(payload)
        case StartClientTls():
            if not await client.start_tls():
                raise ClientClosed
        case StartUpstreamTls():
            if not await upstream.start_tls():
                raise UpstreamClosed
        case _:
            assert_never(action)
    return b""
