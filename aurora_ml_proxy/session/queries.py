"""Queries of the proxy's own, on the connection that a client's statement came from."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from aurora_ml_proxy.errors import StatementTooLong, UpstreamLost
from aurora_ml_proxy.evaluate.evaluation import Evaluation
from aurora_ml_proxy.plan.prepared import bound
from aurora_ml_proxy.protocol.attributes import NO_ATTRIBUTES
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.preparations import read_preparation
from aurora_ml_proxy.protocol.results import (
    ColumnDefinition,
    Layout,
    is_error,
    read_column_count,
    read_column_definition,
    read_text_row,
)
from aurora_ml_proxy.protocol.vocabulary import CLIENT_QUERY_ATTRIBUTES, Commands
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.splice.prepared_columns import Prepared
from aurora_ml_proxy.splice.rows import SplicedResult

_COM_QUERY = bytes((Commands.COM_QUERY,))
_COM_STMT_PREPARE = bytes((Commands.COM_STMT_PREPARE,))
_COM_STMT_CLOSE = bytes((Commands.COM_STMT_CLOSE,))

CERTAINLY_TAKEN_BYTES = 16 << 10
"""A shorter statement is under every max_allowed_packet that a server runs with; of a
longer one the server is asked, once a session, for it would hang up."""

_REMEMBERED = 256
"""Texts of a session that the upstream has prepared without an error; some 25 kB."""

_FOUND_ROWS = (
    b"SELECT SQL_CALC_FOUND_ROWS 1 FROM JSON_TABLE(%b,'$[*]' "
    b"COLUMNS(x FOR ORDINALITY)) j LIMIT 1"
)
"""Makes FOUND_ROWS() the length of an array of numbers."""

_MAX_FOUND_ROWS = 1_000_000


ENDS_STATEMENT = frozenset(
    (1020, 1158, 1159, 1160, 1161, 1205, 1213, 1290, 1317, 1412, 1969, 3024, 3572)
)
"""Errors of a query of ours that are the statement's own: the transaction may be gone,
somebody has killed it, its time is over."""


TIME_IS_OVER = frozenset((1969, 3024))
"""The errors of a time limit: MariaDB's and MySQL's."""


_CLEARS_WARNINGS = b"SELECT 1 FROM information_schema.ENGINES LIMIT 0"
"""A statement without tables does not clear what SHOW WARNINGS shows, and DO and SET of
MariaDB do not: the errors of our own tries."""


class QueryFailed(Exception):
    """The upstream answered a query of ours with this ERR packet."""

    def __init__(self, packet: bytes) -> None:
        super().__init__()
        self.packet = packet


class Queries:
    """Sends queries in text and reads their rows."""

    def __init__(self, upstream: Port, layout: Layout) -> None:
        self._upstream = upstream
        self._layout = layout
        attributes = layout.capabilities & CLIENT_QUERY_ATTRIBUTES
        self.on_prepare: Callable[[], None] | None = None
        """Called when a statement of ours is prepared: to MariaDB it is the last one."""
        self._prepared_lately: dict[int, None] = {}
        """Hashes of texts, the oldest first. One that is taken for another only costs."""
        self._limit: int | None = None
        """@@max_allowed_packet, which a session cannot change."""
        self._front = _COM_QUERY + (NO_ATTRIBUTES if attributes else b"")

    def send(self, sql: bytes, front: bytes = b"") -> None:
        """Send a statement.

        Args:
            front: the client's own COM_QUERY with its attributes, for its statement.
        """
        self._upstream.write(write_packet((front or self._front) + sql, 0))

    async def bind(self, sql: bytes, inbox: Inbox, *, is_users: bool = False) -> bytes:
        """What is to be sent in text for a statement of a plan.

        Args:
            is_users: whether it is the user's own statement, with answers in it.
        Raises: QueryFailed, UpstreamLost.
        """
        return sql

    def times(self, sql: bytes) -> int:
        """How often a query of a plan is to be asked: once for each set of parameters."""
        return 1

    @property
    def may_leave_half(self) -> bool:
        """Whether a statement of the user's that fails may have changed something."""
        return False

    async def ask(
        self, sql: bytes, inbox: Inbox, execution: int = 0
    ) -> list[ColumnDefinition]:
        """Send a query of a plan; its rows, which come next, are for `read_row`.

        Args:
            execution: which set of parameters it is asked with.
        Returns: its columns; none where the session has turned definitions off.
        Raises: QueryFailed, UpstreamLost.
        """
        await self.begin(sql, inbox)
        return await self.read_definitions(inbox)

    async def begin(self, sql: bytes, inbox: Inbox) -> None:
        """Send a query of a plan; its response comes next.

        Raises: QueryFailed, UpstreamLost.
        """
        self.send(await self.bind(sql, inbox))

    def read_row(self, payload: bytes) -> list[bytes | None]:
        """The values of a row of `ask`: integers in digits, strings as they are."""
        return read_text_row(payload)

    async def run(self, sql: bytes, front: bytes, inbox: Inbox) -> Prepared | None:
        """Send the user's own statement; its response comes next.

        Args:
            front: the client's COM_QUERY with its attributes.
        Returns: None when the rows are text; else what is known of them.
        Raises: QueryFailed, UpstreamLost.
        """
        self.send(await self.bind(sql, inbox, is_users=True), front)
        return None

    def leave_cursor(
        self,
        result: SplicedResult | None = None,
        evaluation: Evaluation | None = None,
    ) -> None:
        """The user's statement has left a cursor open.

        Args:
            result: what its rows are spliced by; None when they pass as they are.
        """
        raise AssertionError("COM_QUERY opens no cursor")

    async def check_length(self, sql: bytes, function: str, inbox: Inbox) -> None:
        """Raises: StatementTooLong for what the upstream would hang up over."""
        if len(sql) < CERTAINLY_TAKEN_BYTES:
            return
        if self._limit is None:
            rows = await self.rows(b"SELECT @@max_allowed_packet LIMIT 1", inbox)
            self._limit = read_number(rows[0][0])
        limit = self._limit
        if len(sql) + 1024 > limit:
            raise StatementTooLong(
                f"{function}: the statement with its answers in it has {len(sql):,} "
                f"bytes, over the server's max_allowed_packet of {limit:,}; raise that, "
                "or take fewer distinct texts at once"
            )

    async def restore_found_rows(self, count: int, inbox: Inbox) -> None:
        """Make FOUND_ROWS() what it was before our queries. Raises: QueryFailed."""
        if count > _MAX_FOUND_ROWS:
            return
        sql = b"SELECT 1 LIMIT 0"
        if count:
            sql = _FOUND_ROWS % (b"CONCAT('[0',REPEAT(',0',%d),']')" % (count - 1))
        await self.rows(sql, inbox)

    async def clear_warnings(self, inbox: Inbox) -> None:
        """Let SHOW WARNINGS forget our tries. Raises: QueryFailed, UpstreamLost."""
        await self.rows(_CLEARS_WARNINGS, inbox)

    async def rows(self, sql: bytes, inbox: Inbox) -> list[list[bytes | None]]:
        """All rows of a small result. Raises: QueryFailed, UpstreamLost."""
        self.send(sql)
        return await self.read_rows(inbox)

    async def read_rows(self, inbox: Inbox) -> list[list[bytes | None]]:
        """The rows of a query that was sent. Raises: QueryFailed, UpstreamLost."""
        await self.read_definitions(inbox)
        return [row async for row in self._read_rows(inbox)]

    async def execute(self, sql: bytes, inbox: Inbox) -> None:
        """A statement that gives no rows. Raises: QueryFailed, UpstreamLost."""
        self.send(sql)
        await self.read_ok(inbox)

    async def read_ok(self, inbox: Inbox) -> None:
        """The end of a statement without rows. Raises: QueryFailed, UpstreamLost."""
        packet = await next_payload(inbox)
        if is_error(packet):
            raise QueryFailed(packet)

    async def execute_all(self, statements: Iterable[bytes], inbox: Inbox) -> None:
        """Statements without rows, sent at once. Raises: QueryFailed, UpstreamLost."""
        sent = 0
        for sql in statements:
            self.send(sql)
            sent += 1
        failure: QueryFailed | None = None
        for _ in range(sent):
            try:
                await self.read_ok(inbox)
            except QueryFailed as failed:
                failure = failure or failed
        if failure is not None:
            raise failure

    def has_prepared_lately(self, sql: bytes) -> bool:
        """Whether the upstream has prepared this text, among the last of this session."""
        return hash(sql) in self._prepared_lately

    async def prepare_once(self, sql: bytes, inbox: Inbox) -> bytes | None:
        """Have a statement of a plan prepared, and forgotten at once.

        Returns: the ERR packet when the upstream does not prepare it.
        Raises: UpstreamLost.
        """
        text, _ = bound(sql)
        if self.on_prepare is not None:
            self.on_prepare()
        self._upstream.write(write_packet(_COM_STMT_PREPARE + text, 0))
        first = await next_payload(inbox)
        if is_error(first):
            return first
        head = read_preparation(first, self._layout)
        for count in (head.parameters, head.columns):
            follow = count if head.has_definitions else 0
            for _ in range(follow + bool(count and self._layout.sends_eof)):
                await next_payload(inbox)
        close = _COM_STMT_CLOSE + head.statement_id.to_bytes(4, "little")
        self._upstream.write(write_packet(close, 0))
        while len(self._prepared_lately) >= _REMEMBERED:
            del self._prepared_lately[next(iter(self._prepared_lately))]
        self._prepared_lately[hash(sql)] = None
        return None

    async def read_definitions(self, inbox: Inbox) -> list[ColumnDefinition]:
        """The head of a result set. Raises: QueryFailed, UpstreamLost."""
        first = await next_payload(inbox)
        while self._layout.is_progress(first):
            first = await next_payload(inbox)
        if is_error(first):
            raise QueryFailed(first)
        count, follows = read_column_count(first, self._layout)
        definitions = []
        for _ in range(count if follows else 0):
            packet = await next_payload(inbox)
            definitions.append(read_column_definition(packet, self._layout))
        if self._layout.sends_eof:
            await next_payload(inbox)
        return definitions

    async def _read_rows(self, inbox: Inbox) -> AsyncIterator[list[bytes | None]]:
        while not self._layout.is_terminator(payload := await next_payload(inbox)):
            if self._layout.is_progress(payload):
                continue
            if is_error(payload):
                raise QueryFailed(payload)
            yield read_text_row(payload)


async def next_payload(inbox: Inbox) -> bytes:
    """The next packet's payload. Raises: UpstreamLost."""
    packet = await inbox.read_packet()
    if packet is None:
        raise UpstreamLost("Lost connection to the upstream during query")
    return packet.payload


async def next_payloads(inbox: Inbox) -> list[bytes]:
    """The next packets, as many as have come. Raises: UpstreamLost."""
    while not (payloads := inbox.payloads()):
        if inbox.has_ended:
            raise UpstreamLost("Lost connection to the upstream during query")
        await inbox.until_woken()
    await asyncio.sleep(0)  # the other connections' turn
    return payloads


def read_number(value: bytes | None) -> int:
    """A number in a row, NULL as 0; a wide character set puts NULs between its digits."""
    return int((value or b"0").replace(b"\0", b""))


def listed(names: Iterable[bytes]) -> bytes:
    """Names of UTF-8 for IN (…), whatever the session's character sets."""
    return b",".join(
        b"CONVERT(X'%b' USING utf8mb4)" % name.hex().encode() for name in names
    )
