"""The entry: a statement's bytes to a Plan, to nothing of ours, or to one clear error."""

from collections.abc import Mapping

from aurora_ml_proxy.functions import FUNCTIONS, Function
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.inline import inline
from aurora_ml_proxy.plan.kinds import read_kinds
from aurora_ml_proxy.plan.plan import Plan
from aurora_ml_proxy.plan.select import read_select
from aurora_ml_proxy.plan.spans import holds_several
from aurora_ml_proxy.plan.splice import NotSpliceable, splice
from aurora_ml_proxy.plan.tokens import (
    Unreadable,
    read_statement,
)
from aurora_ml_proxy.plan.views import ViewDefinition, read_definition


def plan_statement(
    sql: bytes, dialect: Dialect, functions: Mapping[str, Function] = FUNCTIONS
) -> Plan | ViewDefinition | None:
    """How to answer this statement; None: it calls none of ours, so the server answers.

    A statement that cannot be read is the server's to judge as well: it cannot succeed.
    So are several in one packet, of a session that may send one (see `plan.several`).
    Raises: ProxyError, one clear error for a call that cannot be answered.
    """
    try:
        statement = read_statement(sql, dialect)
        calls = find_calls(statement, functions)
    except Unreadable:
        return None
    if not calls:
        return None
    definition = read_definition(statement, calls)
    if definition is not None:
        return definition
    if holds_several(statement):
        return None
    kinds = read_kinds(statement, calls[0])
    if kinds is None:
        return None
    select = read_select(statement)
    if select is not None and select.items:
        try:
            return splice(statement, select, calls)
        except NotSpliceable:
            pass
    return inline(statement, calls, kinds, dialect)
