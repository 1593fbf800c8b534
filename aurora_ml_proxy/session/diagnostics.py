"""SHOW WARNINGS after a statement that the proxy failed, or added warnings to.

The server holds its own warnings and cannot be given ours, so its answer is passed on
with our rows at the end.
"""

import re
from dataclasses import dataclass, replace

from aurora_ml_proxy.errors import UpstreamLost
from aurora_ml_proxy.evaluate.evaluation import StatementWarning
from aurora_ml_proxy.protocol.packets import packet_count, write_packet
from aurora_ml_proxy.protocol.results import (
    Layout,
    add_status,
    is_error,
    read_column_count,
    read_status,
    read_text_row,
    write_text_row,
)
from aurora_ml_proxy.protocol.vocabulary import ServerStatus
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.ports import Port

_CURSOR_EXISTS = int(ServerStatus.SERVER_STATUS_CURSOR_EXISTS)
_LAST_ROW_SENT = int(ServerStatus.SERVER_STATUS_LAST_ROW_SENT)


@dataclass(slots=True)
class Outcome:
    """What an answered statement leaves behind in its session."""

    status: int | None = None
    """The server status, when the upstream answered."""
    warnings: tuple[StatementWarning, ...] = ()
    """What SHOW WARNINGS has to add."""
    warning_count: int = 0
    leaves_answers: bool = False
    """Many answers are still in the server's user variables, for a view."""
    failed_here: bool = False
    """The error was the proxy's: what the server has to show is of an older statement."""
    next_seq: int = 0
    """The sequence number of the next packet to the client, if one followed."""

    @property
    def has_cursor(self) -> bool:
        """Whether rows wait in the server for COM_STMT_FETCH."""
        return bool((self.status or 0) & _CURSOR_EXISTS)

    @property
    def ends_cursor(self) -> bool:
        """Whether a cursor has given its last row."""
        return bool((self.status or 0) & _LAST_ROW_SENT)


_SHOW = re.compile(
    rb"show\s+(?:(?P<count>count\s*\(\s*\*\s*\)\s*)?warnings)", re.IGNORECASE
)
_MAX_SHOW_BYTES = 200
"""A longer statement is none of these; a regular expression over spaces is quadratic."""

_KEEPS = re.compile(rb"\s*(?:show\s+(?:warnings|errors|count)|get\s)", re.IGNORECASE)


_READS = re.compile(rb"found_rows|row_count|warning_count|error_count", re.IGNORECASE)


def reads_diagnostics(sql: bytes) -> bool:
    """Whether a query of ours, sent before this statement, could change its result."""
    return keeps_warnings(sql) or _READS.search(sql) is not None


def _match_show(sql: bytes) -> re.Match[bytes] | None:
    if len(sql) > _MAX_SHOW_BYTES:
        return None
    return _SHOW.fullmatch(sql.strip(b" \t\r\n\v\f;"))


def is_show_warnings(sql: bytes) -> bool:
    """Whether this is SHOW WARNINGS or SHOW COUNT(*) WARNINGS."""
    return _match_show(sql) is not None


def keeps_warnings(sql: bytes) -> bool:
    """Whether the warnings are still there after this statement."""
    return _KEEPS.match(sql) is not None


async def show_warnings(
    sql: bytes,
    last: Outcome,
    client: Port,
    layout: Layout,
    inbox: Inbox,
    *,
    seq: int = 1,
    has_more: bool = False,
) -> Outcome:
    """Pass the upstream's answer to SHOW WARNINGS on, with ours in it.

    Args:
        last: what the last statement left behind; when the proxy failed it, the rows of
            the upstream are of an older statement and stay out.
        has_more: whether the client is told that another result follows.
    Returns: what it leaves behind itself; the warnings are still there.
    Raises: UpstreamLost.
    """
    match = _match_show(sql)
    counts = match is not None and match["count"] is not None
    more = int(ServerStatus.SERVER_MORE_RESULTS_EXISTS) if has_more else 0
    before_rows = 1
    status = None
    first = True
    while True:
        packet = await inbox.read_packet()
        if packet is None:
            raise UpstreamLost("Lost connection to the upstream during query")
        payloads = [packet.payload]
        is_last = is_error(packet.payload)
        if is_last:
            pass
        elif first:
            count, follows = read_column_count(packet.payload, layout)
            before_rows += (count if follows else 0) + layout.sends_eof
            first = False
        elif before_rows <= 0 and layout.is_terminator(packet.payload):
            is_last = True
            status = read_status(packet.payload, layout)
            payloads = [add_status(packet.payload, more, layout)]
            if not counts:
                payloads = [_row(warning) for warning in last.warnings] + payloads
        elif before_rows <= 0 and counts:
            server = int(read_text_row(packet.payload)[0] or b"0")
            total = last.warning_count + (0 if last.failed_here else server)
            payloads = [write_text_row([str(total).encode()])]
        elif before_rows <= 0 and last.failed_here:
            payloads = []
        elif before_rows == 1 and layout.sends_eof:
            payloads = [add_status(packet.payload, more, layout)]
        before_rows -= 1
        for payload in payloads:
            client.write(write_packet(payload, seq))
            seq += packet_count(len(payload))
        if is_last:
            return replace(last, status=status, next_seq=seq & 0xFF)


def _row(warning: StatementWarning) -> bytes:
    return write_text_row(
        [warning.level.encode(), str(warning.errno).encode(), warning.message.encode()]
    )
