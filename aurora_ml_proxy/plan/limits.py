"""LIMIT: the rows that the statement itself gives are all that it needs.

Where WHERE holds calls, a growing prefix of the rows is read in the query's order, until
the LIMIT is met: not the texts of a whole table for ten rows of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aurora_ml_proxy.plan.aggregates import has_aggregate, is_on_groups
from aurora_ml_proxy.plan.asking import columns_of_many
from aurora_ml_proxy.plan.blocks import Block, Phase
from aurora_ml_proxy.plan.groups import is_on_own_groups
from aurora_ml_proxy.plan.guards import guards
from aurora_ml_proxy.plan.names import alias_of
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Harvest, Query
from aurora_ml_proxy.plan.rows import rows, with_lists
from aurora_ml_proxy.plan.settings import with_settings
from aurora_ml_proxy.plan.spans import Span, word
from aurora_ml_proxy.plan.template import Lenient, Template, Unknown, joined
from aurora_ml_proxy.plan.tokens import Kind, number

_MIN_PREFIX = 25
"""Rows read at first for a LIMIT behind a WHERE with a call: one full batch."""

_MAX_LIMIT = 1 << 40

_MAKES_OTHER_ROWS = frozenset(b"GROUP HAVING WINDOW FETCH PROCEDURE".split())


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first rows of the outermost block are all that it needs."""

    where: Span
    calls: tuple[int, ...]
    """The numbers of the calls in WHERE."""
    condition: Template
    """WHERE, true also for rows of which an answer is not known."""
    harvest: Harvest
    last_item: int
    """The last token of the select list."""


def is_plainly_limited(outline: Outline, block: Block) -> bool:
    """Whether LIMIT counts the rows that WHERE lets through, nothing in between."""
    if b"LIMIT" not in block.parts or block.in_union:
        return False
    if _MAKES_OTHER_ROWS & block.parts.keys():
        return False
    if any(
        option.startswith(b"DISTINCT") or option == b"SQL_CALC_FOUND_ROWS"
        for option in block.options
    ):
        return False
    items = [(item.first, item.last) for item in block.items]
    effects = (*outline.effects, *outline.assignments)
    if any(first <= i <= last for i in effects for first, last in items):
        return False  # the list must be in no query of ours
    return not any(
        is_on_groups(outline.statement, i) and outline.block_at(i) is block
        for first, last in items
        for i in range(first, last + 1)
    )


def limited(outline: Outline, index: int, block: Block) -> Query | None:
    """The statement's own LIMIT, where a call is evaluated on returned rows only."""
    call = outline.calls[index]
    returned = returned_rows(outline, block, call.first)
    if returned is None or is_on_own_groups(outline, call, block):
        return None
    found, _ = columns_of_many(outline, [index])
    sql = (
        *(*with_lists(outline, block), b"SELECT "),
        *(*returned.items, *joined(b",", found), *returned.behind),
    )
    return Query(with_settings(outline, sql), len(found))


@dataclass(frozen=True, slots=True)
class ReturnedRows:
    """The rows that the LIMIT of a block lets out."""

    items: Template
    """Stands in front of other items: ORDER BY may mean it."""
    behind: Template
    """What stands behind the select list."""


def returned_rows(outline: Outline, block: Block, token: int) -> ReturnedRows | None:
    """The rows on which what stands at a token is evaluated, where LIMIT tells them."""
    if not is_plainly_limited(outline, block):
        return None
    if block.part_at(token) not in (b"SELECT", b"SET"):
        return None
    behind = (
        *(*rows(outline, block, Phase.LIST), *_order_by(outline, block)),
        *(b" LIMIT ", *outline.cut(block.parts[b"LIMIT"])),
    )
    return ReturnedRows(_user_items(outline, block), behind)


def is_limited_to_one(outline: Outline, block: Block) -> bool:
    """Whether LIMIT is written out and gives one row at most."""
    numbers = _read_numbers(outline, block.parts[b"LIMIT"])
    return numbers is not None and numbers[-1] == 1


def _user_items(outline: Outline, block: Block) -> Template:
    """The user's items in front of ours: ORDER BY may mean them."""
    if not block.items or b"ORDER" not in block.parts:
        return ()
    return (*outline.cut((block.items[0].first, block.items[-1].last)), b",")


def _order_by(outline: Outline, block: Block) -> Template:
    if b"ORDER" not in block.parts:
        return ()
    return (b" ORDER BY ", *outline.cut(block.parts[b"ORDER"]))


def find_prefix(outline: Outline) -> Prefix | None:
    """The prefix that answers the calls of WHERE, where there is one."""
    block = _limited_block(outline)
    if block is None:
        return None
    where = block.parts[b"WHERE"]
    indexes = outline.calls_in(where)
    limit = _read_limit(outline, block.parts[b"LIMIT"])
    if limit is None or not indexes or _sorts_by_a_call(outline, block):
        return None
    if not all(_is_plain(outline, n, block) for n in indexes):
        return None
    condition = _open_condition(outline, where, indexes)
    rows_at_first = max(_MIN_PREFIX, 4 * limit)
    harvest = _harvest(outline, block, indexes, condition, rows_at_first)
    return Prefix(where, tuple(indexes), condition, harvest, block.items[-1].last)


def _limited_block(outline: Outline) -> Block | None:
    """The outermost block, where it has a WHERE and a LIMIT and is all there is."""
    outer = [b for b in outline.blocks if b.level == 0 and b.is_select]
    if len(outer) != 1 or word(outline.statement, 0) not in (b"SELECT", b"WITH"):
        return None
    block = outer[0]
    if not {b"FROM", b"WHERE", b"LIMIT"} <= block.parts.keys() or not block.items:
        return None
    # An aggregate in a subquery may be one over the rows around it.
    items = [(item.first, item.last) for item in block.items]
    if any(has_aggregate(outline.statement, item) for item in items):
        return None
    if b"INTO" in block.parts or not is_plainly_limited(outline, block):
        return None
    return block


def _is_plain(outline: Outline, index: int, block: Block) -> bool:
    """Whether a call stands in no subquery, in no other call, and has none in it."""
    call = outline.calls[index]
    return outline.block_at(call.first) is block and not any(
        c.first < call.first < c.last or call.first < c.first < call.last
        for c in outline.calls
    )


def _read_limit(outline: Outline, span: Span) -> int | None:
    """Rows that LIMIT skips and gives; None when they are not written out."""
    numbers = _read_numbers(outline, span)
    return None if numbers is None else min(sum(numbers), _MAX_LIMIT)


def _read_numbers(outline: Outline, span: Span) -> list[int] | None:
    """How many rows LIMIT skips, if it says so, and how many it gives, which is last."""
    tokens = outline.statement.tokens[span[0] : span[1] + 1]
    numbers = [number(token) for token in tokens if token.kind is Kind.NUMBER]
    others = [t.text for t in tokens if t.kind is not Kind.NUMBER]
    if not numbers or len(tokens) > 3 or others not in ([], [b","], [b"OFFSET"]):
        return None
    return numbers[::-1] if others == [b"OFFSET"] else numbers


def _sorts_by_a_call(outline: Outline, block: Block) -> bool:
    """Whether the order of the rows depends on answers."""
    span = block.parts.get(b"ORDER")
    if span is None:
        return False
    if outline.has_call(span):
        return True
    items = [i for i in block.items if outline.has_call((i.first, i.last))]
    if not items:
        return False
    # An alias or a position may mean such an item; the words are not worth telling apart.
    tokens = outline.statement.tokens[span[0] : span[1] + 1]
    return any(token.kind is Kind.NUMBER for token in tokens) or any(
        alias_of(outline.statement, i.first, i.last) is not None for i in items
    )


def _harvest(
    outline: Outline,
    block: Block,
    indexes: Sequence[int],
    condition: Template,
    limit: int,
) -> Harvest:
    """The rows that WHERE lets through or may let through, in the query's order."""
    found, asked = columns_of_many(outline, indexes)
    sql = (
        *(*with_lists(outline, block), b"SELECT "),
        *(*_user_items(outline, block), *joined(b",", found)),
        *(b" FROM ", *outline.cut(block.parts[b"FROM"])),
        *(b" WHERE ", *condition, *_order_by(outline, block)),
    )
    query = Query(with_settings(outline, sql), len(found), limit=limit)
    return Harvest(asked, (query,))


def _open_condition(outline: Outline, where: Span, indexes: Sequence[int]) -> Template:
    """WHERE, true also for rows of which an answer is not known."""
    condition: Template = tuple(
        Lenient(piece) if isinstance(piece, int) else piece
        for piece in outline.cut(where)
    )
    unknown = joined(b" OR ", ((Unknown(index),) for index in indexes))
    free = guards(outline, where)
    front: Template = (*outline.anded(free), b" AND ") if free else ()
    return (*front, b"((", *condition, b") OR ", *unknown, b")")
