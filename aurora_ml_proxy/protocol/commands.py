"""The client's stream, cut into commands.

A command that the proxy must look into comes out whole; of every other one only the
first bytes are awaited, and the rest passes in pieces as it arrives.
"""

from collections.abc import Set
from dataclasses import dataclass

from aurora_ml_proxy.protocol.vocabulary import (
    COM_STMT_BULK_EXECUTE,
    MAX_PAYLOAD,
    Commands,
)

LOOKED_INTO = frozenset((Commands.COM_QUERY, Commands.COM_STMT_PREPARE))
"""The commands that hold a statement."""

TAKEN_WHOLE = frozenset((Commands.COM_CHANGE_USER, Commands.COM_SET_OPTION))
"""Other commands of which more than the first bytes is read."""

OF_A_STATEMENT = frozenset(
    (
        Commands.COM_STMT_EXECUTE,
        Commands.COM_STMT_SEND_LONG_DATA,
        Commands.COM_STMT_CLOSE,
        Commands.COM_STMT_RESET,
        Commands.COM_STMT_FETCH,
        COM_STMT_BULK_EXECUTE,
    )
)
"""The commands that start with a statement id."""

_ID_BYTES = 4

MAX_STATEMENT_BYTES = 64 << 20
"""A larger statement is passed on in pieces and unread, so that a client cannot make the
proxy hold more than this; a call in it is the upstream's error 1305 (unknown function).
64 MiB is MySQL's default max_allowed_packet."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the client's stream."""

    raw: bytes
    """The bytes as they came, headers included."""
    starts_command: bool
    """Whether a command starts here; else this goes on with the one before."""
    command: int | None = None
    """The command's number; None for the empty packet."""
    statement: bytes | None = None
    """The payload behind the command byte, when the command is looked into and whole."""

    @property
    def is_of_statement(self) -> bool:
        """Whether this is a whole command on a statement that is watched."""
        return self.statement is not None and self.command in OF_A_STATEMENT


class CommandSplitter:
    """Bytes in, pieces out, however the stream is cut.

    Args:
        watched: statement ids; a command that starts with one comes out whole. The set
            may change as long as the splitter lives.
    """

    def __init__(self, watched: Set[int] = frozenset()) -> None:
        self._watched = watched
        self._buffer = bytearray()
        self._rest_of_packet = 0
        self._continues = False
        self._file_data = False

    @property
    def is_between_commands(self) -> bool:
        """Whether the next byte starts a command, as far as can be told."""
        return not (
            self._buffer or self._rest_of_packet or self._continues or self._file_data
        )

    @property
    def held_bytes(self) -> int:
        """Bytes that have arrived and were not handed out."""
        return len(self._buffer)

    def expect_file_data(self) -> None:
        """The upstream wants LOCAL INFILE data: packets until an empty one."""
        self._file_data = True

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._buffer += data

    def take_rest(self) -> bytes:
        """All that has arrived and was not handed out."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next_piece(self) -> Piece | None:
        """The next piece, or None: feed me more."""
        buffer = self._buffer
        if self._rest_of_packet:
            return self._take_rest_of_packet()
        if len(buffer) < 4:
            return None
        length = buffer[0] | buffer[1] << 8 | buffer[2] << 16
        if self._continues or self._file_data:
            if self._file_data and not self._continues and length == 0:
                self._file_data = False
            self._continues = length == MAX_PAYLOAD
            return self._take(4 + length, starts_command=False, command=None)
        if length == 0:
            return self._take(4, starts_command=True, command=None)
        if len(buffer) < 5:
            return None
        command = buffer[4]
        if command in LOOKED_INTO:
            return self._next_statement(command)
        if self._watched and command in OF_A_STATEMENT and length > _ID_BYTES:
            if len(buffer) < 5 + _ID_BYTES:
                return None
            if int.from_bytes(buffer[5 : 5 + _ID_BYTES], "little") in self._watched:
                return self._next_statement(command)
        if command in TAKEN_WHOLE and len(buffer) < 4 + length:
            return None
        self._continues = length == MAX_PAYLOAD
        return self._take(4 + length, starts_command=True, command=command)

    def _take(self, size: int, *, starts_command: bool, command: int | None) -> Piece:
        """Hand out up to `size` bytes; what is missing of them follows in pieces."""
        raw = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._rest_of_packet = size - len(raw)
        return Piece(raw, starts_command, command)

    def _take_rest_of_packet(self) -> Piece | None:
        if not self._buffer:
            return None
        return self._take(self._rest_of_packet, starts_command=False, command=None)

    def _next_statement(self, command: int) -> Piece | None:
        buffer, pos, spans = self._buffer, 0, []
        while pos <= MAX_STATEMENT_BYTES:
            if len(buffer) < pos + 4:
                return None
            length = buffer[pos] | buffer[pos + 1] << 8 | buffer[pos + 2] << 16
            stop = pos + 4 + length
            if len(buffer) < stop:
                return None
            spans.append((pos + 4, stop))
            pos = stop
            if length < MAX_PAYLOAD:
                statement = b"".join(buffer[start:stop] for start, stop in spans)[1:]
                raw = bytes(buffer[:pos])
                del buffer[:pos]
                return Piece(raw, True, command, statement)
        self._continues = True
        return self._take(pos, starts_command=True, command=command)
