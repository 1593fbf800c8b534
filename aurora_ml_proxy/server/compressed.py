"""A compressed client's link: envelopes to its peer, a `Port` as any to the session.

In: what the link calls back with. Out: the packets in it, to the session, as fast as the
session takes them. Uncompressed clients have nothing of this on their way.
"""

import asyncio
from collections.abc import Callable

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.compression import Compression
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.results import write_error
from aurora_ml_proxy.server.links import Link

TURN_BYTES = 1 << 20
"""Bytes that are inflated before other connections get their turn."""


class CompressedLink:
    """A link behind a codec. As with `Link`, `hand_over` comes first."""

    def __init__(self, link: Link, compression: Compression) -> None:
        self._link = link
        self._compression = compression
        self._on_data: Callable[[bytes], None]
        self._on_ended: Callable[[], None]
        self._is_paused = False
        """Whether the session wants nothing now."""
        self._is_scheduled = False
        """Whether `_go_on` is about to be called."""
        self._has_ended = False
        self._is_over = False
        """Whether nothing more goes to the session."""

    def hand_over(
        self,
        on_data: Callable[[bytes], None],
        on_ended: Callable[[], None],
        on_full: Callable[[], None],
        on_room: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Call these from now on, with inflated data."""
        self._on_data, self._on_ended = on_data, on_ended

        def lost() -> None:
            self._is_over = True
            on_lost()

        self._link.hand_over(self._received, self._ended, on_full, on_room, lost)

    def _received(self, data: bytes) -> None:
        self._compression.feed(data)
        if not self._is_scheduled:
            self._pass_on()

    def _ended(self) -> None:
        self._has_ended = True
        if not self._is_scheduled:
            self._pass_on()

    def _pass_on(self) -> None:
        """Inflate what has come, until the session has enough or it is others' turn."""
        left = TURN_BYTES
        try:
            while not self._is_paused and not self._is_over:
                if left <= 0:
                    self._link.pause_reading()
                    self._schedule()
                    return
                piece = self._compression.next_piece()
                if piece is None:
                    break
                left -= len(piece)
                self._on_data(piece)
        except MalformedPacket as error:
            self.write(write_packet(write_error(error), 1))
            self._is_over = True
            self.close()
            return
        if self._has_ended and not self._is_paused and not self._is_over:
            self._is_over = True
            self._on_ended()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_scheduled = False
        if not self._is_paused:
            self._link.resume_reading()
            self._pass_on()

    # session.ports.Port

    @property
    def is_full(self) -> bool:
        """Whether the client does not take what was written."""
        return self._link.is_full

    def write(self, data: bytes) -> None:
        """Compress and send."""
        self._link.write(self._compression.wrap(data))

    def write_eof(self) -> None:
        """Nothing more comes."""
        self._link.write_eof()

    def pause_reading(self) -> None:
        """Inflate no more, and take no more from the client, until `resume_reading`."""
        self._is_paused = True
        self._link.pause_reading()

    def resume_reading(self) -> None:
        """Go on, not from within the call: the session is in the middle of something."""
        if self._is_paused:
            self._is_paused = False
            if not self._is_scheduled:
                self._schedule()

    def close(self) -> None:
        """Close when everything written is sent."""
        self._link.close()

    def abort(self) -> None:
        """Close at once."""
        self._link.abort()
