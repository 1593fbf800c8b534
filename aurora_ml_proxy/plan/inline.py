"""The rule for calls anywhere: the statement itself, with the answers in their places.

The user's text is edited by span and never generated anew. Besides the calls it gets
names for items that have none, and conditions without a call are put in front of those
with one, so that the server does not evaluate a call on rows that it would not need.
"""

from collections.abc import Iterator, Sequence

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.arguments import (
    literal_batch_size,
    literal_language,
)
from aurora_ml_proxy.plan.blocks import (
    Block,
    Span,
    block_of,
    first_word,
    mark,
    read_blocks,
    word,
)
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.conditions import (
    assigned_variables,
    has_call,
    volatile_word,
)
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.harvest import Harvester, is_constant, is_rolled_up
from aurora_ml_proxy.plan.inserted import commas, listed, read_inserted
from aurora_ml_proxy.plan.joins import all_conditions
from aurora_ml_proxy.plan.kinds import Kinds
from aurora_ml_proxy.plan.names import alias_of, generated_name, quote_name
from aurora_ml_proxy.plan.plan import Described, Harvest, Inline, InlineCall
from aurora_ml_proxy.plan.select import Item, decoded
from aurora_ml_proxy.plan.template import (
    Edit,
    Template,
    Unknown,
    cut,
    edit,
    joined,
    outermost,
)
from aurora_ml_proxy.plan.tokens import (
    Kind,
    Statement,
    digest,
    identifier,
    is_semicolon,
    number,
)

MISSING = 790421337
"""Stands in the expression that fails where no answer is known, to tell its error
from one of the user's own."""

_MIN_PREFIX = 25
"""Rows read at first for a LIMIT behind a WHERE with a call: one full batch."""

_READS_DIAGNOSTICS = frozenset((b"FOUND_ROWS", b"ROW_COUNT"))
_DIAGNOSTIC_VARIABLES = (b"warning_count", b"error_count")


def inline(
    statement: Statement, calls: Sequence[Call], kinds: Kinds, dialect: Dialect
) -> Inline:
    """Answer every call by an expression: see `Inline`.

    Raises: UnsupportedStatement, WrongArgument.
    """
    _refuse_what_is_read_twice(statement, calls)
    _refuse_diagnostics(statement, calls[0])
    blocks = read_blocks(statement)
    known = _known_sets(statement, calls)
    harvester = Harvester(statement, calls, blocks, known, dialect)
    edits: list[Edit] = []
    prefix = _prefix(statement, calls, blocks, harvester)
    harvests: list[Harvest] = []
    if prefix is not None:
        block, harvest = prefix
        indexes = _calls_in(calls, block.parts[b"WHERE"])
        first, last = block.parts[b"WHERE"]
        start, end = statement.tokens[first].start, statement.tokens[last].end
        edits.append((start, end, harvester.open_condition(block, indexes)))
        at = statement.tokens[block.items[-1].last].end
        edits.append((at, at, _check(statement, calls, indexes)))
        harvests = [*harvester.harvests(skipped=indexes)]
        harvests.insert(_place_of_prefix(harvests), harvest)
        guarded = [s for s in all_conditions(statement, blocks) if s != (first, last)]
        skipped = [block.parts[b"WHERE"]]
    elif not kinds.is_explained:
        harvests = harvester.harvests()
        guarded, skipped = all_conditions(statement, blocks), []
    else:
        guarded, skipped = all_conditions(statement, blocks), []
    for span in guarded:
        edits += _guard(statement, calls, harvester, span)
    edits += _names(statement, calls, blocks)
    for index in outermost(calls, 0, len(statement.tokens) - 1):
        call = calls[index]
        if not any(f <= call.first <= last_ for f, last_ in skipped):
            name = statement.tokens[call.first]
            # SELECT`name`(x) has no space, and SELECTCASE would be one word.
            is_quoted = name.kind is Kind.QUOTED
            answer: Template = (b"(", index, b")") if is_quoted else (index,)
            edits.append((name.start, statement.tokens[call.last].end, answer))
    edits += _behind_semicolon(statement)
    return Inline(
        statement=edit(statement.sql, edits),
        calls=tuple(
            InlineCall(call.function, _key(statement, calls, call), known[n])
            for n, call in enumerate(calls)
        ),
        known_sets=max(known) + 1,
        harvests=tuple(harvests),
        described=_described(statement, calls, blocks, prefix is not None),
        has_check=prefix is not None,
        changes_data=kinds.changes_data,
        tables=_tables(statement) if kinds.changes_data else (),
        keeps_found_rows=not kinds.is_query,
        is_explained=kinds.is_explained,
        casts=dialect.is_mariadb,
        digest=digest(statement),
    )


def _refuse_what_is_read_twice(statement: Statement, calls: Sequence[Call]) -> None:
    """Arguments are read by the harvest and again by the statement."""
    assigned = assigned_variables(statement)
    for call in calls:
        reason = volatile_word(statement, call.first + 2, call.last - 1)
        for i in range(call.first, call.last + 1):
            token = statement.tokens[i]
            if token.kind is Kind.VARIABLE and token.text.lower() in assigned:
                reason = "a user variable that the same statement assigns"
        if reason:
            raise UnsupportedStatement(
                f"{call.function.name}: its argument depends on {reason}, which is not "
                "the same when it is read twice; put the value into a column or a "
                "variable first"
            )


def _refuse_diagnostics(statement: Statement, call: Call) -> None:
    """What tells of the statement before: reading the texts would change it."""
    for i, token in enumerate(statement.tokens):
        is_function = (
            token.kind is Kind.WORD
            and token.text in _READS_DIAGNOSTICS
            and mark(statement, i + 1) == b"("
        )
        is_variable = (
            token.kind is Kind.VARIABLE
            and token.text.startswith(b"@@")
            and token.text.lower().endswith(_DIAGNOSTIC_VARIABLES)
        )
        if is_function or is_variable:
            raise UnsupportedStatement(
                f"{call.function.name}: in one statement with "
                f"{token.text.decode('latin-1').lower()}, which tells of the statement "
                "before; read that first, into a variable"
            )


def _known_sets(statement: Statement, calls: Sequence[Call]) -> list[int]:
    """Which set of answers each call looks in.

    Literals have a set each, so that a thousand rows of VALUES do not carry each other's
    answers. All else of one language shares one: expressions that are equal to the user
    are then equal to ONLY_FULL_GROUP_BY too.
    """
    sets: dict[tuple[object, ...], int] = {}
    known = []
    for call in calls:
        key: tuple[object, ...]
        if all(is_constant(statement, *argument) for argument in call.arguments):
            key = tuple(statement.source(*a) for a in call.arguments[:2])
        else:
            key = (literal_language(statement, call),)
        known.append(sets.setdefault(key, len(sets)))
    return known


def _key(statement: Statement, calls: Sequence[Call], call: Call) -> Template:
    literal_batch_size(statement, call)  # wrong ones are refused here
    text = cut(statement, *call.arguments[0], calls)
    if literal_language(statement, call) is not None:
        return text
    language = cut(statement, *call.arguments[1], calls)
    return (
        *(b"CONCAT(CONVERT(", *language, b" USING utf8mb4),':',CONVERT("),
        *(*text, b" USING utf8mb4))"),
    )


def _calls_in(calls: Sequence[Call], span: Span) -> list[int]:
    return [n for n, c in enumerate(calls) if span[0] <= c.first and c.last <= span[1]]


def _tables(statement: Statement) -> tuple[bytes, ...]:
    """Names among which are the tables that the statement changes."""
    inserted = read_inserted(statement)
    spans = [inserted.table] if inserted else [(0, len(statement.tokens) - 1)]
    names = {
        identifier(statement.tokens[i], statement.sql)
        for first, last in spans
        for i in range(first, last + 1)
        if statement.tokens[i].kind in (Kind.WORD, Kind.QUOTED)
    }
    return tuple(sorted(decoded(name, statement.charset).encode() for name in names))


# A LIMIT behind a WHERE with calls.


def _prefix(
    statement: Statement,
    calls: Sequence[Call],
    blocks: Sequence[Block],
    harvester: Harvester,
) -> tuple[Block, Harvest] | None:
    """The outermost block and its harvest, when its first rows are all that it needs."""
    outer = [b for b in blocks if b.level == 0 and b.is_select]
    if len(outer) != 1 or word(statement, 0) not in (b"SELECT", b"WITH"):
        return None
    block = outer[0]
    if not {b"FROM", b"WHERE", b"LIMIT"} <= block.parts.keys():
        return None
    if b"INTO" in block.parts or not harvester.is_plainly_limited(block):
        return None
    limit = _limit(statement, block.parts[b"LIMIT"])
    indexes = _calls_in(calls, block.parts[b"WHERE"])
    if limit is None or not indexes:
        return None
    if any(
        block_of(list(blocks), calls[n].first) is not block
        or any(c.first < calls[n].first < c.last for c in calls)
        or any(calls[n].first < c.first < calls[n].last for c in calls)
        for n in indexes
    ):
        return None
    if b"ORDER" in block.parts and _sorts_by_a_call(statement, calls, block):
        return None
    return block, harvester.prefix(block, indexes, max(_MIN_PREFIX, 4 * limit))


def _limit(statement: Statement, span: Span) -> int | None:
    """Rows that LIMIT skips and gives; None when they are not written out."""
    tokens = statement.tokens[span[0] : span[1] + 1]
    numbers = [number(token) for token in tokens if token.kind is Kind.NUMBER]
    others = [t.text for t in tokens if t.kind is not Kind.NUMBER]
    if len(tokens) > 3 or others not in ([], [b","], [b"OFFSET"]):
        return None
    return min(sum(numbers), 1 << 40)


def _sorts_by_a_call(statement: Statement, calls: Sequence[Call], block: Block) -> bool:
    """Whether the order of the rows depends on answers."""
    first, last = block.parts[b"ORDER"]
    if has_call(calls, (first, last)):
        return True
    with_calls = [i for i in block.items if has_call(calls, (i.first, i.last))]
    if not with_calls:
        return False
    # An alias or a position may mean such an item; the words are not worth telling apart.
    return any(
        statement.tokens[i].kind is Kind.NUMBER for i in range(first, last + 1)
    ) or any(alias_of(statement, i.first, i.last) is not None for i in with_calls)


def _check(
    statement: Statement, calls: Sequence[Call], indexes: Sequence[int]
) -> Template:
    unknown = joined(b" OR ", ((Unknown(n),) for n in indexes))
    key = _key(statement, calls, calls[indexes[0]])
    failing = (b" THEN EXP(%d+LENGTH(COALESCE(" % MISSING, *key, b",''))) END")
    return (b",CASE WHEN ", *unknown, *failing)


def _place_of_prefix(harvests: Sequence[Harvest]) -> int:
    """Behind literals and inner blocks, before the select list: the last but those."""
    return sum(1 for h in harvests if not any(_is_limited(q.sql) for q in h.queries))


def _is_limited(sql: Template) -> bool:
    return any(isinstance(piece, bytes) and b" LIMIT " in piece for piece in sql)


# Edits of the statement.


def _guard(
    statement: Statement, calls: Sequence[Call], harvester: Harvester, span: Span
) -> list[Edit]:
    """`a AND f(x)='N'` as `(a) AND CASE WHEN (a) THEN (a AND f(x)='N') END`.

    The server may evaluate conditions in any order, and then meets texts that no harvest
    has read. CASE is opaque to it.
    """
    if not has_call(calls, span):
        return []
    free = harvester.guards(span)
    if not free:
        return []
    guards = harvester.anded(free)
    start, end = statement.tokens[span[0]].start, statement.tokens[span[1]].end
    front = (*guards, b" AND CASE WHEN ", *guards, b" THEN (")
    return [(start, start, front), (end, end, (b") END ",))]


def _names(
    statement: Statement, calls: Sequence[Call], blocks: Sequence[Block]
) -> list[Edit]:
    """An alias for each select item that holds a call and has none."""
    edits: list[Edit] = []
    items = [item for block in blocks for item in block.items]
    for item in (*items, *_returning(statement, blocks)):
        if not has_call(calls, (item.first, item.last)) or item.is_star:
            continue
        if alias_of(statement, item.first, item.last) is None:
            name = quote_name(generated_name(statement, item.first, item.last))
            end = statement.tokens[item.last].end
            edits.append((end, end, (b" AS " + name,)))
    return edits


def _returning(statement: Statement, blocks: Sequence[Block]) -> list[Item]:
    """The items of MariaDB's RETURNING."""
    inserted = read_inserted(statement)
    spans = [b.parts[b"RETURNING"] for b in blocks if b"RETURNING" in b.parts]
    if inserted is not None and inserted.returning is not None:
        spans.append(inserted.returning)
    return [
        Item(first, last, mark(statement, last) == b"*")
        for span in spans
        for first, last in commas(statement, *span)
    ]


def _behind_semicolon(statement: Statement) -> list[Edit]:
    """A comment behind the semicolon is a statement of its own to some sessions."""
    for token in statement.tokens:
        if is_semicolon(token):
            return [(token.start, len(statement.sql), ())]
    return []


def _described(
    statement: Statement,
    calls: Sequence[Call],
    blocks: Sequence[Block],
    has_check: bool,
) -> tuple[Described, ...]:
    """The result's columns that are nothing but a call, here or in a derived table."""
    if word(statement, 0) == b"VALUES":
        return tuple(_names_of_values(statement))
    items: Sequence[Item] = _returning(statement, blocks)
    outer = [b for b in blocks if b.level == 0 and b.is_select and not b.in_union]
    if not items:
        if len(outer) != 1 or word(statement, first_word(statement)) != b"SELECT":
            return ()
        if is_rolled_up(statement, outer[0]):
            return ()
        items = outer[0].items
    whole = {(call.first, call.last): call.function.result for call in calls}
    inner = {
        _item_name(statement, item): result
        for block in blocks
        if block.items is not items
        for item in block.items
        if (result := whole.get(_body(statement, item))) is not None
    }
    stars = [n for n, item in enumerate(items) if item.is_star]
    found = []
    for n, item in enumerate(items):
        result = whole.get(_body(statement, item))
        is_own = result is not None
        if result is None:
            result = inner.get(_column_name(statement, *_body(statement, item)))
        if result is None:
            continue
        if not any(star < n for star in stars):
            found.append(Described(n, result, is_own=is_own))
        elif not any(star > n for star in stars):
            at = n - len(items) - has_check
            found.append(Described(at, result, is_own=is_own))
    if stars:
        found += [
            Described(None, result, name=name, is_own=False)
            for name, result in inner.items()
        ]
    return tuple(found)


def _body(statement: Statement, item: Item) -> Span:
    """An item without its alias, parentheses around the whole and a plus before it."""
    alias = alias_of(statement, item.first, item.last)
    first, last = item.first, item.last
    if alias is not None:
        last = alias - 1
        last -= word(statement, last) == b"AS"
    while mark(statement, first) == b"+" or statement.closing.get(first) == last:
        last -= mark(statement, first) == b"("
        first += 1
    return first, last


def _item_name(statement: Statement, item: Item) -> bytes:
    alias = alias_of(statement, item.first, item.last)
    if alias is None:
        return generated_name(statement, item.first, item.last)
    token = statement.tokens[alias]
    text = statement.sql[token.start : token.end]
    return text if token.kind is Kind.WORD else text[1:-1]


def _column_name(statement: Statement, first: int, last: int) -> bytes:
    """The column that `column` or `table.column` names."""
    is_column = all(
        mark(statement, i) == b"."
        if (last - i) % 2
        else statement.tokens[i].kind in (Kind.WORD, Kind.QUOTED)
        for i in range(first, last + 1)
    )
    if not is_column:
        return b""
    token = statement.tokens[last]
    text = statement.sql[token.start : token.end]
    return text if token.kind is Kind.WORD else text[1:-1]


def _names_of_values(statement: Statement) -> Iterator[Described]:
    """MariaDB names the columns of VALUES after the first row's text."""
    if mark(statement, 1) != b"(":
        return
    for n, span in enumerate(listed(statement, 1)):
        yield Described(n, None, name=generated_name(statement, *span))
