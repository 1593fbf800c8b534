"""What a session needs of a peer's connection. Sockets stand behind it, or a test."""

from typing import Protocol

from aurora_ml_proxy.protocol.packets import Packet


class Port(Protocol):
    """One peer's connection, as the relay writes to it."""

    @property
    def is_full(self) -> bool:
        """Whether the peer does not take what was written."""
        ...

    def write(self, data: bytes) -> None:
        """Send, now or when the peer takes it; in order."""
        ...

    def write_eof(self) -> None:
        """Nothing more comes; what the peer sends is still read, if that can be."""
        ...

    def pause_reading(self) -> None:
        """Take no more from the peer until `resume_reading`. May be called twice."""
        ...

    def resume_reading(self) -> None:
        """Read again. May be called twice."""
        ...

    def close(self) -> None:
        """Close when everything written is sent."""
        ...


class Leg(Protocol):
    """One peer's connection while packets are exchanged in turns."""

    async def read_packet(self) -> Packet | None:
        """The peer's next packet; None when it hung up."""
        ...

    async def send(self, payload: bytes) -> None:
        """Send a payload under this leg's next sequence number."""
        ...

    async def start_tls(self) -> bool:
        """Go on inside TLS; False when the peer hung up over it."""
        ...
