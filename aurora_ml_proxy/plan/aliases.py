"""Names that mean an expression: aliases of items, and columns that SET has assigned.

A query of ours has other items than the user's, so such a name is written out in it.
Source: MySQL manual, "Problems with Column Aliases", "UPDATE Statement".
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.names import alias_of
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.select import Item, folded
from aurora_ml_proxy.plan.spans import Span, commas, equals_sign, mark, word
from aurora_ml_proxy.plan.template import Substitute, Template
from aurora_ml_proxy.plan.tokens import Kind, Statement, identifier

Names = Mapping[str, Template]
"""A name, folded, to what it stands for."""

_SEE_ITEMS = frozenset((b"GROUP", b"HAVING", b"ORDER", b"WINDOW"))
"""The parts of a block in which the alias of an item stands for the item."""


def folded_at(statement: Statement, token: int) -> str:
    """The name at a token, to compare by."""
    name = identifier(statement.tokens[token], statement.sql)
    return folded(name, statement.charset)


def without_alias(statement: Statement, item: Item) -> Span:
    """An item without its alias and AS."""
    alias = alias_of(statement, item.first, item.last)
    if alias is None:
        return item.first, item.last
    return item.first, alias - 1 - (word(statement, alias - 1) == b"AS")


def item_text(outline: Outline, item: Item) -> Template:
    """An item, to stand inside an expression."""
    return (b"(", *outline.cut(without_alias(outline.statement, item)), b")")


def item_names(
    outline: Outline, block: Block, items: Iterable[Item] | None = None
) -> Names:
    """The aliases of a block's items, or of some of them."""
    names = {}
    for item in block.items if items is None else items:
        alias = alias_of(outline.statement, item.first, item.last)
        if alias is not None:
            names[folded_at(outline.statement, alias)] = item_text(outline, item)
    return names


def names_an_item(
    outline: Outline, call: Call, block: Block, items: Iterable[Item]
) -> bool:
    """Whether a name in a call's arguments may be that of one of the items."""
    if block.part_at(call.first) not in _SEE_ITEMS:
        return False
    names = item_names(outline, block, items)
    return mentions(outline.statement, (call.first, call.last), names)


def names_in(outline: Outline, call: Call, block: Block) -> Substitute | None:
    """What writes out the names in a call's arguments; None when there are none."""
    span = call.first, call.last
    names: Names = {}
    tables: frozenset[str] = frozenset()
    changed = changed_around(call, block)
    if changed is not None:
        tables = _names_of_tables(outline, changed)
        pairs = _pairs(outline, changed.parts[b"SET"])
        names = assigned_before(outline, call, pairs, tables)
    elif block.part_at(call.first) in _SEE_ITEMS:
        names = item_names(outline, block)
    if not mentions(outline.statement, span, names, tables):
        return None
    return renaming(outline.statement, names, tables)


def changed_around(call: Call, block: Block) -> Block | None:
    """The UPDATE in whose SET a call stands, in a subquery or not."""
    around: Block | None = block
    while around is not None:
        if around.part_at(call.first) == b"SET":
            return around
        around = around.parent
    return None


def _names_of_tables(outline: Outline, block: Block) -> frozenset[str]:
    first, last = block.parts.get(b"FROM", (0, -1))
    return frozenset(
        folded_at(outline.statement, i)
        for i in range(first, last + 1)
        if outline.statement.tokens[i].kind in (Kind.WORD, Kind.QUOTED)
    )


def _pairs(outline: Outline, span: Span) -> Iterator[tuple[Span, Span]]:
    """The columns and values of `SET a = 1, b = …`."""
    for pair in commas(outline.statement, *span):
        equals = equals_sign(outline.statement, pair)
        if equals is None:
            return
        yield (pair[0], equals - 1), (equals + 1, pair[1])


def assigned_before(
    outline: Outline,
    call: Call,
    pairs: Iterable[tuple[Span, Span]],
    tables: Collection[str],
    substitute: Substitute | None = None,
) -> Names:
    """What the assignments before a call have made of their columns: the server makes
    them from left to right.

    Args:
        tables: what the changed tables are called.
        substitute: for what else has another name in a query of ours.
    """
    names: dict[str, Template] = {}
    for column, value in pairs:
        if value[1] >= call.first:
            break
        renamed = renaming(outline.statement, names, tables)
        text = outline.cut(value, _either(substitute, renamed))
        names = {**names, folded_at(outline.statement, column[1]): (b"(", *text, b")")}
    return names


def _either(first: Substitute | None, second: Substitute) -> Substitute:
    return second if first is None else lambda i: first(i) or second(i)


def mentions(
    statement: Statement, span: Span, names: Names, tables: Collection[str] = ()
) -> bool:
    """Whether one of the names stands in a span; `tables` as for `renaming`."""
    tokens = range(span[0], span[1] + 1) if names else ()
    return any(_named(statement, i, names, tables) is not None for i in tokens)


def _named(
    statement: Statement, i: int, names: Names, tables: Collection[str]
) -> Template | None:
    """What a token stands for, if it is one of the names."""
    if statement.tokens[i].kind not in (Kind.WORD, Kind.QUOTED):
        return None
    if mark(statement, i + 1) in (b".", b"("):
        return None
    if mark(statement, i - 1) == b"." and folded_at(statement, i - 2) not in tables:
        return None
    return names.get(folded_at(statement, i))


def renaming(
    statement: Statement, names: Names, tables: Collection[str] = ()
) -> Substitute:
    """Writes the names out.

    Args:
        tables: `table.column` is such a name, too, if the table is one of these.
    """

    def substitute(i: int) -> tuple[int, Template] | None:
        last = i
        if tables:
            while mark(statement, last + 1) == b"." and last + 2 < len(statement.tokens):
                last += 2
        found = _named(statement, last, names, tables)
        return None if found is None else (last, found)

    return substitute
