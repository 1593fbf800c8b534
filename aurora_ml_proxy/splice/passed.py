"""Any response to a statement on its way through, its packets numbered anew.

Rows are held back for a while: a statement that fails because an answer is missing can
be sent again as long as its client has seen nothing of it.
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.functions import ResultType
from aurora_ml_proxy.plan.plan import Described
from aurora_ml_proxy.protocol.binary import ROW_HEADER, is_null
from aurora_ml_proxy.protocol.packets import (
    packet_count,
    read_lenenc_bytes,
    write_lenenc_bytes,
    write_packet,
)
from aurora_ml_proxy.protocol.results import (
    ColumnDefinition,
    Layout,
    add_status,
    add_warnings,
    is_error,
    read_column_count,
    read_column_definition,
    read_status,
    write_column_count,
)
from aurora_ml_proxy.protocol.vocabulary import ColumnType, ServerStatus
from aurora_ml_proxy.splice.prepared_columns import Prepared
from aurora_ml_proxy.splice.rows import describe

_MORE_RESULTS = int(ServerStatus.SERVER_MORE_RESULTS_EXISTS)
_CURSOR_EXISTS = int(ServerStatus.SERVER_STATUS_CURSOR_EXISTS)

_NULL = 0xFB

_IN_TEMPORARY_TABLE = 0x8000
"""GROUP_FLAG, which MariaDB sets on columns that it groups by."""


_TYPES = {
    ResultType.LABEL: frozenset(
        (
            *(ColumnType.VARCHAR, ColumnType.VAR_STRING, ColumnType.STRING),
            *(ColumnType.TINY_BLOB, ColumnType.BLOB, ColumnType.MEDIUM_BLOB),
            ColumnType.LONG_BLOB,
        )
    ),
    ResultType.SCORE: frozenset((ColumnType.DOUBLE,)),
}
"""What the column of a derived table that is a call can be."""


class _At(Enum):
    """What packet comes next."""

    FIRST = "OK, ERR or column count"
    DEFINITIONS = "column definition"
    EOF = "EOF behind the definitions"
    ROWS = "row or terminator"
    END = "nothing"


class PassedResult:
    """The response to one statement: of any kind, of any number of results.

    Args:
        described: columns of the first result that are nothing but a call.
        has_check: whether the last column is ours, always NULL, and to be cut off.
        has_more: whether the client is told that another result follows the last one.
        prepared: what is known of the columns of the first result; rows are binary.
        is_fetched: whether this is what COM_STMT_FETCH gives: rows, binary ones.
    """

    def __init__(
        self,
        layout: Layout,
        first_seq: int,
        described: Iterable[Described] = (),
        *,
        has_check: bool = False,
        has_more: bool = False,
        prepared: Prepared | None = None,
        is_fetched: bool = False,
    ) -> None:
        self.seq = first_seq
        """The sequence number of the next packet to the client."""
        self.error: bytes | None = None
        """The upstream's ERR packet, if it sent one."""
        self.terminator: bytes | None = None
        """The packet that ends the last result; not among those given out."""
        self.rows = 0
        self.held_bytes = 0
        self.has_missing = False
        """A row came whose check says that an answer is missing: it is for nobody."""
        self.is_changed = False
        """An OK or a result is complete: what the statement did cannot be undone."""
        self._layout = layout
        self._described = tuple(described)
        self._has_check = has_check
        self._more = _MORE_RESULTS if has_more else 0
        self._is_binary = prepared is not None or is_fetched
        self._prepared = prepared
        self._received: list[bytes] = []
        self._edited: list[bytes] = []
        """The definitions, and as the client is told, where that is to be known."""
        self._count = b""
        self._at = _At.ROWS if is_fetched else _At.FIRST
        self._left = 0
        self._index = 0
        self._columns = 0
        """The user's own."""
        self._ready: list[bytes] = []

    @property
    def has_ended(self) -> bool:
        """Whether the upstream has sent everything."""
        return self._at is _At.END

    def feed(self, payloads: Iterable[bytes]) -> None:
        """Take the upstream's next packets. Raises: MalformedPacket."""
        for payload in payloads:
            if self._at is _At.ROWS and payload[:1] < b"\xfe":
                self.rows += 1
                self._hold(self._without_check(payload) if self._has_check else payload)
            elif self._at is _At.END:
                return  # unsolicited: the upstream says why it is about to hang up
            elif self._layout.is_progress(payload):
                self._hold(payload)
            elif is_error(payload):
                self.error = payload
                self._at = _At.END
            else:
                _READERS[self._at](self, payload)

    def take(self) -> bytes:
        """The packets that are held back; the client gets them now."""
        data = b"".join(self._ready)
        self._ready.clear()
        self.held_bytes = 0
        return data

    def error_packet(self) -> bytes:
        """The upstream's ERR as the last packet."""
        assert self.error is not None
        return write_packet(self.error, self.seq)

    def finish(self, extra_warnings: int) -> bytes:
        """The last packets, once the upstream has sent everything and no error."""
        assert self.terminator is not None
        terminator = add_warnings(self.terminator, extra_warnings, self._layout)
        self._hold(add_status(terminator, self._more, self._layout))
        return self.take()

    def _without_check(self, payload: bytes) -> bytes:
        """A row without its last column; its bytes are those of a digit, or NULL."""
        if self._is_binary:
            return self._without_binary_check(payload)
        if payload[-1] != _NULL:
            self.has_missing = True
        return payload[:-1]

    def _without_binary_check(self, payload: bytes) -> bytes:
        last = self._columns + ROW_HEADER
        start, size = 1 + (last + 8) // 8, (last + 7) // 8
        nulls = payload[1:start]
        if not is_null(nulls, last):
            self.has_missing = True
        kept = int.from_bytes(nulls, "little") & ((1 << last) - 1)
        return b"\0" + kept.to_bytes(size, "little") + payload[start:]

    def _hold(self, payload: bytes) -> None:
        packet = write_packet(payload, self.seq)
        self._ready.append(packet)
        self.held_bytes += len(packet)
        self.seq = (self.seq + packet_count(len(payload))) & 0xFF

    def _read_first(self, payload: bytes) -> None:
        if payload[:1] == b"\x00":
            self._end_result(payload)
            return
        if payload[:1] == b"\xfb":
            raise MalformedPacket("the upstream asks for a file")
        count, follows = read_column_count(payload, self._layout)
        self._columns = count - self._has_check
        if self._columns < 1:
            raise MalformedPacket("a result set without columns")
        self._index, self._left = 0, count
        self._count = payload
        self._at = _At.DEFINITIONS if follows else self._behind_definitions()
        left_out = self._prepared.left_out(count) if self._prepared is not None else ()
        if self._prepared is None or not (follows or left_out):
            self._hold(write_column_count(self._columns, payload))
        if not follows:
            for definition in left_out:
                self._read_definition(definition)

    def _behind_definitions(self) -> _At:
        return _At.EOF if self._layout.sends_eof else _At.ROWS

    def _read_definition(self, payload: bytes) -> None:
        index = self._index
        self._index += 1
        if self._index == self._left:
            self._at = self._behind_definitions()
        if self._prepared is None:
            if index < self._columns:
                self._hold(self._edit_definition(index, payload))
            return
        self._received.append(payload)
        if index < self._columns:
            self._edited.append(self._edit_definition(index, payload))
        if self._index == self._left:
            for packet in self._prepared.tell(
                self._received, self._edited, self._count, self._layout
            ):
                self._hold(packet)

    def _edit_definition(self, index: int, payload: bytes) -> bytes:
        if not self._described:
            return payload
        definition = read_column_definition(payload, self._layout)
        for described in self._described:
            definition = describe_as(definition, described, index, self._left)
        return definition.write()

    def _read_eof(self, payload: bytes) -> None:
        if read_status(payload, self._layout) & _CURSOR_EXISTS:
            self._end_result(payload)  # the rows wait for COM_STMT_FETCH
            return
        self._hold(add_status(payload, self._more, self._layout))
        self._at = _At.ROWS

    def _read_last(self, payload: bytes) -> None:
        if self._layout.is_terminator(payload):
            self._end_result(payload)
        else:
            self.rows += 1
            self._hold(self._without_check(payload) if self._has_check else payload)

    def _end_result(self, payload: bytes) -> None:
        self.is_changed = True
        if read_status(payload, self._layout) & _MORE_RESULTS:
            self._hold(payload)
            self._described, self._has_check = (), False
            self._prepared = None
            self._at = _At.FIRST
        else:
            self.terminator = payload
            self._at = _At.END


def describe_as(
    definition: ColumnDefinition, described: Described, index: int, columns: int
) -> ColumnDefinition:
    """The definition of a column, edited if it is the one that is described.

    Args:
        index: the column's number, from 0.
        columns: how many there are, a check's included.
    """
    if described.column is None:
        if not _is_named(definition, described.name):
            return definition
    elif described.column not in (index, index - columns):
        return definition
    if described.result is None:
        return replace(definition, name=write_lenenc_bytes(described.name))
    if definition.flags & _IN_TEMPORARY_TABLE:
        return definition  # what a temporary table holds has a table's definition
    edited = describe(definition, described.result)
    if described.is_own:
        return edited
    if definition.type not in _TYPES[described.result]:
        return definition  # another column of that name
    return replace(edited, org_name=definition.org_name)


def _is_named(definition: ColumnDefinition, name: bytes) -> bool:
    """Whether a column has this name; in a wide character_set_results NULs are between
    its letters."""
    found, _ = read_lenenc_bytes(definition.name, 0)
    return found is not None and found.replace(b"\0", b"") == name


_READERS = {
    _At.FIRST: PassedResult._read_first,
    _At.DEFINITIONS: PassedResult._read_definition,
    _At.EOF: PassedResult._read_eof,
    _At.ROWS: PassedResult._read_last,
}
