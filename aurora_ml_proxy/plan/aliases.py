"""Names that mean an expression: aliases of items, and columns that SET has assigned.

A query of ours has other items than the user's, so such a name is written out in it.
Source: MySQL manual, "Problems with Column Aliases", "UPDATE Statement".
"""

from collections.abc import Iterable, Iterator, Mapping

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
    part = block.part_at(call.first)
    names: Names = {}
    if part == b"SET":
        names = dict(_assigned_before(outline, call, block.parts[b"SET"]))
    elif part in _SEE_ITEMS:
        names = item_names(outline, block)
    is_qualified = part == b"SET"
    span = call.first, call.last
    if not mentions(outline.statement, span, names, is_qualified=is_qualified):
        return None
    return renaming(outline.statement, names, is_qualified=is_qualified)


def _assigned_before(
    outline: Outline, call: Call, span: Span
) -> Iterator[tuple[str, Template]]:
    """The columns that `SET a = 1, b = …` has assigned before a call in it."""
    for pair in commas(outline.statement, *span):
        equals = equals_sign(outline.statement, pair)
        if equals is None or pair[1] >= call.first:
            return
        value = outline.cut((equals + 1, pair[1]))
        yield folded_at(outline.statement, equals - 1), (b"(", *value, b")")


def mentions(
    statement: Statement, span: Span, names: Names, *, is_qualified: bool = False
) -> bool:
    """Whether one of the names stands in a span."""
    tokens = range(span[0], span[1] + 1) if names else ()
    return any(_named(statement, i, names, is_qualified) is not None for i in tokens)


def _named(
    statement: Statement, i: int, names: Names, is_qualified: bool
) -> Template | None:
    """What a token stands for, if it is one of the names."""
    if statement.tokens[i].kind not in (Kind.WORD, Kind.QUOTED):
        return None
    if mark(statement, i + 1) in (b".", b"("):
        return None
    if mark(statement, i - 1) == b"." and not is_qualified:
        return None
    return names.get(folded_at(statement, i))


def renaming(
    statement: Statement, names: Names, *, is_qualified: bool = False
) -> Substitute:
    """Writes the names out.

    Args:
        is_qualified: `table.column` is such a name, too.
    """

    def substitute(i: int) -> tuple[int, Template] | None:
        last = i
        if is_qualified:
            while mark(statement, last + 1) == b"." and last + 2 < len(statement.tokens):
                last += 2
        found = _named(statement, last, names, is_qualified)
        return None if found is None else (last, found)

    return substitute
