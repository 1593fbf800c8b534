"""A peer's stream, pulled packet by packet by the task that answers a statement."""

import asyncio

from aurora_ml_proxy.protocol.packets import Packet, PacketReader, write_packet
from aurora_ml_proxy.session.ports import Port


class Inbox:
    """Filled by a link's callbacks, emptied by a task. Also wakes the task."""

    def __init__(
        self, port: Port, next_seq: int = 0, max_payload_bytes: int | None = None
    ) -> None:
        self.has_ended = False
        """The peer hung up."""
        self.next_seq = next_seq
        """For `send`, when this is a leg of an authentication."""
        self._port = port
        self._reader = PacketReader(max_payload_bytes)
        self._event = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """The peer has sent this."""
        self._reader.feed(data)
        self._event.set()

    def end(self) -> None:
        """The peer hung up."""
        self.has_ended = True
        self._event.set()

    def wake(self) -> None:
        """Something else happened that the task waits for."""
        self._event.set()

    async def until_woken(self) -> None:
        """Wait until something has happened since the last call."""
        await self._event.wait()
        self._event.clear()

    def packets(self) -> list[Packet]:
        """Every whole packet that has come."""
        return self._reader.packets()

    def take_rest(self) -> bytes:
        """What has come and is no whole packet yet."""
        return self._reader.take_rest()

    async def read_packet(self) -> Packet | None:
        """The next packet; None when the peer hung up."""
        while (packet := self._reader.next_packet()) is None:
            if self.has_ended:
                return None
            await self.until_woken()
        self.next_seq = packet.seq + 1
        return packet

    async def send(self, payload: bytes) -> None:
        """Send a payload under the next sequence number."""
        self._port.write(write_packet(payload, self.next_seq))
        self.next_seq += 1

    async def start_tls(self) -> bool:
        """Never asked for after the login."""
        raise AssertionError("TLS starts in the login only")
