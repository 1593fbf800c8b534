"""The rule for calls anywhere: the statement itself, with the answers in their places.

The user's text is edited by span and never generated anew. Besides the calls it gets
names for items that have none, and conditions without a call are put in front of those
with one, so that the server does not evaluate a call on rows that it would not need.
"""

from collections.abc import Iterator, Sequence

from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.constants import zero_of
from aurora_ml_proxy.plan.described import described, returning
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.groups import is_of_group
from aurora_ml_proxy.plan.guards import guarded
from aurora_ml_proxy.plan.harvest import harvests
from aurora_ml_proxy.plan.kinds import Kinds
from aurora_ml_proxy.plan.limits import Prefix, find_prefix
from aurora_ml_proxy.plan.names import alias_of, generated_name, quote_name
from aurora_ml_proxy.plan.outline import Outline, read_outline
from aurora_ml_proxy.plan.plan import Inline, InlineCall
from aurora_ml_proxy.plan.refusals import (
    refuse_deep_nesting,
    refuse_diagnostics,
    refuse_rolled_up_literals,
    refuse_what_is_read_twice,
    without_effects,
)
from aurora_ml_proxy.plan.rehearsal import created_table, rehearsal
from aurora_ml_proxy.plan.select import Item
from aurora_ml_proxy.plan.settings import settings
from aurora_ml_proxy.plan.spans import Span, word
from aurora_ml_proxy.plan.targets import names_of_targets, targets
from aurora_ml_proxy.plan.template import (
    Edit,
    Template,
    Unknown,
    edit,
    joined,
    outermost,
    without_rest,
)
from aurora_ml_proxy.plan.tokens import Kind, Statement, digest

MISSING = 790421337
"""Stands in the expression that fails where no answer is known, to tell its error
from one of the user's own."""


def inline(
    statement: Statement, calls: Sequence[Call], kinds: Kinds, dialect: Dialect
) -> Inline:
    """Answer every call by an expression: see `Inline`.

    Raises: UnsupportedStatement, WrongArgument.
    """
    refuse_deep_nesting(calls)
    refuse_what_is_read_twice(statement, calls)
    refuse_diagnostics(statement, calls[0])
    outline = read_outline(statement, calls, dialect)
    refuse_rolled_up_literals(outline)
    prefix = None if kinds.is_explained else find_prefix(outline)
    return Inline(
        statement=edit(
            statement.sql, _edits(outline, prefix, is_explained=kinds.is_explained)
        ),
        calls=tuple(
            InlineCall(
                *(call.function, outline.key(n), outline.known[n]),
                is_of_group=is_of_group(outline, call),
                zero=zero_of(outline, call, is_query=kinds.is_query),
            )
            for n, call in enumerate(calls)
        ),
        known_sets=max(outline.known) + 1,
        harvests=()
        if kinds.is_explained
        else tuple(
            without_effects(harvest, calls[0].function.name)
            for harvest in harvests(outline, prefix)
        ),
        described=described(outline, has_check=prefix is not None),
        has_check=prefix is not None,
        changes_data=kinds.changes_data,
        is_repeatable=not outline.effects,
        assigned=_assigned(outline),
        tables=names_of_targets(statement, outline.inserted)
        if kinds.changes_data
        else (),
        targets=targets(statement, outline.inserted, outline.blocks),
        created=created_table(statement),
        rehearsal=() if kinds.is_explained else rehearsal(outline),
        keeps_found_rows=not kinds.is_query,
        is_explained=kinds.is_explained,
        writes_file=_writes_file(statement),
        may_swallow_errors=dialect.is_mariadb and word(statement, 0) == b"DO",
        dialect=dialect,
        digest=digest(statement),
    )


def _edits(outline: Outline, prefix: Prefix | None, *, is_explained: bool) -> list[Edit]:
    """All that is changed in the user's text."""
    where = prefix.where if prefix is not None else None
    inserted = [*_names(outline)]
    if not is_explained:
        inserted += guarded(outline, but=where)
        inserted += settings(outline)
    replaced = [*_answers(outline, but=where), *without_rest(outline.statement)]
    if prefix is not None:
        replaced.append((*_bytes_of(outline.statement, prefix.where), prefix.condition))
        inserted.append(_check(outline, prefix))
    return [*_outside_calls(outline, inserted), *replaced]


def _bytes_of(statement: Statement, span: Span) -> tuple[int, int]:
    return statement.tokens[span[0]].start, statement.tokens[span[1]].end


def _outside_calls(outline: Outline, edits: list[Edit]) -> list[Edit]:
    """Edits in an argument are none: the call is replaced as a whole."""
    last = len(outline.statement.tokens) - 1
    calls = [outline.calls[n] for n in outermost(outline.calls, 0, last)]
    spans = [_bytes_of(outline.statement, (c.first, c.last)) for c in calls]
    return [
        e for e in edits if not any(start < e[0] and e[1] < end for start, end in spans)
    ]


def _answers(outline: Outline, *, but: Span | None) -> Iterator[Edit]:
    """An answer for each call that is in no other, outside of the span `but`."""
    statement = outline.statement
    for index in outermost(outline.calls, 0, len(statement.tokens) - 1):
        call = outline.calls[index]
        if but is not None and but[0] <= call.first <= but[1]:
            continue
        # SELECT`name`(x) has no space, and SELECTCASE would be one word.
        is_quoted = statement.tokens[call.first].kind is Kind.QUOTED
        answer: Template = (b"(", index, b")") if is_quoted else (index,)
        yield *_bytes_of(statement, (call.first, call.last)), answer


def _names(outline: Outline) -> Iterator[Edit]:
    """An alias for each select item that holds a call and has none."""
    statement = outline.statement
    items: list[Item] = [item for block in outline.blocks for item in block.items]
    for item in (*items, *returning(outline)):
        if item.is_star or not outline.has_call((item.first, item.last)):
            continue
        if alias_of(statement, item.first, item.last) is None:
            name = quote_name(generated_name(statement, item.first, item.last))
            end = statement.tokens[item.last].end
            yield end, end, (b" AS " + name,)


def _check(outline: Outline, prefix: Prefix) -> Edit:
    """One more column: 1 where an answer is missing, else NULL, as a growing prefix
    wants it. It stands behind the last item and its alias.

    An expression that fails would do so on rows that LIMIT cuts off, where the server
    computes the list before it sorts.
    """
    unknown = joined(b" OR ", ((Unknown(n),) for n in prefix.calls))
    at = outline.statement.tokens[prefix.last_item].end
    return at, at, (b",CASE WHEN ", *unknown, b" THEN 1 END")


def _assigned(outline: Outline) -> tuple[bytes, ...]:
    statement = outline.statement
    found = (statement.source(i, i) for i in outline.assignments)
    return tuple(dict.fromkeys(found))


def _writes_file(statement: Statement) -> bool:
    return any(
        word(statement, i) == b"INTO"
        and word(statement, i + 1) in (b"OUTFILE", b"DUMPFILE")
        for i in range(len(statement.tokens))
    )
