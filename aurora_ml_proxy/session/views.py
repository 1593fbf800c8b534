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
)
from aurora_ml_proxy.evaluate.arguments import read_language
from aurora_ml_proxy.evaluate.evaluation import Evaluation
from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.functions import MAX_BATCH_SIZE, Sentiment
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.views import ViewDefinition, Viewed
from aurora_ml_proxy.protocol.results import Layout, error_number
from aurora_ml_proxy.session.held import HELD_BYTES, HeldResult
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import (
    Queries,
    QueryFailed,
    listed,
    next_payloads,
    read_number,
)
from aurora_ml_proxy.session.undoing import UNDOES, engine_of_temporary
from aurora_ml_proxy.session.waiting import until_answered
from aurora_ml_proxy.splice.passed import PassedResult

FIRST_BUDGET = MAX_BATCH_SIZE
"""Texts that are noted at first: one full batch, for a LIMIT may need no more. Doubled
each time."""

MAX_BUDGET = 1 << 15

MAX_ROUNDS = 10
"""How often a query that ran to its end, or a statement, may still miss a text. A text
that is computed from an answer takes one more; texts that are never the same take all."""

MAX_ONE_BY_ONE = 100
"""The same of a statement that no query stands for: each try finds one text."""

MANY_ANSWERS = 1000
"""More of them, 50 KiB and up, are taken out of the server before the next statement."""

_ER_SP_ALREADY_EXISTS = 1304
_ER_NO_SUCH_FUNCTION = 1305

_KNOWS_IF_NOT_EXISTS = 80029
"""MySQL 8.0.29; every MariaDB that is still in use."""

_ENDS_STATEMENT = frozenset((1158, 1159, 1160, 1161, 1205, 1213, 1317, 1969, 3024, 3572))
"""Errors that are the statement's own wherever they come: the transaction may be gone,
somebody has killed it, its time is over."""


_IN_A_PROCEDURE = (
    "%s: a view that calls it is read inside a stored procedure, where the proxy cannot "
    "answer it (or the texts in the arguments of CALL have just changed); what the "
    "procedure did before that may stay. Pass what it reads to the procedure, or send "
    "its statements yourself"
)


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
        self._held = HeldResult(PassedResult(layout, seq), client)
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
        self._answers: dict[int, Sentiment | None] = {}
        self._budget = FIRST_BUDGET
        self._has_met = False
        """A marker was called by one of our queries; known of a CALL."""

    @property
    def leaves_answers(self) -> bool:
        """Whether the server is to forget the answers before the next statement.

        There are many, or no marker may have been called: the markers would then take
        the next statement for this one.
        """
        return len(self._answers) > MANY_ANSWERS or not self.passed.rows

    @property
    def seq(self) -> int:
        """The sequence number of the next packet to the client."""
        return self._held.seq

    @property
    def passed(self) -> PassedResult:
        """What the client gets."""
        return self._held.passed

    async def answer(self, front: bytes, inbox: Inbox) -> None:
        """Note the texts, ask, send the statement, until it finds every answer.

        Args:
            front: the client's COM_QUERY with its attributes.
        Raises: ProxyError; QueryFailed with the upstream's error to pass on.
        """
        await self._refuse_writers(inbox)
        does_change = self._viewed.collected.changes_data
        if does_change:
            await self._check_engines(inbox)
        has_queries = bool(self._viewed.collected.queries)
        for _ in range(MAX_ROUNDS if has_queries else MAX_ONE_BY_ONE):
            await self._collect(inbox)
            if await self._send(front, inbox):
                return
            if not await self._learn(inbox):
                raise self._give_up()
            if does_change:
                await self._check_engines(inbox)
        raise self._give_up()

    def _give_up(self) -> ProxyError:
        if not self._viewed.collected.queries:
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
        """Run the queries that meet the texts.

        Raises: UnsupportedStatement for a CALL whose arguments do not read a view: the
            procedure does, and what it did before that cannot be undone.
        """
        for sql in self._viewed.collected.queries:
            await self._run_out(sql, inbox)
        if self._viewed.is_sent_once and not self._has_met:
            raise UnsupportedStatement(_IN_A_PROCEDURE % self._function)

    async def _run_out(self, sql: bytes, inbox: Inbox) -> None:
        """Run a query until it comes to its end without a new text.

        A query whose result is held back in whole may as well miss one when it is sent
        in earnest: then one round is enough.
        """
        for _ in range(MAX_ROUNDS):
            has_ended = False
            while not has_ended:
                has_ended, is_held = await self._read(sql, inbox)
                learnt = await self._learn(inbox)
                if not has_ended and not learnt:
                    raise self._give_up()
                if not has_ended:
                    self._budget = min(2 * self._budget, MAX_BUDGET)
            if not learnt or (is_held and not self._viewed.collected.changes_data):
                return
        raise self._give_up()

    async def _read(self, sql: bytes, inbox: Inbox) -> tuple[bool, bool]:
        """Run the query and throw its rows away.

        Returns: whether no marker stopped it; whether the result is small.
        """
        await self._set_answers(self._budget, inbox)
        result = PassedResult(self._layout, 1)
        try:
            await self._queries.begin(sql, inbox)
        except QueryFailed as failure:
            result.feed([failure.packet])
        size = 0
        while not result.has_ended:
            result.feed(await next_payloads(inbox))
            size += result.held_bytes
            result.take()
        error = result.error
        if error is not None and error_number(error) in _ENDS_STATEMENT:
            raise QueryFailed(error)
        if self._viewed.is_sent_once:
            met = await self._queries.rows(markers.HAS_MET, inbox)
            self._has_met |= bool(read_number(met[0][0]))
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
        await until_answered(self._evaluation, inbox)
        for number, question in pending:
            self._answers[number] = question.answer
        return bool(pending)

    # The statement.

    async def _send(self, front: bytes, inbox: Inbox) -> bool:
        """Send the statement; whether it found every answer.

        Raises: ProxyError; QueryFailed with the upstream's own error.
        """
        if self._viewed.collected.changes_data:
            await self._queries.clear_warnings(inbox)
        await self._set_answers(0, inbox)
        if self.next_transaction is not None:
            # What has run so far was the next transaction; say it again. With autocommit
            # off that transaction is still open, as it was asked for: error 1568.
            with contextlib.suppress(QueryFailed):
                await self._queries.execute(self.next_transaction, inbox)
        prepared = await self._queries.run(self._viewed.statement, front, inbox)
        passed = PassedResult(self._layout, self._seq, prepared=prepared)
        held = self._held = HeldResult(passed, self._client)
        await held.receive(inbox)
        if passed.error is None:
            held.release()
            return True
        if markers.is_unanswered(passed.error) and self._viewed.is_sent_once:
            if passed.is_changed:
                held.release()  # results of the procedure's first statements
            raise UnsupportedStatement(_IN_A_PROCEDURE % self._function)
        if markers.is_not_yet(passed.error):
            if held.has_released:
                raise self._give_up()
            return False
        if self._viewed.has_calls and error_number(passed.error) == _ER_NO_SUCH_FUNCTION:
            raise UnsupportedStatement(
                f"{self._function}: a statement that calls it by its name reads a view "
                "that calls it too; where the current database has a view with a call, "
                "both are answered; else put one of them into a table first"
            )
        held.release()
        raise QueryFailed(passed.error)

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
            % listed(self._viewed.called)
        )
        rows = await self._queries.rows(sql, inbox)
        if read_number(rows[0][0]):
            raise UnsupportedStatement(
                f"{self._function}: a statement that calls a stored function that writes "
                "reads a view, and would have to run more than once"
            )

    async def _check_engines(self, inbox: Inbox) -> None:
        """A statement that failed half way is sent again only where that undid it."""
        if not self._viewed.collected.tables:
            return
        sql = (
            b"SELECT COUNT(*) FROM information_schema.TABLES t JOIN "
            b"information_schema.ENGINES e ON t.ENGINE=e.ENGINE WHERE "
            b"LOWER(t.TABLE_NAME) IN (%b) AND COALESCE(e.TRANSACTIONS,'NO')<>'YES' "
            b"LIMIT 1" % listed(self._viewed.collected.tables)
        )
        rows = await self._queries.rows(sql, inbox)
        engines = [
            await engine_of_temporary(table, self._queries, inbox)
            for table in self._viewed.targets
        ]
        if read_number(rows[0][0]) or set(engines) - {None, UNDOES}:
            raise UnsupportedStatement(
                f"{self._function}: a view that calls it is read by a statement that "
                "changes a table without transactions; what it did before it failed is "
                "not undone, and it cannot be sent again. Write into another table first"
            )


def views_among(names: tuple[bytes, ...]) -> bytes:
    """A query for those of the names that are views' names."""
    return (
        b"SELECT DISTINCT CAST(LOWER(TABLE_NAME) AS BINARY) FROM "
        b"information_schema.TABLES WHERE TABLE_TYPE='VIEW' AND "
        b"LOWER(TABLE_NAME) IN (%b) LIMIT 1000" % listed(names)
    )
