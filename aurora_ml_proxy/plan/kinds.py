"""What kind of statement this is, and whether a call can be answered in it at all."""

from dataclasses import dataclass

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.blocks import first_word, word
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.tokens import Statement

_CHANGES = frozenset(b"INSERT REPLACE UPDATE DELETE CREATE CALL".split())

_READS = frozenset(b"SELECT VALUES SET DO TABLE".split())

_REFUSED = frozenset(
    b"SHOW KILL HANDLER LOAD RETURN IF BEGIN CASE LOOP REPEAT WHILE FOR "
    b"DECLARE SIGNAL RESIGNAL GRANT HELP BINLOG PURGE CHANGE XA IMPORT".split()
)
"""Statements in which a function may stand, or that the server would call unknown."""

_EXPLAINS = frozenset(b"EXPLAIN DESCRIBE DESC".split())

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
    if keyword in _EXPLAINS and not _runs(statement, start):
        return Kinds(changes_data=False, is_explained=True)
    if keyword in _EXPLAINS or keyword == b"ANALYZE":
        words = {word(statement, i) for i in range(start, min(start + 8, call.first))}
        return Kinds(changes_data=bool(words & _CHANGES), is_explained=False)
    if keyword in (b"CREATE", b"ALTER"):
        _refuse_definition(statement, start, call)
    if keyword in _CHANGES:
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


def _runs(statement: Statement, start: int) -> bool:
    """Whether EXPLAIN also runs the statement."""
    return word(statement, start + 1) == b"ANALYZE"


def _refuse_definition(statement: Statement, start: int, call: Call) -> None:
    words = [word(statement, i) for i in range(start + 1, call.first)]
    for text in words:
        if text in (b"TABLE", b"VIEW", b"INDEX"):
            break
        if text in _KEPT_IN_THE_SERVER:
            raise UnsupportedStatement(
                f"{call.function.name}: a call in {_KEPT_IN_THE_SERVER[text]} {_INSTEAD}"
            )
    if b"SELECT" not in words or b"VIEW" in words[:12]:
        what = "a view" if b"VIEW" in words[:12] else "a column's definition"
        raise UnsupportedStatement(f"{call.function.name}: a call in {what} {_INSTEAD}")
