"""The shape of an outermost SELECT: its items, its clauses, what depends on an item."""

from dataclasses import dataclass

from aurora_ml_proxy.plan.tokens import Kind, Statement, Token, identifier

_OPTIONS = frozenset(
    b"ALL DISTINCT DISTINCTROW HIGH_PRIORITY STRAIGHT_JOIN SQL_SMALL_RESULT "
    b"SQL_BIG_RESULT SQL_BUFFER_RESULT SQL_CACHE SQL_NO_CACHE "
    b"SQL_CALC_FOUND_ROWS".split()
)

_CLAUSES = frozenset(
    b"FROM WHERE GROUP HAVING WINDOW QUALIFY ORDER LIMIT OFFSET FETCH INTO PROCEDURE "
    b"FOR LOCK UNION INTERSECT EXCEPT MINUS ON USING".split()
)
"""The words that end a select list, or name the place of a call behind it."""

_MAY_BE_NAMES = frozenset(b"WINDOW QUALIFY MINUS OFFSET".split())
"""Of these, the ones that a server lets people use as names without quotes."""

SEES_ALIASES = frozenset(b"GROUP HAVING WINDOW QUALIFY ORDER".split())
"""The clauses in which the name of an item stands for the item."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a select list, in token indexes, both included."""

    first: int
    last: int
    is_star: bool
    """`*` or `t.*`: as many columns as the tables have."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause behind the select list: from its keyword up to the next one."""

    keyword: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Select:
    """An outermost SELECT, its CTEs before it left alone."""

    select: int
    """Index of the word SELECT."""
    options: tuple[bytes, ...]
    items: tuple[Item, ...]
    clauses: tuple[Clause, ...]

    def has(self, keyword: bytes) -> bool:
        """Whether a clause of this name is there."""
        return any(clause.keyword == keyword for clause in self.clauses)


def read_select(statement: Statement) -> Select | None:
    """The outermost SELECT; None when the statement is another one."""
    tokens, depth = statement.tokens, statement.depth
    if not tokens or tokens[0].kind is not Kind.WORD:
        return None
    start = _find_select(statement)
    if start is None:
        return None
    pos = start + 1
    options = []
    while pos < len(tokens) and _is_word(tokens[pos], _OPTIONS):
        options.append(tokens[pos].text)
        pos += 1
    end = len(tokens)
    while end > pos and _is_mark(tokens[end - 1], b";"):
        end -= 1
    marks = [
        i for i in range(pos, end) if depth[i] == 0 and _starts_clause(statement, i, pos)
    ]
    items_end = marks[0] if marks else end
    items = tuple(_items(statement, pos, items_end))
    bounds = [*marks, end]
    clauses = tuple(
        Clause(tokens[first].text, first, bounds[n + 1] - 1)
        for n, first in enumerate(marks)
    )
    return Select(start, tuple(options), items, clauses)


def _find_select(statement: Statement) -> int | None:
    """Where the SELECT stands: first, or behind a WITH's list."""
    first = statement.tokens[0].text
    if first == b"SELECT":
        return 0
    if first != b"WITH":
        return None
    for i, token in enumerate(statement.tokens):
        if statement.depth[i] == 0 and token.kind is Kind.WORD:
            if token.text == b"SELECT":
                return i
            if token.text in (b"UPDATE", b"DELETE", b"INSERT", b"REPLACE"):
                return None
    return None


def _is_word(token: Token, words: frozenset[bytes]) -> bool:
    return token.kind is Kind.WORD and token.text in words


def _is_mark(token: Token, text: bytes) -> bool:
    return token.kind is Kind.MARK and token.text == text


def _starts_clause(statement: Statement, i: int, start: int) -> bool:
    """Whether a keyword starts a clause here and is not somebody's column."""
    tokens = statement.tokens
    if not _is_word(tokens[i], _CLAUSES):
        return False
    if i > 0 and _is_mark(tokens[i - 1], b"."):
        return False
    if tokens[i].text not in _MAY_BE_NAMES:
        return True
    if i == start or _is_mark(tokens[i - 1], b","):
        return False
    return tokens[i - 1].text != b"AS"


def _items(statement: Statement, start: int, end: int) -> list[Item]:
    items = []
    first = start
    for i in range(start, end + 1):
        at_end = i == end
        if at_end or (statement.depth[i] == 0 and _is_mark(statement.tokens[i], b",")):
            if i > first:
                items.append(Item(first, i - 1, _is_star(statement, first, i - 1)))
            first = i + 1
    return items


def _is_star(statement: Statement, first: int, last: int) -> bool:
    if not _is_mark(statement.tokens[last], b"*"):
        return False
    return last == first or _is_mark(statement.tokens[last - 1], b".")


def mentions(statement: Statement, first: int, last: int, name: bytes) -> bool:
    """Whether an unqualified name stands somewhere between two tokens."""
    tokens = statement.tokens
    return any(
        tokens[i].kind in (Kind.WORD, Kind.QUOTED)
        and identifier(tokens[i], statement.sql) == name
        and not (i > 0 and _is_mark(tokens[i - 1], b"."))
        for i in range(first, last + 1)
    )


def positions(statement: Statement, clause: Clause) -> list[int]:
    """The numbers that stand alone in GROUP BY or ORDER BY: positions of items."""
    found = []
    tokens, depth = statement.tokens, statement.depth
    for i in range(clause.first + 1, clause.last + 1):
        before = tokens[i - 1]
        starts = _is_mark(before, b",") or before.text == b"BY"
        if depth[i] == 0 and starts and tokens[i].kind is Kind.NUMBER:
            after = tokens[i + 1] if i < clause.last else None
            if after is None or after.text in (b",", b"ASC", b"DESC", b"WITH"):
                found.append(int(tokens[i].text))
    return found
