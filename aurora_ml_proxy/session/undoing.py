"""Whether a statement that failed half way may be sent again: if that undid all of it.

In: the tables that the statement may change. Out: nothing, or one clear error.
"""

import re

from aurora_ml_proxy.errors import TextsChanged
from aurora_ml_proxy.plan.plan import Inline
from aurora_ml_proxy.protocol.results import error_number
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.queries import (
    ENDS_STATEMENT,
    Queries,
    QueryFailed,
    listed,
    read_number,
)

_ENGINES = (
    b"SELECT COUNT(*),COALESCE(SUM(COALESCE(e.TRANSACTIONS,'NO')<>'YES'),0),"
    b"(SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE IN "
    b"(%b)) FROM "
    b"information_schema.TABLES t LEFT JOIN information_schema.ENGINES e "
    b"ON t.ENGINE=e.ENGINE WHERE t.TABLE_NAME IN (%b) AND t.TABLE_SCHEMA NOT IN "
    b"('information_schema','performance_schema','mysql','sys') LIMIT 1"
)
"""How many tables have these names, how many of them undo nothing, and how many triggers
they have, which may write elsewhere; a view is a table that undoes nothing, for nobody
knows what is behind it."""

_TEMPORARY = b"CREATE TEMPORARY TABLE "

_ENGINE = re.compile(rb"^\) ENGINE=(\w+)", re.MULTILINE)

UNDOES = b"InnoDB"
"""The one engine for temporary tables that undoes what a statement did."""


async def check_undoing(
    plan: Inline, function: str, queries: Queries, inbox: Inbox
) -> None:
    """Raises: TextsChanged where a failed statement may have left something done;
    QueryFailed; UpstreamLost."""
    if not plan.tables:
        return
    are_temporary = []
    for table in plan.targets:
        engine = await engine_of_temporary(table, queries, inbox)
        if engine not in (None, UNDOES):
            raise _half_done(function)
        are_temporary.append(engine is not None)
    if are_temporary and all(are_temporary):
        return
    names = listed(plan.tables)
    rows = await queries.rows(_ENGINES % (names, names), inbox)
    known, undoing_nothing, triggers = map(read_number, rows[0])
    if not known or undoing_nothing or triggers:
        raise _half_done(function)


async def engine_of_temporary(
    table: bytes, queries: Queries, inbox: Inbox
) -> bytes | None:
    """The engine of a temporary table, which is in no list of tables and may hide
    another of its name; None for others, and where there is none of this name.

    Raises: QueryFailed for what ends the statement; UpstreamLost.
    """
    try:
        sql = await queries.bind(b"SHOW CREATE TABLE " + table, inbox)
        rows = await queries.rows(sql, inbox)
    except QueryFailed as failure:
        if error_number(failure.packet) in ENDS_STATEMENT:
            raise
        return None  # everybody may see a temporary table of their own
    definition = (rows[0][1] or b"").replace(b"\0", b"")
    if not definition.startswith(_TEMPORARY):
        return None
    engines = _ENGINE.findall(definition)
    return engines[-1] if engines else b""


def _half_done(function: str) -> TextsChanged:
    return TextsChanged(
        f"{function}: a text came that was not there when the texts were "
        "read before the statement, which may have changed some rows by then: a "
        "table of it, or of its triggers, may be without transactions. See what "
        "is there before you send it again"
    )
