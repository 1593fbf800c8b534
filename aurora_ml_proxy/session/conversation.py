"""A login as a generator: it yields an action and is sent its outcome.

MySQL's login takes turns, so a generator says it as it is, can be stepped by hand in a
test, and cannot await by accident. `carry_out` gives it a network.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, assert_never

from aurora_ml_proxy.protocol.packets import Packet
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

    Raises: what the conversation raises.
    """
    action = next(conversation)
    while True:
        outcome: bytes | None = b""
        hung_up: type[Exception] | None = None
        match action:
            case ReadFromClient():
                packet = await client.read_packet()
                outcome, hung_up = _payload(packet), ClientClosed
            case ReadFromUpstream():
                packet = await upstream.read_packet()
                outcome, hung_up = _payload(packet), UpstreamClosed
            case SendToClient(payload):
                await client.send(payload)
            case SendToUpstream(payload):
                await upstream.send(payload)
            case StartClientTls():
                outcome = b"" if await client.start_tls() else None
                hung_up = ClientClosed
            case StartUpstreamTls():
                outcome = b"" if await upstream.start_tls() else None
                hung_up = UpstreamClosed
            case _:
                assert_never(action)
        try:
            if outcome is None and hung_up is not None:
                action = conversation.throw(hung_up())
            else:
                action = conversation.send(outcome or b"")
        except StopIteration as end:
            result: T = end.value
            return result


def _payload(packet: Packet | None) -> bytes | None:
    return None if packet is None else packet.payload
