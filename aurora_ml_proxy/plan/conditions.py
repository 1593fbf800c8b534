"""The conditions of a WHERE or ON: which of them hold no call and can be had first."""

from collections.abc import Sequence
from itertools import pairwise

from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.select import SET_OPERATORS
from aurora_ml_proxy.plan.spans import Span, keyword_at, mark, word
from aurora_ml_proxy.plan.template import outermost
from aurora_ml_proxy.plan.tokens import Kind, Statement

VOLATILE = frozenset(
    b"RAND UUID UUID_SHORT UUID_V4 UUID_V7 SYS_GUID RANDOM_BYTES SLEEP NEXTVAL LASTVAL "
    b"SETVAL GET_LOCK RELEASE_LOCK RELEASE_ALL_LOCKS SYSDATE BENCHMARK "
    b"MASTER_POS_WAIT SOURCE_POS_WAIT WAIT_FOR_EXECUTED_GTID_SET".split()
)
"""Functions that give another value, or do something, each time they are called."""

ACTS = frozenset(
    b"NEXTVAL SETVAL SLEEP GET_LOCK RELEASE_LOCK RELEASE_ALL_LOCKS BENCHMARK".split()
)
"""Those of them that do something."""

_CLOCKS = frozenset(
    b"NOW CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP CURTIME CURRENT_TIME UTC_TIME "
    b"UTC_TIMESTAMP".split()
)

_BINDS_LESS = SET_OPERATORS | {b"OR", b"XOR", b"||", b":="}
"""What binds less tightly than AND; || does in some modes."""


_STARTS_QUERY = frozenset(b"SELECT WITH VALUES TABLE".split())


def volatile_word(statement: Statement, first: int, last: int) -> str | None:
    """What between two tokens is not the same when it is read twice, by its name."""
    for i in range(first, last + 1):
        if mark(statement, i) == b":=":
            return ":="
        text = word(statement, i)
        if text in VOLATILE and mark(statement, i + 1) == b"(":
            return text.decode()
        if text == b"LAST_INSERT_ID" and _has_argument(statement, i):
            return "LAST_INSERT_ID(expression)"
        if text in _CLOCKS and _has_fraction(statement, i):
            return f"{text.decode()} with a fraction of a second"
        if text == b"FOR" and word(statement, i - 1) == b"VALUE":
            return "NEXT VALUE FOR"
        if text == b"SYSDATE":
            return "SYSDATE"
    return None


def _has_fraction(statement: Statement, i: int) -> bool:
    return _has_argument(statement, i) and statement.tokens[i + 2].text != b"0"


def side_effects(statement: Statement) -> list[int]:
    """The tokens that do something each time that they are evaluated.

    Assignments of user variables are none: they can be undone.
    """
    found = []
    for i in range(len(statement.tokens)):
        text = word(statement, i)
        if (
            (text in ACTS and mark(statement, i + 1) == b"(")
            or (text == b"LAST_INSERT_ID" and _has_argument(statement, i))
            or (text == b"FOR" and word(statement, i - 1) == b"VALUE")
        ):
            found.append(i)
    return found


def assignments(statement: Statement) -> list[int]:
    """The user variables that are assigned within expressions, where they are so."""
    is_set = word(statement, 0) == b"SET"
    return [
        i
        for i, token in enumerate(statement.tokens)
        if token.kind is Kind.VARIABLE
        and mark(statement, i + 1) == b":="
        and not (is_set and (i == 1 or mark(statement, i - 1) == b","))
    ]


def _has_argument(statement: Statement, i: int) -> bool:
    return mark(statement, i + 1) == b"(" and mark(statement, i + 2) != b")"


def assigned_variables(statement: Statement) -> frozenset[bytes]:
    """User variables that the statement assigns, in lower case."""
    is_set = word(statement, 0) == b"SET"
    return frozenset(
        token.text.lower()
        for i, token in enumerate(statement.tokens)
        if token.kind is Kind.VARIABLE
        and (
            mark(statement, i + 1) == b":="
            or (is_set and _starts_assignment(statement, i))
        )
    )


def _starts_assignment(statement: Statement, i: int) -> bool:
    """Whether a variable of SET has its `=` behind it."""
    is_first = i == 1 or mark(statement, i - 1) == b","
    return is_first and mark(statement, i + 1) == b"="


def conjuncts(statement: Statement, first: int, last: int) -> list[Span]:
    """What AND joins between two tokens, also in parentheses around it; the whole when
    something binds less tightly."""
    found: list[Span] = []
    left = [(first, last)]
    while left:
        span = left.pop()
        inside = _inside_parentheses(statement, span)
        ands = _ands(statement, *inside)
        if ands:
            bounds = [inside[0] - 1, *ands, inside[1] + 1]
            left += [(a + 1, b - 1) for a, b in reversed(list(pairwise(bounds)))]
        elif span[0] <= span[1]:
            found.append(span)
    return found


def _inside_parentheses(statement: Statement, span: Span) -> Span:
    """A condition without the parentheses around the whole; a subquery needs its own."""
    first, last = span
    while statement.closing.get(first) == last and first < last:
        if keyword_at(statement, first + 1) in _STARTS_QUERY:
            break
        first, last = first + 1, last - 1
    return first, last


def _ands(statement: Statement, first: int, last: int) -> list[int]:
    """The ANDs between conditions: none of BETWEEN … AND, none in a CASE."""
    found: list[int] = []
    cases, betweens = 0, 0
    for i in range(first, last + 1):
        if statement.depth[i] != statement.depth[first]:
            continue
        text = mark(statement, i) or keyword_at(statement, i)
        if text in _BINDS_LESS:
            return []
        if text == b"CASE":
            cases += 1
        elif text == b"END":
            cases = max(0, cases - 1)
        elif text == b"BETWEEN" and not cases:
            betweens += 1
        elif text == b"AND" and not cases and betweens:
            betweens -= 1
        elif text in (b"AND", b"&&") and not cases:
            found.append(i)
    return found


def has_call(calls: Sequence[Call], span: Span) -> bool:
    """Whether a call stands between two tokens."""
    return next(iter(outermost(calls, *span)), None) is not None


def free_conjuncts(
    statement: Statement, span: Span, calls: Sequence[Call], assigned: frozenset[bytes]
) -> list[Span]:
    """The conjuncts that hold no call and are the same when they are read twice.

    Args:
        assigned: as `assigned_variables` has found them.
    """
    return [
        c
        for c in conjuncts(statement, *span)
        if not has_call(calls, c)
        and volatile_word(statement, *c) is None
        and not (assigned and _has_variable(statement, c))
    ]


def _has_variable(statement: Statement, span: Span) -> bool:
    tokens = statement.tokens[span[0] : span[1] + 1]
    return any(token.kind is Kind.VARIABLE for token in tokens)
