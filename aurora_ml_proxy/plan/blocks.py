"""The query blocks of a statement: every SELECT, and the head of an UPDATE or DELETE.

A block has rows (FROM), conditions on them (WHERE), and parts that are evaluated on the
rows that pass. Where a call stands says which texts it can need.
Source: MySQL manual, "SELECT Statement", "UPDATE Statement", "DELETE Statement",
"INSERT Statement", "WITH (Common Table Expressions)".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from aurora_ml_proxy.plan.select import (
    SET_OPERATORS,
    Item,
    read_select_at,
)
from aurora_ml_proxy.plan.tokens import Kind, Statement, is_semicolon

Span = tuple[int, int]
"""The first and the last token of a part, both included."""


class Phase(IntEnum):
    """When a part of a block is evaluated."""

    FROM = 0
    WHERE = 1
    LIST = 2
    """On rows that passed: the select list, GROUP BY, HAVING, ORDER BY, SET."""


@dataclass(slots=True, eq=False)
class Block:
    """One query block, in token indexes."""

    first: int
    last: int
    level: int
    """The depth of its own keywords."""
    parts: dict[bytes, Span]
    """A part's keyword to what stands behind it: FROM, WHERE, GROUP, HAVING, WINDOW,
    ORDER, LIMIT, SET, RETURNING; of GROUP and ORDER, BY is left out."""
    items: tuple[Item, ...] = ()
    options: tuple[bytes, ...] = ()
    is_select: bool = True
    in_union: bool = False
    """Its ORDER BY and LIMIT may be those of a UNION."""
    parent: "Block | None" = None
    """The block whose columns this one may mean."""
    place: Phase = Phase.LIST
    """Where in its parent this block stands."""
    withs: list[Span] = field(default_factory=list)
    """WITH lists that are known here, outer ones first; without the word WITH."""
    is_recursive: bool = False

    def phase(self, token: int) -> Phase:
        """When what stands at a token is evaluated."""
        for keyword, phase in ((b"FROM", Phase.FROM), (b"WHERE", Phase.WHERE)):
            if keyword in self.parts:
                first, last = self.parts[keyword]
                if first <= token <= last:
                    return phase
        return Phase.LIST

    def part_at(self, token: int) -> bytes:
        """The keyword of the part that a token stands in; SELECT for the list."""
        for keyword, (first, last) in self.parts.items():
            if first <= token <= last:
                return keyword
        return b"SELECT"


def word(statement: Statement, i: int) -> bytes:
    """The word at a token; nothing where another kind of token, or none, stands."""
    if not 0 <= i < len(statement.tokens):
        return b""
    token = statement.tokens[i]
    return token.text if token.kind is Kind.WORD else b""


def mark(statement: Statement, i: int) -> bytes:
    """The mark at a token; nothing where another kind of token, or none, stands."""
    if not 0 <= i < len(statement.tokens):
        return b""
    token = statement.tokens[i]
    return token.text if token.kind is Kind.MARK else b""


def end_of_group(statement: Statement, i: int) -> int:
    """The first token behind `i` that is outside its parentheses; or a semicolon."""
    level = statement.depth[i]
    for j in range(i + 1, len(statement.tokens)):
        if statement.depth[j] < level or is_semicolon(statement.tokens[j]):
            return j
    return len(statement.tokens)


def read_blocks(statement: Statement) -> list[Block]:
    """Every block of a statement, outer ones before inner ones.

    Args:
        statement: one statement only.
    """
    blocks = [*_head(statement)]
    blocks += [
        _read_select_block(statement, i)
        for i in range(len(statement.tokens))
        if word(statement, i) == b"SELECT" and mark(statement, i - 1) != b"."
    ]
    for block in blocks:
        _find_parent(block, blocks)
    _find_withs(statement, blocks)
    return blocks


def _read_select_block(statement: Statement, start: int) -> Block:
    end = end_of_group(statement, start)
    level = statement.depth[start]
    in_union = False
    before = start - 1
    if word(statement, before) in (b"ALL", b"DISTINCT"):
        before -= 1
    if word(statement, before) in SET_OPERATORS:
        in_union = True
    for i in range(start + 1, end):
        if statement.depth[i] == level and word(statement, i) == b"SELECT":
            end = i
            break
    select = read_select_at(statement, start, end)
    parts: dict[bytes, Span] = {}
    last = end - 1
    for clause in select.clauses:
        if clause.keyword in SET_OPERATORS:
            in_union = True
            last = clause.first - 1
            break
        if clause.keyword in (b"ON", b"RETURNING"):
            last = clause.first - 1
            break
        first = clause.first + (2 if clause.keyword in (b"GROUP", b"ORDER") else 1)
        parts.setdefault(clause.keyword, (first, clause.last))
    return Block(
        start, last, level, parts, select.items, select.options, in_union=in_union
    )


_DML_PARTS = frozenset(b"FROM USING SET WHERE ORDER LIMIT RETURNING".split())


def _head(statement: Statement) -> Iterator[Block]:
    """The block of an UPDATE or a DELETE."""
    start = first_word(statement)
    kind = word(statement, start)
    if kind not in (b"UPDATE", b"DELETE"):
        return
    end = end_of_group(statement, start)
    marks = [i for i in range(start + 1, end) if _starts_dml_part(statement, i, start)]
    parts: dict[bytes, Span] = {}
    for n, i in enumerate(marks):
        keyword = word(statement, i)
        first = i + (2 if keyword == b"ORDER" else 1)
        last = (marks[n + 1] if n + 1 < len(marks) else end) - 1
        if keyword not in parts:
            parts[keyword] = (first, last)
    if kind == b"UPDATE" and marks:
        first = start + 1
        while word(statement, first) in (b"LOW_PRIORITY", b"IGNORE"):
            first += 1
        parts[b"FROM"] = (first, marks[0] - 1)
    elif b"USING" in parts:
        parts[b"FROM"] = parts.pop(b"USING")
    yield Block(start, end - 1, statement.depth[start], parts, is_select=False)


def _starts_dml_part(statement: Statement, i: int, start: int) -> bool:
    if statement.depth[i] != statement.depth[start]:
        return False
    keyword = word(statement, i)
    if keyword not in _DML_PARTS or mark(statement, i - 1) == b".":
        return False
    if keyword == b"USING":  # of DELETE FROM a USING a JOIN b USING (c)
        return mark(statement, i + 1) != b"("
    if keyword == b"ORDER":
        return word(statement, i - 1) != b"FOR"
    if keyword == b"RETURNING":
        return word(statement, start) == b"DELETE" and i > start + 2
    return True


def first_word(statement: Statement) -> int:
    """The statement's own keyword: behind opening parentheses and a WITH list."""
    i = 0
    if word(statement, 0) == b"SET" and word(statement, 1) == b"STATEMENT":
        # MariaDB's SET STATEMENT variable = value FOR a statement
        while i < len(statement.tokens) and not (
            word(statement, i) == b"FOR" and statement.depth[i] == 0
        ):
            i += 1
        i += 1
    while mark(statement, i) == b"(":
        i += 1
    if word(statement, i) == b"WITH":
        listed = _read_with(statement, i)
        if listed is not None:
            i = listed[1] + 1
            while mark(statement, i) == b"(":
                i += 1
    return i


def _find_parent(block: Block, blocks: list[Block]) -> None:
    """The smallest block around this one; SELECTs of a UNION have the same."""
    around = [
        b
        for b in blocks
        if b is not block and b.first < block.first <= b.last and b.level < block.level
    ]
    if around:
        block.parent = max(around, key=lambda b: (b.level, b.first))
        block.place = block.parent.phase(block.first)


def _read_with(statement: Statement, i: int) -> Span | None:
    """The list of a WITH, from behind WITH [RECURSIVE] to its last parenthesis."""
    i += 1
    if word(statement, i) == b"RECURSIVE":
        i += 1
    first = i
    while True:
        if i >= len(statement.tokens):
            return None
        i += 1  # the name
        if mark(statement, i) == b"(":
            i = statement.closing[i] + 1
        if word(statement, i) != b"AS" or mark(statement, i + 1) != b"(":
            return None
        last = statement.closing[i + 1]
        i = last + 1
        if word(statement, i) == b"CYCLE":  # MariaDB: CYCLE columns RESTRICT
            while i < len(statement.tokens) and word(statement, i) != b"RESTRICT":
                i += 1
            last, i = i, i + 1
        if mark(statement, i) != b",":
            return first, last
        i += 1


def _find_withs(statement: Statement, blocks: list[Block]) -> None:
    for i in range(len(statement.tokens)):
        if word(statement, i) != b"WITH":
            continue
        listed = _read_with(statement, i)
        if listed is None:
            continue
        end = end_of_group(statement, i)
        for block in blocks:
            if i < block.first < end:
                block.withs.append(listed)
                if word(statement, i + 1) == b"RECURSIVE":
                    block.is_recursive = True


def block_of(blocks: list[Block], token: int) -> Block | None:
    """The innermost block that a token stands in."""
    around = [b for b in blocks if b.first <= token <= b.last]
    return max(around, key=lambda b: (b.level, b.first), default=None)
