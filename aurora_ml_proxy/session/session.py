"""One client after its login: relay, until a statement is ours.

The relay is the hot path and no conversation: plain calls from the links, no task a
command. A statement that may call an ML function waits until the commands before it are
answered; then a task answers it (`answer`), and what the client sends meanwhile waits.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from aurora_ml_proxy.catalog import markers
from aurora_ml_proxy.errors import (
    MalformedPacket,
    ProxyError,
    QueryInterrupted,
    UnsupportedStatement,
    UpstreamLost,
)
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import Policy, Spawn
from aurora_ml_proxy.intercept.names import NameFilter, ViewNames
from aurora_ml_proxy.plan.dialect import Dialect, read_version
from aurora_ml_proxy.protocol.attributes import split_attributes
from aurora_ml_proxy.protocol.commands import CommandSplitter, Piece
from aurora_ml_proxy.protocol.executions import read_statement_id
from aurora_ml_proxy.protocol.packets import Packet, write_packet
from aurora_ml_proxy.protocol.responses import Response, ResponseFollower, response_to
from aurora_ml_proxy.protocol.results import is_error, read_ok_status, write_error
from aurora_ml_proxy.protocol.vocabulary import (
    COM_STMT_BULK_EXECUTE,
    MAX_PAYLOAD,
    Commands,
    ServerStatus,
)
from aurora_ml_proxy.session.answer import Answerer
from aurora_ml_proxy.session.conversation import (
    ClientClosed,
    UpstreamClosed,
    carry_out,
)
from aurora_ml_proxy.session.diagnostics import (
    Outcome,
    is_show_warnings,
    keeps_warnings,
    reads_diagnostics,
    show_warnings,
)
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.login import (
    MAX_LOGIN_PACKET_BYTES,
    Login,
    LoginPolicy,
    authenticate,
    check_change_user,
)
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.statements import LAST_PREPARED

log = logging.getLogger(__name__)

MAX_HELD_BYTES = 1 << 20
"""Bytes that a client may send ahead while a statement is answered; more of them wait in
the sockets."""

MAX_KEPT_BYTES = 1 << 20
"""A longer statement is not kept once it is passed on; if it reads a view with ML calls,
its client gets one clear error."""

_KILL = re.compile(
    rb"kill\s+(?:hard\s+|soft\s+)?(?:connection\s+|query\s+)?(\d{1,20})", re.IGNORECASE
)

_SET = (b"set ", b"set\n", b"set\t", b" set", b"\nset")

MAX_KILL_BYTES = 200
"""A longer statement is no KILL; a regular expression over spaces is quadratic."""


_SET_TRANSACTION = re.compile(rb"\s*set\s+transaction\s", re.IGNORECASE)
"""SET TRANSACTION without SESSION or GLOBAL is for the next transaction only, and the
proxy's own queries must not be that."""

_QUIT = write_packet(bytes((Commands.COM_QUIT,)), 0)

_CLEARS_WARNINGS = frozenset(
    (
        Commands.COM_STMT_PREPARE,
        Commands.COM_STMT_EXECUTE,
        COM_STMT_BULK_EXECUTE,
        Commands.COM_RESET_CONNECTION,
    )
)
"""Commands besides COM_QUERY after which SHOW WARNINGS speaks of something else."""


_KEPT = frozenset((Commands.COM_QUERY, Commands.COM_STMT_EXECUTE))
"""Commands that a view may make fail."""

_COM_STMT_EXECUTE = bytes((Commands.COM_STMT_EXECUTE,))

_SEVERAL_STATEMENTS = {b"\0\0": True, b"\1\0": False}
"""MYSQL_OPTION_MULTI_STATEMENTS_ON and _OFF; servers refuse others with an error."""


@dataclass(slots=True)
class Context:
    """What all sessions share."""

    engine: Engine
    policy: Policy
    names: NameFilter
    spawn: Spawn
    upstream: str
    """Which upstream it is: connection ids are unique in one only."""
    views: ViewNames = field(default_factory=ViewNames)
    answering: "set[Session]" = field(default_factory=set)
    """Sessions that answer a statement, for KILL."""


class Session:
    """Called by the two links; calls back on their ports."""

    def __init__(
        self,
        client: Port,
        upstream: Port,
        login: Login,
        policy: LoginPolicy,
        context: Context,
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._login = login
        self._login_policy = policy
        self._context = context
        self._names = context.names
        self._layout = login.layout
        self._follower = ResponseFollower(
            login.layout.capabilities, login.layout.mariadb_capabilities
        )
        self._follower.status = login.status
        is_mariadb, version = read_version(login.greeting.server_version)
        self._answerer = Answerer(
            client,
            upstream,
            login.layout,
            Dialect(is_mariadb=is_mariadb, version=version),
            context.engine,
            context.policy,
            context.spawn,
            context.views,
        )
        self._statements = self._answerer.statements
        self._follower.on_prepared = self._statements.passed_on
        self._splitter = CommandSplitter(self._statements.watched)
        self._task: Any = None
        self._idle = asyncio.Event()
        self._client_inbox: Inbox | None = None
        self._upstream_inbox: Inbox | None = None
        self._last = Outcome()
        self._starts_transaction: tuple[bytes, bytes | None] = (b"", None)
        """A statement, and the SET TRANSACTION that was for its transaction."""
        self._sent = b""
        """The last command, as it came, when it is a statement that was passed on."""
        self._next_transaction: bytes | None = None
        """The SET TRANSACTION statement that the next transaction obeys."""
        self._upstream_has_ended = False
        self._is_draining = False

    # What the links call.

    def client_received(self, data: bytes) -> None:
        """The client has sent this."""
        size = len(data)
        if (
            self._task is None
            and 4 < size < MAX_PAYLOAD
            and data[3] == 0
            and data[0] | data[1] << 8 | data[2] << 16 == size - 4
            and data[4] == Commands.COM_QUERY
            and self._splitter.is_between_commands
            and not self._follower.is_blind
            and not self._needs_a_look(data[5:])
        ):
            # The usual case, without a detour: one whole command that is not ours.
            self._follower.expect(Response.RESULT)
            self._sent = data
            self._upstream.write(data)
            return
        if self._client_inbox is not None:
            self._client_inbox.feed(data)
            return
        self._splitter.feed(data)
        self._pump()

    def upstream_received(self, data: bytes) -> None:
        """The upstream has sent this."""
        if self._upstream_inbox is not None:
            self._upstream_inbox.feed(data)
            return
        if data.endswith(markers.UNANSWERED):
            self._marker_failed(data)
            return
        self._client.write(data)
        follower = self._follower
        follower.feed(data)
        if follower.wants_file:
            follower.wants_file = False
            if self._task is not None:
                # What was pipelined behind LOAD DATA LOCAL is a file to the upstream.
                self.close()
                return
            self._splitter.expect_file_data()
        self._response_has_come()

    def client_ended(self) -> None:
        """The client will send no more."""
        if self._task is not None:
            self._task.cancel()
            self.close()
        else:
            self._upstream.write_eof()

    def upstream_ended(self) -> None:
        """The upstream will send no more."""
        self._upstream_has_ended = True
        if self._upstream_inbox is not None:
            self._upstream_inbox.end()
        else:
            if self._task is not None:
                self._task.cancel()
            self.close()

    def client_is_full(self) -> None:
        """The client does not take what it is sent."""
        if self._upstream_inbox is None:
            self._upstream.pause_reading()

    def client_has_room(self) -> None:
        """The client takes data again."""
        if self._upstream_inbox is not None:
            self._upstream_inbox.wake()
        else:
            self._upstream.resume_reading()

    def upstream_is_full(self) -> None:
        """The upstream does not take what it is sent."""
        self._client.pause_reading()

    def upstream_has_room(self) -> None:
        """The upstream takes data again."""
        self._client.resume_reading()

    def drain(self) -> None:
        """Close as soon as no command and no transaction is under way."""
        self._is_draining = True
        self._close_if_done()

    def close(self) -> None:
        """Close both connections when what was written is sent."""
        if self._task is not None:
            self._task.cancel()
        self._upstream.close()
        self._client.close()

    def interrupt(self, upstream: str, connection_id: int) -> None:
        """KILL has met a connection: if it is this one, stop waiting for answers."""
        if (upstream, connection_id) == (
            self._context.upstream,
            self._login.greeting.connection_id,
        ):
            self._answerer.interrupt(QueryInterrupted("Query execution was interrupted"))

    # The relay.

    def _needs_a_look(self, statement: bytes) -> bool:
        return (
            self._names.may_match(statement)
            or self._context.views.may_match(statement)
            or self._last.leaves_answers
            or self._answerer.prepared.concerns(statement)
            or self._last.warning_count > 0
            or self._next_transaction is not None
            or (
                statement[:4].lower() in _SET
                and _SET_TRANSACTION.match(statement) is not None
            )
            or (
                bool(self._context.answering)
                and len(statement) <= MAX_KILL_BYTES
                and b"kill" in statement.lower()
            )
        )

    def _pump(self) -> None:
        """Pass on what the client has sent, up to a statement that needs a look."""
        splitter = self._splitter
        while self._task is None and (piece := splitter.next_piece()) is not None:
            self._handle(piece)
        if self._task is not None and splitter.held_bytes > MAX_HELD_BYTES:
            self._client.pause_reading()

    def _handle(self, piece: Piece) -> None:
        if piece.starts_command and not self._follower.is_blind:
            response = response_to(piece.command)
            if response is Response.LOGIN:
                self._start(partial(self._change_user, piece))
                return
            if piece.is_of_statement:
                if self._handle_prepared(piece):
                    return
            elif piece.statement is not None and self._needs_a_look(piece.statement):
                self._start(partial(self._look_at, piece))
                return
            if piece.command in _CLEARS_WARNINGS:
                self._last = Outcome(leaves_answers=self._last.leaves_answers)
                self._next_transaction = None
            if piece.command == Commands.COM_SET_OPTION:
                self._set_option(piece.raw[5:7])
            if piece.command == Commands.COM_RESET_CONNECTION:
                self._forget_prepared()
            if response is Response.STREAM:
                self._follower.is_blind = True
            self._follower.expect(response)
            self._keep(piece)
        self._upstream.write(piece.raw)

    def _handle_prepared(self, piece: Piece) -> bool:
        """A command on a statement of ours; whether it is not to be passed on now."""
        assert piece.statement is not None
        statement_id = read_statement_id(piece.statement)
        is_ours = self._statements.knows(statement_id)
        if is_ours and piece.command == Commands.COM_STMT_CLOSE:
            self._statements.close(statement_id)
            return False
        if is_ours and piece.command == Commands.COM_STMT_SEND_LONG_DATA:
            self._statements.add_long_data(piece.statement)
            return True
        self._start(partial(self._look_at_prepared, piece))
        return True

    def _forget_prepared(self) -> None:
        self._answerer.prepared.forget_all()
        self._statements.forget_all()

    def _keep(self, piece: Piece) -> None:
        """Keep a statement that a view may make fail, to answer it then."""
        is_kept = piece.command in _KEPT and len(piece.raw) <= MAX_KEPT_BYTES
        is_whole = piece.statement is not None or _is_whole(piece.raw)
        self._sent = piece.raw if is_kept and is_whole else b""
        if piece.command == Commands.COM_STMT_PREPARE:
            self._statements.note(piece.statement or b"")

    def _set_option(self, option: bytes) -> None:
        """COM_SET_OPTION says whether a packet may hold several statements."""
        if option in _SEVERAL_STATEMENTS:
            self._answerer.takes_several = _SEVERAL_STATEMENTS[option]

    def _pass_on(self, piece: Piece) -> None:
        self._upstream_inbox = None
        self._keep(piece)
        self._follower.expect(response_to(piece.command))
        self._upstream.write(piece.raw)

    def _close_if_done(self) -> None:
        in_transaction = self._follower.status & ServerStatus.SERVER_STATUS_IN_TRANS
        if (
            self._task is None
            and self._follower.is_idle
            and self._splitter.is_between_commands
            and not in_transaction
        ):
            self._upstream.write(_QUIT)  # or the upstream counts an aborted client
            self.close()

    # What takes turns: in a task, while the client is held back.

    def _start(self, conversation: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = self._context.spawn(self._run(conversation))

    async def _run(self, conversation: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            while not self._follower.is_idle:
                self._idle.clear()
                await self._idle.wait()
            await conversation()
        except (UpstreamLost, ClientClosed, UpstreamClosed):
            self._task = None
            self.close()
            return
        except ProxyError as error:
            seq = self._client_inbox.next_seq if self._client_inbox else 1
            self._client.write(write_packet(write_error(error), seq))
            self._task = None
            self.close()
            return
        except BaseException:
            self._task = None
            self.close()
            raise
        finally:
            self._upstream_inbox = self._client_inbox = None
        self._task = None
        if self._upstream_has_ended:
            self.close()
            return
        if self._client.is_full:
            self._upstream.pause_reading()
        else:
            self._upstream.resume_reading()
        if not self._upstream.is_full:
            self._client.resume_reading()
        self._pump()
        if self._is_draining:
            self._close_if_done()

    def _pull_upstream(self, next_seq: int = 0) -> Inbox:
        """Let the upstream's stream come here; the relay may have paused it."""
        self._upstream_inbox = inbox = Inbox(self._upstream, next_seq)
        self._upstream.resume_reading()
        return inbox

    async def _look_at(self, piece: Piece) -> None:
        """Answer a statement that may be ours, or pass it on."""
        assert piece.statement is not None
        if self._follower.is_blind:
            self._upstream.write(piece.raw)
            return
        inbox = self._pull_upstream()
        sql = piece.statement
        if piece.command == Commands.COM_QUERY:
            try:
                _, sql = split_attributes(sql, self._layout.capabilities)
            except MalformedPacket:
                self._pass_on(piece)  # the upstream will say what is wrong
                return
            if self._last.warning_count and is_show_warnings(sql):
                await self._show_warnings(piece, sql, inbox)
                return
            if (killed := _read_kill(sql)) is not None:
                await self._kill(piece, killed, inbox)
                return
        if self._last.leaves_answers and not reads_diagnostics(sql):
            await self._answerer.forget_answers(inbox)
            self._last.leaves_answers = False
        outcome: Outcome | None = None
        next_transaction, self._next_transaction = self._next_transaction, None
        is_prepare = piece.command == Commands.COM_STMT_PREPARE
        names_function = self._names.may_match(sql)
        if _SET_TRANSACTION.match(sql):
            if not self._follower.status & ServerStatus.SERVER_STATUS_IN_TRANS:
                self._next_transaction = sql  # inside a transaction it is error 1568
        elif (
            names_function
            or self._answerer.prepared.concerns(sql)
            or self._context.views.may_match(sql)
        ):
            self._context.answering.add(self)
            try:
                if is_prepare and not names_function:
                    outcome = await self._answerer.prepare_viewed(piece, inbox)
                elif names_function or self._answerer.prepared.concerns(sql):
                    outcome = await self._answerer.answer(
                        piece, inbox, self._last, next_transaction
                    )
                else:
                    outcome = await self._answerer.pass_held(
                        piece, inbox, next_transaction
                    )
            finally:
                self._context.answering.discard(self)
        elif sql[:4].lower() in _SET:
            self._next_transaction = next_transaction  # it starts no transaction
        if outcome is None:
            if not keeps_warnings(sql):
                self._last = Outcome(leaves_answers=self._last.leaves_answers)
            self._pass_on(piece)
            self._starts_transaction = piece.raw, next_transaction
            return
        if is_prepare:
            self._follower.last_prepared = self._statements.last_prepared
        self._keep_outcome(outcome)

    def _keep_outcome(self, outcome: Outcome) -> None:
        outcome.leaves_answers |= self._last.leaves_answers
        self._last = outcome
        if outcome.status is not None:
            self._follower.status = outcome.status

    async def _look_at_prepared(self, piece: Piece) -> None:
        """Answer a command on a statement of ours, or pass it on."""
        assert piece.statement is not None
        statement_id = read_statement_id(piece.statement)
        inbox = self._pull_upstream()
        if statement_id == LAST_PREPARED:
            last = self._follower.last_prepared
            if last is None:
                await self._statements.preparer.forget_last(inbox)
                self._pass_on(piece)
                return
            statement_id = last
            piece = _with_statement_id(piece, last)
        if not self._statements.knows(statement_id):
            self._pass_on(piece)
            return
        outcome: Outcome | None = None
        next_transaction, self._next_transaction = self._next_transaction, None
        if self._last.leaves_answers:
            await self._answerer.forget_answers(inbox)
            self._last.leaves_answers = False
        self._context.answering.add(self)
        try:
            match piece.command:
                case Commands.COM_STMT_CLOSE:
                    self._statements.close(statement_id)
                case Commands.COM_STMT_SEND_LONG_DATA:
                    self._statements.add_long_data(piece.statement or b"")
                    return
                case Commands.COM_STMT_RESET:
                    await self._statements.reset(statement_id, inbox)
                case Commands.COM_STMT_FETCH:
                    cursor = self._statements.cursor(statement_id)
                    if cursor is not None:
                        outcome = await self._answerer.fetch(
                            piece, statement_id, cursor, inbox
                        )
                case _:
                    outcome = await self._answerer.execute(
                        piece, statement_id, inbox, next_transaction
                    )
        finally:
            self._context.answering.discard(self)
        if outcome is None:
            self._last = Outcome(leaves_answers=self._last.leaves_answers)
            self._pass_on(piece)
        else:
            self._keep_outcome(outcome)

    def _marker_failed(self, data: bytes) -> None:
        """The upstream's response ends in a marker's error: of a statement on a view."""
        follower = self._follower
        can_answer = follower.awaits_one_result and self._sent and self._task is None
        is_execute = self._sent[4:5] == _COM_STMT_EXECUTE
        before = follower.unanswered
        follower.feed(data)
        has_ended = follower.unanswered < before and not follower.is_blind
        cut = markers.split_error(data) if has_ended else None
        if cut is None:
            self._client.write(data)
        elif can_answer and not is_execute:
            self._start(partial(self._look_at_view, *cut))
        elif can_answer and not self._statements.knows(read_statement_id(self._sent[5:])):
            self._start(partial(self._look_at_execute, self._sent, *cut))
        else:
            front, packet = cut
            how = "alone" if self._sent else "as text"
            error = UnsupportedStatement(
                f"{markers.function_of(packet.payload)}: a view that calls it could not "
                f"be answered here; send the statement again, {how}"
            )
            self._client.write(front + write_packet(write_error(error), packet.seq))
            if self._task is None and self._sent:
                self._start(self._learn_views)
        self._response_has_come()

    def _response_has_come(self) -> None:
        if self._follower.is_idle:
            if self._task is not None:
                self._idle.set()
            elif self._is_draining:
                self._close_if_done()

    async def _learn_views(self) -> None:
        """Next time hold back the result of what has just failed in its middle."""
        if self._sent[4] == Commands.COM_QUERY:
            piece = _read_piece(self._sent)
            await self._answerer.learn_views(piece, self._pull_upstream())

    async def _look_at_execute(self, raw: bytes, front: bytes, error: Packet) -> None:
        """Answer an EXECUTE that has met a marker, of which the client saw nothing."""
        statement_id = read_statement_id(raw[5:])
        if await self._answerer.adopt(statement_id, self._pull_upstream()):
            piece = Piece(raw, True, Commands.COM_STMT_EXECUTE, raw[5:])
            await self._look_at_prepared(piece)
            return
        refusal = UnsupportedStatement(
            f"{markers.function_of(error.payload)}: a view that calls it could not be "
            "answered here; send the statement as text"
        )
        self._client.write(front + write_packet(write_error(refusal), error.seq))

    async def _look_at_view(self, front: bytes, error: Packet) -> None:
        """Answer the statement that was sent last, of which the client saw nothing.

        Args:
            front: what has come before the error.
        """
        piece = _read_piece(self._sent)
        is_first = self._sent is self._starts_transaction[0]
        next_transaction = self._starts_transaction[1] if is_first else None
        inbox = self._pull_upstream()
        self._context.answering.add(self)
        try:
            self._last = await self._answerer.answer_view(
                piece, front, error, inbox, next_transaction
            )
        finally:
            self._context.answering.discard(self)
        if self._last.status is not None:
            self._follower.status = self._last.status

    async def _show_warnings(self, piece: Piece, sql: bytes, inbox: Inbox) -> None:
        self._upstream.write(piece.raw)
        await show_warnings(sql, self._last, self._client, self._layout, inbox)

    async def _kill(self, piece: Piece, connection_id: int, inbox: Inbox) -> None:
        """Pass a KILL on; when the upstream allows it, it also stops our own work."""
        self._upstream.write(piece.raw)
        packet = await inbox.read_packet()
        if packet is None:
            raise UpstreamLost("Lost connection to the upstream during query")
        if packet.payload[:1] == b"\x00":
            for session in list(self._context.answering):
                session.interrupt(self._context.upstream, connection_id)
        self._client.write(write_packet(packet.payload, packet.seq))

    async def _change_user(self, piece: Piece) -> None:
        """Relay COM_CHANGE_USER and the authentication that follows it."""
        upstream = self._pull_upstream(next_seq=1)
        self._client_inbox = client = Inbox(self._client, 1, MAX_LOGIN_PACKET_BYTES)
        client.feed(self._splitter.take_rest())
        self._last = Outcome()
        self._forget_prepared()
        self._next_transaction = None
        check_change_user(self._login_policy, self._login.legs, piece.raw[4:])
        self._upstream.write(piece.raw)
        answer = await carry_out(
            authenticate(self._login_policy, self._login.legs), client, upstream
        )
        if not is_error(answer):
            self._follower.status = read_ok_status(answer)
        self._client_inbox = None
        self._splitter.feed(client.take_rest())


def _is_whole(raw: bytes) -> bool:
    """Whether a piece is a command of one packet."""
    return len(raw) == 4 + int.from_bytes(raw[:3], "little")


def _with_statement_id(piece: Piece, statement_id: int) -> Piece:
    """The same command on another statement."""
    assert piece.statement is not None and piece.command is not None
    statement = statement_id.to_bytes(4, "little") + piece.statement[4:]
    raw = write_packet(bytes((piece.command,)) + statement, 0)
    return replace(piece, raw=raw, statement=statement)


def _read_piece(raw: bytes) -> Piece:
    """A whole command."""
    splitter = CommandSplitter()
    splitter.feed(raw)
    piece = splitter.next_piece()
    assert piece is not None
    return piece


def _read_kill(sql: bytes) -> int | None:
    """The connection id of a KILL statement; None for any other."""
    if len(sql) > MAX_KILL_BYTES:
        return None
    match = _KILL.fullmatch(sql.strip(b" \t\r\n\v\f;"))
    return int(match[1]) if match else None
