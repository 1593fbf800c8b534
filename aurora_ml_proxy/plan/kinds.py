"""What kind of statement this is, and whether a call can be answered in it at all."""

from dataclasses import dataclass

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.blocks import first_word
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.spans import word
from aurora_ml_proxy.plan.tokens import Statement

CHANGES = frozenset(b"INSERT REPLACE UPDATE DELETE CREATE CALL".split())
"""First words of statements that change data."""

_READS = frozenset(b"SELECT VALUES SET DO TABLE".split())

_REFUSED = frozenset(
    b"SHOW KILL HANDLER LOAD RETURN IF BEGIN CASE LOOP REPEAT WHILE FOR "
    b"DECLARE SIGNAL RESIGNAL GRANT HELP BINLOG PURGE CHANGE XA IMPORT".split()
)
"""Statements in which a function may stand, or that the server would call unknown."""

EXPLAINS = frozenset(b"EXPLAIN DESCRIBE DESC ANALYZE".split())
"""First words of statements that show a plan."""

_KEPT_IN_THE_SERVER = {
    b"TRIGGER": "a trigger",
    b"PROCEDURE": "a stored procedure",
    b"FUNCTION": "a stored function",
    b"EVENT": "an event",
    b"PACKAGE": "a package",
}
"""What runs inside the server later, where no proxy sees it."""

_INSTEAD = (
    "runs inside the server, where the proxy cannot answer it; call the function in the "
    "statement that reads or writes the rows, and store its result in a column"
)


_DEFINED = frozenset((*_KEPT_IN_THE_SERVER, *b"VIEW TABLE INDEX DATABASE".split()))


@dataclass(frozen=True, slots=True)
class Kinds:
    """What the statement does."""

    changes_data: bool
    is_explained: bool
    is_query: bool = False
    """It gives rows of its own, which FOUND_ROWS() counts."""


def read_kinds(statement: Statement, call: Call) -> Kinds | None:
    """The kind of a statement that calls an ML function; None for no statement at all.

    Raises: UnsupportedStatement for those in which it cannot be answered.
    """
    start = first_word(statement)
    keyword = word(statement, start)
    if keyword in EXPLAINS and not runs_explained(statement, start):
        return Kinds(changes_data=False, is_explained=True)
    if keyword in EXPLAINS:
        words = {word(statement, i) for i in range(start, min(start + 8, call.first))}
        return Kinds(changes_data=bool(words & CHANGES), is_explained=False)
    if keyword in (b"CREATE", b"ALTER"):
        _refuse_definition(statement, start, call)
    if keyword in CHANGES:
        return Kinds(changes_data=True, is_explained=False)
    if keyword in _READS:
        is_query = keyword not in (b"SET", b"DO")
        return Kinds(changes_data=False, is_explained=False, is_query=is_query)
    if keyword not in _REFUSED:
        return None
    name = keyword.decode("latin-1")
    raise UnsupportedStatement(
        f"{call.function.name}: a call in the statement {name} is not supported; call "
        "it in a SELECT, INSERT, UPDATE, DELETE, SET, DO or CALL"
    )


def runs_explained(statement: Statement, start: int) -> bool:
    """Whether EXPLAIN or ANALYZE at a token also runs the statement."""
    return b"ANALYZE" in (word(statement, start), word(statement, start + 1))


def defined_at(statement: Statement, i: int) -> int:
    """Where the word stands that says what is defined; behind the end: nowhere."""
    while i < len(statement.tokens) and word(statement, i) not in _DEFINED:
        # A DEFINER may have any name.
        i += 3 if word(statement, i) == b"DEFINER" else 1
    return i


def refuse_kept_in_the_server(statement: Statement, at: int, call: Call) -> None:
    """Refuse a call in what the server runs later, where no proxy sees it.

    Args:
        at: as `defined_at` gives it.
    Raises: UnsupportedStatement.
    """
    what = _KEPT_IN_THE_SERVER.get(word(statement, at))
    if what is not None:
        raise UnsupportedStatement(f"{call.function.name}: a call in {what} {_INSTEAD}")


def _refuse_definition(statement: Statement, start: int, call: Call) -> None:
    at = defined_at(statement, start + 1)
    refuse_kept_in_the_server(statement, at, call)
    is_view = word(statement, at) == b"VIEW"
    words = {word(statement, i) for i in range(start + 1, call.first)}
    if is_view or b"SELECT" not in words:
        what = "a view" if is_view else "a column's definition"
        raise UnsupportedStatement(f"{call.function.name}: a call in {what} {_INSTEAD}")
