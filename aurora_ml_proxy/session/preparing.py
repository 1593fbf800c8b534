"""COM_STMT_PREPARE and COM_STMT_CLOSE, sent to the upstream for ourselves."""

from dataclasses import dataclass

from aurora_ml_proxy.errors import UnsupportedPrepare
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.preparations import Preparation, read_preparation
from aurora_ml_proxy.protocol.results import Layout, is_error
from aurora_ml_proxy.protocol.vocabulary import Commands
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port
from aurora_ml_proxy.session.queries import QueryFailed, next_payload
from aurora_ml_proxy.splice.prepared_columns import Definitions

_COM_STMT_PREPARE = bytes((Commands.COM_STMT_PREPARE,))


@dataclass(frozen=True, slots=True)
class Ours:
    """A statement that the upstream has prepared for us."""

    id: int
    definitions: Definitions
    has_columns: bool


class Preparer:
    """Prepares statements of one session."""

    def __init__(self, upstream: Port, layout: Layout) -> None:
        self._upstream = upstream
        self._layout = layout

    async def forget_last(self, inbox: Inbox) -> None:
        """Let the server forget which statement was prepared last: to the client none is.

        Behind a PREPARE that has failed MariaDB's id -1 means no statement; an empty one
        fails in every session.
        Raises: UpstreamLost.
        """
        self._upstream.write(write_packet(_COM_STMT_PREPARE, 0))
        await next_payload(inbox)

    async def prepare(self, sql: bytes, inbox: Inbox) -> list[bytes]:
        """The packets of the response to a PREPARE. Raises: QueryFailed."""
        self._upstream.write(write_packet(_COM_STMT_PREPARE + sql, 0))
        first = await next_payload(inbox)
        if is_error(first):
            raise QueryFailed(first)
        head = read_preparation(first, self._layout)
        packets = [first]
        for count in (head.parameters, head.columns):
            follow = count if head.has_definitions else 0
            follow += bool(count and self._layout.sends_eof)
            for _ in range(follow):
                packets.append(await next_payload(inbox))
        return packets

    async def prepare_ours(self, sql: bytes, inbox: Inbox) -> Ours:
        """Prepare a statement of ours. Raises: QueryFailed, UnsupportedPrepare."""
        packets = await self.prepare(sql, inbox)
        head = read_preparation(packets[0], self._layout)
        if head.columns and not head.has_definitions:
            self.close(head.statement_id)
            raise UnsupportedPrepare(
                "a prepared statement with an ML function needs its column definitions: "
                "set resultset_metadata to FULL"
            )
        columns = packets[columns_of(packets, head, self._layout)]
        has_columns = bool(head.columns)
        return Ours(head.statement_id, Definitions(columns), has_columns)

    def close(self, statement_id: int) -> None:
        command = bytes((Commands.COM_STMT_CLOSE,)) + statement_id.to_bytes(4, "little")
        self._upstream.write(write_packet(command, 0))


def columns_of(packets: list[bytes], head: Preparation, layout: Layout) -> slice:
    """Where the column definitions are in a response to PREPARE."""
    if not head.columns or not head.has_definitions:
        return slice(0, 0)
    end = len(packets) - layout.sends_eof
    return slice(end - head.columns, end)
