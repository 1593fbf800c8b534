"""The rule for calls that are plain items of the outermost select list.

Nothing else in the query may depend on them: no DISTINCT, no UNION, no GROUP BY, HAVING
or ORDER BY on them. The server then applies WHERE and LIMIT itself, and only rows that
are returned are ever asked about.
"""

from aurora_ml_proxy.functions import MAX_BATCH_SIZE
from aurora_ml_proxy.plan.arguments import (
    as_utf8,
    is_column_or_literal,
    is_text_literal,
    literal_batch_size,
    literal_language,
)
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.names import generated_name, quote_name
from aurora_ml_proxy.plan.plan import Splice, SplicedCall
from aurora_ml_proxy.plan.select import (
    SEES_ALIASES,
    SET_OPERATORS,
    Clause,
    Item,
    Select,
    folded,
    mentions,
    positions,
)
from aurora_ml_proxy.plan.spans import word
from aurora_ml_proxy.plan.template import edit, text_of, without_rest
from aurora_ml_proxy.plan.tokens import (
    Kind,
    Statement,
    digest,
    identifier,
)

_PLACEHOLDER = b"CAST(NULL AS CHAR(8) CHARSET utf8mb4)"
"""Stands in a result's place, for numbers too: the definition of a string column tells
which character set the server converts results to."""

_BLOCKING = SET_OPERATORS | {b"INTO", b"PROCEDURE"}
"""The clauses that need a call's answer on the server, or take the rows elsewhere."""


class NotSpliceable(Exception):
    """Another rule has to answer the statement; the message says why, to a developer."""


def splice(statement: Statement, select: Select, calls: list[Call]) -> Splice:
    """Answer every call by streaming: see `Splice`.

    Raises: NotSpliceable; WrongArgument.
    """
    if any(option.startswith(b"DISTINCT") for option in select.options):
        raise NotSpliceable("DISTINCT")
    for clause in select.clauses:
        if clause.keyword in _BLOCKING:
            raise NotSpliceable(f"beside {clause.keyword.decode()}")
    placed = [_place(statement, select, call) for call in calls]
    _refuse_dependence(statement, select, calls, placed)
    _refuse_assignments(statement, calls)
    appended = _Appended()
    spliced = tuple(
        _splice_call(statement, select, call, index, appended)
        for call, index in zip(calls, placed, strict=True)
    )
    return Splice(
        _rewrite(statement, select, calls, placed, appended),
        spliced,
        len(appended.columns),
        len(select.items),
        () if any(item.is_star for item in select.items) else tuple(appended.items),
        digest(statement),
    )


def _place(statement: Statement, select: Select, call: Call) -> int:
    """The index of the item that is this call, its alias aside."""
    for index, item in enumerate(select.items):
        if item.first == call.first and _is_alias(statement, call, item):
            return index
    raise NotSpliceable("not an item of its own")


def _is_alias(statement: Statement, call: Call, item: Item) -> bool:
    """Whether what stands behind the call in its item is nothing but an alias."""
    rest = statement.tokens[call.last + 1 : item.last + 1]
    if rest and rest[0].kind is Kind.WORD and rest[0].text == b"AS":
        rest = rest[1:]
        if not rest:
            return False
    if not rest:
        return True
    return len(rest) == 1 and rest[0].kind in (Kind.WORD, Kind.QUOTED, Kind.STRING)


def _name(statement: Statement, call: Call, item: Item) -> str:
    """The name by which other parts of the statement can mean this item, folded.

    Raises: NotSpliceable for an alias with escapes, which only the server reads.
    """
    if item.last == call.last:
        return folded(generated_name(statement, call.first, call.last), statement.charset)
    alias = statement.tokens[item.last]
    if alias.kind is Kind.STRING and b"\\" in alias.text:
        raise NotSpliceable("a backslash in an alias")
    return folded(identifier(alias, statement.sql), statement.charset)


def _refuse_dependence(
    statement: Statement, select: Select, calls: list[Call], placed: list[int]
) -> None:
    """Refuse what sorts, groups or filters by a call's result, by name or position."""
    for clause in select.clauses:
        if clause.keyword in SEES_ALIASES:
            _refuse_name(statement, select, calls, placed, clause)
            for position in positions(statement, clause):
                _refuse_position(select, placed, clause, position)
    for index, item in enumerate(select.items):
        if _sees_aliases(statement, item):
            _refuse_alias_in_item(statement, select, calls, placed, index)


def _refuse_name(
    statement: Statement,
    select: Select,
    calls: list[Call],
    placed: list[int],
    clause: Clause,
) -> None:
    for call, index in zip(calls, placed, strict=True):
        name = _name(statement, call, select.items[index])
        if mentions(statement, clause.first + 1, clause.last, name):
            raise NotSpliceable(f"{clause.keyword.decode()} depends on it")


def _refuse_position(
    select: Select, placed: list[int], clause: Clause, position: int
) -> None:
    """Refuse the position of a call, and one that may mean a column of ours: behind a
    star positions are unknown, and behind the list the columns are those that we add."""
    stars = [i for i, item in enumerate(select.items) if item.is_star]
    known = stars[0] if stars else len(select.items)
    if position > known:
        raise NotSpliceable(f"{clause.keyword.decode()} {position} may be any column")
    if position - 1 in placed:
        raise NotSpliceable(f"{clause.keyword.decode()} depends on it")


def _sees_aliases(statement: Statement, item: Item) -> bool:
    """Whether an item has a subquery or a window: there the items' names are known."""
    return any(
        statement.tokens[i].text in (b"SELECT", b"OVER")
        for i in range(item.first, item.last + 1)
    )


def _refuse_alias_in_item(
    statement: Statement, select: Select, calls: list[Call], placed: list[int], at: int
) -> None:
    item = select.items[at]
    last = item.last
    if at in placed:
        last = calls[placed.index(at)].last  # behind it stands its own alias
    for call, index in zip(calls, placed, strict=True):
        name = _name(statement, call, select.items[index])
        if mentions(statement, item.first, last, name):
            raise NotSpliceable("an item depends on it")


_TAKES_TURNS = frozenset(b"NEXTVAL LASTVAL SETVAL CURRVAL".split())


def _refuse_assignments(statement: Statement, calls: list[Call]) -> None:
    """Refuse arguments whose value depends on when it is read: a user variable that is
    assigned, a sequence."""
    assigns = any(t.kind is Kind.MARK and t.text == b":=" for t in statement.tokens)
    for call in calls:
        for i in range(call.first, call.last + 1):
            token = statement.tokens[i]
            if assigns and (token.text == b":=" or token.kind is Kind.VARIABLE):
                raise NotSpliceable("a variable that is assigned")
            is_next = word(statement, i) == b"FOR" and word(statement, i - 1) == b"VALUE"
            if is_next or word(statement, i) in _TAKES_TURNS:
                raise NotSpliceable("a sequence")


class _Appended:
    """The columns that are added at the end of the select list."""

    def __init__(self) -> None:
        self.columns: list[bytes] = []
        self.items: list[int] = []
        """The number, from 1, of the item that a column was first added for."""
        self._shared: dict[bytes, int] = {}

    def add(self, expression: bytes, item: int, *, can_share: bool) -> int:
        """The index of the expression's column.

        Columns and literals are the same wherever they stand; RAND() is not.
        """
        if can_share and expression in self._shared:
            return self._shared[expression]
        self.columns.append(expression)
        self.items.append(item)
        index = len(self.columns) - 1
        if can_share:
            self._shared[expression] = index
        return index


def _as_utf8(statement: Statement, first: int, last: int) -> bytes:
    is_literal = is_text_literal(statement, first, last)
    return text_of(as_utf8((statement.source(first, last),), is_literal=is_literal))


def _splice_call(
    statement: Statement, select: Select, call: Call, index: int, appended: _Appended
) -> SplicedCall:
    item = index + 1
    simple = [is_column_or_literal(statement, *argument) for argument in call.arguments]
    values = [_as_utf8(statement, *argument) for argument in call.arguments[:2]]
    text = appended.add(values[0], item, can_share=simple[0])
    language: str | int | None = literal_language(statement, call)
    if language is None:
        language = appended.add(values[1], item, can_share=simple[1])
    column: int | None = None
    batch_size = literal_batch_size(statement, call)
    if batch_size is None:
        # A bare column would have a name, which HAVING and ORDER BY could mean.
        size = b"COALESCE(%b)" % statement.source(*call.arguments[2])
        column = appended.add(size, item, can_share=simple[2])
    return SplicedCall(
        function=call.function,
        column=_column(select, index),
        text=text,
        language=language,
        batch_size=batch_size or MAX_BATCH_SIZE,
        batch_size_column=column,
    )


def _column(select: Select, index: int) -> int:
    if not any(item.is_star for item in select.items[:index]):
        return index
    if any(item.is_star for item in select.items[index:]):
        raise NotSpliceable("between two *")
    return index - len(select.items)


def _rewrite(
    statement: Statement,
    select: Select,
    calls: list[Call],
    placed: list[int],
    appended: _Appended,
) -> bytes:
    """The user's statement with the calls' spans replaced and the list prolonged."""
    tokens = statement.tokens
    edits = without_rest(statement)
    for call, index in zip(calls, placed, strict=True):
        item = select.items[index]
        text = _PLACEHOLDER
        if tokens[call.first].kind is Kind.QUOTED:
            text = b" " + text  # SELECT`name`(x) needs no space, SELECTCAST does
        if item.last == call.last:
            text += b" AS " + quote_name(generated_name(statement, call.first, call.last))
        edits.append((tokens[call.first].start, tokens[call.last].end, (text,)))
    end = tokens[select.items[-1].last].end
    added = b"".join(b"," + column for column in appended.columns)
    return text_of(edit(statement.sql, [*edits, (end, end, (added,))]))
