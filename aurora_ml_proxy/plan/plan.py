"""A Plan: what to send to the upstream, and what to make of what comes back."""

from dataclasses import dataclass

from aurora_ml_proxy.functions import Function, ResultType
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.template import Template


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


@dataclass(frozen=True, slots=True)
class InlineCall:
    """One call that is answered by an expression in its place."""

    function: Function
    key: Template
    """The SQL of the string whose hash finds the answer: the text, or with a language
    that is no literal `language:text`."""
    known: int
    """Which set of answers it looks in."""
    is_of_group: bool = False
    """It is evaluated on the groups of a GROUP BY, which have a row at least."""
    zero: bytes = b""
    """A zero to add to a number in its expression, so that the server computes it no
    earlier than a stored function; see `constants`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the columns of a harvest's rows are; they count from the first of `width`."""

    known: int
    """The set of answers that gets the texts."""
    function: Function
    text: int
    language: str | int
    """The language, or the column that holds it."""
    batch_size: int
    batch_size_column: int | None


@dataclass(frozen=True, slots=True)
class Query:
    """One way to read the texts that calls need."""

    sql: Template
    width: int
    """The columns of interest, at the end of each row."""
    is_packed: bool = False
    """The one column is `hex(text):hex(language):batch_size.`, again and again."""
    limit: int | None = None
    """Rows to read at first, when ORDER BY says which ones matter; doubled when they
    are not enough. The LIMIT is added to `sql`."""
    is_bounded: bool = False
    """It has a time limit of its own, and is a guess that may come to nothing."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """The texts of some calls: the ways to read them, the narrowest first."""

    asked: tuple[Asked, ...]
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """A column of the result whose definition must be that of a function's result."""

    column: int | None
    """Below zero counted from the last; None for any column of this name."""
    result: ResultType | None
    """None when only the name is to be changed."""
    name: bytes = b""
    is_own: bool = True
    """The item is the call; else it is the column of a derived table that is one."""


@dataclass(frozen=True, slots=True)
class Inline:
    """Calls anywhere: read their texts, then send the statement with answers in it."""

    statement: Template
    calls: tuple[InlineCall, ...]
    known_sets: int
    """How many sets of answers there are."""
    harvests: tuple[Harvest, ...]
    """In the order in which one may need the answers to another's texts."""
    described: tuple[Described, ...]
    has_check: bool
    """The last column is ours: NULL, or the error that answers are missing."""
    changes_data: bool
    is_repeatable: bool
    """Whether it may be sent once more: all that it does on its way can be undone."""
    assigned: tuple[bytes, ...]
    """User variables that it assigns on its way, as it names them."""
    tables: tuple[bytes, ...]
    """Names among which are the tables that it changes, in UTF-8."""
    targets: tuple[bytes, ...]
    """The tables themselves, and others that it joins to them, as it names them."""
    created: bytes
    """The table of a CREATE TABLE, as it names it, which may be there already."""
    rehearsal: Template
    """An EXPLAIN that fails where the change of the data would; nothing for others."""
    keeps_found_rows: bool
    """It is no query: FOUND_ROWS() tells of an older one afterwards."""
    is_explained: bool
    """EXPLAIN: nothing is asked, and what is not known is NULL."""
    writes_file: bool
    """INTO OUTFILE: what a failed try has written stays."""
    may_swallow_errors: bool
    """MariaDB's DO gives OK and a warning for an error."""
    dialect: Dialect
    """Which server the answers are looked up in."""
    digest: str


Plan = Splice | Inline
