"""The result's columns whose definitions must be those of a function's result.

In: a statement's outline. Out: which columns of the result are nothing but a call, in
the statement's own list or in a derived table, and what each of them is.
"""

from collections.abc import Iterator, Mapping, Sequence

from aurora_ml_proxy.functions import ResultType
from aurora_ml_proxy.plan.aggregates import is_rolled_up
from aurora_ml_proxy.plan.aliases import without_alias
from aurora_ml_proxy.plan.blocks import Block, first_word
from aurora_ml_proxy.plan.names import alias_of, generated_name
from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.plan import Described
from aurora_ml_proxy.plan.select import Clause, Item, folded, mentions, positions
from aurora_ml_proxy.plan.spans import Span, commas, listed, mark, word
from aurora_ml_proxy.plan.tokens import Kind, Statement


def described(outline: Outline, *, has_check: bool) -> tuple[Described, ...]:
    """The columns to describe.

    Args:
        has_check: the last column of the result is ours.
    """
    if word(outline.statement, 0) == b"VALUES":
        return tuple(_names_of_values(outline.statement))
    block = _outermost(outline)
    items = returning(outline) or (block.items if block is not None else ())
    inner = _inner_columns(outline, items)
    found = [
        Described(column, result, is_own=is_own)
        for n, result, is_own in _results(outline, items, inner)
        if (column := _column(items, n, has_check)) is not None
        and not (block is not None and _is_rolled_up(outline, block, n, is_own=is_own))
    ]
    if any(item.is_star for item in items):
        found += [
            Described(None, result, name=name, is_own=False)
            for name, result in inner.items()
        ]
    return tuple(found)


def _names_of_values(statement: Statement) -> Iterator[Described]:
    """MariaDB names the columns of VALUES after the first row's text."""
    if mark(statement, 1) == b"(":
        for n, span in enumerate(listed(statement, 1)):
            if span[0] <= span[1]:
                yield Described(n, None, name=generated_name(statement, *span))


def returning(outline: Outline) -> list[Item]:
    """The items of MariaDB's RETURNING."""
    spans = [b.parts[b"RETURNING"] for b in outline.blocks if b"RETURNING" in b.parts]
    if outline.inserted is not None and outline.inserted.returning is not None:
        spans.append(outline.inserted.returning)
    return [
        Item(first, last, mark(outline.statement, last) == b"*")
        for span in spans
        for first, last in commas(outline.statement, *span)
        if first <= last
    ]


def _outermost(outline: Outline) -> Block | None:
    """The SELECT that is the whole statement."""
    statement = outline.statement
    outer = [b for b in outline.blocks if b.level == 0 and b.is_select]
    outer = [b for b in outer if not b.in_union]
    if len(outer) != 1 or word(statement, first_word(statement)) != b"SELECT":
        return None
    return outer[0]


def _is_rolled_up(outline: Outline, block: Block, n: int, *, is_own: bool) -> bool:
    """Whether a row that ROLLUP adds may have NULL in an item's place, which makes a
    column of another definition: GROUP BY means it, by its text, name or position."""
    statement = outline.statement
    if not is_rolled_up(statement, block):
        return False
    first, last = block.parts[b"GROUP"]
    has_positions = positions(statement, Clause(b"GROUP", first - 2, last))
    if not is_own or has_positions or outline.has_call((first, last)):
        return True
    name = folded(_item_name(statement, block.items[n]), statement.charset)
    return mentions(statement, first, last, name)


def _inner_columns(outline: Outline, items: Sequence[Item]) -> dict[bytes, ResultType]:
    """The columns of all blocks but the outermost that are a call, by their names; none
    whose name is that of something else as well."""
    whole = _whole(outline)
    found: dict[bytes, ResultType | None] = {}
    for block in outline.blocks:
        for item in block.items if block.items is not items else ():
            body = _body(outline.statement, item)
            name = _item_name(outline.statement, item)
            result = whole.get(body)
            if result is None and _column_name(outline.statement, body) == name:
                continue  # it has the name of the column of a table within
            found[name] = result if found.get(name, result) is result else None
    return {name: result for name, result in found.items() if result is not None}


def _results(
    outline: Outline, items: Sequence[Item], inner: Mapping[bytes, ResultType]
) -> Iterator[tuple[int, ResultType, bool]]:
    """The numbers of the items that are a call, and whether they are so themselves."""
    whole = _whole(outline)
    for n, item in enumerate(items):
        body = _body(outline.statement, item)
        if (result := whole.get(body)) is not None:
            yield n, result, True
        elif (result := inner.get(_column_name(outline.statement, body))) is not None:
            yield n, result, False


def _whole(outline: Outline) -> dict[Span, ResultType]:
    return {(call.first, call.last): call.function.result for call in outline.calls}


def _column(items: Sequence[Item], n: int, has_check: bool) -> int | None:
    """The column of an item, counted from the end behind a star; None between two."""
    if not any(item.is_star for item in items[:n]):
        return n
    if any(item.is_star for item in items[n + 1 :]):
        return None
    return n - len(items) - has_check


def _body(statement: Statement, item: Item) -> Span:
    """An item without its alias, parentheses around the whole and a plus before it."""
    first, last = without_alias(statement, item)
    while mark(statement, first) == b"+" or statement.closing.get(first) == last:
        last -= mark(statement, first) == b"("
        first += 1
    return first, last


def _item_name(statement: Statement, item: Item) -> bytes:
    alias = alias_of(statement, item.first, item.last)
    if alias is None:
        return generated_name(statement, item.first, item.last)
    return _name_at(statement, alias)


def _column_name(statement: Statement, span: Span) -> bytes:
    """The column that `column` or `table.column` names; nothing of an expression."""
    first, last = span
    is_column = first <= last and all(
        mark(statement, i) == b"."
        if (last - i) % 2
        else statement.tokens[i].kind in (Kind.WORD, Kind.QUOTED)
        for i in range(first, last + 1)
    )
    return _name_at(statement, last) if is_column else b""


def _name_at(statement: Statement, i: int) -> bytes:
    text = statement.source(i, i)
    return text if statement.tokens[i].kind is Kind.WORD else text[1:-1]
