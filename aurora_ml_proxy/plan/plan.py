"""A Plan: what to send to the upstream, and what to make of what comes back."""

from dataclasses import dataclass

from aurora_ml_proxy.functions import Function


@dataclass(frozen=True, slots=True)
class SplicedCall:
    """One call that is answered by putting its result in a column's place."""

    function: Function
    column: int
    """The column that the result takes; below zero it counts from the last column of
    the user's own (-1), for a star in front has an unknown number of columns."""
    text: int
    """Which of the appended columns holds the text, as bytes of UTF-8."""
    language: str | int
    """The language, or which of the appended columns holds it."""
    batch_size: int
    """Texts in one service call at most; see `batch_size_column`."""
    batch_size_column: int | None
    """Which of the appended columns holds the batch size; None: `batch_size` is it."""


@dataclass(frozen=True, slots=True)
class Splice:
    """The calls stand as plain items in the outermost select list.

    `statement` has a NULL for each call and the arguments at the end of its list: the
    rows that come back have one column a call to fill and `appended` columns to cut off.
    """

    statement: bytes
    calls: tuple[SplicedCall, ...]
    appended: int
    items: int
    """Items of the user's own select list."""
    first_item_of_appended: tuple[int, ...]
    """For each appended column the number, from 1, of the item that it was added for;
    nothing when a star makes the numbers unknown. Servers name items by number."""
    digest: str
    """Of the user's statement without its literals, for the log."""


Plan = Splice
