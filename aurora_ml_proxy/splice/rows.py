"""A result set on its way through: fed with the upstream's packets, it asks about the
arguments and gives out the client's packets, in order.

A hot path; what a row looks like is `row_formats`' business.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum

from aurora_ml_proxy.errors import MalformedPacket, ProxyError
from aurora_ml_proxy.evaluate.arguments import read_batch_size, read_language
from aurora_ml_proxy.evaluate.question import NULL, Question
from aurora_ml_proxy.functions import ResultType, wrong_batch_size
from aurora_ml_proxy.plan.plan import Splice, SplicedCall
from aurora_ml_proxy.protocol.packets import packet_count, write_packet
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
from aurora_ml_proxy.protocol.vocabulary import INTEGER_TYPES, ColumnType, ServerStatus
from aurora_ml_proxy.splice.prepared_columns import Prepared
from aurora_ml_proxy.splice.row_formats import BinaryRows, RowFormat, TextRows

Ask = Callable[[bytes | None, str, int], Question]
"""`Evaluation.ask`: a text, its language, the batch size."""

_WIDE_CHARSETS = {
    "utf-16-be": frozenset((35, 54, 55, 90, *range(101, 125), *range(128, 152))),
    "utf-16-le": frozenset((56, 62)),
    "utf-32-be": frozenset((60, 61, *range(160, 184))),
}
"""character_set_results may be a wide one, where a letter or a digit is not one byte.
Collation ids of ucs2 and utf16, utf16le, utf32."""


_MORE_RESULTS = int(ServerStatus.SERVER_MORE_RESULTS_EXISTS)
_CURSOR_EXISTS = int(ServerStatus.SERVER_STATUS_CURSOR_EXISTS)

ROW_BYTES = 500
"""What a row that waits takes besides its payload, about."""


class _At(Enum):
    """What packet comes next."""

    COUNT = "column count"
    DEFINITIONS = "column definition"
    EOF = "EOF behind the definitions"
    ROWS = "row or terminator"
    END = "nothing"


@dataclass(slots=True)
class _Row:
    """A row that waits for answers."""

    payload: bytes
    cuts: list[int]
    """Where the columns to fill stand, in the order of the row."""
    end: int
    """Where the appended columns start."""
    questions: list[Question]
    """One a column to fill, in the same order."""


class SplicedResult:
    """One result set, spliced. Packets in by `feed`, packets out by `take_ready`.

    Args:
        has_more: whether the client is told that another result follows.
        converts_numbers: whether the upstream writes numbers in character_set_results
            too, as MariaDB does; MySQL leaves them in ASCII.
        prepared: what is known of the columns; the rows are binary.
    """

    def __init__(
        self,
        plan: Splice,
        layout: Layout,
        ask: Ask,
        first_seq: int,
        *,
        has_more: bool = False,
        converts_numbers: bool,
        prepared: Prepared | None = None,
    ) -> None:
        self.seq = first_seq
        """The sequence number of the next packet to the client."""
        self.pending_bytes = 0
        """Memory of the rows that wait for answers, about."""
        self.error: bytes | None = None
        """The upstream's ERR packet, if it sent one."""
        self.terminator: bytes | None = None
        """The packet that ended the rows."""
        self.rows = 0
        self._plan = plan
        self._layout = layout
        self._more = _MORE_RESULTS if has_more else 0
        self._ask = ask
        self._at = _At.COUNT
        self._ready: list[bytes] = []
        self._waiting: deque[_Row] = deque()
        self._left = 0
        self._definitions = 0
        self._columns = 0
        self._fills: list[tuple[int, SplicedCall]] = []
        self._calls: list[SplicedCall] = []
        self._is_filled: tuple[bool, ...] = ()
        self._cell_of: list[int] = []
        self._is_discarding = False
        self._charset = "ascii"
        self._converts_numbers = converts_numbers
        self._prepared = prepared
        self._received: list[bytes] = []
        self._edited: list[bytes] = []
        """The definitions, and as the client is told, where that is to be known."""
        self._count = b""
        self._kinds: list[tuple[int, int]] = []
        """Of binary rows: the type and the flags of each column."""
        self._format: RowFormat = TextRows((), 0, "ascii", "ascii")

    def continued(self, ask: Ask, first_seq: int) -> "SplicedResult":
        """What COM_STMT_FETCH gives of a cursor that this result has opened."""
        result = SplicedResult(
            *(self._plan, self._layout, ask, first_seq),
            converts_numbers=self._converts_numbers,
            prepared=self._prepared,
        )
        result._calls, result._cell_of = self._calls, self._cell_of
        result._format = self._format
        result._at = _At.ROWS
        return result

    @property
    def has_ended(self) -> bool:
        """Whether the upstream has sent everything."""
        return self._at is _At.END

    @property
    def is_waiting(self) -> bool:
        """Whether rows wait for answers."""
        return bool(self._waiting)

    def feed(self, payloads: Iterable[bytes]) -> None:
        """Take the upstream's next packets.

        Raises: ProxyError for an argument, once all of them are taken; from then on rows
            are discarded.
        """
        failure: ProxyError | None = None
        for payload in payloads:
            try:
                if self._at is _At.ROWS and payload and payload[0] < 0xFE:
                    self._read_row(payload)
                else:
                    self._read_other(payload)
            except ProxyError as error:
                if not self._is_discarding:
                    failure = error
                self.discard()
        if failure is not None:
            raise failure

    def _read_other(self, payload: bytes) -> None:
        if self._at is _At.END:
            return  # unsolicited: the upstream says why it is about to hang up
        if self._layout.is_progress(payload):
            self._pass(payload)
        elif is_error(payload):
            self.error = renumber_expression(payload, self._plan)
            self._waiting.clear()
            self._at = _At.END
        else:
            _READERS[self._at](self, payload)

    def discard(self) -> None:
        """Give no more packets out than are ready, but read on to the end."""
        self._is_discarding = True
        self._waiting.clear()
        self.pending_bytes = 0

    def take_ready(self) -> bytes:
        """The packets that may go to the client now."""
        waiting, ready = self._waiting, self._ready
        while waiting and all(q.is_answered for q in waiting[0].questions):
            row = waiting.popleft()
            self.pending_bytes -= len(row.payload) + ROW_BYTES
            self._pass(self._fill(row.payload, row.cuts, row.end, row.questions))
        if not ready:
            return b""
        data = b"".join(ready)
        ready.clear()
        return data

    def finish(self, extra_warnings: int) -> bytes:
        """The terminator, once every row is out."""
        assert self.terminator is not None and not self._waiting
        terminator = add_warnings(self.terminator, extra_warnings, self._layout)
        self._pass(add_status(terminator, self._more, self._layout))
        return self.take_ready()

    def _pass(self, payload: bytes) -> None:
        if self._is_discarding:
            return
        self._ready.append(write_packet(payload, self.seq))
        self.seq = (self.seq + packet_count(len(payload))) & 0xFF

    def _read_count(self, payload: bytes) -> None:
        count, follows = read_column_count(payload, self._layout)
        self._columns = count - self._plan.appended
        if payload[0] == 0 or self._columns <= 0:
            raise MalformedPacket("the upstream answered a SELECT with no such columns")
        fills = [
            (call.column if call.column >= 0 else self._columns + call.column, call)
            for call in self._plan.calls
        ]
        self._fills = sorted(fills, key=lambda fill: fill[0])
        self._calls = [call for _, call in self._fills]
        filled = {column for column, _ in self._fills}
        self._is_filled = tuple(column in filled for column in range(self._columns))
        self._cell_of = [
            0 if call.function.result is ResultType.LABEL else 1
            for _, call in self._fills
        ]
        self._left = count
        self._count = payload
        self._at = _At.DEFINITIONS
        if self._prepared is None:
            self._pass(write_column_count(self._columns, payload))
        if follows:
            return
        left_out = self._prepared.left_out(count) if self._prepared is not None else ()
        if self._prepared is not None and not left_out:
            raise MalformedPacket("the upstream sends no column definitions")
        for definition in left_out:
            self._read_definition(definition)
        if not left_out:
            self._end_definitions()

    def _read_definition(self, payload: bytes) -> None:
        index = self._definitions
        self._definitions += 1
        if self._prepared is not None:
            self._received.append(payload)
            definition = read_column_definition(payload, self._layout)
            self._kinds.append((definition.type, definition.flags))
        if index < self._columns:
            edited = self._edit_definition(index, payload)
            if self._prepared is None:
                self._pass(edited)
            else:
                self._edited.append(edited)
        if self._definitions == self._left:
            self._end_definitions()
        if index >= self._columns:
            self._check_appended(index - self._columns, payload)

    def _end_definitions(self) -> None:
        self._at = _At.EOF if self._layout.sends_eof else _At.ROWS
        if self._prepared is not None:
            self._format = BinaryRows(self._is_filled, self._kinds, self._charset)
            for packet in self._prepared.tell(
                self._received, self._edited, self._count, self._layout
            ):
                self._pass(packet)
            return
        numbers = self._charset if self._converts_numbers else "ascii"
        self._format = TextRows(
            self._is_filled, self._plan.appended, self._charset, numbers
        )

    def _edit_definition(self, index: int, payload: bytes) -> bytes:
        call = dict(self._fills).get(index)
        if call is None:
            return payload
        definition = read_column_definition(payload, self._layout)
        self._charset = next(
            (name for name, ids in _WIDE_CHARSETS.items() if definition.charset in ids),
            "ascii",
        )
        return describe(definition, call.function.result).write()

    def _check_appended(self, appended: int, payload: bytes) -> None:
        for _, call in self._fills:
            if call.batch_size_column == appended:
                definition = read_column_definition(payload, self._layout)
                if definition.type not in INTEGER_TYPES:
                    raise wrong_batch_size(call.function.name)

    def _read_eof(self, payload: bytes) -> None:
        if read_status(payload, self._layout) & _CURSOR_EXISTS:
            self.terminator = payload  # the rows wait for COM_STMT_FETCH
            self._at = _At.END
            return
        self._pass(add_status(payload, self._more, self._layout))
        self._at = _At.ROWS

    def _read_last(self, payload: bytes) -> None:
        if self._layout.is_terminator(payload):
            self.terminator = payload
            self._at = _At.END
            if read_status(payload, self._layout) & _MORE_RESULTS:
                raise MalformedPacket("the upstream has another result")
        else:
            self._read_row(payload)  # its first column is larger than 16 MB

    def _read_row(self, payload: bytes) -> None:
        self.rows += 1
        if self._is_discarding:
            return
        try:
            cuts, end, values = self._format.cut(payload)
        except IndexError:
            raise MalformedPacket("a row of the upstream is cut off") from None
        questions = [self._question(call, values) for call in self._calls]
        if not self._waiting and all(question.is_answered for question in questions):
            self._pass(self._fill(payload, cuts, end, questions))
        else:
            self.pending_bytes += len(payload) + ROW_BYTES
            self._waiting.append(_Row(payload, cuts, end, questions))

    def _question(self, call: SplicedCall, values: list[bytes | None]) -> Question:
        name = call.function.name
        batch_size = call.batch_size
        if call.batch_size_column is not None:
            size = values[call.batch_size_column]
            if size is not None and self._converts_numbers:
                size = size.replace(b"\0", b"")  # in a wide character set
            batch_size = read_batch_size(size, name)
        language = call.language
        if isinstance(language, int):
            value = values[language]
            if value is None:
                return NULL
            language = read_language(value, name)
        return self._ask(values[call.text], language, batch_size)

    def _fill(
        self, payload: bytes, cuts: list[int], end: int, questions: list[Question]
    ) -> bytes:
        cells = []
        for question, which in zip(questions, self._cell_of, strict=True):
            filled = question.cells
            if filled is None:
                filled = self._format.cells(question.answer)
                if question is not NULL:  # which is every result's, text or prepared
                    question.cells = filled
            cells.append(filled[which])
        return self._format.fill(payload, cuts, end, cells)


_READERS = {
    _At.COUNT: SplicedResult._read_count,
    _At.DEFINITIONS: SplicedResult._read_definition,
    _At.EOF: SplicedResult._read_eof,
    _At.ROWS: SplicedResult._read_last,
}


def describe(definition: ColumnDefinition, result: ResultType) -> ColumnDefinition:
    """The placeholder's definition, as a stored function of that type would have it.

    Read off MariaDB 10.11, 11.8 and MySQL 9.7, which agree.
    """
    if result is ResultType.SCORE:
        definition = replace(
            definition, type=ColumnType.DOUBLE, charset=63, length=22, decimals=31
        )
    else:
        definition = replace(definition, type=ColumnType.VAR_STRING, decimals=0)
    return replace(definition, org_name=definition.name, flags=0)


_EXPRESSION_NUMBER = re.compile(rb"(?<=xpression #)\d+")


def renumber_expression(error: bytes, plan: Splice) -> bytes:
    """The upstream's ERR with the number of the user's item for that of an added one.

    "Expression #3 of SELECT list is not in GROUP BY clause", where the user wrote two.
    """

    def renumber(match: re.Match[bytes]) -> bytes:
        index = int(match[0]) - 1 - plan.items
        if 0 <= index < len(plan.first_item_of_appended):
            return str(plan.first_item_of_appended[index]).encode()
        return match[0]

    return _EXPRESSION_NUMBER.sub(renumber, error)
