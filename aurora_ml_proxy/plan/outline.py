"""A statement with all that planning knows of it, from which the text of queries is cut.

In: a statement and its calls. Out: its blocks, and text by span with the calls in it as
their numbers. What the queries are is not known here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aurora_ml_proxy.plan.arguments import is_constant, literal_language
from aurora_ml_proxy.plan.blocks import Block, block_of, read_blocks
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.conditions import (
    assigned_variables,
    assignments,
    free_conjuncts,
    has_call,
    side_effects,
)
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.inserted import Inserted, read_inserted
from aurora_ml_proxy.plan.joins import is_derived_table
from aurora_ml_proxy.plan.keys import key
from aurora_ml_proxy.plan.sorted_unions import SortedUnion, read_sorted_unions
from aurora_ml_proxy.plan.spans import Span
from aurora_ml_proxy.plan.template import (
    Piece,
    Renamed,
    Substitute,
    Template,
    cut,
    joined,
)
from aurora_ml_proxy.plan.tokens import Statement


@dataclass(frozen=True, slots=True)
class Outline:
    """A statement, its calls and its query blocks."""

    statement: Statement
    calls: Sequence[Call]
    """In the order of the text."""
    blocks: Sequence[Block]
    inserted: Inserted | None
    known: Sequence[int]
    """Which set of answers each call looks in."""
    is_mariadb: bool
    sorted_unions: Sequence[SortedUnion]
    assigned: frozenset[bytes]
    """User variables that the statement assigns."""
    effects: Sequence[int]
    """The tokens that do something each time that they are evaluated."""
    assignments: Sequence[int]
    """The user variables that are assigned within expressions, where they are so."""
    has_call_in_subquery: bool
    """A call whose arguments are no literals stands in a subquery, not just in a derived
    table."""
    _free: dict[Span, list[Span]] = field(default_factory=dict)

    def block_at(self, token: int) -> Block | None:
        """The innermost block that a token stands in."""
        return block_of(self.blocks, token)

    def has_call(self, span: Span) -> bool:
        """Whether a call stands in a span."""
        return has_call(self.calls, span)

    def calls_in(self, span: Span) -> list[int]:
        """The numbers of the calls in a span, those in other calls' arguments too."""
        return [
            n
            for n, call in enumerate(self.calls)
            if span[0] <= call.first and call.last <= span[1]
        ]

    def sources(self, call: Call) -> tuple[bytes, ...]:
        """The texts of a call's arguments."""
        return tuple(self.statement.source(*argument) for argument in call.arguments)

    def free(self, span: Span) -> list[Span]:
        """The conditions of a span that hold no call."""
        if span not in self._free:  # asked for by each query of each call
            found = free_conjuncts(self.statement, span, self.calls, self.assigned)
            self._free[span] = found
        return self._free[span]

    def cut(self, span: Span, substitute: Substitute | None = None) -> Template:
        """The text of a span, comments left out, calls as their numbers.

        Args:
            substitute: for names, those in the arguments of the calls as well.
        """
        if substitute is None:
            return cut(self.statement, *span, self.calls)

        def finished(i: int) -> tuple[int, Template] | None:
            # What stands for a name means other names as the user has written them.
            found = substitute(i)
            if found is None:
                return None
            return found[0], tuple(map(self._finished, found[1]))

        found = cut(self.statement, *span, self.calls, finished)
        return tuple(self._renamed(piece, substitute) for piece in found)

    def _renamed(self, piece: Piece, substitute: Substitute) -> Piece:
        if not isinstance(piece, int):
            return piece
        renamed, plain = self.key(piece, substitute), self.key(piece)
        return piece if renamed == plain else Renamed(piece, renamed)

    def _finished(self, piece: Piece) -> Piece:
        return Renamed(piece, self.key(piece)) if isinstance(piece, int) else piece

    def is_constant(self, call: Call) -> bool:
        """Whether the arguments of a call are literals and user variables only."""
        return all(is_constant(self.statement, *a) for a in call.arguments)

    def key(self, index: int, substitute: Substitute | None = None) -> Template:
        """What the answer of a call is found by."""
        return key(
            self.statement, self.calls[index], lambda span: self.cut(span, substitute)
        )

    def anded(self, conditions: Iterable[Span]) -> Template:
        """Conditions with AND between them."""
        return joined(b" AND ", ((b"(", *self.cut(c), b")") for c in conditions))


def read_outline(
    statement: Statement, calls: Sequence[Call], dialect: Dialect
) -> Outline:
    """The outline of one statement."""
    blocks = read_blocks(statement)
    return Outline(
        statement,
        calls,
        blocks,
        read_inserted(statement),
        _known_sets(statement, calls),
        dialect.is_mariadb,
        tuple(read_sorted_unions(statement)),
        assigned_variables(statement),
        side_effects(statement),
        assignments(statement),
        any(_is_in_subquery(statement, blocks, call) for call in calls),
    )


def _is_in_subquery(statement: Statement, blocks: Sequence[Block], call: Call) -> bool:
    if all(is_constant(statement, *argument) for argument in call.arguments):
        return False
    block = block_of(blocks, call.first)
    while block is not None:
        if not is_derived_table(statement, blocks, block):
            return True
        block = block.parent
    return False


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
