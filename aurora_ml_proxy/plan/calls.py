"""The calls of ML functions in a statement, found among its tokens.

A call is a function's name, not qualified, followed by a parenthesis, where a name is
no declaration. `db.name(…)` is somebody's own stored function and none of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aurora_ml_proxy.errors import WrongArgumentCount
from aurora_ml_proxy.functions import Function
from aurora_ml_proxy.plan.tokens import Kind, Statement, Unreadable, identifier

_DECLARES = frozenset(
    b"FUNCTION PROCEDURE TABLE INTO VIEW INDEX KEY REFERENCES CALL EXISTS".split()
)
"""Behind these words a name with a parenthesis is a table, a routine or an index."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an ML function, in token indexes, all included."""

    function: Function
    first: int
    """The function's name."""
    last: int
    """The closing parenthesis."""
    arguments: tuple[tuple[int, int], ...]
    """The first and the last token of each argument."""


def find_calls(statement: Statement, functions: Mapping[str, Function]) -> list[Call]:
    """Every call, in the order of the text.

    Raises: WrongArgumentCount; Unreadable for an empty argument, the server's to judge.
    """
    calls = []
    for i, opening in enumerate(statement.tokens[1:], start=1):
        if opening.kind is not Kind.MARK or opening.text != b"(":
            continue
        function = functions.get(_name_at(statement, i - 1))
        if function is not None and not _is_declared(statement, i - 1):
            calls.append(_read_call(statement, function, i - 1))
    return calls


def _name_at(statement: Statement, i: int) -> str:
    token = statement.tokens[i]
    if token.kind not in (Kind.WORD, Kind.QUOTED):
        return ""
    return identifier(token, statement.sql).decode("latin-1")


def _is_declared(statement: Statement, i: int) -> bool:
    if i == 0:
        return False
    before = statement.tokens[i - 1]
    if before.kind is Kind.MARK:
        return before.text == b"."
    return before.kind is Kind.WORD and before.text in _DECLARES


def _read_call(statement: Statement, function: Function, name: int) -> Call:
    opening = name + 1
    last = statement.closing[opening]
    arguments: list[tuple[int, int]] = []
    start = opening + 1
    for i in range(opening + 1, last + 1):
        token = statement.tokens[i]
        is_comma = (
            token.kind is Kind.MARK
            and token.text == b","
            and statement.depth[i] == statement.depth[opening] + 1
        )
        if is_comma or i == last:
            if i == start and (is_comma or arguments):
                raise Unreadable("an argument is empty")
            if i > start:
                arguments.append((start, i - 1))
            start = i + 1
    if not function.min_args <= len(arguments) <= function.max_args:
        raise WrongArgumentCount(
            "Incorrect parameter count in the call to native function "
            f"'{function.name}'; it takes (text, language_code[, max_batch_size])"
        )
    return Call(function, name, last, tuple(arguments))
