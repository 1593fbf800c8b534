"""The queries that call the markers of a view with the texts that a statement needs.

In: a statement that reads a view. Out: queries, and what the statement does. They are
cut from its own text: a SELECT is its own query; a statement that must not run before
every answer is there has one of the rows that it writes, or of its values.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aurora_ml_proxy.plan.blocks import Block, first_word, read_blocks
from aurora_ml_proxy.plan.inserted import Inserted, read_inserted
from aurora_ml_proxy.plan.kinds import EXPLAINS
from aurora_ml_proxy.plan.select import decoded
from aurora_ml_proxy.plan.spans import (
    Span,
    commas,
    equals_sign,
    has_word,
    listed,
    mark,
    word,
)
from aurora_ml_proxy.plan.tokens import Kind, Statement, identifier, is_semicolon

_READS = frozenset(b"SELECT VALUES TABLE".split())

_NO_LIMIT = b" LIMIT 18446744073709551615"
"""@@sql_select_limit is for the user's own queries."""

_HAS_A_TAIL = frozenset(b"LIMIT FOR LOCK PROCEDURE FETCH".split())

_SUBQUERY = frozenset((b"SELECT",))

_MOST_VALUES = 500
"""Values in one query; servers allow 4,096 columns."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The queries, in the order in which they are run, and what the statement does."""

    queries: tuple[bytes, ...] = ()
    """Without any the statement itself has to find its texts, one by one."""
    changes_data: bool = True
    """It is not to run before its answers are there."""
    tables: tuple[bytes, ...] = ()
    """Names among which are the tables that it changes, in UTF-8."""


def collected(statement: Statement) -> Collected:
    """The queries for a statement, whose own keyword is one of COLLECTED."""
    return COLLECTED[word(statement, first_word(statement))](statement)


def words(statement: Statement) -> set[bytes]:
    """Every word in a statement."""
    return {token.text for token in statement.tokens if token.kind is Kind.WORD}


def identifiers(statement: Statement) -> Iterator[int]:
    """The tokens that may be names."""
    for i, token in enumerate(statement.tokens):
        if token.kind in (Kind.WORD, Kind.QUOTED):
            yield i


def utf8_name(statement: Statement, i: int) -> bytes:
    """The name at a token, in lower case and in UTF-8."""
    name = identifier(statement.tokens[i], statement.sql)
    return decoded(name, statement.charset).lower().encode()


def _of_query(statement: Statement) -> Collected:
    for block in read_blocks(statement):
        if b"INTO" in block.parts:
            return Collected(_to_the_end(_without_into(statement, block), statement))
    return Collected((statement.sql,), changes_data=False)


def _without_into(statement: Statement, block: Block) -> bytes:
    first, last = block.parts[b"INTO"]
    start, behind = statement.tokens[first - 1].start, statement.tokens[last].end
    end = statement.tokens[_last_token(statement)].end
    return statement.sql[:start] + statement.sql[behind:end]


def _text(statement: Statement, first: int, last: int) -> bytes:
    """From one token to another, optimizer hints and all."""
    return statement.sql[statement.tokens[first].start : statement.tokens[last].end]


def _last_token(statement: Statement) -> int:
    last = len(statement.tokens) - 1
    while is_semicolon(statement.tokens[last]):
        last -= 1
    return last


def _to_the_end(sql: bytes, statement: Statement) -> tuple[bytes, ...]:
    """A query of ours, to be read to its end."""
    return (sql if _HAS_A_TAIL & words(statement) else sql + _NO_LIMIT,)


def _of_itself(statement: Statement) -> Collected:
    return Collected((statement.sql,), changes_data=False)


def _of_insert(statement: Statement) -> Collected:
    inserted = read_inserted(statement)
    assert inserted is not None
    queries: tuple[bytes, ...] = ()
    if inserted.query is not None:
        queries = _to_the_end(_text(statement, *inserted.query), statement)
    return Collected(
        (
            *queries,
            *_of_values(statement, (value for row in inserted.rows for value in row)),
            *_of_values(statement, _updates(statement, inserted)),
        ),
        tables=_names_in(statement, inserted.table),
    )


def _updates(statement: Statement, inserted: Inserted) -> Iterator[Span]:
    """The values of ON DUPLICATE KEY UPDATE, and what RETURNING lists."""
    end = _last_token(statement)
    if inserted.returning is not None:
        yield from commas(statement, *inserted.returning)
        end = inserted.returning[0] - 2
    for i in range(inserted.table[1] + 1, end):
        if word(statement, i) == b"DUPLICATE" and word(statement, i + 2) == b"UPDATE":
            yield from _assigned(statement, (i + 3, end))


def _of_values(statement: Statement, spans: Iterable[Span]) -> Iterator[bytes]:
    """Queries for values that are written out, those that can read a view: a subquery."""
    found = [span for span in spans if has_word(statement, span, _SUBQUERY)]
    for start in range(0, len(found), _MOST_VALUES):
        part = found[start : start + _MOST_VALUES]
        texts = (_text(statement, *span) for span in part)
        yield b"SELECT " + b",".join(texts) + b" LIMIT 1"


def _assigned(statement: Statement, span: Span) -> Iterator[Span]:
    """The values of `name = value, …`."""
    for pair in commas(statement, *span):
        equals = equals_sign(statement, pair)
        if equals is not None and equals < pair[1]:
            yield equals + 1, pair[1]


def _names_in(statement: Statement, span: Span) -> tuple[bytes, ...]:
    names = {
        utf8_name(statement, i) for i in identifiers(statement) if span[0] <= i <= span[1]
    }
    return tuple(sorted(names))


def _of_create(statement: Statement) -> Collected:
    """CREATE TABLE … AS: a failure takes the table away again."""
    at = _query_of_create(statement)
    if at is None:
        return Collected()
    query = _text(statement, at, _last_token(statement))
    return Collected(_to_the_end(query, statement))


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


def _of_change(statement: Statement) -> Collected:
    """UPDATE or DELETE: what they set, on the rows that they change."""
    head = next((b for b in read_blocks(statement) if not b.is_select), None)
    if head is None or b"FROM" not in head.parts:
        return Collected(tables=_names_in(statement, (0, _last_token(statement))))
    front = statement.sql[: statement.tokens[head.first].start]
    parts = [front, b"SELECT ", _set_values(statement, head)]
    for keyword, text in _KEPT:
        if keyword in head.parts:
            parts += [text, _text(statement, *head.parts[keyword])]
    first = min(head.first + 1, head.parts[b"FROM"][0])
    return Collected(
        _to_the_end(b"".join(parts), statement),
        tables=_names_in(statement, (first, head.parts[b"FROM"][1])),
    )


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
    for span in _assigned(statement, head.parts[b"SET"]):
        if word(statement, span[0]) != b"DEFAULT":
            values.append(_text(statement, *span))
    return b",".join(values)


def _of_do(statement: Statement) -> Collected:
    first = first_word(statement) + 1
    query = b"SELECT " + _text(statement, first, _last_token(statement))
    return Collected(_to_the_end(query, statement))


def _of_set(statement: Statement) -> Collected:
    span = first_word(statement) + 1, _last_token(statement)
    return Collected(tuple(_of_values(statement, _assigned(statement, span))))


def _of_call(statement: Statement) -> Collected:
    """CALL: its arguments, which are evaluated before the procedure begins."""
    i = first_word(statement) + 1
    while mark(statement, i + 1) == b".":
        i += 2
    if mark(statement, i + 1) != b"(":
        return Collected()
    return Collected(tuple(_of_values(statement, listed(statement, i + 1))))


COLLECTED = {
    **dict.fromkeys(_READS, _of_query),
    **dict.fromkeys(EXPLAINS, _of_itself),
    **dict.fromkeys((b"INSERT", b"REPLACE"), _of_insert),
    **dict.fromkeys((b"UPDATE", b"DELETE"), _of_change),
    b"CREATE": _of_create,
    b"DO": _of_do,
    b"SET": _of_set,
    b"CALL": _of_call,
}
"""By the statement's own keyword."""
