"""A response that is held back until its client may see it.

A statement that fails because an answer is missing can be sent again as long as its
client has seen nothing of it; a large result is given out before that is certain.
"""

from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import next_payloads
from aurora_ml_proxy.splice.passed import PassedResult

HELD_BYTES = 4 << 20
"""Bytes of a result that are held back at most."""


class HeldResult:
    """One response, `passed`, on its way to the client."""

    def __init__(self, passed: PassedResult, client: Port) -> None:
        self.passed = passed
        self.has_released = False
        """The client has seen something."""
        self._client = client
        self._first_seq = passed.seq

    @property
    def seq(self) -> int:
        """The sequence number of the next packet to the client."""
        return self.passed.seq if self.has_released else self._first_seq

    async def receive(self, inbox: Inbox) -> None:
        """Take the response to its end; give out what is too large to hold.

        Raises: UpstreamLost, MalformedPacket.
        """
        passed = self.passed
        while not passed.has_ended:
            while self.has_released and self._client.is_full:
                await inbox.until_woken()
            passed.feed(await next_payloads(inbox))
            is_due = passed.held_bytes > HELD_BYTES or self.has_released
            if is_due and not passed.has_missing:
                self.release()

    def release(self) -> None:
        """Give the client what is held back; from now on it has seen something."""
        self.has_released = True
        self._client.write(self.passed.take())


async def stream(passed: PassedResult, client: Port, inbox: Inbox) -> None:
    """Give a response to its client as it comes, up to the last packet.

    Raises: UpstreamLost, MalformedPacket.
    """
    while not passed.has_ended:
        while client.is_full:
            await inbox.until_woken()
        passed.feed(await next_payloads(inbox))
        client.write(passed.take())
