"""Answer several statements of one packet, one by one, as the server executes them.

In: the packet's text. Out: one response with a result for each statement, each but the
last flagged SERVER_MORE_RESULTS_EXISTS. An error ends it; what was executed stays so.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from aurora_ml_proxy.plan.dialect import Dialect, depends_on_session
from aurora_ml_proxy.plan.several import Several
from aurora_ml_proxy.protocol.results import Layout, error_number, read_status
from aurora_ml_proxy.session.diagnostics import (
    Outcome,
    is_show_warnings,
    show_warnings,
)
from aurora_ml_proxy.session.held import stream
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import Queries
from aurora_ml_proxy.splice.passed import PassedResult

Answer: TypeAlias = Callable[[bytes, Dialect, int, bool], Awaitable[Outcome | None]]
"""Answers one statement with a call, from a sequence number on; None: not ours, and the
client has seen nothing. The flag is whether the client is told of another result."""

Cut: TypeAlias = Callable[[bytes], Awaitable[tuple[Several | None, Dialect]]]
"""Asks how the upstream reads the session's statements now, and cuts a packet so."""

ER_PARSE_ERROR = 1064


class SeveralAnswer:
    """Answers one packet.

    Args:
        front: the client's COM_QUERY with its attributes, which all statements see.
        last: what the statement before this packet has left behind.
    """

    def __init__(
        self,
        answer: Answer,
        cut: Cut,
        queries: Queries,
        layout: Layout,
        client: Port,
        front: bytes,
        last: Outcome,
    ) -> None:
        self._answer = answer
        self._cut = cut
        self._queries = queries
        self._layout = layout
        self._client = client
        self._front = front
        self._last = last
        self.seq = 0
        """The sequence number of the next packet to the client."""
        self.status: int | None = None
        """The server status behind the last statement that the upstream answered."""

    async def answer(self, several: Several, dialect: Dialect, inbox: Inbox) -> Outcome:
        """Answer every statement, up to the first error.

        Returns: what the last one leaves behind.
        Raises: ProxyError for what cannot be cut behind the statements that were
            answered; UpstreamLost.
        """
        at = 0
        while True:
            is_last = at == len(several.statements) - 1
            last = await self._one(several, at, dialect, not is_last, inbox)
            if last.status is None:
                return replace(last, status=self.status)
            self._last, self.status, self.seq = last, last.status, last.next_seq
            if is_last:
                return last
            if several.changes_lexer[at]:
                rest = several.packet[several.starts[at + 1] :]
                if depends_on_session(rest):
                    again, dialect = await self._cut_again(rest)
                    several, at = again, -1
            at += 1

    async def _cut_again(self, rest: bytes) -> tuple[Several, Dialect]:
        several, dialect = await self._cut(rest)
        if several is None:
            several = Several(rest, (rest,), (0,), (False,), False)
        return several, dialect

    async def _one(
        self, several: Several, at: int, dialect: Dialect, has_more: bool, inbox: Inbox
    ) -> Outcome:
        sql, seq = several.statements[at], self.seq
        if self._last.warning_count and is_show_warnings(sql):
            self._queries.send(sql, self._front)
            return await show_warnings(
                *(sql, self._last, self._client, self._layout, inbox),
                seq=seq,
                has_more=has_more,
            )
        outcome = await self._answer(sql, dialect, seq, has_more)
        if outcome is None:
            outcome = await self._pass(sql, seq, has_more, inbox)
        if outcome is None:
            # Its message quotes the packet up to the end.
            rest = several.packet[several.starts[at] :]
            outcome = await self._pass(rest, seq, False, inbox)
        assert outcome is not None
        return outcome

    async def _pass(
        self, sql: bytes, seq: int, has_more: bool, inbox: Inbox
    ) -> Outcome | None:
        """Send a statement as it is; None when another one behind it was quoted."""
        self._queries.send(sql, self._front)
        passed = PassedResult(self._layout, seq, has_more=has_more)
        await stream(passed, self._client, inbox)
        if passed.error is not None:
            is_quoted = error_number(passed.error) == ER_PARSE_ERROR
            if has_more and is_quoted and passed.seq == seq:
                return None
            self._client.write(passed.error_packet())
            return Outcome()
        assert passed.terminator is not None
        self._client.write(passed.finish(0))
        status = read_status(passed.terminator, self._layout)
        return Outcome(status, next_seq=passed.seq)
