"""Views: what defines one, and how a statement that reads one can be answered.

A view calls marker functions (`catalog.markers`), which the server runs. So a statement
is sent as it is; queries that call the markers with the texts that it needs (`collected`)
come before it, where it must not run before every answer is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.functions import FUNCTIONS, Function
from aurora_ml_proxy.plan.arguments import literal_batch_size, literal_language
from aurora_ml_proxy.plan.blocks import first_word, read_blocks
from aurora_ml_proxy.plan.calls import Call, find_calls
from aurora_ml_proxy.plan.collected import (
    COLLECTED,
    Collected,
    collected,
    identifiers,
    utf8_name,
    words,
)
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.inserted import read_inserted
from aurora_ml_proxy.plan.kinds import (
    CHANGES,
    EXPLAINS,
    defined_at,
    refuse_kept_in_the_server,
    runs_explained,
)
from aurora_ml_proxy.plan.spans import (
    holds_several,
    mark,
    word,
)
from aurora_ml_proxy.plan.targets import targets
from aurora_ml_proxy.plan.template import edit
from aurora_ml_proxy.plan.tokens import (
    Kind,
    Statement,
    Unreadable,
    digest,
    read_statement,
)

_READS_DIAGNOSTICS = frozenset(b"FOUND_ROWS ROW_COUNT WARNING_COUNT ERROR_COUNT".split())

_NO_ROUTINES = frozenset(
    b"COUNT SUM MIN MAX AVG CONCAT COALESCE IF IFNULL LENGTH CHAR_LENGTH LOWER UPPER "
    b"ROUND CAST CONVERT IN AND OR NOT ON USING AS FROM JOIN SELECT VALUES EXISTS ALL "
    b"ANY OVER WHERE BY HAVING WHEN THEN ELSE UNION EXCEPT INTERSECT DISTINCT".split()
)
"""Words that often stand before a parenthesis and are no stored functions."""


@dataclass(frozen=True, slots=True)
class ViewDefinition:
    """A CREATE VIEW or ALTER VIEW with calls."""

    functions: tuple[Function, ...]
    statement: bytes
    """As written, without max_batch_size: a marker has two parameters."""
    name: bytes
    """The view's own name in lower case, in UTF-8."""
    digest: str


@dataclass(frozen=True, slots=True)
class Viewed:
    """A statement in which marker functions are called, by a view or by name."""

    statement: bytes
    collected: Collected
    is_sent_once: bool
    """CALL: what the procedure has done cannot be undone, so it is sent with the answers
    to its arguments, once."""
    targets: tuple[bytes, ...]
    """The tables themselves, and others that it joins to them, as it names them."""
    called: tuple[bytes, ...]
    """What may be the names of stored functions, in UTF-8."""
    names: tuple[bytes, ...]
    """All names in it, among which is the view's, in lower case, in UTF-8."""
    has_calls: bool
    """The functions are called by their names too: the current database has to have
    the markers."""
    digest: str


def read_definition(statement: Statement, calls: Sequence[Call]) -> ViewDefinition | None:
    """The view that a statement defines; None when it defines nothing of the kind.

    Raises: UnsupportedStatement for a trigger, a stored program and an event;
        WrongArgument for a literal that no query on the view could use.
    """
    start = first_word(statement)
    if word(statement, start) not in (b"CREATE", b"ALTER"):
        return None
    at = defined_at(statement, start + 1)
    refuse_kept_in_the_server(statement, at, calls[0])
    if word(statement, at) != b"VIEW" or holds_several(statement):
        return None
    for call in calls:
        literal_language(statement, call)
        literal_batch_size(statement, call)
    functions = {call.function.name: call.function for call in calls}
    return ViewDefinition(
        functions=tuple(functions[name] for name in sorted(functions)),
        statement=_with_two_arguments(statement, calls),
        name=_view_name(statement, at + 1),
        digest=digest(statement),
    )


def _view_name(statement: Statement, i: int) -> bytes:
    while word(statement, i) in (b"IF", b"NOT", b"EXISTS"):
        i += 1
    while mark(statement, i + 1) == b".":
        i += 2
    return utf8_name(statement, i)


def _with_two_arguments(statement: Statement, calls: Sequence[Call]) -> bytes:
    edits = []
    for call in calls:
        if len(call.arguments) > 2:
            start = statement.tokens[call.arguments[1][1]].end
            edits.append((start, statement.tokens[call.arguments[2][1]].end, ()))
    return b"".join(
        piece for piece in edit(statement.sql, edits) if isinstance(piece, bytes)
    )


def read_viewed(
    sql: bytes,
    dialect: Dialect,
    function: str,
    functions: Mapping[str, Function] = FUNCTIONS,
) -> Viewed:
    """How to answer a statement in which a marker was called.

    Args:
        function: the marker's name, for messages.
    Raises: UnsupportedStatement.
    """
    try:
        written = read_statement(sql, dialect)
        calls = find_calls(written, functions)
    except Unreadable:
        raise _unsupported(function, "a statement that cannot be read") from None
    _refuse(written, function)
    statement = read_statement(_with_two_arguments(written, calls), dialect)
    keyword = word(statement, first_word(statement))
    found = collected(statement)
    if keyword == b"CALL" and not found.queries:
        raise _unsupported(function, "a procedure of the statement CALL")
    return Viewed(
        statement=statement.sql,
        collected=found,
        is_sent_once=keyword == b"CALL",
        targets=targets(statement, read_inserted(statement), read_blocks(statement)),
        called=tuple(sorted(set(_called(statement)))),
        names=tuple(sorted({utf8_name(statement, i) for i in identifiers(statement)})),
        has_calls=bool(calls),
        digest=digest(statement),
    )


def _unsupported(function: str, what: str) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{function}: {what} reads a view, or calls a function, of aurora-ml-proxy, "
        "which cannot be answered there"
    )


def _refuse(statement: Statement, function: str) -> None:
    """What must not run twice, or tells of the statement before."""
    start = first_word(statement)
    keyword = word(statement, start)
    if holds_several(statement):
        raise UnsupportedStatement(
            f"{function}: one of several statements in a packet reads a view that calls "
            "it; send the statements one by one"
        )
    if keyword not in COLLECTED:
        name = keyword.decode("latin-1") or "this"
        raise _unsupported(function, f"the statement {name}")
    if {b"OUTFILE", b"DUMPFILE"} & words(statement):
        raise UnsupportedStatement(
            f"{function}: a view that calls it is read INTO a file, which the statement "
            "that failed has begun; remove it, and put the rows into a table first"
        )
    if (
        keyword in EXPLAINS
        and words(statement) & CHANGES
        and runs_explained(statement, start)
    ):
        raise _unsupported(function, "EXPLAIN ANALYZE of a statement that changes data")
    for i, token in enumerate(statement.tokens):
        is_of_set = keyword == b"SET" and statement.depth[i] == statement.depth[start]
        if token.kind is Kind.MARK and token.text == b":=" and not is_of_set:
            raise UnsupportedStatement(
                f"{function}: a statement that assigns user variables reads a view that "
                "calls it, and would assign them more than once"
            )
        name_of = token.text.rpartition(b"@")[2].rpartition(b".")[2].upper()
        is_name = token.kind is Kind.VARIABLE or mark(statement, i + 1) == b"("
        if is_name and name_of in _READS_DIAGNOSTICS:
            raise UnsupportedStatement(
                f"{function}: in one statement with {name_of.decode('latin-1').lower()}, "
                "which tells of the statement before; read that first, into a variable"
            )


def _called(statement: Statement) -> Iterator[bytes]:
    for i in identifiers(statement):
        if mark(statement, i + 1) == b"(":
            name = utf8_name(statement, i)
            if name.upper() not in _NO_ROUTINES and name.decode() not in FUNCTIONS:
                yield name
