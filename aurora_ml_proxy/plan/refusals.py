"""What cannot be answered by reading the texts first, and its one clear error each."""

import re
from collections.abc import Sequence

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.aggregates import is_rolled_up
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.conditions import ACTS, assigned_variables, volatile_word
from aurora_ml_proxy.plan.groups import groups_by_a_literal
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Harvest
from aurora_ml_proxy.plan.spans import mark
from aurora_ml_proxy.plan.template import text_of
from aurora_ml_proxy.plan.tokens import Kind, Statement

_READS_DIAGNOSTICS = frozenset((b"FOUND_ROWS", b"ROW_COUNT"))
_DIAGNOSTIC_VARIABLES = frozenset((b"warning_count", b"error_count"))

_MAX_NESTED = 8
"""Calls in each other's arguments. An answer's expression has its argument in it twice,
so each level doubles the statement: 8 are some 70 kB, 20 would be some 300 MB."""


def refuse_deep_nesting(calls: Sequence[Call]) -> None:
    """Refuse calls that are nested more deeply than anyone means.

    Raises: UnsupportedStatement.
    """
    around: list[Call] = []
    for call in calls:
        while around and around[-1].last < call.first:
            around.pop()
        around.append(call)
        if len(around) > _MAX_NESTED:
            raise UnsupportedStatement(
                f"{call.function.name}: more than {_MAX_NESTED} calls in each other's "
                "arguments; put an answer into a variable or a column first"
            )


def refuse_what_is_read_twice(statement: Statement, calls: Sequence[Call]) -> None:
    """Refuse arguments that change: the harvest reads them, and the statement again.

    Raises: UnsupportedStatement.
    """
    assigned = assigned_variables(statement)
    for call in calls:
        reason = volatile_word(statement, call.first + 2, call.last - 1)
        tokens = statement.tokens[call.first : call.last + 1]
        if any(t.kind is Kind.VARIABLE and t.text.lower() in assigned for t in tokens):
            reason = "a user variable that the same statement assigns"
        if reason:
            raise UnsupportedStatement(
                f"{call.function.name}: its argument depends on {reason}, which is not "
                "the same when it is read twice; put the value into a column or a "
                "variable first"
            )


def refuse_rolled_up_literals(outline: Outline) -> None:
    """Refuse WITH ROLLUP over a literal: MySQL has NULL in its place in the rows that it
    adds, wherever in the list the same literal stands, and answers are such literals.

    Raises: UnsupportedStatement.
    """
    for block in outline.blocks:
        if (
            not outline.is_mariadb
            and is_rolled_up(outline.statement, block)
            and (calls := outline.calls_in((block.first, block.last)))
            and groups_by_a_literal(outline, block)
        ):
            raise UnsupportedStatement(
                f"{outline.calls[calls[0]].function.name}: in a query that is grouped "
                "by a literal WITH ROLLUP; leave the literal out of GROUP BY"
            )


_ACTS = re.compile(
    rb"\b(?:%b)\s*\("
    rb"|\bVALUE\s+FOR\b|\bLAST_INSERT_ID\s*\(\s*[^)\s]" % b"|".join(sorted(ACTS)),
    re.IGNORECASE,
)
"""What does something each time that it is evaluated: a query of ours must not have it.
A text that only looks so costs a query, which another may stand in for."""


def without_effects(harvest: Harvest, function: str) -> Harvest:
    """A harvest without the queries that would do what only the statement should.

    Raises: UnsupportedStatement when none is left.
    """
    left = tuple(
        query for query in harvest.queries if _ACTS.search(text_of(query.sql)) is None
    )
    if not left:
        raise UnsupportedStatement(
            f"{function}: the texts cannot be read without a side effect of the "
            "statement (a number of a sequence, a lock) happening once more; do that "
            "in a statement of its own"
        )
    return Harvest(harvest.asked, left)


def refuse_diagnostics(statement: Statement, call: Call) -> None:
    """Refuse what tells of the statement before: reading the texts would change it.

    Raises: UnsupportedStatement.
    """
    for i, token in enumerate(statement.tokens):
        if _reads_diagnostics(statement, i):
            raise UnsupportedStatement(
                f"{call.function.name}: in one statement with "
                f"{token.text.decode('latin-1').lower()}, which tells of the statement "
                "before; read that first, into a variable"
            )


def _reads_diagnostics(statement: Statement, i: int) -> bool:
    token = statement.tokens[i]
    if token.kind is Kind.WORD:
        return token.text in _READS_DIAGNOSTICS and mark(statement, i + 1) == b"("
    if token.kind is Kind.VARIABLE and token.text.startswith(b"@@"):
        name = token.text[2:].rpartition(b".")[2].strip(b"`")
        return name.lower() in _DIAGNOSTIC_VARIABLES
    return False
