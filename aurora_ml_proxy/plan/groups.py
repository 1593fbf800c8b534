"""The groups of a block: GROUP BY, HAVING and WINDOW as a query of ours has them."""

from collections.abc import Iterator

from aurora_ml_proxy.plan.aggregates import is_on_groups
from aurora_ml_proxy.plan.aliases import (
    item_names,
    item_text,
    mentions,
    names_an_item,
    renaming,
    without_alias,
)
from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Block, Phase
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.names import PARAMETER
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import rows, with_lists
from aurora_ml_proxy.plan.select import Item
from aurora_ml_proxy.plan.spans import Span, commas, listed, mark, word
from aurora_ml_proxy.plan.template import Substitute, Template, joined
from aurora_ml_proxy.plan.tokens import Kind, Statement, number


def is_on_own_groups(outline: Outline, call: Call, block: Block) -> bool:
    """Whether an argument holds an aggregate or a window of the call's own block, or
    the name of an item that does."""
    if _is_on_groups(outline, block, (call.first, call.last)):
        return True
    items = [
        item
        for item in block.items
        if _is_on_groups(outline, block, (item.first, item.last))
    ]
    return names_an_item(outline, call, block, items)


def _is_on_groups(outline: Outline, block: Block, span: Span) -> bool:
    return any(
        is_on_groups(outline.statement, i) and outline.block_at(i) is block
        for i in range(span[0], span[1] + 1)
    )


def is_of_group(outline: Outline, call: Call) -> bool:
    """Whether a call is over an aggregate, in a block with GROUP BY."""
    block = outline.block_at(call.first)
    if block is None or b"GROUP" not in block.parts:
        return False
    part = block.part_at(call.first)
    if part not in (b"SELECT", b"HAVING", b"ORDER"):
        return False  # an aggregate is an error there, and so would one of ours be
    if part == b"ORDER" and block.in_union:
        return False
    return is_on_own_groups(outline, call, block)


_ANY_COLUMN = b"sql_mode=REPLACE(@@sql_mode,'ONLY_FULL_GROUP_BY','')"


def grouped(
    outline: Outline, index: int, block: Block, substitute: Substitute | None
) -> Iterator[Query]:
    """A call's arguments of each group of its block.

    With ONLY_FULL_GROUP_BY MariaDB takes columns of conditions for columns of the list,
    now and then (error 1055).
    """
    behind = (*rows(outline, block, Phase.LIST), *groups(outline, block))
    for settings in ((), (_ANY_COLUMN,)) if outline.is_mariadb else ((),):
        yield select(
            outline,
            index,
            behind,
            front=with_lists(outline, block),
            distinct=False,
            substitute=substitute,
            settings=settings,
        )


def groups(outline: Outline, block: Block) -> Template:
    """GROUP BY, HAVING without calls, and WINDOW."""
    found: Template = ()
    if b"GROUP" in block.parts:
        found += (b" GROUP BY ", *_group_by(outline, block))
    if b"HAVING" in block.parts:
        found += _having(outline, block)
    if b"WINDOW" in block.parts:
        found += (b" WINDOW ", *outline.cut(block.parts[b"WINDOW"]))
    return found


def _group_by(outline: Outline, block: Block) -> Template:
    """GROUP BY with aliases and positions written out: our list has other items."""
    spans = commas(outline.statement, *block.parts[b"GROUP"])
    return joined(b",", (_grouping(outline, block, span) for span in spans))


def _grouping(outline: Outline, block: Block, span: Span) -> Template:
    """One element of GROUP BY."""
    item = _item_at(outline, block, span[0])
    if item is not None:
        return (*_as_key(outline, item), *outline.cut((span[0] + 1, span[1])))
    names = {
        name: _as_key(outline, item)
        for item in block.items
        for name in item_names(outline, block, [item])
    }
    return outline.cut(span, renaming(outline.statement, names))


def _item_at(outline: Outline, block: Block, i: int) -> Item | None:
    """The item whose position is the token."""
    token = outline.statement.tokens[i]
    if token.kind is not Kind.NUMBER or not 1 <= number(token) <= len(block.items):
        return None
    return block.items[number(token) - 1]


def _as_key(outline: Outline, item: Item) -> Template:
    """An item to group by; a number that is written out there would be a position."""
    if _is_literal(outline.statement, without_alias(outline.statement, item)):
        return (b"NULL",)
    return item_text(outline, item)


def _is_literal(statement: Statement, span: Span) -> bool:
    """Whether a string, a number or a parameter stands there, in parentheses or not."""
    return all(_is_of_literal(statement, i) for i in range(span[0], span[1] + 1))


def _is_of_literal(statement: Statement, i: int) -> bool:
    token = statement.tokens[i]
    if token.kind is Kind.VARIABLE:
        return PARAMETER.match(token.text) is not None
    if token.kind is not Kind.WORD:
        return token.kind in (Kind.NUMBER, Kind.STRING, Kind.MARK)
    if token.text in (b"TRUE", b"FALSE"):
        return True
    is_introducer = token.text in (b"N", b"X", b"B") or token.text.startswith(b"_")
    behind = statement.tokens[i + 1 : i + 2]
    return is_introducer and bool(behind) and behind[0].kind is Kind.STRING


def groups_by_a_literal(outline: Outline, block: Block) -> bool:
    """Whether an element of GROUP BY is a literal, or an item that is one."""
    statement = outline.statement
    literals = [
        item
        for item in block.items
        if _is_literal(statement, without_alias(statement, item))
    ]
    names = item_names(outline, block, literals)
    for element in _elements(statement, block.parts[b"GROUP"]):
        item = _item_at(outline, block, element[0])
        if item is not None and element[0] == element[1]:
            if item in literals:
                return True
        elif _is_literal(statement, element) or mentions(statement, element, names):
            return True
    return False


def _elements(statement: Statement, span: Span) -> list[Span]:
    """What GROUP BY lists, WITH ROLLUP and MySQL's ROLLUP (…) aside."""
    first, last = span
    if word(statement, first) == b"ROLLUP" and mark(statement, first + 1) == b"(":
        return listed(statement, first + 1)
    if word(statement, last) == b"ROLLUP":
        last -= 2
    return commas(statement, first, last)


def _having(outline: Outline, block: Block) -> Template:
    """The conditions that hold no call, and no name of an item, which may be one."""
    names = item_names(outline, block)
    free = [
        condition
        for condition in outline.free(block.parts[b"HAVING"])
        if not mentions(outline.statement, condition, names)
    ]
    return (b" HAVING ", *outline.anded(free)) if free else ()
