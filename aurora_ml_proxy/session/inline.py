"""Answer one statement inline: read the texts, ask about them, send it with the answers.

What the server then finds no answer for makes it fail, with nothing changed; the texts
are read again, by wider queries in the end, and the statement is sent again. The answer
is right or there is an error, whatever other sessions do in between.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aurora_ml_proxy.errors import (
    MalformedPacket,
    ProxyError,
    TextsChanged,
    UnsupportedStatement,
    UpstreamLost,
)
from aurora_ml_proxy.evaluate.arguments import read_batch_size, read_language
from aurora_ml_proxy.evaluate.evaluation import Evaluation
from aurora_ml_proxy.evaluate.question import Question
from aurora_ml_proxy.functions import wrong_batch_size
from aurora_ml_proxy.plan.inline import MISSING
from aurora_ml_proxy.plan.plan import Asked, Harvest, Inline, Query
from aurora_ml_proxy.plan.template import (
    Lenient,
    Renamed,
    Template,
    Text,
    Unknown,
    has_text_only,
)
from aurora_ml_proxy.protocol.results import (
    ColumnDefinition,
    Layout,
    error_number,
    is_error,
    read_warnings,
)
from aurora_ml_proxy.protocol.vocabulary import INTEGER_TYPES
from aurora_ml_proxy.session.hashes import HashedTexts
from aurora_ml_proxy.session.held import HeldResult
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.judging import Judge
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import (
    ENDS_STATEMENT,
    TIME_IS_OVER,
    Queries,
    QueryFailed,
    read_number,
)
from aurora_ml_proxy.session.undoing import check_undoing
from aurora_ml_proxy.session.variables import KeptVariables
from aurora_ml_proxy.session.waiting import until_answered
from aurora_ml_proxy.splice.lookups import KnownAnswers, hash_of, render
from aurora_ml_proxy.splice.packed import read_packed
from aurora_ml_proxy.splice.passed import PassedResult
from aurora_ml_proxy.splice.texts import HASHED, WHOLE, Texts, Wanted

log = logging.getLogger(__name__)

MAX_TRIES = 10
"""How often a statement is sent at most, growing prefixes not counted."""

_NO_LIMIT = b" LIMIT 18446744073709551615"
"""@@sql_select_limit is for the user's own statements."""

_ENDS_IN_LIMIT = re.compile(rb" LIMIT [^()'\"`]*\Z")
"""A query with a LIMIT of its own; those of its subqueries have a parenthesis behind."""

_ER_DATA_OUT_OF_RANGE = 1690

_ERROR_HEAD_BYTES = 9
"""Of an ERR packet: 0xFF, the number, the SQLSTATE behind a #."""

_MISSING = str(MISSING).encode()


Take = Callable[[Asked, bytes, str, int], None]
"""Takes a text of a call, or what `Hashed` made of it, with its language and the batch
size."""


@dataclass(slots=True)
class _Progress:
    """How far the harvests have got."""

    levels: list[int]
    """Which query of each harvest is tried first; behind the last one: none is left."""
    working: list[list[int]]
    """Which queries of each harvest have worked, the last one at the end."""
    grown: int = 0
    """How often the prefix was doubled."""
    is_prefix_done: bool = True
    new_texts: int = 0
    has_changed: bool = False
    """Whether the last round of harvests has found new texts."""
    read: int = 0
    """Texts that were read and were not known to the statement."""
    read_bytes: int = 0
    hashed: int = 0
    """Texts of which hashes were read instead."""
    wanted: int = 0
    """Those of them that the cache did not know."""
    pending: list[tuple[int, int, Question]] = field(default_factory=list)
    """Set of answers, hash of the text, its question."""


class InlineAnswer:
    """Answers one statement; `passed` is what its client gets."""

    def __init__(
        self,
        plan: Inline,
        queries: Queries,
        layout: Layout,
        evaluation: Evaluation,
        client: Port,
        seq: int,
        *,
        has_more: bool = False,
    ) -> None:
        self._held = HeldResult(PassedResult(layout, seq), client)
        self.tries = 0
        self._plan = plan
        self._queries = queries
        self._layout = layout
        self._evaluation = evaluation
        self._client = client
        self._seq = seq
        self._has_more = has_more
        self.found_rows: int | None = None
        """FOUND_ROWS() before the statement, when the statement leaves it alone."""
        self.next_transaction: bytes | None = None
        """The SET TRANSACTION statement that was for this statement's transaction."""
        self._has_failures = False
        """Whether a query of ours has left an error for SHOW WARNINGS."""
        self._known = [KnownAnswers() for _ in range(plan.known_sets)]
        count = len(plan.harvests)
        self._progress = _Progress([0] * count, [[] for _ in range(count)])
        self._function = plan.calls[0].function.name
        self._variables = KeptVariables(plan.assigned, queries)
        self._judge = Judge(plan, queries)

    @property
    def seq(self) -> int:
        """The sequence number of the next packet to the client."""
        return self._held.seq

    @property
    def passed(self) -> PassedResult:
        """What the client gets."""
        return self._held.passed

    async def answer(self, front: bytes, inbox: Inbox) -> None:
        """Harvest, ask, send, until the statement finds every answer that it needs.

        Args:
            front: the client's COM_QUERY with its attributes.
        Raises: ProxyError; QueryFailed with the upstream's error to pass on.
        """
        plan = self._plan
        if plan.harvests and not plan.created:
            await self._judge.prepare(inbox)
        if not plan.keeps_found_rows:
            self.found_rows = None
        elif self.found_rows is None and plan.harvests:
            rows = await self._queries.rows(b"SELECT FOUND_ROWS() LIMIT 1", inbox)
            self.found_rows = read_number(rows[0][0])
        await self._variables.keep(inbox)
        try:
            if not await self._is_settled(front, inbox):
                await self._answer(front, inbox)
                self._tell_outlook()
        except (UpstreamLost, MalformedPacket):
            raise
        except ProxyError:
            with suppress(QueryFailed):
                await self._variables.put_back(inbox)
            raise

    async def _is_settled(self, front: bytes, inbox: Inbox) -> bool:
        """Whether the statement has come to its end without a text.

        A CREATE TABLE whose table is there reads nothing, whatever its SELECT says.
        """
        plan = self._plan
        if not plan.harvests:
            return False
        if plan.created:
            if await self._judge.is_there(plan.created, inbox):
                await self._restore(inbox)
                if await self._send(front, inbox):
                    return True
            await self._judge.prepare(inbox)
        elif plan.rehearsal:
            await self._judge.rehearse(inbox)
        return False

    async def _answer(self, front: bytes, inbox: Inbox) -> None:
        while True:
            await self._harvest_all(inbox)
            progress = self._progress
            if self.tries and not progress.new_texts:
                if not self._widen():
                    raise self._give_up()
                continue
            if self.tries == MAX_TRIES + progress.grown:
                raise self._give_up()
            self.tries += 1
            await self._restore(inbox)
            if await self._send(front, inbox):
                return
            if (
                self._plan.writes_file
                or not self._plan.is_repeatable
                or self._queries.may_leave_half
            ):
                raise self._give_up()  # it would find the file, or do it again
            if self._plan.changes_data:
                await check_undoing(self._plan, self._function, self._queries, inbox)
            if self._plan.has_check and not progress.is_prefix_done:
                progress.grown += 1

    def _tell_outlook(self) -> None:
        """For the next statement of this kind."""
        outlook, name = self._evaluation.outlook, self._plan.digest
        if outlook is None:
            return
        progress = self._progress
        if progress.hashed:
            outlook.saw_hashes(name, progress.hashed, progress.wanted / progress.hashed)
        elif progress.read:
            new = self._evaluation.texts
            share = new / max(1, new + self._evaluation.cached)
            outlook.saw_texts(name, progress.read, progress.read_bytes, share)

    def _give_up(self) -> ProxyError:
        if [] in self._progress.working:
            return UnsupportedStatement(
                f"{self._function}: the texts that a call needs cannot be read before "
                "the statement runs; put them into a column or a variable first"
            )
        return TextsChanged(
            f"{self._function}: the texts were not the same when the statement ran as "
            "when they were read before it; other sessions may be changing them. Try "
            "again; inside a transaction, start it anew"
        )

    # The texts.

    async def _harvest_all(self, inbox: Inbox) -> None:
        self._progress.has_changed = self._progress.new_texts > 0
        self._progress.new_texts = 0
        self._progress.is_prefix_done = True
        for index in range(len(self._plan.harvests)):
            await self._harvest(index, inbox)
        await self._settle(inbox)

    async def _harvest(self, index: int, inbox: Inbox) -> None:
        """One harvest, by the first query that the upstream understands."""
        queries = self._plan.harvests[index].queries
        levels, working = self._progress.levels, self._progress.working[index]
        before = working[:]
        while levels[index] < len(queries):
            if await self._try_query(index, queries[levels[index]], inbox):
                if levels[index] not in working:
                    working.append(levels[index])
                break
            levels[index] += 1
        for level in before if self._progress.has_changed else ():
            # What it reads may depend on answers that are known by now.
            if level != levels[index] and not has_text_only(queries[level].sql):
                await self._try_query(index, queries[level], inbox)

    async def _try_query(self, index: int, query: Query, inbox: Inbox) -> bool:
        """Whether the upstream understands a query; its rows are then asked about."""
        if self._depends_on_pending(query.sql):
            await self._settle(inbox)
        harvest = self._plan.harvests[index]
        try:
            texts = await self._read_hashes(harvest, query, inbox)
            if texts is not None:
                await self._read_all(harvest, query, texts, self._ask_about, inbox)
        except QueryFailed as failure:
            errno = error_number(failure.packet)
            is_too_long = query.is_bounded and errno in TIME_IS_OVER
            if errno in ENDS_STATEMENT and not is_too_long:
                raise
            self._has_failures = True
            log.debug("harvest %d: error %d", index, errno)
            return False
        return True

    def _depends_on_pending(self, template: Template) -> bool:
        open_sets = {known for known, _, _ in self._progress.pending}
        if not open_sets:
            return False
        for piece in template:
            match piece:
                case int() | Lenient() | Unknown() | Renamed():
                    number = piece if isinstance(piece, int) else piece.call
                    call = self._plan.calls[number]
                    key = piece.key if isinstance(piece, Renamed) else call.key
                    if call.known in open_sets or self._depends_on_pending(key):
                        return True
                case Text(text):
                    if self._depends_on_pending(text):
                        return True
        return False

    async def _read_hashes(
        self, harvest: Harvest, query: Query, inbox: Inbox
    ) -> Texts | None:
        """Find what is known by its hash; what is still to be read, if anything is.

        Only before the statement is sent: whatever a hash has missed, texts do not.
        """
        outlook, name = self._evaluation.outlook, self._plan.digest
        if outlook is None or self.tries or query.limit is not None:
            return WHOLE
        if not outlook.prefers_hashes(name):
            return WHOLE
        hashed = HashedTexts(self._evaluation, self._known)
        await self._read_all(harvest, query, HASHED, hashed.take, inbox)
        await hashed.look_up()
        self._progress.new_texts += hashed.found
        self._progress.hashed += hashed.count
        self._progress.wanted += len(hashed.wanted)
        if 2 * len(hashed.wanted) > hashed.count:
            return WHOLE
        return Wanted(frozenset(hashed.wanted)) if hashed.wanted else None

    async def _read_all(
        self, harvest: Harvest, query: Query, texts: Texts, take: Take, inbox: Inbox
    ) -> None:
        sql = render(self._plan, query.sql, self._known, is_strict=False, texts=texts)
        limit = None
        if query.limit is not None:
            limit = query.limit << self._progress.grown
            sql += b" LIMIT %d" % limit
        elif _ENDS_IN_LIMIT.search(sql) is None:
            sql += _NO_LIMIT
        await self._queries.check_length(sql, self._function, inbox)
        for execution in range(self._queries.times(sql)):
            definitions = await self._queries.ask(sql, inbox, execution)
            rows = await self._read(harvest, query, definitions, take, inbox)
            if limit is not None and rows >= limit:
                self._progress.is_prefix_done = False

    async def _read(
        self,
        harvest: Harvest,
        query: Query,
        definitions: list[ColumnDefinition],
        take: Take,
        inbox: Inbox,
    ) -> int:
        """Take the texts in the rows that come; how many rows there were."""
        failure: ProxyError | None = None
        try:
            self._check_batch_sizes(harvest, query, definitions)
        except ProxyError as error:
            failure = error
        rows = 0
        has_ended = False
        sips = False
        while True:
            has_room = failure is not None or not self._evaluation.is_saturated
            payloads = inbox.payloads() if has_room or sips else []
            sips = False
            for payload in payloads:
                if payload[:1] >= b"\xfe" and self._layout.is_terminator(payload):
                    has_ended = True
                elif self._layout.is_progress(payload):
                    continue
                elif is_error(payload):
                    raise QueryFailed(payload)
                elif failure is None:
                    rows += 1
                    try:
                        self._take_row(harvest, query, payload, take)
                    except ProxyError as error:
                        failure = error
            failure = failure or self._evaluation.failure
            if has_ended:
                break
            if payloads:
                await asyncio.sleep(0)  # the other connections' turn
            elif inbox.has_ended and has_room:
                raise UpstreamLost("Lost connection to the upstream during query")
            elif has_room:
                await inbox.until_woken()
            else:
                sips = await inbox.sip()
        if failure is not None:
            raise failure
        return rows

    def _check_batch_sizes(
        self, harvest: Harvest, query: Query, definitions: list[ColumnDefinition]
    ) -> None:
        if query.is_packed or not definitions:
            return  # the session may have turned definitions off
        columns = definitions[-query.width :]
        for asked in harvest.asked:
            at = asked.batch_size_column
            if at is not None and columns[at].type not in INTEGER_TYPES:
                raise wrong_batch_size(asked.function.name)

    def _take_row(
        self, harvest: Harvest, query: Query, payload: bytes, take: Take
    ) -> None:
        values = self._queries.read_row(payload)[-query.width :]
        if not query.is_packed:
            for asked in harvest.asked:
                _take_one(asked, values, take)
            return
        (asked,) = harvest.asked
        for text, language, size in read_packed(values[0] or b""):
            row: list[bytes | None] = [text]
            if isinstance(asked.language, int):
                row.append(language)
            if asked.batch_size_column is not None:
                row.append(size)
            _take_one(asked, row, take)

    def _ask_about(
        self, asked: Asked, text: bytes, language: str, batch_size: int
    ) -> None:
        is_literal = isinstance(asked.language, str)
        number = hash_of(text if is_literal else language.encode() + b":" + text)
        if number in self._known[asked.known].answers:
            return
        self._progress.read += 1
        self._progress.read_bytes += len(text)
        question = self._evaluation.ask(text, language, batch_size)
        self._known[asked.known].answers[number] = None
        self._progress.pending.append((asked.known, number, question))
        self._progress.new_texts += 1

    async def _settle(self, inbox: Inbox) -> None:
        """Wait for the answers to everything that was asked."""
        await until_answered(self._evaluation, inbox)
        for known, number, question in self._progress.pending:
            self._known[known].answers[number] = question.answer
        self._progress.pending.clear()

    def _widen(self) -> bool:
        """Read more next time. Whether there is more to read."""
        progress = self._progress
        if not progress.is_prefix_done:
            progress.grown += 1
            return True
        has_more = False
        for index, harvest in enumerate(self._plan.harvests):
            if progress.levels[index] < len(harvest.queries):
                progress.levels[index] += 1
                has_more = True
        return has_more

    # The statement.

    async def _restore(self, inbox: Inbox) -> None:
        """What our queries have changed of what functions tell about the last one."""
        await self._variables.put_back(inbox)
        if self._has_failures or self._judge.has_failures:
            await self._queries.clear_warnings(inbox)
            self._has_failures = self._judge.has_failures = False
        if self.found_rows is not None:
            try:
                await self._queries.restore_found_rows(self.found_rows, inbox)
            except QueryFailed as failure:
                errno = error_number(failure.packet)
                if errno in ENDS_STATEMENT:
                    raise
                log.debug("FOUND_ROWS() is lost: error %d", errno)
        if self.next_transaction is not None:
            # The harvest was the next transaction; say it again for the statement's.
            await self._queries.execute(self.next_transaction, inbox)

    async def _send(self, front: bytes, inbox: Inbox) -> bool:
        """Send the statement; whether it found every answer.

        Raises: ProxyError; QueryFailed with the upstream's own error.
        """
        plan = self._plan
        sql = render(plan, plan.statement, self._known, is_strict=not plan.is_explained)
        await self._queries.check_length(sql, self._function, inbox)
        if self._evaluation.failure is not None:
            raise self._evaluation.failure  # KILL has met a question of ours
        try:
            prepared = await self._queries.run(sql, front, inbox)
        except QueryFailed as failure:
            if await self._is_missing(failure.packet, inbox):
                self._has_failures = True
                return False  # of constants, met while it is prepared
            raise
        passed = PassedResult(
            self._layout,
            self._seq,
            plan.described,
            has_check=plan.has_check,
            has_more=self._has_more,
            prepared=prepared,
        )
        held = self._held = HeldResult(passed, self._client)
        await held.receive(inbox)
        if passed.has_missing:
            if held.has_released:
                raise self._give_up()
            return False
        if passed.error is None:
            if plan.may_swallow_errors and await self._has_swallowed(inbox):
                self._has_failures = True
                return False
            held.release()
            return True
        if await self._is_missing(passed.error, inbox):
            if held.has_released or passed.is_changed:
                held.release()
                raise self._give_up()
            self._has_failures = True
            return False
        held.release()
        raise QueryFailed(passed.error)

    async def _is_missing(self, packet: bytes, inbox: Inbox) -> bool:
        """Whether an ERR packet says that an answer is not in the statement."""
        if not may_be_missing(packet) or _MISSING in packet:
            return may_be_missing(packet)
        # MariaDB goes on for a while, and the error is the first that it met.
        return any((await self._tells_of_missing(inbox))[:1])

    async def _has_swallowed(self, inbox: Inbox) -> bool:
        """Whether an OK hides that an answer is missing: MariaDB's DO ignores errors."""
        assert self.passed.terminator is not None
        if not read_warnings(self.passed.terminator, self._layout):
            return False
        return any(await self._tells_of_missing(inbox))

    async def _tells_of_missing(self, inbox: Inbox) -> list[bool]:
        """For each value that was out of range, whether that was a missing answer."""
        rows = await self._queries.rows(b"SHOW WARNINGS", inbox)
        return [
            _MISSING in (row[2] or b"").replace(b"\0", b"")
            for row in rows
            if read_number(row[1]) == _ER_DATA_OUT_OF_RANGE
        ]


def _take_one(asked: Asked, values: list[bytes | None], take: Take) -> None:
    """Check the arguments of one call in a row, and take its text.

    Raises: WrongArgument, and what `take` raises.
    """
    name = asked.function.name
    batch_size, language = asked.batch_size, asked.language
    if asked.batch_size_column is not None:
        size = values[asked.batch_size_column]
        batch_size = read_batch_size(size and size.replace(b"\0", b""), name)
    if isinstance(language, int):
        value = values[language]
        if value is None:
            return
        language = read_language(value, name)
    text = values[asked.text]
    if text is not None:
        take(asked, text, language, batch_size)


def may_be_missing(packet: bytes) -> bool:
    """Whether an ERR packet says, or may say, that an answer is not in a statement.

    In a wide character set both servers end the message at its first NUL.
    """
    if error_number(packet) != _ER_DATA_OUT_OF_RANGE:
        return False
    return _MISSING in packet or len(packet) <= _ERROR_HEAD_BYTES + 1
