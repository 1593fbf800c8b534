"""What a statement waits for besides its upstream: answers, and its own planning."""

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from aurora_ml_proxy.errors import UpstreamLost
from aurora_ml_proxy.evaluate.evaluation import Evaluation
from aurora_ml_proxy.session.inbox import Inbox

PLANNED_AT_ONCE_BYTES = 16 << 10
"""A longer statement is planned in a thread: cutting a megabyte into tokens takes
seconds, in which every other connection would stand still."""

MAX_PLANNED_BYTES = 4 << 20
"""A longer statement is passed on unread: to cut it would take hundreds of megabytes. A
call in it is the upstream's error 1305 (unknown function)."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def planned(
    plan: Callable[Concatenate[bytes, _P], _T],
    sql: bytes,
    *arguments: _P.args,
    **keywords: _P.kwargs,
) -> _T:
    """`plan(sql, …)`, in a thread when it takes long."""
    if len(sql) <= PLANNED_AT_ONCE_BYTES:
        return plan(sql, *arguments, **keywords)
    return await asyncio.to_thread(plan, sql, *arguments, **keywords)


async def until_answered(evaluation: Evaluation, inbox: Inbox) -> None:
    """Wait for the answers to everything that was asked.

    Raises: the evaluation's failure; UpstreamLost.
    """
    evaluation.flush()
    while evaluation.in_flight and evaluation.failure is None:
        await inbox.until_woken()
        if inbox.has_ended:
            raise UpstreamLost("Lost connection to the upstream during query")
    if evaluation.failure is not None:
        raise evaluation.failure
