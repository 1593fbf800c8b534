"""Let the upstream refuse a statement before any text of it is paid for.

It prepares the statement, with lookups that know nothing in the places of its calls, and
forgets it at once: that opens tables and checks names and privileges, but executes
nothing, locks no row and leaves no trace in what functions tell. A change is also
explained, on no row; and where CREATE TABLE meets its table, nothing else matters.
"""

import logging

from aurora_ml_proxy.plan.plan import Inline
from aurora_ml_proxy.protocol.results import error_number
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.queries import ENDS_STATEMENT, Queries, QueryFailed
from aurora_ml_proxy.splice.lookups import KnownAnswers, render

log = logging.getLogger(__name__)

_JUDGING_CLASSES = (b"#42", b"#21")
"""SQLSTATEs of syntax errors and missing rights, and of numbers of columns."""

_JUDGING = frozenset(
    (
        *(1052, 1093, 1099, 1100, 1111, 1193, 1288, 1348, 1356, 1393, 1394, 1395, 1471),
        *(1792, 3065),
    )
)
"""Errors of other classes that are of the statement: an ambiguous column, a table that is
read as well, aggregates, what cannot be updated, a READ ONLY transaction."""

_SAYS_NOTHING = frozenset((1203, 1226, 1231, 1232, 1235, 1295, 1461))
"""Errors that may be of the preparing: what cannot be prepared, a limit on statements
and other resources, a value that is not known yet."""


def is_of_statement(packet: bytes) -> bool:
    """Whether an ERR packet of a PREPARE is the statement's own, however it is sent."""
    number = error_number(packet)
    if number in _SAYS_NOTHING:
        return False
    return number in _JUDGING or packet[3:6] in _JUDGING_CLASSES


_OF_A_REHEARSAL = frozenset((1054, 1099, 1136, 1290))
"""Errors of a rehearsal that are of the statement: an unknown column, a table that is
locked for reading, a wrong number of columns, a server that is read-only."""


class Judge:
    """Asks about one statement."""

    def __init__(self, plan: Inline, queries: Queries) -> None:
        self.has_failures = False
        """Whether a question has left an error for SHOW WARNINGS."""
        self._plan = plan
        self._queries = queries
        self._function = plan.calls[0].function.name

    async def prepare(self, inbox: Inbox) -> None:
        """Have the statement prepared; a query that was so lately is not judged again.

        Raises: QueryFailed with the error that the statement would end in;
        StatementTooLong, for it grows with each answer; UpstreamLost.
        """
        plan = self._plan
        known = [KnownAnswers() for _ in range(plan.known_sets)]
        sql = render(plan, plan.statement, known, is_strict=False)
        if not plan.changes_data and self._queries.has_prepared_lately(sql):
            return
        await self._queries.check_length(sql, self._function, inbox)
        packet = await self._queries.prepare_once(sql, inbox)
        if packet is None:
            return
        if error_number(packet) in ENDS_STATEMENT or is_of_statement(packet):
            raise QueryFailed(packet)
        self._note(packet)

    async def rehearse(self, inbox: Inbox) -> None:
        """Explain a change on no row. Raises: as `prepare`."""
        plan = self._plan
        known = [KnownAnswers() for _ in range(plan.known_sets)]
        sql = render(plan, plan.rehearsal, known, is_strict=False)
        try:
            await self._queries.rows(await self._queries.bind(sql, inbox), inbox)
        except QueryFailed as failure:
            if error_number(failure.packet) in ENDS_STATEMENT | _OF_A_REHEARSAL:
                raise
            self._note(failure.packet)

    async def is_there(self, table: bytes, inbox: Inbox) -> bool:
        """Whether a table is there to be read. Raises: QueryFailed, UpstreamLost."""
        try:
            sql = await self._queries.bind(b"SELECT 1 FROM %b LIMIT 0" % table, inbox)
            await self._queries.rows(sql, inbox)
        except QueryFailed as failure:
            if error_number(failure.packet) in ENDS_STATEMENT:
                raise
            self._note(failure.packet)
            return False
        return True

    def _note(self, packet: bytes) -> None:
        self.has_failures = True
        log.debug("judging: error %d", error_number(packet))
