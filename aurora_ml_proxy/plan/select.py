"""The shape of a SELECT: its items, its clauses, what depends on an item."""

from dataclasses import dataclass

from aurora_ml_proxy.plan.tokens import (
    Kind,
    Statement,
    Token,
    identifier,
    is_semicolon,
    number,
)

_OPTIONS = frozenset(
    b"ALL DISTINCT DISTINCTROW HIGH_PRIORITY STRAIGHT_JOIN SQL_SMALL_RESULT "
    b"SQL_BIG_RESULT SQL_BUFFER_RESULT SQL_CACHE SQL_NO_CACHE "
    b"SQL_CALC_FOUND_ROWS".split()
)

_CLAUSES = frozenset(
    b"FROM WHERE GROUP HAVING WINDOW QUALIFY ORDER LIMIT OFFSET FETCH INTO PROCEDURE "
    b"FOR LOCK UNION INTERSECT EXCEPT MINUS ON RETURNING".split()
)
"""The words that end a select list or a clause behind it; ON stands for ON DUPLICATE
KEY UPDATE, which ends the SELECT of an INSERT."""

SET_OPERATORS = frozenset(b"UNION INTERSECT EXCEPT MINUS".split())

_MAY_BE_NAMES = frozenset(b"WINDOW QUALIFY MINUS OFFSET RETURNING".split())
"""Of these, the ones that a server lets people use as names without quotes."""

_BEHIND_MINUS = frozenset(b"SELECT VALUES TABLE WITH ALL DISTINCT".split())

_BEHIND_A_NAME = frozenset(b"FROM AS ASC DESC".split())

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
    """A SELECT, the CTEs before it left alone."""

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
    tokens = statement.tokens
    if not tokens or tokens[0].kind is not Kind.WORD:
        return None
    start = _find_select(statement)
    if start is None:
        return None
    end = len(tokens)
    while end > start + 1 and is_semicolon(tokens[end - 1]):
        end -= 1
    return read_select_at(statement, start, end)


def read_select_at(statement: Statement, start: int, end: int) -> Select:
    """The SELECT whose keyword is the token `start`, up to the token `end`, excluded."""
    tokens, depth = statement.tokens, statement.depth
    level = depth[start]
    pos = start + 1
    options = []
    while pos < end and _is_word(tokens[pos], _OPTIONS):
        options.append(tokens[pos].text)
        pos += 1
    marks = [
        i
        for i in range(pos, end)
        if depth[i] == level and starts_clause(statement, i, pos)
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


def starts_clause(statement: Statement, i: int, start: int) -> bool:
    """Whether a keyword starts a clause here and is not somebody's column."""
    tokens = statement.tokens
    if not _is_word(tokens[i], _CLAUSES):
        return False
    if i > 0 and _is_mark(tokens[i - 1], b"."):
        return False
    if _belongs_to_another(tokens, i):
        return False
    if tokens[i].text not in _MAY_BE_NAMES:
        return True
    if i == start or _is_mark(tokens[i - 1], b",") or tokens[i - 1].text == b"AS":
        return False
    return _goes_on_as_clause(tokens[i].text, tokens[i + 1 : i + 4])


def _belongs_to_another(tokens: list[Token], i: int) -> bool:
    """Whether a clause's keyword is a part of something else here."""
    before = tokens[i - 1].text
    behind = tokens[i + 1].text if i + 1 < len(tokens) else b""
    match tokens[i].text:
        case b"FOR":
            # NEXT VALUE FOR a_sequence, USE INDEX FOR JOIN, FOR SYSTEM_TIME AS OF
            return before in (b"VALUE", b"INDEX", b"KEY") or behind in (
                *(b"SYSTEM_TIME", b"PORTION"),
            )
        case b"ORDER" | b"GROUP":
            return before in (b"FOR", b"WITHIN")  # USE INDEX FOR ORDER BY
        case b"ON":
            return behind != b"DUPLICATE"
    return False


def _goes_on_as_clause(keyword: bytes, behind: list[Token]) -> bool:
    """Whether what stands behind a keyword that may be a name makes it a clause."""
    texts = [token.text for token in behind]
    match keyword:
        case b"WINDOW":
            return texts[1:] == [b"AS", b"("]
        case b"OFFSET":
            return texts[1:2] in ([b"ROW"], [b"ROWS"])
        case b"RETURNING":
            return bool(texts) and texts[0] not in (b",", b")", b"=", *_BEHIND_A_NAME)
        case b"MINUS":
            return texts[:1] == [b"("] or bool(_BEHIND_MINUS.intersection(texts[:1]))
        case _:
            is_name = not texts or texts[0] == b"," or texts[0] in _BEHIND_A_NAME
            return not is_name


def _items(statement: Statement, start: int, end: int) -> list[Item]:
    items = []
    first = start
    level = statement.depth[start - 1]
    for i in range(start, end + 1):
        at_end = i == end
        is_comma = (
            not at_end
            and statement.depth[i] == level
            and _is_mark(statement.tokens[i], b",")
        )
        if at_end or is_comma:
            if i > first:
                items.append(Item(first, i - 1, _is_star(statement, first, i - 1)))
            first = i + 1
    return items


def _is_star(statement: Statement, first: int, last: int) -> bool:
    if not _is_mark(statement.tokens[last], b"*"):
        return False
    return last == first or _is_mark(statement.tokens[last - 1], b".")


def mentions(statement: Statement, first: int, last: int, name: str) -> bool:
    """Whether an unqualified name stands somewhere between two tokens.

    Args:
        name: as `folded` gives it.
    """
    tokens = statement.tokens
    return any(
        tokens[i].kind in (Kind.WORD, Kind.QUOTED)
        and folded(identifier(tokens[i], statement.sql), statement.charset) == name
        and not (i > 0 and _is_mark(tokens[i - 1], b"."))
        for i in range(first, last + 1)
    )


_CODECS = {
    "latin1": "cp1252",
    "gbk": "gbk",
    "gb2312": "gbk",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "sjis": "cp932",
    "cp932": "cp932",
    "ujis": "euc_jp",
    "eucjpms": "euc_jp",
    "euckr": "cp949",
}


def decoded(name: bytes, charset: str) -> str:
    """A name as text; what its character set has no letter for is left out."""
    codec = "utf-8" if charset.startswith("utf8") else _CODECS.get(charset, "ascii")
    return name.decode(codec, "ignore")


def folded(name: bytes, charset: str) -> str:
    """What of a name counts when two names are compared, and rather less than more.

    Servers compare names without case, and cut spaces off them. Names that differ here
    are two to every server; of names that are equal here nobody knows.
    """
    text = decoded(name, charset).upper().casefold()
    return "".join(c for c in text if c.isprintable() and not c.isspace())


_NUMERAL = frozenset(b"TRUE FALSE NOT ASC DESC WITH ROLLUP CUBE".split())
"""Words that a position in GROUP BY or ORDER BY may consist of."""


def positions(statement: Statement, clause: Clause) -> list[int]:
    """The numbers that stand alone in GROUP BY or ORDER BY: positions of items.

    `(2)`, `+2` and `{x 2}` are positions to both servers, TRUE is 1 to MariaDB.
    """
    found: list[int] = []
    if clause.keyword not in (b"GROUP", b"ORDER"):
        return found
    here: list[int] | None = []
    tokens, depth = statement.tokens, statement.depth
    start = clause.first + 2
    # MySQL's GROUP BY ROLLUP (a, b) has its list between parentheses.
    level = int(start < clause.last and _is_word(tokens[start], _NUMERAL))
    for i in range(start, clause.last + 1):
        token = tokens[i]
        if depth[i] <= level and _is_mark(token, b","):
            found += here or []
            here = []
        elif here is None or _is_mark(tokens[i - 1], b"{"):
            continue
        elif token.kind is Kind.NUMBER:
            here.append(number(token))
        elif _is_word(token, _NUMERAL):
            here += [1] if token.text == b"TRUE" or token.text == b"FALSE" else []
        elif token.kind is not Kind.MARK or token.text not in b"(){}+-!,":
            here = None
    return found + (here or [])
