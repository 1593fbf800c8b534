"""The groups of a block: GROUP BY, HAVING and WINDOW as a query of ours has them."""

from aurora_ml_proxy.plan.aggregates import is_on_groups
from aurora_ml_proxy.plan.aliases import item_names, item_text, mentions, renaming
from aurora_ml_proxy.plan.asking import select
from aurora_ml_proxy.plan.blocks import Block, Phase
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import rows, with_lists
from aurora_ml_proxy.plan.spans import Span, commas
from aurora_ml_proxy.plan.template import Substitute, Template, joined
from aurora_ml_proxy.plan.tokens import Kind, number


def is_on_own_groups(outline: Outline, call: Call, block: Block) -> bool:
    """Whether an argument holds an aggregate or a window of the call's own block."""
    return any(
        is_on_groups(outline.statement, i) and outline.block_at(i) is block
        for i in range(call.first, call.last + 1)
    )


def grouped(
    outline: Outline, index: int, block: Block, substitute: Substitute | None
) -> Query:
    """A call's arguments of each group of its block."""
    behind = (*rows(outline, block, Phase.LIST), *groups(outline, block))
    return select(
        outline,
        index,
        behind,
        front=with_lists(outline, block),
        distinct=False,
        substitute=substitute,
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
    token = outline.statement.tokens[span[0]]
    if token.kind is Kind.NUMBER and 1 <= number(token) <= len(block.items):
        item = item_text(outline, block.items[number(token) - 1])
        return (*item, *outline.cut((span[0] + 1, span[1])))
    names = item_names(outline, block)
    return outline.cut(span, renaming(outline.statement, names))


def _having(outline: Outline, block: Block) -> Template:
    """The conditions that hold no call, and no name of an item, which may be one."""
    names = item_names(outline, block)
    free = [
        condition
        for condition in outline.free(block.parts[b"HAVING"])
        if not mentions(outline.statement, condition, names)
    ]
    return (b" HAVING ", *outline.anded(free)) if free else ()
