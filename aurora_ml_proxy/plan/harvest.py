"""The queries that read the texts which the calls of a statement can need.

A harvest may be wrong and the answer still cannot be: a text too many costs a call, a
text too few makes the statement fail in the server, and the next wider query is tried.
So every query here is a good guess, and the list of them ends in simple ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aurora_ml_proxy.plan.aggregates import is_rolled_up
from aurora_ml_proxy.plan.aliases import changed_around, names_in
from aurora_ml_proxy.plan.asking import columns, columns_of_many, select
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.correlated import correlated
from aurora_ml_proxy.plan.groups import grouped, is_on_own_groups
from aurora_ml_proxy.plan.inner_aggregates import kept_inside
from aurora_ml_proxy.plan.inserted_rows import beside_rows, of_inserted_rows
from aurora_ml_proxy.plan.limits import Prefix, limited
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Harvest, Query
from aurora_ml_proxy.plan.rows import rows, with_lists
from aurora_ml_proxy.plan.template import Substitute, joined
from aurora_ml_proxy.plan.unions import of_union, of_union_in_parentheses
from aurora_ml_proxy.plan.wider import wider

_MAX_CONSTANT_CALLS = 250
"""Literals in one query; each is up to three columns, and servers allow 4,096."""

_BEHIND_ALL_ROWS = 9
"""When ON DUPLICATE KEY UPDATE and RETURNING are evaluated: behind every phase."""


def harvests(outline: Outline, prefix: Prefix | None = None) -> Iterator[Harvest]:
    """Every harvest, in the order in which they depend on each other.

    Args:
        prefix: what reads the texts of the calls in WHERE in another way.
    """
    done = prefix.calls if prefix is not None else ()
    left = [n for n in range(len(outline.calls)) if n not in done]
    nesting = _read_nesting(outline.calls)
    constant = {n: outline.is_constant(outline.calls[n]) for n in left}
    yield from _constants(outline, [n for n in left if constant[n]], nesting)
    indexes = _one_of_each(outline, [n for n in left if not constant[n]])
    indexes += done[:1]
    for index in sorted(indexes, key=lambda n: _order(outline, n, nesting)):
        if prefix is not None and index in prefix.calls:
            yield prefix.harvest
        else:
            yield from _harvest(outline, index)


@dataclass(slots=True)
class _Nesting:
    """How a call is nested with others."""

    around: int
    """Calls around it."""
    height: int = 0
    """How deep calls are nested in it."""


def _read_nesting(calls: Sequence[Call]) -> list[_Nesting]:
    found: list[_Nesting] = []
    around: list[int] = []
    for n, call in enumerate(calls):
        while around and calls[around[-1]].last < call.first:
            around.pop()
        found.append(_Nesting(len(around)))
        around.append(n)
        for height, outer in enumerate(reversed(around)):
            found[outer].height = max(found[outer].height, height)
    return found


# Literals and user variables.


def _constants(
    outline: Outline, indexes: Sequence[int], nesting: Sequence[_Nesting]
) -> Iterator[Harvest]:
    """Many literals in one query, without tables; calls inside of others first."""
    levels: dict[int, dict[tuple[bytes, ...], int]] = {}
    for index in indexes:
        level = levels.setdefault(nesting[index].height, {})
        level.setdefault(outline.sources(outline.calls[index]), index)
    for _, alike in sorted(levels.items()):
        different = list(alike.values())
        for start in range(0, len(different), _MAX_CONSTANT_CALLS):
            part = different[start : start + _MAX_CONSTANT_CALLS]
            found, asked = columns_of_many(outline, part)
            sql = (b"SELECT ", *joined(b",", found), b" LIMIT 1")
            yield Harvest(asked, (Query(sql, len(found)),))


# Which calls share a harvest, and in which order.


def _one_of_each(outline: Outline, indexes: Sequence[int]) -> list[int]:
    """One call of those that have the same arguments in the same part of a block."""
    found: dict[tuple[object, ...], int] = {}
    for index in indexes:
        call = outline.calls[index]
        block = outline.block_at(call.first)
        place = block.part_at(call.first) if block else call.first
        found.setdefault((id(block), place, outline.sources(call)), index)
    return list(found.values())


def _order(
    outline: Outline, index: int, nesting: Sequence[_Nesting]
) -> tuple[object, ...]:
    """Tables of a WITH first; then, from the outside in, what is evaluated first."""
    call = outline.calls[index]
    blocks = _blocks_around(outline, call)
    is_listed = any(
        first <= call.first <= last for b in outline.blocks for first, last in b.withs
    )
    # Of the tables of a WITH, a later one may read an earlier one.
    table = blocks[0].first if blocks and is_listed else 0
    evaluated: list[tuple[int, int]] = [(block.place, 0) for block in blocks[1:]]
    evaluated.append((blocks[-1].phase(call.first) if blocks else _BEHIND_ALL_ROWS, 1))
    return (not is_listed, table, evaluated, -nesting[index].around, call.first)


def _blocks_around(outline: Outline, call: Call) -> list[Block]:
    """The blocks that a call stands in, the outermost first."""
    found = []
    block = outline.block_at(call.first)
    while block is not None:
        found.append(block)
        block = block.parent
    return found[::-1]


# The queries of one call, the narrowest first.


def _harvest(outline: Outline, index: int) -> Iterator[Harvest]:
    call = outline.calls[index]
    block = outline.block_at(call.first)
    asked = (columns(outline, index)[1],)
    if block is None:
        queries = (
            *of_union_in_parentheses(outline, index, None),
            *of_inserted_rows(outline, index),
        )
        yield Harvest(asked, tuple(dict.fromkeys(queries)))
        return
    queries = (
        *of_union_in_parentheses(outline, index, block),
        *_alone(outline, index, block),
        *_with_others(outline, index, block),
    )
    yield Harvest(asked, tuple(dict.fromkeys(queries)))
    is_on_groups = is_on_own_groups(outline, call, block)
    if is_rolled_up(outline.statement, block) and not is_on_groups:
        # The rows that ROLLUP adds have texts of their own, besides those of the others.
        yield Harvest(asked, tuple(grouped(outline, index, block, None)))


def _alone(outline: Outline, index: int, block: Block) -> Iterator[Query]:
    """The call's block by itself."""
    call = outline.calls[index]
    if block.part_at(call.first) == b"ORDER" and block.in_union:
        yield from of_union(outline, index, block)
    as_returned = limited(outline, index, block)
    if as_returned is not None:
        yield as_returned
    for substitute in _readings(outline, call, block):
        if is_on_own_groups(outline, call, block):
            yield from grouped(outline, index, block, substitute)
        else:
            yield _plain(outline, index, block, substitute)


def _with_others(outline: Outline, index: int, block: Block) -> Iterator[Query]:
    """The call's block together with those around it, and all that is left."""
    readings = _readings(outline, outline.calls[index], block)
    for substitute in readings:
        yield from correlated(outline, index, block, substitute)
    for substitute in readings:
        yield from wider(outline, index, block, substitute)
    yield from beside_rows(outline, index, block)


def _readings(outline: Outline, call: Call, block: Block) -> list[Substitute | None]:
    """What the names in a call may mean, the likelier first: a column, or an item.

    ORDER BY and SET look for an item or an assigned column first, the others do last.
    And aggregates in it may belong to another block in a query of ours.
    """
    readings: list[Substitute | None] = [None]
    if (found := names_in(outline, call, block)) is not None:
        is_item_first = block.part_at(call.first) == b"ORDER"
        is_item_first |= changed_around(call, block) is not None
        readings = [found, None] if is_item_first else [None, found]
    if (found := kept_inside(outline, call, block)) is not None:
        readings.append(found)
    return readings


def _plain(
    outline: Outline, index: int, block: Block, substitute: Substitute | None
) -> Query:
    """A call's arguments of each row that is there when it is evaluated."""
    token = outline.calls[index].first
    return select(
        outline,
        index,
        rows(outline, block, block.phase(token), token=token),
        front=with_lists(outline, block),
        substitute=substitute,
    )
