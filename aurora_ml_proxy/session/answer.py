"""Answer one statement that may be ours, while the session holds the client back."""

import asyncio
import contextlib
import logging
import re
import time
from dataclasses import replace
from functools import partial

from aurora_ml_proxy import metrics
from aurora_ml_proxy.catalog import markers
from aurora_ml_proxy.errors import (
    MalformedPacket,
    ProxyError,
    UnsupportedStatement,
    UpstreamLost,
)
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import (
    Evaluation,
    Policy,
    Spawn,
    StatementWarning,
)
from aurora_ml_proxy.evaluate.tally import Tally
from aurora_ml_proxy.intercept.names import ViewNames
from aurora_ml_proxy.plan.dialect import Dialect, depends_on_session
from aurora_ml_proxy.plan.plan import Inline, Plan, Splice
from aurora_ml_proxy.plan.prepared import read_command
from aurora_ml_proxy.plan.several import Several, may_be_several, read_several
from aurora_ml_proxy.plan.statement import plan_statement
from aurora_ml_proxy.plan.views import ViewDefinition, Viewed, read_viewed
from aurora_ml_proxy.protocol.attributes import split_attributes
from aurora_ml_proxy.protocol.commands import Piece
from aurora_ml_proxy.protocol.packets import Packet, packet_count, write_packet
from aurora_ml_proxy.protocol.results import (
    Layout,
    error_number,
    read_status,
    write_error,
)
from aurora_ml_proxy.protocol.vocabulary import CLIENT_MULTI_STATEMENTS, Commands
from aurora_ml_proxy.session import waiting
from aurora_ml_proxy.session.diagnostics import Outcome
from aurora_ml_proxy.session.held import HeldResult, stream
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.inline import InlineAnswer
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.prepared import Bound, PreparedStatements
from aurora_ml_proxy.session.queries import Queries, QueryFailed
from aurora_ml_proxy.session.several import SeveralAnswer
from aurora_ml_proxy.session.statement_queries import Cursor, SplicedCursor
from aurora_ml_proxy.session.statements import ServerStatements
from aurora_ml_proxy.session.views import (
    DefinitionAnswer,
    ViewAnswer,
    views_among,
)
from aurora_ml_proxy.session.waiting import planned
from aurora_ml_proxy.splice.passed import PassedResult
from aurora_ml_proxy.splice.rows import SplicedResult

log = logging.getLogger(__name__)

WINDOW_BYTES = 8 << 20
"""Bytes of rows that wait for answers before reading stops, to keep memory flat."""

ER_PARSE_ERROR = 1064

_READS_DIAGNOSTICS = re.compile(
    rb"found_rows|row_count|warning_count|error_count", re.IGNORECASE
)

_QUERY = re.compile(rb"[\s(]*(?:SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE)
"""What gives rows and nothing else; behind a comment it is passed on as it is."""

_COM_QUERY = bytes((Commands.COM_QUERY,))


class _MarkerMet(Exception):
    """A statement that calls a function by its name reads a view as well."""

    def __init__(self, error: Packet) -> None:
        super().__init__()
        self.error = error


class Answerer:
    """Answers the statements of one session, one at a time."""

    def __init__(
        self,
        client: Port,
        upstream: Port,
        layout: Layout,
        dialect: Dialect,
        engine: Engine,
        policy: Policy,
        spawn: Spawn,
        views: ViewNames,
    ) -> None:
        self._views = views
        self._client = client
        self._upstream = upstream
        self._layout = layout
        self._dialect = dialect
        self._engine = engine
        self._policy = policy
        self._spawn = spawn
        self.tally = Tally(engine.tally)
        """What this session has asked, for SHOW STATUS."""
        self._evaluation: Evaluation | None = None
        self._queries = Queries(upstream, layout)
        self.prepared = PreparedStatements(
            self._queries, upstream, client, layout, dialect=dialect
        )
        self.statements = ServerStatements(
            self._queries, upstream, client, layout, dialect
        )
        self.takes_several = bool(layout.capabilities & CLIENT_MULTI_STATEMENTS)
        """Whether the upstream takes several statements in one packet."""
        self._found_rows: int | None = None
        """FOUND_ROWS() before this statement, if our question has changed it."""
        self._next_transaction: bytes | None = None
        """The SET TRANSACTION statement just before this one, if any."""

    async def answer(
        self,
        piece: Piece,
        inbox: Inbox,
        last: Outcome,
        next_transaction: bytes | None = None,
    ) -> Outcome | None:
        """Answer a COM_QUERY or COM_STMT_PREPARE that names an ML function.

        Args:
            inbox: the upstream's stream; all commands before this one are answered.
            last: what the statement before this one has left behind.
            next_transaction: the SET TRANSACTION statement just before this one, if any.
        Returns: None when the statement is none of ours: pass it on.
        Raises: UpstreamLost.
        """
        assert piece.statement is not None
        seq = packet_count(1 + len(piece.statement))
        try:
            attributes, sql = b"", piece.statement
            if piece.command == Commands.COM_QUERY:
                attributes, sql = split_attributes(sql, self._layout.capabilities)
            is_query = piece.command == Commands.COM_QUERY
            is_several = is_query and self.takes_several and may_be_several(sql)
            dialect = self._dialect
            self._found_rows = None
            self._next_transaction = next_transaction
            if not is_several and depends_on_session(sql):
                read_now = b"" if self.prepared.is_prepare(sql) else sql
                dialect = await self._ask_dialect(read_now, inbox)
            if piece.command == Commands.COM_STMT_PREPARE:
                return await self._prepare(sql, dialect, seq, inbox)
        except UpstreamLost:
            raise
        except MalformedPacket:
            return None
        except ProxyError as error:
            return self._refuse(error, seq)
        if is_several:
            return await self._answer_several(sql, attributes, seq, inbox, last)
        return await self._answer_one(sql, dialect, attributes, seq, inbox)

    async def _answer_one(
        self,
        sql: bytes,
        dialect: Dialect,
        attributes: bytes,
        seq: int,
        inbox: Inbox,
        *,
        has_more: bool = False,
    ) -> Outcome | None:
        """Answer one statement; None when it is none of ours.

        Args:
            has_more: whether the client is told that another result follows.
        """
        queries = self._queries
        try:
            found = await self._read(sql, dialect, attributes, seq, inbox, has_more)
        except (UpstreamLost, MalformedPacket):
            raise
        except ProxyError as error:
            return self._refuse(error, seq)
        if found is None or isinstance(found, Outcome):
            return found
        if isinstance(found, Bound):
            plan, queries = found.plan, found.queries
            self._found_rows = found.found_rows
        elif isinstance(found, ViewDefinition):
            return await self._define_view(found, attributes, seq, inbox, has_more)
        else:
            plan = found
        try:
            return await self._carry_out_plan(
                plan, queries, attributes, seq, inbox, has_more=has_more
            )
        except _MarkerMet as met:
            if has_more:
                return self._refuse(_one_of_several(met.error.payload), seq)
            return await self._answer_viewed(
                sql, dialect, attributes, seq, met.error.payload, inbox
            )

    async def _carry_out_plan(
        self,
        plan: Plan,
        queries: Queries,
        attributes: bytes,
        seq: int,
        inbox: Inbox,
        *,
        has_more: bool = False,
    ) -> Outcome | None:
        """Answer a statement as planned.

        Returns: None when the upstream could not parse it: let it judge the user's own
            text, so that its message speaks of that.
        Raises: _MarkerMet.
        """
        if isinstance(plan, Splice):
            return await self._splice(
                plan, queries, attributes, seq, inbox, has_more=has_more
            )
        return await self._inline(
            plan, queries, attributes, seq, inbox, has_more=has_more
        )

    async def _read(
        self,
        sql: bytes,
        dialect: Dialect,
        attributes: bytes,
        seq: int,
        inbox: Inbox,
        has_more: bool,
    ) -> Plan | ViewDefinition | Bound | Outcome | None:
        """How to answer a statement; an Outcome when that is done."""
        if self.prepared.concerns(sql):
            command = read_command(sql, dialect)
            if command is not None:
                front = _COM_QUERY + attributes
                return await self.prepared.handle(
                    command,
                    front,
                    seq,
                    inbox,
                    has_more=has_more,
                    found_rows=self._found_rows,
                )
        return await _plan(sql, dialect)

    async def _answer_several(
        self, sql: bytes, attributes: bytes, seq: int, inbox: Inbox, last: Outcome
    ) -> Outcome | None:
        """Answer several statements of one packet; None when none of them is ours."""

        async def answer_one(
            sql: bytes, dialect: Dialect, seq: int, has_more: bool
        ) -> Outcome | None:
            try:
                return await self._answer_one(
                    sql, dialect, attributes, seq, inbox, has_more=has_more
                )
            finally:
                self._found_rows = self._next_transaction = None

        answer = SeveralAnswer(
            answer_one,
            partial(self._cut, inbox=inbox),
            self._queries,
            self._layout,
            self._client,
            _COM_QUERY + attributes,
            last,
        )
        answer.seq = seq
        try:
            try:
                several, dialect = await self._cut(sql, inbox)
            except MalformedPacket:
                self.prepared.doubt()
                return None
            if several is None:
                return None
            return await answer.answer(several, dialect, inbox)
        except (UpstreamLost, MalformedPacket):
            raise  # nobody knows where the response ends
        except ProxyError as error:
            return replace(self._refuse(error, answer.seq), status=answer.status)

    async def _cut(self, sql: bytes, inbox: Inbox) -> tuple[Several | None, Dialect]:
        """The statements of a packet, as the upstream reads them now."""
        if len(sql) > waiting.MAX_PLANNED_BYTES:
            self.prepared.doubt()
            return None, self._dialect
        dialect = self._dialect
        concerns = self.prepared.concerns_in(sql)
        has_asked = depends_on_session(sql)
        if has_asked:
            dialect = await self._ask_dialect(b"", inbox)
        several = await planned(read_several, sql, dialect, concerns=concerns)
        if several is not None and has_asked and several.reads_diagnostics:
            raise UnsupportedStatement(
                "an ML function in one packet with FOUND_ROWS() or its like, which tells "
                "of the statement before; send the statements one by one"
            )
        return several, dialect

    def _refuse(self, error: ProxyError, seq: int) -> Outcome:
        metrics.STATEMENTS.labels("refused").inc()
        log.info("ml statement refused errno=%d", error.kind.errno)
        self._send_error(error, seq)
        return _failed(error)

    async def answer_view(
        self,
        piece: Piece,
        front: bytes,
        error: Packet,
        inbox: Inbox,
        next_transaction: bytes | None = None,
    ) -> Outcome:
        """Answer a COM_QUERY that has failed with a marker's error, of a view.

        Args:
            front: what came before the ERR packet, error; its client has seen neither.
            inbox: as for `answer`.
        Raises: UpstreamLost.
        """
        assert piece.statement is not None
        seq = packet_count(1 + len(piece.statement))
        self._next_transaction = next_transaction
        try:
            attributes, sql = split_attributes(piece.statement, self._layout.capabilities)
            dialect = self._dialect
            if depends_on_session(sql):
                dialect = await self._ask_dialect(sql, inbox)
            viewed = await planned(
                read_viewed, sql, dialect, markers.function_of(error.payload)
            )
        except UpstreamLost:
            raise
        except MalformedPacket:
            self._client.write(front + write_packet(error.payload, error.seq))
            return Outcome()
        except ProxyError as refusal:
            self._client.write(front)
            return self._refuse(refusal, error.seq)
        return await self._view(viewed, attributes, seq, error.payload, inbox)

    async def _answer_viewed(
        self,
        sql: bytes,
        dialect: Dialect,
        attributes: bytes,
        seq: int,
        error: bytes,
        inbox: Inbox,
    ) -> Outcome:
        """Answer a statement that calls a function by name and has met a marker."""
        try:
            viewed = await planned(read_viewed, sql, dialect, markers.function_of(error))
        except ProxyError as refusal:
            return self._refuse(refusal, seq)
        return await self._view(viewed, attributes, seq, error, inbox)

    async def pass_held(
        self, piece: Piece, inbox: Inbox, next_transaction: bytes | None = None
    ) -> Outcome | None:
        """Pass on a query that may read a view, its result held back for a while.

        Returns: None when it is no single query: pass it on.
        Raises: UpstreamLost.
        """
        assert piece.statement is not None
        if piece.command != Commands.COM_QUERY:
            return None
        seq = packet_count(1 + len(piece.statement))
        try:
            attributes, sql = split_attributes(piece.statement, self._layout.capabilities)
        except MalformedPacket:
            return None
        if not _QUERY.match(sql) or b";" in sql.rstrip(b" \t\r\n;"):
            return None
        self._queries.send(sql, _COM_QUERY + attributes)
        passed = await self._receive_held(seq, inbox)
        if isinstance(passed, Outcome):
            return passed
        return await self.answer_view(piece, b"", passed, inbox, next_transaction)

    async def _receive_held(self, seq: int, inbox: Inbox) -> Outcome | Packet:
        """Pass a response on, held back for a while.

        Returns: a marker's error of which the client has seen nothing.
        """
        held = HeldResult(PassedResult(self._layout, seq), self._client)
        passed = held.passed
        await held.receive(inbox)
        if passed.error is None:
            self._client.write(passed.finish(0))
            assert passed.terminator is not None
            return Outcome(read_status(passed.terminator, self._layout))
        if not markers.is_unanswered(passed.error):
            self._client.write(passed.take() + passed.error_packet())
            return Outcome()
        if not held.has_released:
            return Packet(passed.error, seq)
        too_late = UnsupportedStatement(
            f"{markers.function_of(passed.error)}: a view that calls it is read behind "
            "more rows than can be held back; read it by itself"
        )
        self._send_error(too_late, passed.seq)
        return _failed(too_late)

    async def learn_views(self, piece: Piece, inbox: Inbox) -> None:
        """Remember the views that a statement reads. Raises: UpstreamLost."""
        assert piece.statement is not None
        try:
            _, sql = split_attributes(piece.statement, self._layout.capabilities)
        except MalformedPacket:
            return
        await self._learn_views_of(sql, inbox)

    async def adopt(self, statement_id: int, inbox: Inbox) -> bool:
        """Take over a statement that was prepared unread, and has met a marker.

        Returns: whether it is answered from now on.
        Raises: UpstreamLost.
        """
        sql = await self.statements.adopt(statement_id, self._dialect)
        if sql is None:
            return False
        await self._learn_views_of(sql, inbox)
        return True

    async def _learn_views_of(self, sql: bytes, inbox: Inbox) -> None:
        try:
            viewed = await planned(read_viewed, sql, self._dialect, "")
            rows = await self._queries.rows(views_among(viewed.names), inbox)
        except (UnsupportedStatement, QueryFailed):
            return
        self._views.learn(row[0] for row in rows if row[0])

    async def _view(
        self,
        viewed: Viewed,
        attributes: bytes,
        seq: int,
        error: bytes,
        inbox: Inbox,
        queries: Queries | None = None,
    ) -> Outcome:
        function = markers.function_of(error)
        evaluation = self._evaluate(function, inbox)
        answer = ViewAnswer(
            *(viewed, function, queries or self._queries, self._layout),
            *(evaluation, self._client, seq),
        )
        answer.next_transaction = self._next_transaction
        outcome = await self._carry_out(
            answer, "view", viewed.digest, evaluation, _COM_QUERY + attributes, inbox
        )
        outcome = outcome or Outcome()
        outcome.leaves_answers = answer.leaves_answers
        return outcome

    async def forget_answers(self, inbox: Inbox) -> None:
        """Take the answers of a view out of the server. Raises: UpstreamLost."""
        with contextlib.suppress(QueryFailed):
            await self._queries.execute(markers.FORGET, inbox)

    async def _define_view(
        self,
        definition: ViewDefinition,
        attributes: bytes,
        seq: int,
        inbox: Inbox,
        has_more: bool,
    ) -> Outcome | None:
        evaluation = self._evaluate(definition.functions[0].name, inbox)
        answer = DefinitionAnswer(
            definition,
            self._queries,
            self._layout,
            self._dialect,
            seq,
            has_more=has_more,
        )
        front = _COM_QUERY + attributes
        outcome = await self._carry_out(
            answer, "definition", definition.digest, evaluation, front, inbox
        )
        self._views.learn([definition.name])
        return outcome

    def interrupt(self, error: ProxyError) -> None:
        """Let the statement that waits for answers fail, if there is one."""
        if self._evaluation is not None:
            self._evaluation.failure = error
            self._evaluation.wake()

    def _send_error(self, error: ProxyError, seq: int) -> None:
        self._client.write(write_packet(write_error(error), seq))

    # Server-side prepared statements.

    async def _prepare(
        self, sql: bytes, dialect: Dialect, seq: int, inbox: Inbox
    ) -> Outcome | None:
        """Answer a COM_STMT_PREPARE; None when it holds no call."""
        try:
            return await self.statements.prepare(
                sql, dialect, seq, inbox, self._found_rows
            )
        except (UpstreamLost, MalformedPacket):
            raise
        except ProxyError as error:
            return self._refuse(error, seq)

    async def execute(
        self,
        piece: Piece,
        statement_id: int,
        inbox: Inbox,
        next_transaction: bytes | None = None,
    ) -> Outcome | None:
        """Answer a COM_STMT_EXECUTE or COM_STMT_BULK_EXECUTE of a statement of ours.

        Args, returns, raises: as `answer`.
        """
        assert piece.statement is not None and piece.command is not None
        seq = packet_count(1 + len(piece.statement))
        self._next_transaction = next_transaction
        try:
            found = await self.statements.execute(
                statement_id, piece.command, piece.statement, inbox
            )
        except (UpstreamLost, MalformedPacket):
            raise
        except ProxyError as error:
            return self._refuse(error, seq)
        if found is None:
            return None
        if isinstance(found.plan, Viewed):
            return await self._execute_viewed(found.plan, found.queries, seq, inbox)
        self._found_rows = found.found_rows
        try:
            outcome = await self._carry_out_plan(
                found.plan, found.queries, b"", seq, inbox
            )
        except _MarkerMet as met:
            return self._refuse(_unprepared(met.error.payload), seq)
        except QueryFailed as failure:
            self._client.write(write_packet(failure.packet, seq))
            return Outcome()
        if outcome is None:
            # The shadow would fail, with an error that is none of the user's.
            return self._refuse(_unreadable(found.plan), seq)
        return outcome

    async def prepare_viewed(self, piece: Piece, inbox: Inbox) -> Outcome | None:
        """Answer a COM_STMT_PREPARE that may read a view; None: pass it on.

        Raises: UpstreamLost.
        """
        assert piece.statement is not None
        dialect = self._dialect
        try:
            if depends_on_session(piece.statement):
                dialect = await self._ask_dialect(b"", inbox)
                await self._queries.restore_found_rows(self._found_rows or 0, inbox)
        except (MalformedPacket, QueryFailed):
            return None
        seq = packet_count(1 + len(piece.statement))
        return await self.statements.prepare_viewed(piece.statement, dialect, seq, inbox)

    async def _execute_viewed(
        self, viewed: Viewed, queries: Queries, seq: int, inbox: Inbox
    ) -> Outcome:
        await queries.run(viewed.statement, b"", inbox)
        found = await self._receive_held(seq, inbox)
        if isinstance(found, Outcome):
            return found
        return await self._view(viewed, b"", seq, found.payload, inbox, queries)

    async def fetch(
        self, piece: Piece, statement_id: int, cursor: Cursor, inbox: Inbox
    ) -> Outcome:
        """Answer a COM_STMT_FETCH from a cursor of a statement of ours.

        Raises: UpstreamLost.
        """
        assert piece.statement is not None
        head = bytes((Commands.COM_STMT_FETCH,))
        head += cursor.statement_id.to_bytes(4, "little")
        self._upstream.write(write_packet(head + piece.statement[4:], 0))
        if isinstance(cursor, SplicedCursor):
            evaluation = self._evaluation = cursor.evaluation
            evaluation.wake = inbox.wake
            result = cursor.result.continued(evaluation.ask, 1)
            try:
                spliced = await self._splice_rows(result, "fetch", evaluation, inbox)
            except _MarkerMet as met:
                return self._refuse(_unprepared(met.error.payload), 1)
            outcome = spliced or Outcome()
        else:
            passed = PassedResult(self._layout, 1, is_fetched=True)
            await stream(passed, self._client, inbox)
            last = passed.finish(0) if passed.error is None else passed.error_packet()
            self._client.write(last)
            outcome = Outcome()
            if passed.terminator is not None:
                outcome.status = read_status(passed.terminator, self._layout)
        if outcome.ends_cursor:
            self.statements.forget_cursor(statement_id)
        return outcome

    async def _ask_dialect(self, sql: bytes, inbox: Inbox) -> Dialect:
        """Ask the upstream how it reads this session's statements."""
        if _READS_DIAGNOSTICS.search(sql):
            # To ask would change what the statement is about to read. Without our
            # question the text cannot be cut; the upstream fails it, harmlessly.
            raise MalformedPacket("a statement that reads the diagnostics")
        # LIMIT 1 is for a session whose sql_select_limit is 0.
        values = b"CONCAT(@@character_set_client,' ',FOUND_ROWS(),' ',@@sql_mode)"
        try:
            rows = await self._queries.rows(
                b"SELECT CAST(%b AS BINARY) LIMIT 1" % values, inbox
            )
        except QueryFailed:
            raise MalformedPacket("the upstream refuses to name its sql_mode") from None
        charset, found, modes = (rows[0][0] or b"").decode().split(" ", 2)
        self._found_rows = int(found)
        return self._dialect.of_session(charset, modes)

    async def _splice(
        self,
        plan: Splice,
        queries: Queries,
        attributes: bytes,
        seq: int,
        inbox: Inbox,
        *,
        has_more: bool,
    ) -> Outcome | None:
        """Stream the upstream's rows through, with the answers in them.

        Returns: None when the upstream could not parse the statement: let it judge the
            user's own text, so that its message speaks of that.
        """
        evaluation = self._evaluate(plan.calls[0].function.name, inbox)
        spliced = partial(
            SplicedResult,
            *(plan, self._layout, evaluation.ask, seq),
            has_more=has_more,
            converts_numbers=self._dialect.is_mariadb,
        )
        front = _COM_QUERY + attributes
        try:
            prepared = await queries.run(plan.statement, front, inbox)
            result = spliced(prepared=prepared)
        except QueryFailed as failure:
            result = spliced()
            result.feed([failure.packet])
        outcome = await self._splice_rows(result, plan.digest, evaluation, inbox)
        if outcome is not None and outcome.has_cursor:
            queries.leave_cursor(result, evaluation)
        return outcome

    async def _splice_rows(
        self, result: SplicedResult, digest: str, evaluation: Evaluation, inbox: Inbox
    ) -> Outcome | None:
        """Answer with a result that has begun; returns as `_splice`."""
        started = time.perf_counter()
        warned = evaluation.warning_count
        outcome = "ok"
        try:
            await self._stream(result, evaluation, inbox)
            if result.error is not None:
                outcome = f"upstream error {error_number(result.error)}"
                if not result.rows:
                    if error_number(result.error) == ER_PARSE_ERROR:
                        return None
                    if markers.is_unanswered(result.error):
                        raise _MarkerMet(Packet(result.error, result.seq))
                data = result.take_ready()
                self._client.write(data + write_packet(result.error, result.seq))
            else:
                self._client.write(result.finish(evaluation.warning_count - warned))
        except ProxyError as error:
            outcome = f"error {error.kind.errno}"
            if isinstance(error, UpstreamLost | MalformedPacket):
                raise  # nobody knows where the response ends
            evaluation.cancel()
            result.discard()
            self._client.write(result.take_ready())
            self._send_error(error, result.seq)
            await self._read_to_the_end(result, inbox)
            return _failed(error)
        except asyncio.CancelledError:
            outcome = "client left"
            raise
        finally:
            self._log("splice", digest, outcome, result.rows, evaluation, started)
        status = None
        if result.terminator is not None:
            status = read_status(result.terminator, self._layout)
        if result.error is not None:
            return Outcome(status)
        return Outcome(
            status,
            tuple(evaluation.warnings),
            evaluation.warning_count,
            next_seq=result.seq,
        )

    def _evaluate(self, function: str, inbox: Inbox) -> Evaluation:
        self._evaluation = Evaluation(
            *(self._engine, self._policy, function, self._spawn, inbox.wake),
            self.tally,
        )
        return self._evaluation

    def _log(
        self,
        rule: str,
        digest: str,
        outcome: str,
        rows: int,
        evaluation: Evaluation,
        started: float,
    ) -> None:
        """What is always done when a statement is over."""
        evaluation.cancel()
        self._evaluation = None
        metrics.STATEMENTS.labels("ok" if outcome == "ok" else "failed").inc()
        log.info(
            "ml statement digest=%s plan=%s rows=%d cached=%d texts=%d calls=%d ms=%.1f "
            "outcome=%s",
            digest,
            rule,
            rows,
            evaluation.cached,
            evaluation.texts,
            evaluation.calls,
            (time.perf_counter() - started) * 1000,
            outcome,
        )

    async def _inline(
        self,
        plan: Inline,
        queries: Queries,
        attributes: bytes,
        seq: int,
        inbox: Inbox,
        *,
        has_more: bool,
    ) -> Outcome | None:
        """Send the statement with the answers in it.

        Returns: None when the upstream could not parse the statement, as in `_splice`.
        """
        evaluation = self._evaluate(plan.calls[0].function.name, inbox)
        answer = InlineAnswer(
            plan,
            queries,
            self._layout,
            evaluation,
            self._client,
            seq,
            has_more=has_more,
        )
        answer.found_rows = self._found_rows
        answer.next_transaction = self._next_transaction
        front = _COM_QUERY + attributes
        outcome = await self._carry_out(
            answer, "inline", plan.digest, evaluation, front, inbox
        )
        if outcome is not None and outcome.has_cursor:
            queries.leave_cursor()
        return outcome

    async def _carry_out(
        self,
        answer: InlineAnswer | ViewAnswer | DefinitionAnswer,
        rule: str,
        digest: str,
        evaluation: Evaluation,
        front: bytes,
        inbox: Inbox,
    ) -> Outcome | None:
        """Let it answer, and give the client the end of it, or the error.

        Returns: None when the upstream could not parse the statement, as in `_splice`.
        """
        started = time.perf_counter()
        first_seq = answer.seq
        outcome = "ok"
        try:
            await answer.answer(front, inbox)
            self._client.write(answer.passed.finish(evaluation.warning_count))
        except QueryFailed as failure:
            errno = error_number(failure.packet)
            outcome = f"upstream error {errno}"
            if rule == "inline" and answer.seq == first_seq:
                if errno == ER_PARSE_ERROR:
                    return None
                if markers.is_unanswered(failure.packet):
                    raise _MarkerMet(Packet(failure.packet, first_seq)) from None
            self._client.write(write_packet(failure.packet, answer.seq))
            return Outcome()
        except ProxyError as error:
            outcome = f"error {error.kind.errno}"
            if isinstance(error, UpstreamLost | MalformedPacket):
                raise  # nobody knows where the response ends
            self._send_error(error, answer.seq)
            return _failed(error)
        except asyncio.CancelledError:
            outcome = "client left"
            raise
        finally:
            self._log(rule, digest, outcome, answer.passed.rows, evaluation, started)
        assert answer.passed.terminator is not None
        return Outcome(
            read_status(answer.passed.terminator, self._layout),
            tuple(evaluation.warnings),
            evaluation.warning_count,
            next_seq=answer.passed.seq,
        )

    async def _stream(
        self, result: SplicedResult, evaluation: Evaluation, inbox: Inbox
    ) -> None:
        """Read, ask and pass on, until every row is out or the upstream's error is in.

        What is not taken from the inbox stops the upstream (`Inbox.feed`).
        """
        sips = False
        while True:
            # First of all, for rows that leave make room.
            self._pass_rows(result)
            has_room = (
                result.pending_bytes < WINDOW_BYTES
                and not evaluation.is_saturated
                and not self._client.is_full
            )
            payloads = inbox.payloads() if has_room or sips else []
            result.feed(payloads)
            if result.has_ended:
                evaluation.flush()
            if evaluation.failure is not None:
                raise evaluation.failure
            self._pass_rows(result)
            if result.has_ended and not result.is_waiting:
                return
            if payloads:
                sips = False
                await asyncio.sleep(0)  # the other connections' turn
                continue
            if inbox.has_ended and has_room and not result.has_ended:
                raise UpstreamLost("Lost connection to the upstream during query")
            if not has_room and not evaluation.in_flight:
                evaluation.flush()
            if has_room or self._client.is_full:
                await inbox.until_woken()
                sips = False
            else:
                sips = await inbox.sip()

    def _pass_rows(self, result: SplicedResult) -> None:
        """Give the client what is ready, once there is a row: a view's error is none."""
        is_whole = result.has_ended and result.error is None
        if (result.rows or is_whole) and (data := result.take_ready()):
            self._client.write(data)

    async def _read_to_the_end(self, result: SplicedResult, inbox: Inbox) -> None:
        """Read what the upstream still sends of a statement that has failed."""
        while not result.has_ended:
            if payloads := inbox.payloads():
                result.feed(payloads)
                await asyncio.sleep(0)
            elif inbox.has_ended:
                raise UpstreamLost("Lost connection to the upstream during query")
            else:
                await inbox.until_woken()


async def _plan(sql: bytes, dialect: Dialect) -> Plan | ViewDefinition | None:
    if len(sql) > waiting.MAX_PLANNED_BYTES:
        return None
    return await planned(plan_statement, sql, dialect)


def _one_of_several(error: bytes) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{markers.function_of(error)}: one of several statements in a packet reads a "
        "view that calls it; send the statements one by one"
    )


def _unprepared(error: bytes) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{markers.function_of(error)}: a prepared statement that calls it by its name "
        "reads a view that calls it too; send the statement as text"
    )


def _unreadable(plan: Plan) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{plan.calls[0].function.name}: the server cannot parse the prepared statement "
        "with its answers in it; send the statement as text"
    )


def _failed(error: ProxyError) -> Outcome:
    shown = StatementWarning(error.kind.errno, error.message, level="Error")
    return Outcome(warnings=(shown,), warning_count=1, failed_here=True)
