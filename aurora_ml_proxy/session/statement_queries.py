"""One of the client's prepared statements, and the queries of one EXECUTE of it.

What a plan sends with parameters is prepared and executed, with the client's parameters
in the places and the number that the text has them.
"""

from dataclasses import dataclass, field, replace

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.evaluate.evaluation import Evaluation
from aurora_ml_proxy.plan.plan import Splice
from aurora_ml_proxy.plan.prepared import PreparedText, ViewedText, bound
from aurora_ml_proxy.plan.views import Viewed
from aurora_ml_proxy.protocol.binary import integer_text, read_binary_row
from aurora_ml_proxy.protocol.executions import (
    BulkExecution,
    Execution,
    Parameter,
    write_bulk,
    write_execution,
)
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.results import (
    ColumnDefinition,
    Layout,
    read_column_definition,
)
from aurora_ml_proxy.protocol.vocabulary import INTEGER_TYPES, Commands
from aurora_ml_proxy.session.context import Context
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.preparing import Ours, Preparer
from aurora_ml_proxy.session.queries import Queries
from aurora_ml_proxy.splice.prepared_columns import Definitions, Prepared
from aurora_ml_proxy.splice.rows import SplicedResult

MAX_OURS = 3
"""Statements of ours that stay prepared for one of the client's: what reads its texts,
and what was executed last."""

_LONG_DATA_CHUNK = 1 << 20
"""Under every max_allowed_packet that a server runs with."""


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
class Statement:
    """One of the client's."""

    id: int
    """The shadow's."""
    text: PreparedText | ViewedText
    context: Context | None
    """None when nothing of it is prepared later."""
    ours: dict[tuple[bytes, bool], Ours] = field(default_factory=dict)
    """By their texts, the one used last at the end. One that has had a cursor goes by
    itself: MySQL 9.7 executes it without one by sending an OK in place of rows."""
    had_cursor: bool = False
    """Whether a spliced one was executed with a cursor."""
    told: Definitions = field(default_factory=Definitions)
    last: tuple[Parameter, ...] = ()
    """The parameters and attributes of the last execution, for their types."""
    long_data: dict[int, bytearray] = field(default_factory=dict)
    long_data_bytes: int = 0
    cursor: Cursor | None = None


class StatementQueries(Queries):
    """The queries of one EXECUTE: what has parameters is prepared and executed."""

    def __init__(
        self,
        preparer: Preparer,
        statement: Statement,
        upstream: Port,
        layout: Layout,
        is_mariadb: bool,
        executions: tuple[Execution, ...],
        long_data: dict[int, bytearray],
        bulk: BulkExecution | None = None,
    ) -> None:
        super().__init__(upstream, layout)
        self._preparer = preparer
        self._statement = statement
        self._is_mariadb = is_mariadb
        self._executions = executions
        self._long_data = long_data
        self._bulk = bulk
        self._columns: list[tuple[int, int]] | None = None
        """Of the rows that come: type and flags; None when they are text."""
        self._sent: Ours | None = None

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
    ) -> Ours:
        known = self._statement.ours
        if isinstance(self._statement.text.plan, Splice):
            # What its names mean was settled when it was prepared, with the client's.
            self._settle_cursor(has_cursor)
            return known[text, False]
        ours = known.pop((text, has_cursor), None)
        if ours is None:
            while len(known) >= MAX_OURS:
                oldest = next(iter(known))
                self._preparer.close(known.pop(oldest).id)
            ours = await self._preparer.prepare_ours(text, inbox)
        known[text, has_cursor] = ours
        return ours

    def _settle_cursor(self, has_cursor: bool) -> None:
        """Raises: UnsupportedStatement where MySQL 9.7 would send an OK for rows."""
        statement = self._statement
        if statement.had_cursor and not has_cursor and not self._is_mariadb:
            raise UnsupportedStatement(
                f"{statement.text.function}: MySQL does not execute a prepared statement "
                "without a cursor once it had one; prepare it again"
            )
        statement.had_cursor |= has_cursor
