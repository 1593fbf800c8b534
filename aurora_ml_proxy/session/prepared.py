"""SQL's own prepared statements of one session, as far as they hold ML calls.

The server prepares a shadow under the statement's name, so that it checks syntax, names,
privileges and the number of parameters, and fails an EXECUTE that the proxy does not see.
An EXECUTE that it does see becomes one of a statement of ours, with answers in it: a
parameter stays a parameter, of the type that the server gives it.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from aurora_ml_proxy.errors import ProxyError, UnsupportedStatement
from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.intercept.names import NameFilter
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Plan
from aurora_ml_proxy.plan.prepared import (
    Command,
    Deallocate,
    Execute,
    Prepare,
    PreparedText,
    as_text,
    bound,
    in_variable,
    literal,
    plan_text,
)
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.results import (
    Layout,
    add_status,
    error_number,
    is_error,
    read_status,
)
from aurora_ml_proxy.protocol.vocabulary import ServerStatus
from aurora_ml_proxy.session.context import Asked, Context, ask_context
from aurora_ml_proxy.session.diagnostics import Outcome
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.inline import may_be_missing
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import Queries, QueryFailed, next_payload
from aurora_ml_proxy.session.waiting import MAX_PLANNED_BYTES, planned

_COMMAND = re.compile(rb"(?:\x00\x01)?(?:prepare|execute\s+immediate)\b", re.IGNORECASE)

_PREPARE = re.compile(rb"(?:\s|/\*.*?\*/)*prepare\b", re.IGNORECASE | re.DOTALL)

_ANY_COMMAND = re.compile(
    rb"(?:\s|/\*.*?\*/)*(?:prepare|execute|deallocate|drop\s+prepare)\b",
    re.IGNORECASE | re.DOTALL,
)

_FIRST_LETTERS = frozenset(b"pPeE/-#( \t\n\r\v\f") | frozenset(range(9))

_MAX_HEAD_BYTES = 4096
"""Where PREPARE behind comments is looked for."""

_STARTS = (b"prepare", b"execute", b"deallocate", b"drop")

_MAY_PREPARE = (b"call", b"begin")
"""In statements that may run a stored procedure, which may prepare another text."""

_NAME = b"aurora_ml_statement"
"""Of the statements that are prepared here. One at a time."""

_TEXT = b"@aurora_ml_text"

_ER_PARSE_ERROR = 1064
_ER_DATA_OUT_OF_RANGE = 1690

_COUNT = b"SHOW SESSION STATUS WHERE Variable_name='Com_prepare_sql'"
"""MySQL's LIKE finds nothing where collation_connection is utf16."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A plan, and the queries that give its parameters their values."""

    plan: Plan
    queries: Queries
    found_rows: int
    """FOUND_ROWS() before the statement."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A prepared statement with calls."""

    text: PreparedText
    context: Context
    epoch: int


class PreparedStatements:
    """What one session has prepared."""

    def __init__(
        self,
        queries: Queries,
        upstream: Port,
        client: Port,
        layout: Layout,
        *,
        dialect: Dialect,
    ) -> None:
        self._queries = queries
        self._upstream = upstream
        self._client = client
        self._layout = layout
        self._dialect = dialect
        self._names = NameFilter(FUNCTIONS)
        self._known: dict[str, _Known] = {}
        self._prepares = 0
        """PREPAREs that were seen, and those of our own."""
        self._offset = 0
        """Com_prepare_sql, which counts those in stored procedures too, less that."""
        self._found_rows: int | None = None
        """FOUND_ROWS() before the statement at hand."""
        self._is_unsure = False
        """Whether a stored procedure may have prepared another text under a name."""
        self._epoch = 0
        """How often one has, or may have; what is older is not to be trusted."""

    @staticmethod
    def is_prepare(statement: bytes) -> bool:
        """Whether this is a PREPARE: its text is not executed."""
        return _PREPARE.match(statement[:_MAX_HEAD_BYTES]) is not None

    def concerns(self, statement: bytes) -> bool:
        """Whether a statement may be one of PREPARE, EXECUTE, DEALLOCATE that matters.

        Asked of every statement: a test of its first letter for most.
        """
        if self._known:
            lowered = statement.lower()
            self._is_unsure |= any(word in lowered for word in _MAY_PREPARE)
            return any(word in lowered for word in _STARTS)
        first = statement[2:3] if statement[:2] == b"\0\1" else statement[:1]
        if not first or first[0] not in _FIRST_LETTERS:
            return False
        head = statement[:_MAX_HEAD_BYTES]
        if first in b"pPeE":
            return _COMMAND.match(head) is not None
        lowered = head.lower()
        return b"prepare" in lowered or b"execute" in lowered

    def concerns_in(self, packet: bytes) -> Callable[[bytes], bool]:
        """`concerns` for the statements of one packet: one may prepare what the next one
        executes."""
        if self._known or b"prepare" in packet.lower():
            return lambda statement: _ANY_COMMAND.match(statement) is not None
        return self.concerns

    def forget_all(self) -> None:
        """COM_CHANGE_USER or COM_RESET_CONNECTION: the server has none any more."""
        self._known.clear()

    def doubt(self) -> None:
        """What the upstream is sent unread may prepare other texts."""
        self._epoch += 1

    async def handle(
        self,
        command: Command,
        front: bytes,
        seq: int,
        inbox: Inbox,
        *,
        has_more: bool,
        found_rows: int | None,
    ) -> Outcome | Bound | None:
        """Do what a statement says.

        Args:
            front: the client's COM_QUERY with its attributes.
            found_rows: FOUND_ROWS() before the statement, if a question was asked.
        Returns: what to answer; or what an answered statement leaves behind; None when
            it is the server's to answer.
        Raises: ProxyError.
        """
        self._found_rows = found_rows
        match command:
            case Prepare():
                return await self._prepare(command, front, seq, inbox, has_more)
            case Execute(name=""):
                self._is_unsure = True
                return await self._execute_immediate(command, inbox)
            case Execute():
                return await self._execute(command, inbox)
            case Deallocate(name):
                self._known.pop(name, None)
                return None

    # PREPARE.

    async def _prepare(
        self, command: Prepare, front: bytes, seq: int, inbox: Inbox, has_more: bool
    ) -> Outcome | None:
        self._known.pop(command.name, None)
        if b"@" not in command.text and not self._names.may_match(command.text):
            self._prepares += 1
            return None
        asked = await self._ask(command.text, inbox)
        if asked is None:
            self._prepares += 1
            return None
        text, context = asked.text, asked.context
        count = 0 if self._known else await self._count(inbox)
        dialect = context.dialect(self._dialect)
        again = as_text(command, dialect, context.collation or b"")
        if again is not None:
            asked = await self._ask(again, inbox)
            text = text if asked is None else asked.text
        try:
            planned = await self._plan(text, dialect)
        except ProxyError:
            await self._command(b"DEALLOCATE PREPARE " + command.source, inbox)
            raise
        if planned is None:
            await self._restore(inbox)
            self._prepares += 1
            return None
        await self._restore(inbox)
        before = self._prepares
        for shadow in planned.shadows:
            source = await self._literal(shadow, dialect, inbox)
            self._queries.send(b"PREPARE " + command.source + b" FROM " + source, front)
            self._prepares += 1
            packet = await next_payload(inbox)
            if not (is_error(packet) and may_be_missing(packet)):
                break
        if is_error(packet):
            if error_number(packet) == _ER_PARSE_ERROR:
                self._prepares += 1
                return None  # its message quotes the user's own text
            self._client.write(write_packet(packet, seq))
            return Outcome()
        more = int(ServerStatus.SERVER_MORE_RESULTS_EXISTS) if has_more else 0
        self._client.write(write_packet(add_status(packet, more, self._layout), seq))
        if not self._known:
            self._offset = count - before
            self._is_unsure = False
        self._known[command.name] = _Known(planned, context, self._epoch)
        return Outcome(read_status(packet, self._layout), next_seq=(seq + 1) & 0xFF)

    async def _restore(self, inbox: Inbox) -> None:
        """FOUND_ROWS() is the same after a PREPARE as before it."""
        with suppress(QueryFailed):  # the PREPARE will tell
            await self._queries.restore_found_rows(self._found_rows or 0, inbox)

    async def _plan(self, text: bytes | None, dialect: Dialect) -> PreparedText | None:
        if text is None or len(text) > MAX_PLANNED_BYTES:
            return None
        if not self._names.may_match(text):
            return None
        return await planned(plan_text, text, replace(dialect, charset="utf8mb4"))

    # EXECUTE.

    async def _execute(self, command: Execute, inbox: Inbox) -> Bound | None:
        known = self._known.get(command.name)
        if known is None:
            self._is_unsure = True  # it may be a CALL
            return None
        if len(command.using) != known.text.parameters:
            return None  # the shadow has the same number of parameters
        name = known.text.function
        asked = await self._ask(b"NULL", inbox)
        if self._is_unsure:
            await self._make_sure(inbox)
        if known.epoch != self._epoch:
            raise UnsupportedStatement(
                f"{name}: something that the proxy does not see, such as a stored "
                "procedure, may have prepared another text under this name; PREPARE it "
                "again"
            )
        if asked is None or asked.context != known.context:
            raise UnsupportedStatement(
                f"{name}: the statement was prepared under another default database, "
                "sql_mode or character set than that of now; PREPARE it again"
            )
        return self._bind(known.text, command, known.context)

    async def _make_sure(self, inbox: Inbox) -> None:
        """Whether the server has executed no PREPARE but those that were seen."""
        offset = await self._count(inbox) - self._prepares
        if offset != self._offset:
            self._offset = offset
            self._epoch += 1
        self._is_unsure = False

    async def _count(self, inbox: Inbox) -> int:
        """The PREPAREs that the server has executed in this session."""
        try:
            rows = await self._queries.rows(_COUNT, inbox)
            return int((rows[0][1] or b"").replace(b"\0", b""))
        except (QueryFailed, IndexError, ValueError):
            return -1

    async def _execute_immediate(self, command: Execute, inbox: Inbox) -> Bound | None:
        asked = await self._ask(command.text, inbox)
        if asked is None:
            return None
        planned = await self._plan(asked.text, asked.context.dialect(self._dialect))
        if planned is None or len(command.using) != planned.parameters:
            return None
        return self._bind(planned, command, asked.context)

    def _bind(self, text: PreparedText, command: Execute, context: Context) -> Bound:
        if command.is_volatile:
            raise UnsupportedStatement(
                f"{text.function}: EXECUTE … USING a value that is not the same when it "
                "is read twice; put it into a variable first"
            )
        dialect = context.dialect(self._dialect)
        return Bound(
            text.plan,
            BoundQueries(self, self._upstream, self._layout, command, dialect),
            self._found_rows or 0,
        )

    # On the upstream.

    async def _ask(self, text: bytes, inbox: Inbox) -> Asked | None:
        asked = await ask_context(self._queries, inbox, text)
        if asked is not None and self._found_rows is None:
            self._found_rows = asked.found_rows
        return asked

    async def _literal(self, text: bytes, dialect: Dialect, inbox: Inbox) -> bytes:
        """What stands for a text behind FROM."""
        found = literal(text, dialect)
        if found is not None:
            return found
        await self._command(in_variable(_TEXT, text, dialect), inbox)
        return _TEXT

    async def _command(self, sql: bytes, inbox: Inbox) -> None:
        """Send what gives no rows. Its failure shows in what comes next."""
        self._queries.send(sql)
        await next_payload(inbox)

    async def prepare_ours(self, text: bytes, dialect: Dialect, inbox: Inbox) -> None:
        """Prepare a statement of ours. Raises: QueryFailed, UpstreamLost."""
        source = await self._literal(text, dialect, inbox)
        sql = b"PREPARE %b FROM %b" % (_NAME, source)
        await self._queries.check_length(sql, "EXECUTE", inbox)
        self._prepares += 1
        await self._queries.execute(sql, inbox)


class BoundQueries(Queries):
    """Queries whose parameters have the values of an EXECUTE."""

    def __init__(
        self,
        prepared: PreparedStatements,
        upstream: Port,
        layout: Layout,
        command: Execute,
        dialect: Dialect,
    ) -> None:
        super().__init__(upstream, layout)
        self._prepared = prepared
        self._using = command.using
        self._has_shadow = bool(command.name)
        self._dialect = dialect

    async def bind(self, sql: bytes, inbox: Inbox, *, is_users: bool = False) -> bytes:
        """Prepare a statement under a name of ours; what executes it.

        A query of ours without a parameter is sent as it is.
        """
        text, order = bound(sql)
        if not order and not is_users and self._is_readable(sql):
            return sql
        await self._prepared.prepare_ours(text, self._dialect, inbox)
        using = b",".join(self._using[number] for number in order)
        return b"EXECUTE " + _NAME + (b" USING " + using if using else b"")

    async def prepare_once(self, sql: bytes, inbox: Inbox) -> bytes | None:
        """See `Queries`; for EXECUTE the upstream has prepared a shadow already."""
        if self._has_shadow or not self._is_readable(sql):
            return None
        return await self._prepared._queries.prepare_once(sql, inbox)

    def _is_readable(self, sql: bytes) -> bool:
        """Whether the session reads a text of UTF-8 as it is."""
        return sql.isascii() or self._dialect.charset.startswith("utf8mb4")
