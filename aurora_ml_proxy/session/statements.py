"""Server-side prepared statements of one session, as far as they hold ML calls.

The server prepares a *shadow* for the client: it checks syntax, names and privileges,
gives the statement its id, its parameters and its columns, and fails an EXECUTE that the
proxy does not see. An EXECUTE that it does see is carried out by statements of ours, with
answers in them or placeholders; a parameter stays a parameter, with the bytes that came.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from aurora_ml_proxy.errors import (
    MalformedPacket,
    TextTooLong,
    UnsupportedPrepare,
    UnsupportedStatement,
)
from aurora_ml_proxy.evaluate.evaluation import Evaluation
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Described, Inline, Plan, Splice
from aurora_ml_proxy.plan.prepared import (
    PreparedText,
    ViewedText,
    bound,
    plan_text,
    plan_viewed,
)
from aurora_ml_proxy.plan.views import Viewed
from aurora_ml_proxy.protocol.binary import (
    LENGTH_BYTE,
    integer_text,
    read_binary_row,
    temporal_text,
)
from aurora_ml_proxy.protocol.executions import (
    CURSOR_FLAGS,
    BulkExecution,
    Execution,
    Parameter,
    read_bulk,
    read_execution,
    read_statement_id,
    write_bulk,
    write_execution,
)
from aurora_ml_proxy.protocol.packets import (
    packet_count,
    write_lenenc_bytes,
    write_packet,
)
from aurora_ml_proxy.protocol.preparations import Preparation, read_preparation
from aurora_ml_proxy.protocol.results import (
    ColumnDefinition,
    Layout,
    error_number,
    is_error,
    read_column_definition,
)
from aurora_ml_proxy.protocol.vocabulary import (
    COM_STMT_BULK_EXECUTE,
    INTEGER_TYPES,
    ColumnType,
    Commands,
)
from aurora_ml_proxy.session.context import Context, ask_context
from aurora_ml_proxy.session.diagnostics import Outcome
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.inline import may_be_missing
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import Queries, QueryFailed, next_payload
from aurora_ml_proxy.session.waiting import MAX_PLANNED_BYTES, planned
from aurora_ml_proxy.splice.passed import describe_as
from aurora_ml_proxy.splice.prepared_columns import Definitions, Prepared
from aurora_ml_proxy.splice.rows import SplicedResult, renumber_expression

LAST_PREPARED = 0xFFFFFFFF
"""MariaDB's id of the statement that was prepared last."""

MAX_OURS = 3
"""Statements of ours that stay prepared for one of the client's: what reads its texts,
and what was executed last."""

MAX_LONG_DATA_BYTES = 64 << 20
"""Of COM_STMT_SEND_LONG_DATA, which is held until the statement is executed; MySQL's
default max_allowed_packet, which is the server's own limit for it."""

MAX_NOTED_BYTES = 16 << 10
"""Texts of prepared statements that are kept, to know which view one has read."""

_LONG_DATA_CHUNK = 1 << 20
"""Under every max_allowed_packet that a server runs with."""

_ER_PARSE_ERROR = 1064

_VAR_STRING = bytes((ColumnType.VAR_STRING, 0))

_COM_STMT_PREPARE = bytes((Commands.COM_STMT_PREPARE,))


@dataclass(frozen=True, slots=True)
class _Ours:
    """A statement that the upstream has prepared for us."""

    id: int
    definitions: Definitions
    has_columns: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor that an EXECUTE has left open, of a statement of ours."""

    statement_id: int


@dataclass(frozen=True, slots=True)
class SplicedCursor(Cursor):
    """One whose rows are spliced."""

    result: SplicedResult
    """Of the EXECUTE."""
    evaluation: Evaluation


@dataclass(slots=True)
class _Statement:
    """One of the client's."""

    id: int
    """The shadow's."""
    text: PreparedText | ViewedText
    context: Context | None
    """None when nothing of it is prepared later."""
    ours: dict[tuple[bytes, bool], _Ours] = field(default_factory=dict)
    """By their texts, the one used last at the end. One that has had a cursor goes by
    itself: MySQL 9.7 executes it without one by sending an OK in place of rows."""
    told: Definitions = field(default_factory=Definitions)
    last: tuple[Parameter, ...] = ()
    """The parameters and attributes of the last execution, for their types."""
    long_data: dict[int, bytearray] = field(default_factory=dict)
    long_data_bytes: int = 0
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Executed:
    """What to carry out for an EXECUTE."""

    plan: Plan | Viewed
    queries: "StatementQueries"
    found_rows: int | None
    """FOUND_ROWS() before the statement, where a question was asked."""


class ServerStatements:
    """What one session has prepared by COM_STMT_PREPARE."""

    def __init__(
        self,
        queries: Queries,
        upstream: Port,
        client: Port,
        layout: Layout,
        dialect: Dialect,
    ) -> None:
        self.watched: set[int] = set()
        """The ids on which the client's commands are not the upstream's to answer."""
        self.last_prepared: int | None = None
        """The id that the last `prepare` has given the client."""
        self._queries = queries
        self._upstream = upstream
        self._client = client
        self._layout = layout
        self._dialect = dialect
        self._known: dict[int, _Statement] = {}
        self._pending: deque[bytes] = deque()
        """Statements that are being prepared and are not looked into."""
        self._noted: dict[int, bytes] = {}
        """Those that were prepared last, by their ids."""
        self._noted_bytes = 0
        queries.on_prepare = self._watch_last

    def forget_all(self) -> None:
        """COM_CHANGE_USER or COM_RESET_CONNECTION: the server has none any more."""
        self._known.clear()
        self.watched.clear()
        self._noted.clear()
        self._noted_bytes = 0

    def _watch_last(self) -> None:
        """What MariaDB takes for the statement prepared last may not be the client's."""
        if self._dialect.is_mariadb:
            self.watched.add(LAST_PREPARED)

    def knows(self, statement_id: int) -> bool:
        """Whether this is the id of a statement with calls."""
        return statement_id in self._known

    # COM_STMT_PREPARE.

    async def prepare(
        self,
        sql: bytes,
        dialect: Dialect,
        seq: int,
        inbox: Inbox,
        found_rows: int | None,
    ) -> Outcome | None:
        """Prepare a statement, and answer the client.

        Args:
            found_rows: FOUND_ROWS() before it, if a question was asked.
            seq: the sequence number of the first packet to the client.
        Returns: None when it holds no call of ours, or cannot be parsed: pass it on.
        Raises: ProxyError.
        """
        self.last_prepared = None
        self._watch_last()
        if found_rows is not None:
            await self._restore(found_rows, inbox)
        if len(sql) > MAX_PLANNED_BYTES:
            return None
        text = await planned(plan_text, sql, dialect)
        if text is None:
            return None
        context, ours = None, {}
        try:
            if isinstance(text.plan, Splice):
                statement, _ = bound(text.plan.statement)
                ours[statement, False] = await self.prepare_ours(statement, inbox)
            else:
                asked = await ask_context(self._queries, inbox)
                if asked is None:
                    return None
                context = asked.context
                await self._restore(asked.found_rows, inbox)
            packets = await self._prepare_shadow(text.shadows, inbox)
        except QueryFailed as failure:
            for statement_of_ours in ours.values():
                self._close(statement_of_ours.id)
            if error_number(failure.packet) == _ER_PARSE_ERROR:
                return None  # its message quotes the user's own text
            error = failure.packet
            if isinstance(text.plan, Splice):
                error = renumber_expression(error, text.plan)
            self._client.write(write_packet(error, seq))
            return Outcome()
        shadow = read_preparation(packets[0], self._layout)
        packets = self._described(packets, shadow, text.plan)
        told = Definitions(packets[_columns(packets, shadow, self._layout)])
        self._known[shadow.statement_id] = _Statement(
            shadow.statement_id, text, context, ours, told
        )
        self.watched.add(shadow.statement_id)
        self.last_prepared = shadow.statement_id
        self._give(packets, seq)
        return Outcome()

    async def _restore(self, found_rows: int, inbox: Inbox) -> None:
        """FOUND_ROWS() is the same after a PREPARE as before it."""
        with suppress(QueryFailed):  # the PREPARE will tell
            await self._queries.restore_found_rows(found_rows, inbox)

    async def forget_last(self, inbox: Inbox) -> None:
        """Let the server forget which statement was prepared last: to the client none is.

        Behind a PREPARE that has failed MariaDB's id -1 means no statement; an empty one
        fails in every session.
        Raises: UpstreamLost.
        """
        self._upstream.write(write_packet(_COM_STMT_PREPARE, 0))
        await next_payload(inbox)

    async def _prepare_shadow(
        self, shadows: Iterable[bytes], inbox: Inbox
    ) -> list[bytes]:
        """The response to the first shadow that the upstream prepares.

        Raises: QueryFailed.
        """
        failure = None
        for shadow in shadows:
            try:
                return await self._prepare(shadow, inbox)
            except QueryFailed as failed:
                failure = failed
                if not may_be_missing(failed.packet):
                    break
        assert failure is not None
        raise failure

    async def _prepare(self, sql: bytes, inbox: Inbox) -> list[bytes]:
        """The packets of the response to a PREPARE. Raises: QueryFailed."""
        self._upstream.write(write_packet(_COM_STMT_PREPARE + sql, 0))
        first = await next_payload(inbox)
        if is_error(first):
            raise QueryFailed(first)
        head = read_preparation(first, self._layout)
        packets = [first]
        for count in (head.parameters, head.columns):
            follow = count if head.has_definitions else 0
            follow += bool(count and self._layout.sends_eof)
            for _ in range(follow):
                packets.append(await next_payload(inbox))
        return packets

    async def prepare_ours(self, sql: bytes, inbox: Inbox) -> _Ours:
        """Prepare a statement of ours. Raises: QueryFailed, UnsupportedPrepare."""
        packets = await self._prepare(sql, inbox)
        head = read_preparation(packets[0], self._layout)
        if head.columns and not head.has_definitions:
            self._close(head.statement_id)
            raise UnsupportedPrepare(
                "a prepared statement with an ML function needs its column definitions: "
                "set resultset_metadata to FULL"
            )
        columns = packets[_columns(packets, head, self._layout)]
        has_columns = bool(head.columns)
        return _Ours(head.statement_id, Definitions(columns), has_columns)

    def _described(
        self, packets: list[bytes], head: Preparation, plan: Plan
    ) -> list[bytes]:
        """The response with the columns that are calls as a function's."""
        described = _described(plan)
        if not head.has_definitions or not described:
            return packets
        place = _columns(packets, head, self._layout)
        for index, payload in enumerate(packets[place]):
            definition = read_column_definition(payload, self._layout)
            for each in described:
                definition = describe_as(definition, each, index, head.columns)
            packets[place.start + index] = definition.write()
        return packets

    def _give(self, payloads: Iterable[bytes], seq: int) -> None:
        packets = []
        for payload in payloads:
            packets.append(write_packet(payload, seq))
            seq += packet_count(len(payload))
        self._client.write(b"".join(packets))

    def _close(self, statement_id: int) -> None:
        command = bytes((Commands.COM_STMT_CLOSE,)) + statement_id.to_bytes(4, "little")
        self._upstream.write(write_packet(command, 0))

    async def prepare_viewed(
        self, sql: bytes, dialect: Dialect, seq: int, inbox: Inbox
    ) -> Outcome | None:
        """Prepare a statement that may read a view with calls, as its client wrote it.

        Returns: None when it could not be answered: pass it on.
        Raises: UpstreamLost.
        """
        self.last_prepared = None
        self._watch_last()
        text = await planned(plan_viewed, sql, dialect)
        if text is None:
            return None
        try:
            packets = await self._prepare(sql, inbox)
        except QueryFailed as failure:
            self._client.write(write_packet(failure.packet, seq))
            return Outcome()
        head = read_preparation(packets[0], self._layout)
        self._known[head.statement_id] = _Statement(head.statement_id, text, None)
        self.watched.add(head.statement_id)
        self.last_prepared = head.statement_id
        self._give(packets, seq)
        return Outcome()

    def note(self, sql: bytes) -> None:
        """A statement is being prepared that is not looked into; it may read a view."""
        self._pending.append(sql)

    def passed_on(self, statement_id: int | None) -> None:
        """The upstream has prepared the next of those; None: it has not."""
        sql = self._pending.popleft() if self._pending else b""
        if statement_id is None or not 0 < len(sql) <= MAX_NOTED_BYTES:
            return
        self._noted[statement_id] = sql
        self._noted_bytes += len(sql)
        while self._noted_bytes > MAX_NOTED_BYTES:
            self._noted_bytes -= len(self._noted.pop(next(iter(self._noted))))

    async def adopt(self, statement_id: int, dialect: Dialect) -> bytes | None:
        """Answer from now on a statement that was passed on and has read a view.

        Returns: its text; None when that is not known, or could not be answered.
        """
        sql = self._noted.pop(statement_id, None)
        if sql is None:
            return None
        self._noted_bytes -= len(sql)
        text = await planned(plan_viewed, sql, dialect)
        if text is None:
            return None
        self._known[statement_id] = _Statement(statement_id, text, None)
        self.watched.add(statement_id)
        return sql

    # What the client says of a statement.

    def close(self, statement_id: int) -> None:
        """COM_STMT_CLOSE: ours end with it; the shadow is the client's to close."""
        statement = self._known.pop(statement_id, None)
        self.watched.discard(statement_id)
        if statement is not None:
            for ours in statement.ours.values():
                self._close(ours.id)

    def add_long_data(self, payload: bytes) -> None:
        """COM_STMT_SEND_LONG_DATA: kept until the statement is executed."""
        statement = self._known[read_statement_id(payload)]
        index, data = int.from_bytes(payload[4:6], "little"), payload[6:]
        statement.long_data_bytes += len(data)
        held = statement.long_data.setdefault(index, bytearray())
        if statement.long_data_bytes <= MAX_LONG_DATA_BYTES:
            held.extend(data)

    async def reset(self, statement_id: int, inbox: Inbox) -> None:
        """COM_STMT_RESET: what was sent for parameters is gone, and a cursor is closed.

        Raises: UpstreamLost.
        """
        statement = self._known[statement_id]
        _clear_long_data(statement)
        if statement.cursor is not None:
            ours = statement.cursor.statement_id.to_bytes(4, "little")
            command = bytes((Commands.COM_STMT_RESET,)) + ours
            self._upstream.write(write_packet(command, 0))
            await next_payload(inbox)
            statement.cursor = None

    def cursor(self, statement_id: int) -> Cursor | None:
        """The cursor that the last EXECUTE of a statement has left open, if it did."""
        return self._known[statement_id].cursor

    def forget_cursor(self, statement_id: int) -> None:
        """The cursor has given its last row, and is closed."""
        self._known[statement_id].cursor = None

    # COM_STMT_EXECUTE and COM_STMT_BULK_EXECUTE.

    async def execute(
        self, statement_id: int, command: int, payload: bytes, inbox: Inbox
    ) -> Executed | None:
        """What to carry out for an EXECUTE.

        Args:
            payload: what stands behind the command byte.
        Returns: None for one that makes no sense: the upstream will say so.
        Raises: ProxyError.
        """
        statement = self._known[statement_id]
        count = statement.text.parameters
        is_bulk = command == COM_STMT_BULK_EXECUTE
        if is_bulk and isinstance(statement.text.plan, Viewed):
            return None
        try:
            if is_bulk:
                types = [each.type for each in statement.last]
                queries = self._bulk(statement, read_bulk(payload, count, types))
            else:
                execution = read_execution(
                    *(payload, count, statement.last, statement.long_data),
                    self._layout.capabilities,
                )
                queries = self._single(statement, execution)
        except MalformedPacket:
            return None
        statement.cursor = None
        if statement.context is None:
            return Executed(statement.text.plan, queries, None)
        asked = await ask_context(self._queries, inbox)
        if asked is None or asked.context != statement.context:
            raise UnsupportedStatement(
                f"{statement.text.function}: the statement was prepared under another "
                "default database, sql_mode or character set than that of now; prepare "
                "it again"
            )
        return Executed(statement.text.plan, queries, asked.found_rows)

    def _single(self, statement: _Statement, execution: Execution) -> "StatementQueries":
        statement.last = execution.parameters + execution.attributes
        long_data = dict(statement.long_data)
        is_too_long = statement.long_data_bytes > MAX_LONG_DATA_BYTES
        _clear_long_data(statement)
        if not self._dialect.is_mariadb:
            execution = _with_texts(execution, statement.text.text_parameters)
        plan = statement.text.plan
        if isinstance(plan, Inline) and plan.has_check:
            # Its rows have a column more; with a LIMIT they are few, and a server may
            # open no cursor.
            execution = replace(execution, flags=execution.flags & ~CURSOR_FLAGS)
        if is_too_long:
            raise TextTooLong(
                f"{statement.text.function}: the parameters that were sent as long data "
                f"have more than {MAX_LONG_DATA_BYTES:,} bytes together"
            )
        return StatementQueries(
            self, statement, self._upstream, self._layout, (execution,), long_data
        )

    def _bulk(self, statement: _Statement, bulk: BulkExecution) -> "StatementQueries":
        if isinstance(statement.text.plan, Splice):
            raise MalformedPacket("a SELECT cannot be executed in bulk")
        statement.last = tuple(Parameter(kind, None) for kind in bulk.types)
        rows = (
            Execution(
                0,
                tuple(
                    Parameter(kind, None if value[0] else value[1:])
                    for kind, value in zip(bulk.types, row, strict=True)
                ),
                (),
            )
            for row in bulk.rows
        )
        return StatementQueries(
            self, statement, self._upstream, self._layout, tuple(rows), {}, bulk
        )


def _columns(packets: list[bytes], head: Preparation, layout: Layout) -> slice:
    """Where the column definitions are in a response to PREPARE."""
    if not head.columns or not head.has_definitions:
        return slice(0, 0)
    end = len(packets) - layout.sends_eof
    return slice(end - head.columns, end)


def _with_texts(execution: Execution, which: frozenset[int]) -> Execution:
    """The texts of calls as texts.

    MySQL 9.7 makes NULL of a TIME in CAST(? AS CHAR), and gives a DATETIME 31 places.
    """
    if not which:
        return execution
    parameters = tuple(
        _as_text(each) if index in which else each
        for index, each in enumerate(execution.parameters)
    )
    return replace(execution, parameters=parameters)


def _as_text(parameter: Parameter) -> Parameter:
    kind = parameter.type[0]
    if kind not in LENGTH_BYTE or not parameter.value:
        return parameter
    text = temporal_text(kind, parameter.value)
    return replace(parameter, type=_VAR_STRING, value=write_lenenc_bytes(text))


def _clear_long_data(statement: _Statement) -> None:
    statement.long_data = {}
    statement.long_data_bytes = 0


def _described(plan: Plan) -> tuple[Described, ...]:
    if isinstance(plan, Splice):
        return tuple(Described(c.column, c.function.result) for c in plan.calls)
    return plan.described


class StatementQueries(Queries):
    """The queries of one EXECUTE: what has parameters is prepared and executed."""

    def __init__(
        self,
        statements: ServerStatements,
        statement: _Statement,
        upstream: Port,
        layout: Layout,
        executions: tuple[Execution, ...],
        long_data: dict[int, bytearray],
        bulk: BulkExecution | None = None,
    ) -> None:
        super().__init__(upstream, layout)
        self._statements = statements
        self._statement = statement
        self._executions = executions
        self._long_data = long_data
        self._bulk = bulk
        self._columns: list[tuple[int, int]] | None = None
        """Of the rows that come: type and flags; None when they are text."""
        self._sent: _Ours | None = None

    def times(self, sql: bytes) -> int:
        """See `Queries`."""
        return len(self._executions) if bound(sql)[1] else 1

    @property
    def may_leave_half(self) -> bool:
        """See `Queries`."""
        return self._bulk is not None

    async def prepare_once(self, sql: bytes, inbox: Inbox) -> bytes | None:
        """See `Queries`; the upstream has prepared a shadow already."""
        return None

    async def ask(
        self, sql: bytes, inbox: Inbox, execution: int = 0
    ) -> list[ColumnDefinition]:
        """See `Queries`."""
        text, order = bound(sql)
        if not order:
            self._columns = None
            return await super().ask(sql, inbox)
        ours = await self._prepared(text, inbox)
        self._execute(ours.id, self._executions[execution].without_extras(), order)
        definitions = await self.read_definitions(inbox) or [
            read_column_definition(payload, self._layout)
            for payload in ours.definitions.last
        ]
        self._columns = [(each.type, each.flags) for each in definitions]
        return definitions

    async def begin(self, sql: bytes, inbox: Inbox) -> None:
        """See `Queries`."""
        text, order = bound(sql)
        if not order:
            await super().begin(sql, inbox)
            return
        ours = await self._prepared(text, inbox)
        self._execute(ours.id, self._executions[0].without_extras(), order)

    def read_row(self, payload: bytes) -> list[bytes | None]:
        """See `Queries`."""
        if self._columns is None:
            return super().read_row(payload)
        values = read_binary_row(payload, [kind for kind, _ in self._columns])
        return [
            integer_text(value, flags) if value and kind in INTEGER_TYPES else value
            for value, (kind, flags) in zip(values, self._columns, strict=True)
        ]

    async def run(self, sql: bytes, front: bytes, inbox: Inbox) -> Prepared | None:
        """See `Queries`."""
        text, order = bound(sql)
        if isinstance(self._statement.text.plan, Viewed):
            # What its names mean was settled when the client prepared it.
            self._execute(self._statement.id, self._executions[0], order)
            return None
        has_cursor = self._executions[0].asks_for_cursor
        ours = self._sent = await self._prepared(text, inbox, has_cursor=has_cursor)
        if self._bulk is None:
            self._execute(ours.id, self._executions[0], order)
        else:
            bulk = BulkExecution(
                self._bulk.flags,
                tuple(self._bulk.types[index] for index in order),
                tuple(tuple(row[index] for index in order) for row in self._bulk.rows),
            )
            self._upstream.write(write_packet(write_bulk(ours.id, bulk), 0))
        return Prepared(ours.definitions, self._statement.told, ours.has_columns)

    def leave_cursor(
        self,
        result: SplicedResult | None = None,
        evaluation: Evaluation | None = None,
    ) -> None:
        """See `Queries`."""
        if self._sent is None:
            return  # it is of the client's own statement
        cursor = Cursor(self._sent.id)
        if result is not None and evaluation is not None:
            cursor = SplicedCursor(self._sent.id, result, evaluation)
        self._statement.cursor = cursor

    def _execute(self, statement_id: int, execution: Execution, order: list[int]) -> None:
        for position, index in enumerate(order):
            data = self._long_data.get(index)
            if data is None:
                continue
            for start in range(0, len(data) or 1, _LONG_DATA_CHUNK):
                chunk = bytes(data[start : start + _LONG_DATA_CHUNK])
                head = bytes((Commands.COM_STMT_SEND_LONG_DATA,))
                head += statement_id.to_bytes(4, "little")
                head += position.to_bytes(2, "little")
                self._upstream.write(write_packet(head + chunk, 0))
        made = replace(
            execution, parameters=tuple(execution.parameters[index] for index in order)
        )
        payload = write_execution(statement_id, made, self._layout.capabilities)
        self._upstream.write(write_packet(payload, 0))

    async def _prepared(
        self, text: bytes, inbox: Inbox, *, has_cursor: bool = False
    ) -> _Ours:
        known = self._statement.ours
        ours = known.pop((text, has_cursor), None)
        if ours is None:
            while len(known) >= MAX_OURS:
                oldest = next(iter(known))
                self._statements._close(known.pop(oldest).id)
            ours = await self._statements.prepare_ours(text, inbox)
        known[text, has_cursor] = ours
        return ours
