"""The conditions of a WHERE or ON: which of them hold no call and can be had first."""

from collections.abc import Sequence

from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.select import SET_OPERATORS
from aurora_ml_proxy.plan.tokens import Kind, Statement

Span = tuple[int, int]

VOLATILE = frozenset(
    b"RAND UUID UUID_SHORT UUID_V4 UUID_V7 SYS_GUID RANDOM_BYTES SLEEP NEXTVAL LASTVAL "
    b"SETVAL GET_LOCK RELEASE_LOCK RELEASE_ALL_LOCKS SYSDATE BENCHMARK "
    b"MASTER_POS_WAIT SOURCE_POS_WAIT WAIT_FOR_EXECUTED_GTID_SET".split()
)
"""Functions that give another value, or do something, each time they are called."""

_ENDS_SPLITTING = frozenset((b"OR", b"XOR"))


def volatile_word(statement: Statement, first: int, last: int) -> str | None:
    """What between two tokens is not the same when it is read twice, by its name."""
    tokens = statement.tokens
    for i in range(first, last + 1):
        token = tokens[i]
        if token.kind is Kind.MARK and token.text == b":=":
            return ":="
        if token.kind is not Kind.WORD:
            continue
        behind = tokens[i + 1].text if i + 1 < len(tokens) else b""
        if token.text in VOLATILE and behind == b"(":
            return token.text.decode()
        sets_it = [t.text for t in tokens[i + 1 : i + 3]] != [b"(", b")"]
        if token.text == b"LAST_INSERT_ID" and behind == b"(" and sets_it:
            return "LAST_INSERT_ID(expression)"
        if token.text == b"FOR" and tokens[i - 1].text == b"VALUE":
            return "NEXT VALUE FOR"
        if token.text == b"SYSDATE":
            return "SYSDATE"
    return None


def assigned_variables(statement: Statement) -> frozenset[bytes]:
    """User variables that the statement assigns, in lower case."""
    tokens = statement.tokens
    found = {
        token.text.lower()
        for i, token in enumerate(tokens[:-1])
        if token.kind is Kind.VARIABLE and tokens[i + 1].text == b":="
    }
    if tokens and tokens[0].text == b"SET":
        found |= {
            token.text.lower()
            for i, token in enumerate(tokens[:-1])
            if token.kind is Kind.VARIABLE
            and tokens[i + 1].text == b"="
            and (i == 1 or tokens[i - 1].text == b",")
        }
    return frozenset(found)


def conjuncts(statement: Statement, first: int, last: int) -> list[Span]:
    """What AND joins between two tokens; the whole when something binds less tightly."""
    tokens, depth = statement.tokens, statement.depth
    if first > last:
        return []
    level = depth[first]
    found: list[Span] = []
    start, cases, betweens = first, 0, 0
    for i in range(first, last + 1):
        token = tokens[i]
        if depth[i] != level:
            continue
        if token.kind is Kind.MARK:
            if token.text in (b"||", b":="):
                return [(first, last)]
            is_and = token.text == b"&&"
        elif token.kind is Kind.WORD and tokens[i - 1].text != b".":
            if token.text in _ENDS_SPLITTING or token.text in SET_OPERATORS:
                return [(first, last)]
            cases += (token.text == b"CASE") - (token.text == b"END" and cases > 0)
            betweens += token.text == b"BETWEEN" and not cases
            is_and = token.text == b"AND" and not cases
            if is_and and betweens:
                betweens -= 1
                continue
        else:
            continue
        if is_and and not cases:
            found.append((start, i - 1))
            start = i + 1
    found.append((start, last))
    return found


def has_call(calls: Sequence[Call], span: Span) -> bool:
    """Whether a call stands between two tokens."""
    return any(span[0] <= call.first and call.last <= span[1] for call in calls)


def free_conjuncts(statement: Statement, span: Span, calls: Sequence[Call]) -> list[Span]:
    """The conjuncts that hold no call and are the same when they are read twice."""
    assigned = assigned_variables(statement)
    return [
        c
        for c in conjuncts(statement, *span)
        if not has_call(calls, c)
        and volatile_word(statement, *c) is None
        and not (
            assigned
            and any(
                statement.tokens[i].kind is Kind.VARIABLE for i in range(c[0], c[1] + 1)
            )
        )
    ]


def has_subquery(statement: Statement, span: Span) -> bool:
    """Whether a SELECT stands between two tokens."""
    return any(
        statement.tokens[i].text == b"SELECT" and statement.tokens[i].kind is Kind.WORD
        for i in range(span[0], span[1] + 1)
    )
