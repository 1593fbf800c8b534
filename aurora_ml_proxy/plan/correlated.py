"""Blocks that mean columns of the blocks around them.

Such a block cannot be read by itself. The rows of a block around are read instead, and
for each the texts of the inner one, packed into one string.
"""

from collections.abc import Iterator
from functools import partial

from aurora_ml_proxy.plan.asking import columns, select
from aurora_ml_proxy.plan.blocks import Block
from aurora_ml_proxy.plan.groups import groups, is_on_own_groups
from aurora_ml_proxy.plan.limits import is_limited_to_one, returned_rows
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Query
from aurora_ml_proxy.plan.rows import rows, with_lists
from aurora_ml_proxy.plan.settings import with_settings
from aurora_ml_proxy.plan.template import Substitute, Template

_GROUP_CONCAT_BYTES = 64 << 20
"""Of one packed string; the servers' own limits are 1,024 bytes (MySQL) and 1 MiB."""


def correlated(
    outline: Outline, index: int, block: Block, substitute: Substitute | None = None
) -> Iterator[Query]:
    """Queries that read the blocks around a call's block, from the inside out.

    Args:
        substitute: for names in the call's arguments.
    """
    text = _packed(outline, index, substitute)
    packed = [
        *_packed_first(outline, index, block, text),
        _packed_all(outline, index, block, text),
    ]
    at, around = block, block.parent
    while around is not None:
        yield from _of_rows_around(outline, index, block, around, at, substitute)
        for template in packed:
            yield from _of_each_row(outline, around, at, template)
        behind = rows(outline, around, at.place, for_lateral=True)
        packed = [_concatenated(template, behind) for template in packed]
        at, around = around, around.parent


def _of_each_row(
    outline: Outline, around: Block, at: Block, packed: Template
) -> Iterator[Query]:
    """A string of texts for each row around, or for those that its LIMIT lets out."""
    front = with_lists(outline, around)
    returned = returned_rows(outline, around, at.first)
    if returned is not None:
        rest = (*returned.items, *packed, *returned.behind)
        yield _with_long_strings(outline, front, rest)
    behind = rows(outline, around, at.place, for_lateral=True)
    rest = (b"DISTINCT ", *packed, *behind)
    yield _with_long_strings(outline, front, rest)


def _of_rows_around(
    outline: Outline,
    index: int,
    block: Block,
    around: Block,
    at: Block,
    substitute: Substitute | None,
) -> Iterator[Query]:
    """The arguments may be columns of a block around; then its rows are enough."""
    call = outline.calls[index]
    if is_on_own_groups(outline, call, block):
        return
    ask = partial(
        select, outline, index, front=with_lists(outline, around), substitute=substitute
    )
    behind = rows(outline, around, at.place, for_lateral=True)
    if at is block and behind:
        keyword = b" AND " if b" WHERE " in behind else b" WHERE "
        inner = rows(outline, block, block.phase(call.first))
        exists = (keyword, b"EXISTS (SELECT 1", *inner, b")")
        yield ask((*behind, *exists))
    yield ask(behind)


def _packed_first(
    outline: Outline, index: int, block: Block, packed: Template
) -> Iterator[Template]:
    """A subquery that gives the texts of the one row that its LIMIT lets out."""
    call = outline.calls[index]
    returned = returned_rows(outline, block, call.first)
    if returned is None or is_on_own_groups(outline, call, block):
        return
    if block.is_select and is_limited_to_one(outline, block):
        yield (b"(SELECT ", *packed, *returned.behind, b")")


def _packed_all(outline: Outline, index: int, block: Block, packed: Template) -> Template:
    """A subquery that gives the texts of all its rows in one string; see `Query`."""
    call = outline.calls[index]
    inner = rows(outline, block, block.phase(call.first))
    if is_on_own_groups(outline, call, block):
        return (b"(SELECT ", *packed, *inner, *groups(outline, block), b")")
    return _concatenated(packed, inner)


def _concatenated(packed: Template, behind: Template) -> Template:
    return (
        *(b"(SELECT GROUP_CONCAT(DISTINCT ", *packed, b" SEPARATOR '')"),
        *(*behind, b")"),
    )


def _packed(outline: Outline, index: int, substitute: Substitute | None) -> Template:
    found, asked = columns(outline, index, substitute)
    language: Template = (b"''",)
    if isinstance(asked.language, int):
        language = (b"HEX(", *found[asked.language], b")")
    size: Template = (b"''",)
    if asked.batch_size_column is not None:
        size = found[asked.batch_size_column]
    text = found[0]
    return (
        *(b"CONCAT(HEX(", *text, b"),':',", *language, b",':',"),
        *(*size, b",'.')"),
    )


def _with_long_strings(outline: Outline, front: Template, behind: Template) -> Query:
    """A SELECT with group_concat_max_len lifted: before the statement, or in a hint."""
    if outline.is_mariadb:
        lifted = b"group_concat_max_len=%d" % _GROUP_CONCAT_BYTES
        sql = with_settings(outline, (*front, b"SELECT ", *behind), lifted)
    else:
        hint = b"SELECT /*+ SET_VAR(group_concat_max_len=%d) */ " % _GROUP_CONCAT_BYTES
        sql = (*front, hint, *behind)
    return Query(sql, 1, is_packed=True)
