"""What the meaning of a text depends on when it is prepared, asked of the upstream."""

from dataclasses import dataclass

from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.queries import Queries, QueryFailed

_VALUES = (
    b"CAST(FOUND_ROWS() AS BINARY),"
    b"CAST(@@character_set_client AS BINARY),CAST(@@sql_mode AS BINARY),"
    b"CAST(@@collation_connection AS BINARY),CAST(DATABASE() AS BINARY)"
)

_OF_A_TABLE = b" FROM information_schema.ENGINES LIMIT 1"
"""A SELECT without a table does not clear the warnings of MariaDB."""


@dataclass(frozen=True, slots=True)
class Context:
    """Of two equal ones a text means the same."""

    charset: bytes | None
    """@@character_set_client."""
    sql_mode: bytes | None
    collation: bytes | None
    """@@collation_connection."""
    database: bytes | None
    """The default one."""

    def dialect(self, server: Dialect) -> Dialect:
        """How the upstream reads a text in this context."""
        charset, modes = (self.charset or b"", self.sql_mode or b"")
        return server.of_session(charset.decode(), modes.decode())


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer of the upstream."""

    text: bytes | None
    """The text that was asked for, in UTF-8."""
    found_rows: int
    """FOUND_ROWS() before the question."""
    context: Context


async def ask_context(
    queries: Queries, inbox: Inbox, text: bytes = b"NULL"
) -> Asked | None:
    """Ask for the context, and for a text as the server evaluates it.

    Args:
        text: an expression.
    Returns: None when the server fails it; it will fail the statement as well.
    Raises: UpstreamLost.
    """
    value = b"CAST(CONVERT(%b USING utf8mb4) AS BINARY)" % text
    try:
        rows = await queries.rows(
            b"SELECT %b,%b%b" % (value, _VALUES, _OF_A_TABLE), inbox
        )
    except QueryFailed:
        return None
    found, found_rows, *context = rows[0]
    return Asked(found, int(found_rows or b"0"), Context(*context))
