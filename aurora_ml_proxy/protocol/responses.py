"""Where does the upstream's response end? Told by packet headers, never by decoding rows.

This is the hot path of the relay: plain code over bytes, one object a connection.
Source: MySQL manual, "Text Protocol" and "Binary Protocol"; what the manual leaves out
was read off MariaDB 10.11, 11.8 and MySQL 9.7 (docs/protocol-support.md).
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, IntEnum

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.packets import read_lenenc
from aurora_ml_proxy.protocol.results import read_ok_status
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    COM_STMT_BULK_EXECUTE,
    MAX_PAYLOAD,
    Capabilities,
    Commands,
    MariaDBCapabilities,
    ServerStatus,
)


class Response(Enum):
    """What shape a command's response has."""

    NONE = "nothing comes back"
    ONE = "one packet"
    RESULT = "OK, ERR, LOCAL INFILE or result sets"
    PREPARE = "ERR, or a statement id and definitions"
    FIELDS = "column definitions until EOF"
    FETCH = "rows until EOF"
    LOGIN = "an authentication exchange"
    STREAM = "anything, for ever"


RESPONSES: dict[int, Response] = {
    Commands.COM_QUIT: Response.NONE,
    Commands.COM_STMT_SEND_LONG_DATA: Response.NONE,
    Commands.COM_STMT_CLOSE: Response.NONE,
    Commands.COM_QUERY: Response.RESULT,
    Commands.COM_PROCESS_INFO: Response.RESULT,
    Commands.COM_STMT_EXECUTE: Response.RESULT,
    COM_STMT_BULK_EXECUTE: Response.RESULT,
    Commands.COM_STMT_PREPARE: Response.PREPARE,
    Commands.COM_FIELD_LIST: Response.FIELDS,
    Commands.COM_STMT_FETCH: Response.FETCH,
    Commands.COM_CHANGE_USER: Response.LOGIN,
    Commands.COM_BINLOG_DUMP: Response.STREAM,
    Commands.COM_BINLOG_DUMP_GTID: Response.STREAM,
    Commands.COM_TABLE_DUMP: Response.STREAM,
    0x20: Response.STREAM,  # COM_CLONE
    0x21: Response.STREAM,  # COM_SUBSCRIBE_GROUP_REPLICATION_STREAM
}
"""Commands not listed here are answered by one packet: OK, EOF, ERR or a bare text."""


def response_to(command: int | None) -> Response:
    """The shape of a command's response; None is the empty packet, an ERR 1047."""
    return RESPONSES.get(-1 if command is None else command, Response.ONE)


class _At(IntEnum):
    """Where in a response the stream stands."""

    START = 0
    DEFINITIONS = 1
    DEFINITIONS_EOF = 2
    ROWS = 3
    ONE = 4
    COUNTED = 5
    PREPARE = 6
    FIELDS = 7
    BLIND = 8


_FIRST = {
    Response.ONE: _At.ONE,
    Response.RESULT: _At.START,
    Response.PREPARE: _At.PREPARE,
    Response.FIELDS: _At.FIELDS,
    Response.FETCH: _At.ROWS,
    Response.STREAM: _At.BLIND,
    Response.LOGIN: _At.BLIND,
}

# Plain numbers: an IntFlag's `&` makes an object, for every response.
_CURSOR_EXISTS = int(ServerStatus.SERVER_STATUS_CURSOR_EXISTS)
_MORE_RESULTS = int(ServerStatus.SERVER_MORE_RESULTS_EXISTS)

_OK, _INFILE, _EOF, _ERR = 0x00, 0xFB, 0xFE, 0xFF
_PROGRESS_ERRNO = b"\xff\xff"


def _ignore(statement_id: int | None) -> None:
    """Nobody wants to know."""


class ResponseFollower:
    """Fed with all that the upstream sends, it knows which commands are answered."""

    def __init__(
        self, capabilities: Capabilities, mariadb_capabilities: MariaDBCapabilities
    ) -> None:
        self.status = 0
        """The server status of the last OK or EOF."""
        self.wants_file = False
        """The upstream asked for LOCAL INFILE data; the caller clears it."""
        self.last_prepared: int | None = None
        """The statement that MariaDB means by the id -1."""
        self.on_prepared: Callable[[int | None], None] = _ignore
        """Called for each COM_STMT_PREPARE with its statement, or None for an error."""
        self.is_blind = False
        """The stream has no commands any more, or makes no sense: only pass bytes on."""
        self._outstanding: deque[Response] = deque()
        self._at = _At.START
        self._left = 0
        self._rows_then_done = False
        self._skip = 0
        self._partial = b""
        self._in_continuation = False
        self._eof_limit = MAX_PAYLOAD if capabilities & CLIENT_DEPRECATE_EOF else 9
        self._sends_eof = not capabilities & CLIENT_DEPRECATE_EOF
        self._metadata_is_optional = bool(
            capabilities & CLIENT_OPTIONAL_RESULTSET_METADATA
        )
        self._count_has_flag = self._metadata_is_optional or bool(
            mariadb_capabilities & MariaDBCapabilities.CACHE_METADATA
        )
        self._has_progress = bool(mariadb_capabilities & MariaDBCapabilities.PROGRESS)

    @property
    def is_idle(self) -> bool:
        """Whether every command has its whole response."""
        return not self._outstanding

    @property
    def unanswered(self) -> int:
        """How many commands wait for their response, or for the rest of it."""
        return len(self._outstanding)

    @property
    def awaits_one_result(self) -> bool:
        """Whether one statement is under way, and no byte of its response has come."""
        return (
            len(self._outstanding) == 1
            and self._outstanding[0] is Response.RESULT
            and self._at == _At.START
            and self.is_between_packets
            and not self.status & _MORE_RESULTS
        )

    @property
    def is_between_packets(self) -> bool:
        """Whether the next byte starts a packet."""
        return not self._skip and not self._partial

    def expect(self, response: Response) -> None:
        """A command was sent to the upstream."""
        if response is Response.NONE:
            return
        if not self._outstanding:
            self._begin(response)
        self._outstanding.append(response)

    def feed(self, data: bytes) -> None:
        """Follow what the upstream sent, however the stream is cut."""
        if self.is_blind:
            return
        pos, end = self._skip, len(data)
        if self._partial:
            data = self._partial + data
            self._partial = b""
            end = len(data)
        while pos + 4 <= end:
            length = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16
            stop = pos + 4 + length
            if self._in_continuation:
                self._in_continuation = length == MAX_PAYLOAD
                pos = stop
                continue
            if length:
                if pos + 4 == end:
                    break
                first = data[pos + 4]
                if (self._at == _At.ROWS or self._at == _At.FIELDS) and (
                    first < _EOF or (first == _EOF and length >= self._eof_limit)
                ):
                    # A row or a definition, of which nobody needs the content.
                    self._in_continuation = length == MAX_PAYLOAD
                    pos = stop
                    continue
            if stop > end:
                break
            try:
                self._read(data[pos + 4 : stop])
            except MalformedPacket:
                self._at = _At.BLIND
            if self._at == _At.BLIND:
                self.is_blind = True
                self._outstanding.clear()
                return
            self._in_continuation = length == MAX_PAYLOAD
            pos = stop
        if pos > end:
            self._skip = pos - end
        else:
            self._skip = 0
            self._partial = data[pos:end]

    def _begin(self, response: Response) -> None:
        self._at = _FIRST[response]
        self._rows_then_done = response is Response.FETCH

    def _done(self) -> None:
        self._outstanding.popleft()
        if self._outstanding:
            self._begin(self._outstanding[0])
        else:
            self._at = _At.START

    def _read(self, payload: bytes) -> None:
        if not self._outstanding:
            return  # unsolicited, such as MySQL's ERR 4031 when it hangs up
        first = payload[0] if payload else _OK
        if first == _ERR and self._at != _At.ONE:
            if not (self._has_progress and payload[1:3] == _PROGRESS_ERRNO):
                self.status &= ~_MORE_RESULTS
                if self._at == _At.PREPARE:
                    self.last_prepared = None
                    self.on_prepared(None)
                self._done()
            return
        _READERS[self._at](self, first, payload)

    def _read_start(self, first: int, payload: bytes) -> None:
        if first == _OK:
            self.status = read_ok_status(payload)
            self._next_result()
        elif first == _INFILE:
            # Commands that were pipelined behind this one are eaten as file data.
            while len(self._outstanding) > 1:
                self._outstanding.pop()
            self.wants_file = True
        else:
            count, pos = read_lenenc(payload, 0)
            self._left = count or 0
            if self._count_has_flag and pos < len(payload) and payload[pos] == 0:
                self._left = 0
            self._at = _At.DEFINITIONS if self._left else self._after_definitions()

    def _after_definitions(self) -> _At:
        return _At.DEFINITIONS_EOF if self._sends_eof else _At.ROWS

    def _read_definition(self, first: int, payload: bytes) -> None:
        self._left -= 1
        if not self._left:
            self._at = self._after_definitions()

    def _read_definitions_eof(self, first: int, payload: bytes) -> None:
        if first != _EOF or len(payload) < 5:
            raise MalformedPacket("no EOF behind the column definitions")
        self.status = int.from_bytes(payload[3:5], "little")
        if self.status & _CURSOR_EXISTS:
            self._done()  # the rows wait for COM_STMT_FETCH
        else:
            self._at = _At.ROWS

    def _read_terminator(self, first: int, payload: bytes) -> None:
        if self._sends_eof:
            self.status = int.from_bytes(payload[3:5], "little")
        else:
            self.status = read_ok_status(payload)
        if self._rows_then_done:
            self._done()
        else:
            self._next_result()

    def _read_one(self, first: int, payload: bytes) -> None:
        if first == _OK and len(payload) >= 7:
            self.status = read_ok_status(payload)
        self._done()

    def _read_prepare(self, first: int, payload: bytes) -> None:
        if len(payload) < 12:
            raise MalformedPacket("a response to COM_STMT_PREPARE is cut off")
        self.last_prepared = int.from_bytes(payload[1:5], "little")
        self.on_prepared(self.last_prepared)
        columns = int.from_bytes(payload[5:7], "little")
        parameters = int.from_bytes(payload[7:9], "little")
        eofs = (bool(columns) + bool(parameters)) if self._sends_eof else 0
        has_none = self._metadata_is_optional and len(payload) > 12 and payload[12] == 0
        self._left = eofs + (0 if has_none else columns + parameters)
        if self._left:
            self._at = _At.COUNTED
        else:
            self._done()

    def _read_counted(self, first: int, payload: bytes) -> None:
        self._left -= 1
        if not self._left:
            self._done()

    def _read_fields(self, first: int, payload: bytes) -> None:
        self._done()

    def _next_result(self) -> None:
        if self.status & _MORE_RESULTS:
            self._at = _At.START
        else:
            self._done()


_READERS = {
    _At.START: ResponseFollower._read_start,
    _At.DEFINITIONS: ResponseFollower._read_definition,
    _At.DEFINITIONS_EOF: ResponseFollower._read_definitions_eof,
    _At.ROWS: ResponseFollower._read_terminator,
    _At.ONE: ResponseFollower._read_one,
    _At.COUNTED: ResponseFollower._read_counted,
    _At.PREPARE: ResponseFollower._read_prepare,
    _At.FIELDS: ResponseFollower._read_fields,
}
