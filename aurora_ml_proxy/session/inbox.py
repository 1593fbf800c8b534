"""A peer's stream, pulled packet by packet by the task that answers a statement."""

import asyncio

from aurora_ml_proxy.protocol.packets import Packet, PacketReader, write_packet
from aurora_ml_proxy.session.ports import Port

MAX_HELD_BYTES = 512 << 10
"""Bytes that wait for the task before the peer is no longer read."""

SIP_S = 15.0
"""Seconds after which more is read although the window is full: an upstream that cannot
write for net_write_timeout (60 s by default) would hang up."""


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
        self._is_paused = False

    def feed(self, data: bytes) -> None:
        """The peer has sent this."""
        reader = self._reader
        reader.feed(data)
        if reader.held_bytes > MAX_HELD_BYTES and reader.has_packet:
            self._port.pause_reading()
            self._is_paused = True
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

    def payloads(self) -> list[bytes]:
        """The payloads of the next whole packets: so many as take a few milliseconds."""
        payloads = self._reader.payloads()
        self._read_on()
        return payloads

    def _read_on(self) -> None:
        reader = self._reader
        if self._is_paused and (
            reader.held_bytes < MAX_HELD_BYTES // 2 or not reader.has_packet
        ):
            self._is_paused = False
            self._port.resume_reading()

    def take_rest(self) -> bytes:
        """What has come and is no whole packet yet."""
        return self._reader.take_rest()

    async def sip(self) -> bool:
        """Wait, as `until_woken`, and not too long; whether it was long enough to read
        on although there is no room."""
        try:
            async with asyncio.timeout(SIP_S):
                await self.until_woken()
        except TimeoutError:
            return True
        return False

    async def read_packet(self) -> Packet | None:
        """The next packet; None when the peer hung up."""
        while (packet := self._reader.next_packet()) is None:
            if self.has_ended:
                return None
            self._read_on()
            await self.until_woken()
        self._read_on()
        self.next_seq = packet.seq + 1
        return packet

    async def send(self, payload: bytes) -> None:
        """Send a payload under the next sequence number."""
        self._port.write(write_packet(payload, self.next_seq))
        self.next_seq += 1

    async def start_tls(self) -> bool:
        """Never asked for after the login."""
        raise AssertionError("TLS starts in the login only")
