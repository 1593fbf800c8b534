"""Views: what defines one, and how a statement that reads one can be answered.

A view calls marker functions (`catalog.markers`), which the server runs. So a statement
is sent as it is; what is found here is a query that meets the texts it needs, for those
that must not run before every answer is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.functions import FUNCTIONS, Function
from aurora_ml_proxy.plan.arguments import literal_batch_size, literal_language
from aurora_ml_proxy.plan.blocks import Block, first_word, read_blocks
from aurora_ml_proxy.plan.calls import Call, find_calls
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.inserted import read_inserted
from aurora_ml_proxy.plan.kinds import (
    CHANGES,
    EXPLAINS,
    defined_at,
    refuse_kept_in_the_server,
    runs_explained,
)
from aurora_ml_proxy.plan.select import decoded
from aurora_ml_proxy.plan.spans import (
    Span,
    commas,
    equals_sign,
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
    identifier,
    is_semicolon,
    read_statement,
)

_READS = frozenset(b"SELECT VALUES TABLE".split())

_READS_DIAGNOSTICS = frozenset(b"FOUND_ROWS ROW_COUNT WARNING_COUNT ERROR_COUNT".split())

_NO_LIMIT = b" LIMIT 18446744073709551615"
"""@@sql_select_limit is for the user's own queries."""

_HAS_A_TAIL = frozenset(b"LIMIT FOR LOCK PROCEDURE FETCH".split())

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
    collect: bytes | None
    """A query that calls the markers with the texts that the statement needs; None when
    there is none, and the statement itself has to find them, one by one."""
    changes_data: bool
    """It is not to run before its answers are there."""
    tables: tuple[bytes, ...]
    """Names among which are the tables that it changes, in UTF-8."""
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
    return _utf8(statement, i)


def _utf8(statement: Statement, i: int) -> bytes:
    name = identifier(statement.tokens[i], statement.sql)
    return decoded(name, statement.charset).lower().encode()


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
        statement = read_statement(sql, dialect)
        calls = find_calls(statement, functions)
    except Unreadable:
        raise _unsupported(function, "a statement that cannot be read") from None
    _refuse(statement, function)
    keyword = word(statement, first_word(statement))
    collect, changes, tables = _COLLECTED[keyword](statement)
    if collect is not None and not _HAS_A_TAIL & _words(statement) and changes:
        collect += _NO_LIMIT
    return Viewed(
        statement=_with_two_arguments(statement, calls),
        collect=collect,
        changes_data=changes,
        tables=tables,
        targets=targets(statement, read_inserted(statement), read_blocks(statement)),
        called=tuple(sorted(set(_called(statement)))),
        names=tuple(sorted({_utf8(statement, i) for i in _identifiers(statement)})),
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
    if keyword not in _COLLECTED:
        name = keyword.decode("latin-1") or "this"
        raise _unsupported(function, f"the statement {name}")
    if {b"OUTFILE", b"DUMPFILE"} & _words(statement):
        raise UnsupportedStatement(
            f"{function}: a view that calls it is read INTO a file, which the statement "
            "that failed has begun; remove it, and put the rows into a table first"
        )
    if (
        keyword in EXPLAINS
        and _words(statement) & CHANGES
        and runs_explained(statement, start)
    ):
        raise _unsupported(function, "EXPLAIN ANALYZE of a statement that changes data")
    for i, token in enumerate(statement.tokens):
        if token.kind is Kind.MARK and token.text == b":=" and keyword != b"SET":
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


def _words(statement: Statement) -> set[bytes]:
    return {token.text for token in statement.tokens if token.kind is Kind.WORD}


def _identifiers(statement: Statement) -> Iterator[int]:
    for i, token in enumerate(statement.tokens):
        if token.kind in (Kind.WORD, Kind.QUOTED):
            yield i


def _called(statement: Statement) -> Iterator[bytes]:
    for i in _identifiers(statement):
        if mark(statement, i + 1) == b"(":
            name = _utf8(statement, i)
            if name.upper() not in _NO_ROUTINES and name.decode() not in FUNCTIONS:
                yield name


_Collected = tuple[bytes | None, bool, tuple[bytes, ...]]
"""The query, whether the statement changes data, and the names of tables."""


def _text(statement: Statement, span: Span) -> bytes:
    first, last = span
    return statement.sql[statement.tokens[first].start : statement.tokens[last].end]


def _last_token(statement: Statement) -> int:
    last = len(statement.tokens) - 1
    while is_semicolon(statement.tokens[last]):
        last -= 1
    return last


def _of_query(statement: Statement) -> _Collected:
    for block in read_blocks(statement):
        if b"INTO" in block.parts:
            return _without_into(statement, block.parts[b"INTO"]), True, ()
    return statement.sql, False, ()


def _without_into(statement: Statement, span: Span) -> bytes:
    into = statement.tokens[span[0] - 1]
    return (
        statement.sql[: into.start]
        + statement.sql[statement.tokens[span[1]].end : _end(statement)]
    )


def _end(statement: Statement) -> int:
    return statement.tokens[_last_token(statement)].end


def _of_itself(statement: Statement) -> _Collected:
    return statement.sql, False, ()


def _of_insert(statement: Statement) -> _Collected:
    inserted = read_inserted(statement)
    assert inserted is not None
    names = _names_in(statement, inserted.table)
    if inserted.query is None:
        return None, True, names
    return _text(statement, inserted.query), True, names


def _names_in(statement: Statement, span: Span) -> tuple[bytes, ...]:
    names = {
        _utf8(statement, i) for i in _identifiers(statement) if span[0] <= i <= span[1]
    }
    return tuple(sorted(names))


def _of_create(statement: Statement) -> _Collected:
    """CREATE TABLE … AS: a failure takes the table away again."""
    at = _query_of_create(statement)
    if at is None:
        return None, True, ()
    return _text(statement, (at, _last_token(statement))), True, ()


def _query_of_create(statement: Statement) -> int | None:
    for i in range(1, len(statement.tokens)):
        if statement.depth[i]:
            continue
        behind = i + 1
        while mark(statement, behind) == b"(":
            behind += 1
        starts = word(statement, behind) in (b"SELECT", b"WITH", b"VALUES")
        if mark(statement, i) == b"(" and starts:
            return i
        if word(statement, i) == b"SELECT" or (word(statement, i) == b"AS" and starts):
            return i + (word(statement, i) == b"AS")
    return None


def _of_change(statement: Statement) -> _Collected:
    """UPDATE or DELETE: what they set, on the rows that they change."""
    head = next((b for b in read_blocks(statement) if not b.is_select), None)
    if head is None or b"FROM" not in head.parts:
        return None, True, _names_in(statement, (0, _last_token(statement)))
    front = statement.sql[: statement.tokens[head.first].start]
    parts = [front, b"SELECT ", _set_values(statement, head)]
    for keyword, text in _KEPT:
        if keyword in head.parts:
            parts += [text, _text(statement, head.parts[keyword])]
    first = min(head.first + 1, head.parts[b"FROM"][0])
    tables = _names_in(statement, (first, head.parts[b"FROM"][1]))
    return b"".join(parts), True, tables


_KEPT = (
    (b"FROM", b" FROM "),
    (b"WHERE", b" WHERE "),
    (b"ORDER", b" ORDER BY "),
    (b"LIMIT", b" LIMIT "),
)


def _set_values(statement: Statement, head: Block) -> bytes:
    if b"SET" not in head.parts:
        return b"1"
    values = [b"1"]
    for pair in commas(statement, *head.parts[b"SET"]):
        equals = equals_sign(statement, pair)
        if equals is not None and word(statement, equals + 1) != b"DEFAULT":
            values.append(_text(statement, (equals + 1, pair[1])))
    return b",".join(values)


def _of_do(statement: Statement) -> _Collected:
    first = first_word(statement) + 1
    return b"SELECT " + _text(statement, (first, _last_token(statement))), True, ()


def _of_set(statement: Statement) -> _Collected:
    return None, True, ()


_COLLECTED = {
    **dict.fromkeys(_READS, _of_query),
    **dict.fromkeys(EXPLAINS, _of_itself),
    **dict.fromkeys((b"INSERT", b"REPLACE"), _of_insert),
    **dict.fromkeys((b"UPDATE", b"DELETE"), _of_change),
    b"CREATE": _of_create,
    b"DO": _of_do,
    b"SET": _of_set,
}
"""By the statement's own keyword."""
