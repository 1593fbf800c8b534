"""Views: define one with the functions that it calls, answer a statement that reads one.

The server runs the view and its marker functions (`catalog.markers`). So the statement
is sent as it was written: first it, or a query that needs the same texts, so that the
markers note what they do not find; then, with every answer set, the statement itself.
There a marker that misses an answer makes it fail, with nothing changed.
"""

import contextlib

from aurora_ml_proxy.catalog import markers
from aurora_ml_proxy.errors import (
    ProxyError,
    TextsChanged,
    UnsupportedStatement,
    UpstreamLost,
)
from aurora_ml_proxy.evaluate.arguments import read_language
from aurora_ml_proxy.evaluate.evaluation import Evaluation, Question
from aurora_ml_proxy.functions import MAX_BATCH_SIZE, Sentiment
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.views import ViewDefinition, Viewed
from aurora_ml_proxy.protocol.results import Layout, error_number
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import Queries, QueryFailed, next_payloads
from aurora_ml_proxy.splice.passed import PassedResult

HELD_BYTES = 4 << 20
"""Bytes of a result that are held back, so that the statement can be sent again."""

FIRST_BUDGET = MAX_BATCH_SIZE
"""Texts that are noted at first: one full batch, for a LIMIT may need no more. Doubled
each time."""

MAX_BUDGET = 1 << 15

MAX_ROUNDS = 10
"""How often a query that ran to its end, or a statement, may still miss a text. A text
that is computed from an answer takes one more; texts that are never the same take all."""

MANY_ANSWERS = 1000
"""More of them, 50 KiB and up, are taken out of the server before the next statement."""

_ER_SP_ALREADY_EXISTS = 1304
_ER_NO_SUCH_FUNCTION = 1305

_KNOWS_IF_NOT_EXISTS = 80029
"""MySQL 8.0.29; every MariaDB that is still in use."""

_CLEARS_WARNINGS = b"SELECT 1 FROM information_schema.ENGINES LIMIT 0"
"""MariaDB's DO and SET leave what SHOW WARNINGS shows: the errors of our own tries."""

_ENDS_STATEMENT = frozenset((1158, 1159, 1160, 1161, 1205, 1213, 1317, 1969, 3024, 3572))
"""Errors that are the statement's own wherever they come: the transaction may be gone,
somebody has killed it, its time is over."""


class DefinitionAnswer:
    """Answers one CREATE VIEW or ALTER VIEW; `passed` is what its client gets."""

    def __init__(
        self,
        definition: ViewDefinition,
        queries: Queries,
        layout: Layout,
        dialect: Dialect,
        seq: int,
        *,
        has_more: bool = False,
    ) -> None:
        self.passed = PassedResult(layout, seq, has_more=has_more)
        self.seq = seq
        """The sequence number of the next packet to the client."""
        self._definition = definition
        self._queries = queries
        self._dialect = dialect

    async def answer(self, front: bytes, inbox: Inbox) -> None:
        """Make sure that the functions are there, then define the view.

        Raises: UnsupportedStatement; QueryFailed with the server's own error.
        """
        await self._create_markers(inbox)
        self._queries.send(self._definition.statement, front)
        while not self.passed.has_ended:
            self.passed.feed(await next_payloads(inbox))
        if self.passed.error is not None:
            raise QueryFailed(self.passed.error)

    async def _create_markers(self, inbox: Inbox) -> None:
        functions = self._definition.functions
        sql = markers.existing_functions(function.name for function in functions)
        existing = {row[0]: row[1] or b"" for row in await self._queries.rows(sql, inbox)}
        missing = []
        for function in functions:
            comment = existing.get(function.name.encode())
            if comment is None:
                missing.append(function)
            elif not comment.startswith(markers.COMMENT_START.encode()):
                raise UnsupportedStatement(
                    f"{function.name}: the current database has a stored function of "
                    "this name that is not the proxy's, and the view would call that; "
                    "drop it, or create the view while another database is the current"
                )
        if not missing:
            return
        can_say_so = self._dialect.is_mariadb or (
            self._dialect.version >= _KNOWS_IF_NOT_EXISTS
        )
        await self._queries.execute(markers.BEFORE_CREATE, inbox)
        try:
            for function in missing:
                await self._create(
                    markers.create_marker(function, if_not_exists=can_say_so), inbox
                )
        except QueryFailed:
            await self._queries.execute(markers.AFTER_CREATE, inbox)
            raise
        await self._queries.execute(markers.AFTER_CREATE, inbox)

    async def _create(self, sql: bytes, inbox: Inbox) -> None:
        try:
            await self._queries.execute(sql, inbox)
        except QueryFailed as failure:
            if error_number(failure.packet) != _ER_SP_ALREADY_EXISTS:
                raise


class ViewAnswer:
    """Answers one statement that reads a view; `passed` is what its client gets."""

    def __init__(
        self,
        viewed: Viewed,
        function: str,
        queries: Queries,
        layout: Layout,
        evaluation: Evaluation,
        client: Port,
        seq: int,
    ) -> None:
        self.passed = PassedResult(layout, seq)
        self._viewed = viewed
        self._function = function
        """The marker that was met first, for messages."""
        self._queries = queries
        self._layout = layout
        self._evaluation = evaluation
        self._client = client
        self._seq = seq
        self.next_transaction: bytes | None = None
        """The SET TRANSACTION statement that was for this statement's transaction."""
        self._has_released = False
        self._answers: dict[int, Sentiment | None] = {}
        self._budget = FIRST_BUDGET

    @property
    def leaves_answers(self) -> bool:
        """Whether the server holds so many answers that they are worth forgetting."""
        return len(self._answers) > MANY_ANSWERS

    @property
    def seq(self) -> int:
        """The sequence number of the next packet to the client."""
        return self.passed.seq if self._has_released else self._seq

    async def answer(self, front: bytes, inbox: Inbox) -> None:
        """Note the texts, ask, send the statement, until it finds every answer.

        Args:
            front: the client's COM_QUERY with its attributes.
        Raises: ProxyError; QueryFailed with the upstream's error to pass on.
        """
        await self._refuse_writers(inbox)
        if self._viewed.changes_data:
            await self._check_engines(inbox)
        for _ in range(MAX_ROUNDS):
            await self._collect(inbox)
            if await self._send(front, inbox):
                return
            if not await self._learn(inbox):
                raise self._give_up()
            if self._viewed.changes_data:
                await self._check_engines(inbox)
        raise self._give_up()

    def _give_up(self) -> ProxyError:
        if self._viewed.collect is None:
            return UnsupportedStatement(
                f"{self._function}: a view that calls it is read where the texts cannot "
                "be read before the statement runs; select into a variable or a table "
                "first"
            )
        return TextsChanged(
            f"{self._function}: the texts of a view were not the same when the statement "
            "ran as when they were read before it; other sessions may be changing them. "
            "Try again; inside a transaction, start it anew"
        )

    # The texts.

    async def _collect(self, inbox: Inbox) -> None:
        """Run a query that meets the texts, until it runs to its end without a new one.

        A query whose result is held back in whole may as well miss one when it is sent
        in earnest: then one round is enough.
        """
        if self._viewed.collect is None:
            return
        for _ in range(MAX_ROUNDS):
            has_ended = False
            while not has_ended:
                has_ended, is_held = await self._read(self._viewed.collect, inbox)
                learnt = await self._learn(inbox)
                if not has_ended and not learnt:
                    raise self._give_up()
                if not has_ended:
                    self._budget = min(2 * self._budget, MAX_BUDGET)
            if not learnt or (is_held and not self._viewed.changes_data):
                return
        raise self._give_up()

    async def _read(self, sql: bytes, inbox: Inbox) -> tuple[bool, bool]:
        """Run the query and throw its rows away.

        Returns: whether no marker stopped it; whether the result is small.
        """
        await self._set_answers(self._budget, inbox)
        result = PassedResult(self._layout, 1)
        self._queries.send(sql)
        size = 0
        while not result.has_ended:
            result.feed(await next_payloads(inbox))
            size += result.held_bytes
            result.take()
        error = result.error
        if error is not None and error_number(error) in _ENDS_STATEMENT:
            raise QueryFailed(error)
        # Another error is the statement's own, or comes of answers that are NULL so far.
        return error is None or not markers.is_not_yet(error), size <= HELD_BYTES

    async def _set_answers(self, budget: int, inbox: Inbox) -> None:
        statements = markers.set_answers(self._answers)
        longest = max(statements, key=len)
        await self._queries.check_length(longest, self._function, inbox)
        start = markers.start_statement(budget)
        await self._queries.execute_all([*statements, start], inbox)

    async def _learn(self, inbox: Inbox) -> bool:
        """Ask about the texts that the markers have noted; whether there were any new."""
        self._queries.send(markers.END_STATEMENT)
        self._queries.send(markers.READ_NOTED)
        await self._queries.read_ok(inbox)
        rows = await self._queries.read_rows(inbox)
        noted = markers.read_noted(rows[0])
        if noted is None:
            raise UnsupportedStatement(
                f"{self._function}: a text in a view is longer than the server's "
                "max_allowed_packet"
            )
        pending: list[tuple[int, Question]] = []
        for number, language, text in noted:
            if number not in self._answers:
                asked = read_language(language, self._function)
                question = self._evaluation.ask(text, asked, MAX_BATCH_SIZE)
                pending.append((number, question))
        await self._settle(inbox)
        for number, question in pending:
            self._answers[number] = question.answer
        return bool(pending)

    async def _settle(self, inbox: Inbox) -> None:
        evaluation = self._evaluation
        evaluation.flush()
        while evaluation.in_flight and evaluation.failure is None:
            await inbox.until_woken()
            if inbox.has_ended:
                raise UpstreamLost("Lost connection to the upstream during query")
        if evaluation.failure is not None:
            raise evaluation.failure

    # The statement.

    async def _send(self, front: bytes, inbox: Inbox) -> bool:
        """Send the statement; whether it found every answer.

        Raises: ProxyError; QueryFailed with the upstream's own error.
        """
        if self._viewed.changes_data:
            await self._queries.rows(_CLEARS_WARNINGS, inbox)
        await self._set_answers(0, inbox)
        passed = self.passed = PassedResult(self._layout, self._seq)
        if self.next_transaction is not None:
            # What has run so far was the next transaction; say it again. With autocommit
            # off that transaction is still open, as it was asked for: error 1568.
            with contextlib.suppress(QueryFailed):
                await self._queries.execute(self.next_transaction, inbox)
        self._queries.send(self._viewed.statement, front)
        while not passed.has_ended:
            while self._has_released and self._client.is_full:
                await inbox.until_woken()
            passed.feed(await next_payloads(inbox))
            if passed.held_bytes > HELD_BYTES or self._has_released:
                self._release()
        if passed.error is None:
            self._release()
            return True
        if markers.is_not_yet(passed.error):
            if self._has_released:
                raise self._give_up()
            return False
        if self._viewed.has_calls and error_number(passed.error) == _ER_NO_SUCH_FUNCTION:
            raise UnsupportedStatement(
                f"{self._function}: a statement that calls it by its name reads a view "
                "that calls it too; where the current database has a view with a call, "
                "both are answered; else put one of them into a table first"
            )
        self._release()
        raise QueryFailed(passed.error)

    def _release(self) -> None:
        """Give the client what is held back; from now on it has seen something."""
        self._has_released = True
        self._client.write(self.passed.take())

    # What must not run twice.

    async def _refuse_writers(self, inbox: Inbox) -> None:
        """A stored function in the statement may write, and would do so each time."""
        if not self._viewed.called:
            return
        sql = (
            b"SELECT COUNT(*) FROM information_schema.ROUTINES WHERE "
            b"ROUTINE_TYPE='FUNCTION' AND LOWER(ROUTINE_NAME) IN (%b) AND "
            b"(SQL_DATA_ACCESS='MODIFIES SQL DATA' OR LOWER(ROUTINE_DEFINITION) REGEXP "
            b"'insert|update|delete|replace|call|nextval') LIMIT 1"
            % _listed(self._viewed.called)
        )
        rows = await self._queries.rows(sql, inbox)
        if _number(rows) != 0:
            raise UnsupportedStatement(
                f"{self._function}: a statement that calls a stored function that writes "
                "reads a view, and would have to run more than once"
            )

    async def _check_engines(self, inbox: Inbox) -> None:
        """A statement that failed half way is sent again only where that undid it."""
        if not self._viewed.tables:
            return
        sql = (
            b"SELECT COUNT(*) FROM information_schema.TABLES t JOIN "
            b"information_schema.ENGINES e ON t.ENGINE=e.ENGINE WHERE "
            b"LOWER(t.TABLE_NAME) IN (%b) AND COALESCE(e.TRANSACTIONS,'NO')<>'YES' "
            b"LIMIT 1" % _listed(self._viewed.tables)
        )
        if _number(await self._queries.rows(sql, inbox)) != 0:
            raise UnsupportedStatement(
                f"{self._function}: a view that calls it is read by a statement that "
                "changes a table without transactions; what it did before it failed is "
                "not undone, and it cannot be sent again. Write into another table first"
            )


class HeldQuery:
    """A query that may read a view, sent as it is; `passed` is what its client gets."""

    def __init__(
        self, sql: bytes, queries: Queries, layout: Layout, client: Port, seq: int
    ) -> None:
        self.passed = PassedResult(layout, seq)
        self.has_released = False
        """The client has seen something."""
        self._sql = sql
        self._queries = queries
        self._client = client

    async def answer(self, front: bytes, inbox: Inbox) -> None:
        """Send it and pass its rows on, once there are many.

        Raises: QueryFailed with the upstream's error; UpstreamLost.
        """
        passed = self.passed
        self._queries.send(self._sql, front)
        while not passed.has_ended:
            while self.has_released and self._client.is_full:
                await inbox.until_woken()
            passed.feed(await next_payloads(inbox))
            if passed.held_bytes > HELD_BYTES or self.has_released:
                self.has_released = True
                self._client.write(passed.take())
        if passed.error is not None:
            raise QueryFailed(passed.error)


def views_among(names: tuple[bytes, ...]) -> bytes:
    """A query for those of the names that are views' names."""
    return (
        b"SELECT DISTINCT CAST(LOWER(TABLE_NAME) AS BINARY) FROM "
        b"information_schema.TABLES WHERE TABLE_TYPE='VIEW' AND "
        b"LOWER(TABLE_NAME) IN (%b) LIMIT 1000" % _listed(names)
    )


def _listed(names: tuple[bytes, ...]) -> bytes:
    return b",".join(
        b"CONVERT(X'%b' USING utf8mb4)" % name.hex().encode() for name in names
    )


def _number(rows: list[list[bytes | None]]) -> int:
    return int((rows[0][0] or b"0").replace(b"\0", b""))
