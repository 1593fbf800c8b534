"""A peer's connection after its transport exists: bytes to callbacks, a `Port` to write.

The hot path of the server: no task, no stream reader, one call from the transport to
the session.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from aurora_ml_proxy.session.inbox import Inbox

WRITE_BUFFER_BYTES = 256 << 10
"""Bytes that wait for a slow peer before the other peer is no longer read."""

CLOSE_NOTIFY_S = 0.2
"""Seconds that a peer has to say goodbye in TLS when all else is said."""


class Link(asyncio.Protocol):
    """One peer. Until `hand_over`, what it sends collects in `inbox`."""

    def __init__(self, next_seq: int, max_payload_bytes: int) -> None:
        self.inbox = Inbox(self, next_seq, max_payload_bytes)
        self.is_full = False
        self._transport: asyncio.Transport | None = None
        self._on_data: Callable[[bytes], None] = self.inbox.feed
        self._on_ended: Callable[[], None] = self.inbox.end
        self._on_full: Callable[[], None] = _nothing
        self._on_room: Callable[[], None] = _nothing
        self._on_lost: Callable[[], None] = _nothing
        self._has_ended = False
        self._is_lost = False
        self._is_paused = False
        self._has_written_eof = False

    def hand_over(
        self,
        on_data: Callable[[bytes], None],
        on_ended: Callable[[], None],
        on_full: Callable[[], None],
        on_room: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Call these from now on, first of all with what has come already."""
        self._on_data, self._on_ended = on_data, on_ended
        self._on_full, self._on_room = on_full, on_room
        self._on_lost = on_lost
        self.resume_reading()  # the inbox stops a peer that sends too much ahead
        if rest := self.inbox.take_rest():
            on_data(rest)
        if self._has_ended:
            on_ended()
        if self._is_lost:
            on_lost()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        """The peer has sent this."""
        self._on_data(data)

    def eof_received(self) -> bool:
        """The peer sends no more; what it is still sent goes out."""
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end()
        self._is_lost = True
        self._on_lost()

    def pause_writing(self) -> None:
        """The peer does not take what was written."""
        self.is_full = True
        self._on_full()

    def resume_writing(self) -> None:
        """The peer takes data again."""
        self.is_full = False
        self._on_room()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._on_ended()

    # session.ports.Port

    def write(self, data: bytes) -> None:
        """Send, now or when the peer takes it. Nothing is sent after `write_eof`."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._has_written_eof:
            return
        transport.write(data)

    def write_eof(self) -> None:
        """Nothing more comes. TLS cannot say so and closes."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            self._has_written_eof = True
            transport.write_eof()
        else:
            self.close()

    def pause_reading(self) -> None:
        """Take no more from the peer until `resume_reading`."""
        transport = self._transport
        if not self._is_paused and transport is not None and not transport.is_closing():
            self._is_paused = True
            transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        transport = self._transport
        if self._is_paused and transport is not None and not transport.is_closing():
            self._is_paused = False
            transport.resume_reading()

    def close(self) -> None:
        """Close when everything written is sent."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        has_sent_all = not transport.get_write_buffer_size()
        transport.close()
        if has_sent_all and not transport.can_write_eof():
            # Clients that sit idle do not answer TLS's close_notify before they have
            # something to send.
            loop = asyncio.get_running_loop()
            loop.call_later(CLOSE_NOTIFY_S, transport.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def _nothing() -> None:
    """Before the session is there, nobody asks."""
