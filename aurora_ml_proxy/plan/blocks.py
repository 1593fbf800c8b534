"""The query blocks of a statement: every SELECT, and the head of an UPDATE or DELETE.

A block has rows (FROM), conditions on them (WHERE), and parts that are evaluated on the
rows that pass. Where a call stands says which texts it can need.
Source: MySQL manual, "SELECT Statement", "UPDATE Statement", "DELETE Statement",
"INSERT Statement", "WITH (Common Table Expressions)".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise

from aurora_ml_proxy.plan.select import (
    SET_OPERATORS,
    Clause,
    Item,
    read_select_at,
)
from aurora_ml_proxy.plan.spans import Span, end_of_group, keyword_at, mark, word
from aurora_ml_proxy.plan.tokens import Statement


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


def read_blocks(statement: Statement) -> list[Block]:
    """Every block of a statement, outer ones before inner ones.

    Args:
        statement: one statement only.
    """
    blocks = [*_head(statement)]
    blocks += [
        _read_select_block(statement, i)
        for i in range(len(statement.tokens))
        if keyword_at(statement, i) == b"SELECT"
    ]
    for block in blocks:
        _find_parent(block, blocks)
    _find_withs(statement, blocks)
    return blocks


def _read_select_block(statement: Statement, start: int) -> Block:
    end = _end_of_select(statement, start)
    select = read_select_at(statement, start, end)
    in_union = _is_behind_set_operator(statement, start)
    own: list[Clause] = []
    for clause in select.clauses:
        if clause.keyword in _ENDS_SELECT:
            in_union |= clause.keyword in SET_OPERATORS
            end = clause.first
            break
        own.append(clause)
    found = ((c.keyword, (c.first + _words(c.keyword), c.last)) for c in own)
    return Block(
        start,
        end - 1,
        statement.depth[start],
        _parts(found),
        select.items,
        select.options,
        in_union=in_union,
    )


_ENDS_SELECT = SET_OPERATORS | {b"ON", b"RETURNING"}
"""ON DUPLICATE KEY UPDATE and RETURNING belong to the INSERT around."""


def _end_of_select(statement: Statement, start: int) -> int:
    """Behind the last token of a SELECT; another on its level is of the same UNION."""
    level, end = statement.depth[start], end_of_group(statement, start)
    for i in range(start + 1, end):
        if statement.depth[i] == level and keyword_at(statement, i) == b"SELECT":
            return i
    return end


def _is_behind_set_operator(statement: Statement, start: int) -> bool:
    before = start - 1
    if word(statement, before) in (b"ALL", b"DISTINCT"):
        before -= 1
    return word(statement, before) in SET_OPERATORS


def _words(keyword: bytes) -> int:
    """How many words a part starts with: GROUP BY and ORDER BY are two."""
    return 2 if keyword in (b"GROUP", b"ORDER") else 1


def _parts(found: Iterable[tuple[bytes, Span]]) -> dict[bytes, Span]:
    """The first part of each keyword, and none that is empty: only the server can say
    what is wrong with those."""
    parts: dict[bytes, Span] = {}
    for keyword, (first, last) in found:
        if first <= last:
            parts.setdefault(keyword, (first, last))
    return parts


_DML_PARTS = frozenset(b"FROM USING SET WHERE ORDER LIMIT RETURNING".split())


def _head(statement: Statement) -> Iterator[Block]:
    """The block of an UPDATE or a DELETE."""
    start = first_word(statement)
    kind = word(statement, start)
    if kind not in (b"UPDATE", b"DELETE"):
        return
    end = end_of_group(statement, start)
    marks = [i for i in range(start + 1, end) if _starts_dml_part(statement, i, start)]
    found = []
    if kind == b"UPDATE" and marks:
        first = start + 1
        while word(statement, first) in (b"LOW_PRIORITY", b"IGNORE"):
            first += 1
        found.append((b"FROM", (first, marks[0] - 1)))
    for i, behind in pairwise([*marks, end]):
        text = word(statement, i)
        found.append((text, (i + _words(text), behind - 1)))
    parts = _parts(found)
    if kind == b"DELETE" and b"USING" in parts:
        parts[b"FROM"] = parts.pop(b"USING")
    yield Block(start, end - 1, statement.depth[start], parts, is_select=False)


def _starts_dml_part(statement: Statement, i: int, start: int) -> bool:
    if statement.depth[i] != statement.depth[start]:
        return False
    text = keyword_at(statement, i)
    if text not in _DML_PARTS:
        return False
    if text == b"USING":  # of DELETE FROM a USING a JOIN b USING (c)
        return mark(statement, i + 1) != b"("
    if text == b"ORDER":
        return word(statement, i - 1) != b"FOR"
    if text == b"RETURNING":
        return word(statement, start) == b"DELETE" and i > start + 2
    return True


def first_word(statement: Statement) -> int:
    """The statement's own keyword: behind opening parentheses and a WITH list."""
    i = _behind_parentheses(statement, _behind_set_statement(statement))
    if word(statement, i) == b"WITH":
        listed = _read_with(statement, i)
        if listed is not None:
            i = _behind_parentheses(statement, listed[1] + 1)
    return i


def _behind_set_statement(statement: Statement) -> int:
    """Behind MariaDB's SET STATEMENT variable = value FOR, which a statement follows."""
    if (word(statement, 0), word(statement, 1)) != (b"SET", b"STATEMENT"):
        return 0
    for i in range(2, len(statement.tokens)):
        if word(statement, i) == b"FOR" and statement.depth[i] == 0:
            return i + 1
    return len(statement.tokens)


def _behind_parentheses(statement: Statement, i: int) -> int:
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
    first = i + 1 + (word(statement, i + 1) == b"RECURSIVE")
    i = first
    while (last := _read_common_table(statement, i)) is not None:
        if mark(statement, last + 1) != b",":
            return first, last
        i = last + 2
    return None


def _read_common_table(statement: Statement, i: int) -> int | None:
    """The last token of `name [(columns)] AS (query) [CYCLE columns RESTRICT]`."""
    i += 1
    if mark(statement, i) == b"(":
        i = statement.closing[i] + 1
    if word(statement, i) != b"AS" or mark(statement, i + 1) != b"(":
        return None
    last = statement.closing[i + 1]
    if word(statement, last + 1) != b"CYCLE":
        return last
    behind = range(last + 2, len(statement.tokens))
    return next((i for i in behind if word(statement, i) == b"RESTRICT"), None)


def _find_withs(statement: Statement, blocks: list[Block]) -> None:
    """Tell each block which tables of a WITH it knows."""
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


def block_of(blocks: Iterable[Block], token: int) -> Block | None:
    """The innermost block that a token stands in."""
    around = [b for b in blocks if b.first <= token <= b.last]
    return max(around, key=lambda b: (b.level, b.first), default=None)
