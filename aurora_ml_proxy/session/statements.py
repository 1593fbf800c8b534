"""Server-side prepared statements of one session, as far as they hold ML calls.

The server prepares a *shadow* for the client: it checks syntax, names and privileges,
gives the statement its id, its parameters and its columns, and fails an EXECUTE that the
proxy does not see. An EXECUTE that it does see is carried out by statements of ours, with
answers in them or placeholders; a parameter stays a parameter, with the bytes that came.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from aurora_ml_proxy.errors import (
    MalformedPacket,
    TextTooLong,
    UnsupportedStatement,
)
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Described, Inline, Plan, Splice
from aurora_ml_proxy.plan.prepared import (
    bound,
    plan_text,
    plan_viewed,
)
from aurora_ml_proxy.plan.views import Viewed
from aurora_ml_proxy.protocol.binary import (
    LENGTH_BYTE,
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
)
from aurora_ml_proxy.protocol.packets import (
    packet_count,
    write_lenenc_bytes,
    write_packet,
)
from aurora_ml_proxy.protocol.preparations import Preparation, read_preparation
from aurora_ml_proxy.protocol.results import (
    Layout,
    error_number,
    read_column_definition,
)
from aurora_ml_proxy.protocol.vocabulary import (
    COM_STMT_BULK_EXECUTE,
    ColumnType,
    Commands,
)
from aurora_ml_proxy.session.context import ask_context
from aurora_ml_proxy.session.diagnostics import Outcome
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.inline import may_be_missing
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.preparing import Preparer, columns_of
from aurora_ml_proxy.session.queries import Queries, QueryFailed, next_payload
from aurora_ml_proxy.session.statement_queries import (
    Cursor,
    Statement,
    StatementQueries,
)
from aurora_ml_proxy.session.waiting import MAX_PLANNED_BYTES, planned
from aurora_ml_proxy.splice.passed import describe_as
from aurora_ml_proxy.splice.prepared_columns import Definitions
from aurora_ml_proxy.splice.rows import renumber_expression

LAST_PREPARED = 0xFFFFFFFF
"""MariaDB's id of the statement that was prepared last."""

MAX_LONG_DATA_BYTES = 64 << 20
"""Of COM_STMT_SEND_LONG_DATA, which is held until the statement is executed; MySQL's
default max_allowed_packet, which is the server's own limit for it."""

MAX_NOTED_BYTES = 16 << 10
"""Texts of prepared statements that are kept, to know which view one has read."""

_ER_PARSE_ERROR = 1064

_VAR_STRING = bytes((ColumnType.VAR_STRING, 0))


@dataclass(frozen=True, slots=True)
class Executed:
    """What to carry out for an EXECUTE."""

    plan: Plan | Viewed
    queries: StatementQueries
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
        self.preparer = Preparer(upstream, layout)
        self._queries = queries
        self._upstream = upstream
        self._client = client
        self._layout = layout
        self._dialect = dialect
        self._known: dict[int, Statement] = {}
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
                ours[statement, False] = await self.preparer.prepare_ours(
                    statement, inbox
                )
            else:
                asked = await ask_context(self._queries, inbox)
                if asked is None:
                    return None
                context = asked.context
                await self._restore(asked.found_rows, inbox)
            packets = await self._prepare_shadow(text.shadows, inbox)
        except QueryFailed as failure:
            for statement_of_ours in ours.values():
                self.preparer.close(statement_of_ours.id)
            if error_number(failure.packet) == _ER_PARSE_ERROR:
                return None  # its message quotes the user's own text
            error = failure.packet
            if isinstance(text.plan, Splice):
                error = renumber_expression(error, text.plan)
            self._client.write(write_packet(error, seq))
            return Outcome()
        shadow = read_preparation(packets[0], self._layout)
        packets = self._described(packets, shadow, text.plan)
        told = Definitions(packets[columns_of(packets, shadow, self._layout)])
        self._known[shadow.statement_id] = Statement(
            shadow.statement_id, text, context, ours, told=told
        )
        self.watched.add(shadow.statement_id)
        self.last_prepared = shadow.statement_id
        self._give(packets, seq)
        return Outcome()

    async def _restore(self, found_rows: int, inbox: Inbox) -> None:
        """FOUND_ROWS() is the same after a PREPARE as before it."""
        with suppress(QueryFailed):  # the PREPARE will tell
            await self._queries.restore_found_rows(found_rows, inbox)

    async def _prepare_shadow(
        self, shadows: Iterable[bytes], inbox: Inbox
    ) -> list[bytes]:
        """The response to the first shadow that the upstream prepares.

        Raises: QueryFailed.
        """
        failure = None
        for shadow in shadows:
            try:
                return await self.preparer.prepare(shadow, inbox)
            except QueryFailed as failed:
                failure = failed
                if not may_be_missing(failed.packet):
                    break
        assert failure is not None
        raise failure

    def _described(
        self, packets: list[bytes], head: Preparation, plan: Plan
    ) -> list[bytes]:
        """The response with the columns that are calls as a function's."""
        described = _described(plan)
        if not head.has_definitions or not described:
            return packets
        place = columns_of(packets, head, self._layout)
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
            packets = await self.preparer.prepare(sql, inbox)
        except QueryFailed as failure:
            self._client.write(write_packet(failure.packet, seq))
            return Outcome()
        head = read_preparation(packets[0], self._layout)
        self._known[head.statement_id] = Statement(head.statement_id, text, None)
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
        self._known[statement_id] = Statement(statement_id, text, None)
        self.watched.add(statement_id)
        return sql

    # What the client says of a statement.

    def close(self, statement_id: int) -> None:
        """COM_STMT_CLOSE: ours end with it; the shadow is the client's to close."""
        statement = self._known.pop(statement_id, None)
        self.watched.discard(statement_id)
        if statement is not None:
            for ours in statement.ours.values():
                self.preparer.close(ours.id)

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

    def _single(self, statement: Statement, execution: Execution) -> StatementQueries:
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
        return self._queries_of(statement, (execution,), long_data)

    def _bulk(self, statement: Statement, bulk: BulkExecution) -> StatementQueries:
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
        return self._queries_of(statement, tuple(rows), {}, bulk)

    def _queries_of(
        self,
        statement: Statement,
        executions: tuple[Execution, ...],
        long_data: dict[int, bytearray],
        bulk: BulkExecution | None = None,
    ) -> StatementQueries:
        return StatementQueries(
            *(self.preparer, statement, self._upstream, self._layout),
            self._dialect.is_mariadb,
            *(executions, long_data, bulk),
        )


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


def _clear_long_data(statement: Statement) -> None:
    statement.long_data = {}
    statement.long_data_bytes = 0


def _described(plan: Plan) -> tuple[Described, ...]:
    if isinstance(plan, Splice):
        return tuple(Described(c.column, c.function.result) for c in plan.calls)
    return plan.described
