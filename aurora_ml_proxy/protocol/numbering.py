"""Sequence numbers of a compressed client's packets, made those of an uncompressed one.

Inside an envelope nobody looks at them: MariaDB's C library numbers all parts of a long
command 0, its Java driver calls a first command 1, and libmysql counts envelopes. The
upstream, whose leg is not compressed, hangs up on a wrong one.
"""

from collections.abc import Iterator

from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD


class Numbering:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self._commands = _Headers()
        self._answers = _Headers()
        self._number = 0
        """Of the client's last packet."""
        self._answer: int | None = None
        """Of the last packet that the client was sent since."""

    def note_answer(self, data: bytes) -> None:
        """This goes to the client, as it is."""
        for at, _ in self._answers.numbers_in(data):
            self._answer = data[at]

    def renumber(self, data: bytes, *, is_reply: bool) -> bytes:
        """What the client has sent, with the numbers that the upstream awaits.

        Args:
            is_reply: whether it goes on with a command that was answered: a file, or a
                password. Else every packet is a command.
        """
        edited = bytearray(data)
        for at, goes_on in self._commands.numbers_in(data):
            if goes_on:
                self._number += 1
            elif not is_reply:
                self._number = 0
            elif self._answer is None:
                self._number += 1
            else:
                self._number = self._answer + 1
            self._answer = None
            edited[at] = self._number = self._number & 0xFF
        return bytes(edited)


class _Headers:
    """Where the headers of packets are in a stream, however it is cut."""

    def __init__(self) -> None:
        self._header = b""
        """The front of a header that is cut."""
        self._left = 0
        """Bytes of the payload that are still to come."""
        self._goes_on = False
        """Whether the next packet goes on with the payload of the last."""

    def numbers_in(self, data: bytes) -> Iterator[tuple[int, bool]]:
        """Where each sequence number is; whether its packet goes on with a payload."""
        end = len(data)
        pos = self._left
        while pos < end:
            start, pos = pos, pos + 4 - len(self._header)
            if pos > end:
                self._header += data[start:]
                pos = end
                break
            header = self._header + data[start:pos]
            length = header[0] | header[1] << 8 | header[2] << 16
            yield pos - 1, self._goes_on
            self._header = b""
            self._goes_on = length == MAX_PAYLOAD
            pos += length
        self._left = pos - end
