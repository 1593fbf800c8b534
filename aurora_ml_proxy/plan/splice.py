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
    Item,
    Select,
    folded,
    mentions,
    positions,
)
from aurora_ml_proxy.plan.template import text_of
from aurora_ml_proxy.plan.tokens import (
    Kind,
    Statement,
    digest,
    identifier,
    is_semicolon,
)

_PLACEHOLDER = b"CAST(NULL AS CHAR(8) CHARSET utf8mb4)"
"""Stands in a result's place, for numbers too: the definition of a string column tells
which character set the server converts results to."""

_BLOCKING = {
    b"UNION": "beside a UNION",
    b"INTERSECT": "beside an INTERSECT",
    b"EXCEPT": "beside an EXCEPT",
    b"MINUS": "beside a MINUS",
    b"INTO": "in a SELECT ... INTO",
    b"PROCEDURE": "in a SELECT ... PROCEDURE",
}
"""The clauses that need a call's answer on the server, or take the rows elsewhere."""

_ARGUMENT_NAMES = ("text", "language_code", "max_batch_size")


class NotSpliceable(Exception):
    """Another rule has to answer the statement; the message says why."""


def splice(statement: Statement, select: Select, calls: list[Call]) -> Splice:
    """Answer every call by streaming: see `Splice`.

    Raises: NotSpliceable, naming the call and its place; WrongArgument.
    """
    for option in select.options:
        if option.startswith(b"DISTINCT"):
            raise _refusal(calls[0], "in a SELECT DISTINCT")
    for clause in select.clauses:
        if clause.keyword in _BLOCKING:
            raise _refusal(calls[0], _BLOCKING[clause.keyword])
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


def _refusal(call: Call, place: str) -> NotSpliceable:
    return NotSpliceable(
        f"{call.function.name}: a call {place} is not supported yet; call it as an item "
        "of its own in the outermost select list"
    )


def _place(statement: Statement, select: Select, call: Call) -> int:
    """The index of the item that is this call, its alias aside."""
    for index, item in enumerate(select.items):
        if item.first <= call.first and call.last <= item.last:
            if item.first == call.first and _is_alias(statement, call, item):
                return index
            inside = "inside an expression of the select list"
            raise _refusal(call, _within(statement, call, item.first) or inside)
    for clause in select.clauses:
        if clause.first <= call.first <= clause.last:
            words = clause.keyword.decode()
            words += " BY" if words in ("GROUP", "ORDER") else ""
            within = _within(statement, call, clause.first)
            raise _refusal(call, within or f"in the {words} clause")
    raise _refusal(call, "in a common table expression")


def _within(statement: Statement, call: Call, start: int) -> str | None:
    """What encloses a call between `start` and itself, if it is worth a name."""
    for i in range(call.first - 1, start - 1, -1):
        closing = statement.closing.get(i)
        if closing is not None and closing > call.last:
            first = statement.tokens[i + 1]
            if first.kind is Kind.WORD and first.text in (b"SELECT", b"WITH"):
                return "in a subquery"
    return None


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
        raise _refusal(call, "whose alias has a backslash in it")
    return folded(identifier(alias, statement.sql), statement.charset)


def _refuse_dependence(
    statement: Statement, select: Select, calls: list[Call], placed: list[int]
) -> None:
    """Refuse what sorts, groups or filters by a call's result, by name or position."""
    stars = [i for i, item in enumerate(select.items) if item.is_star]
    known = stars[0] if stars else len(select.items)
    for clause in select.clauses:
        if clause.keyword not in SEES_ALIASES:
            continue
        keyword = clause.keyword.decode()
        keyword += " BY" if keyword in ("GROUP", "ORDER") else ""
        for call, index in zip(calls, placed, strict=True):
            name = _name(statement, call, select.items[index])
            if mentions(statement, clause.first + 1, clause.last, name):
                raise _refusal(call, f"that {keyword} depends on")
        for position in positions(statement, clause):
            if position - 1 in placed and position <= known:
                call = calls[placed.index(position - 1)]
                raise _refusal(call, f"that {keyword} depends on")
            if position > known and (stars or position > len(select.items)):
                raise NotSpliceable(
                    f"{calls[0].function.name}: {keyword} {position} cannot be told "
                    "from a call's column; sort by a column's name"
                )
    for index, item in enumerate(select.items):
        if _sees_aliases(statement, item):
            _refuse_alias_in_item(statement, select, calls, placed, index)


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
            raise _refusal(call, "that a subquery or window of the list depends on")


_TAKES_TURNS = frozenset(b"NEXTVAL LASTVAL SETVAL CURRVAL".split())


def _refuse_assignments(statement: Statement, calls: list[Call]) -> None:
    """Refuse arguments whose value depends on when it is read: a user variable that is
    assigned, a sequence."""
    assigns = any(t.kind is Kind.MARK and t.text == b":=" for t in statement.tokens)
    for call in calls:
        for i in range(call.first, call.last + 1):
            token = statement.tokens[i]
            if assigns and (token.text == b":=" or token.kind is Kind.VARIABLE):
                raise _refusal(call, "on a user variable that the same statement assigns")
            is_next = token.text == b"FOR" and statement.tokens[i - 1].text == b"VALUE"
            if token.kind is Kind.WORD and (is_next or token.text in _TAKES_TURNS):
                raise _refusal(call, "on the value of a sequence")


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
        column=_column(select, call, index),
        text=text,
        language=language,
        batch_size=batch_size or MAX_BATCH_SIZE,
        batch_size_column=column,
    )


def _column(select: Select, call: Call, index: int) -> int:
    if not any(item.is_star for item in select.items[:index]):
        return index
    if any(item.is_star for item in select.items[index:]):
        raise _refusal(call, "between two * of the select list")
    return index - len(select.items)


def _rewrite(
    statement: Statement,
    select: Select,
    calls: list[Call],
    placed: list[int],
    appended: _Appended,
) -> bytes:
    """The user's statement with the calls' spans replaced and the list prolonged."""
    sql, tokens = statement.sql, statement.tokens
    edits: list[tuple[int, int, bytes]] = []
    for call, index in zip(calls, placed, strict=True):
        item = select.items[index]
        text = _PLACEHOLDER
        if tokens[call.first].kind is Kind.QUOTED:
            text = b" " + text  # SELECT`name`(x) needs no space, SELECTCAST does
        if item.last == call.last:
            text += b" AS " + quote_name(generated_name(statement, call.first, call.last))
        edits.append((tokens[call.first].start, tokens[call.last].end, text))
    # A comment behind the semicolon is a statement of its own, with a result of its own,
    # to a session with CLIENT_MULTI_STATEMENTS.
    for token in tokens:
        if is_semicolon(token):
            edits.append((token.start, len(sql), b""))
            break
    end = tokens[select.items[-1].last].end
    edits.append((end, end, b"".join(b"," + column for column in appended.columns)))
    return replace_spans(sql, edits)


def replace_spans(sql: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """The statement with spans (start, end, text) replaced; spans do not overlap."""
    parts, pos = [], 0
    for start, end, text in sorted(edits, key=lambda edit: edit[:2]):
        parts += [sql[pos:start], text]
        pos = end
    parts.append(sql[pos:])
    return b"".join(parts)
