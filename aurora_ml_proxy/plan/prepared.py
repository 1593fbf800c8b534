"""SQL's own prepared statements: PREPARE, EXECUTE, DEALLOCATE, EXECUTE IMMEDIATE.

In: a statement, or the text that one prepares. Out: what the statement says; for a text
with calls its Plan, in which parameters are variables of a reserved name, and a *shadow*
that the server prepares in its place. Nothing of the text is guessed: the server has
evaluated it.
Source: MySQL manual, "Prepared Statements"; MariaDB Knowledge Base, "EXECUTE IMMEDIATE".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unicodedata import combining, normalize

from aurora_ml_proxy.errors import (
    ProxyError,
    UnsupportedPrepare,
    UnsupportedStatement,
)
from aurora_ml_proxy.functions import FUNCTIONS, Function, ResultType
from aurora_ml_proxy.plan.blocks import read_blocks
from aurora_ml_proxy.plan.calls import Call, find_calls
from aurora_ml_proxy.plan.conditions import has_call, volatile_word
from aurora_ml_proxy.plan.dialect import Dialect, as_double
from aurora_ml_proxy.plan.inline import MISSING
from aurora_ml_proxy.plan.names import (
    PARAMETER,
    alias_of,
    generated_name,
    parameter,
    quote_name,
)
from aurora_ml_proxy.plan.plan import Plan
from aurora_ml_proxy.plan.select import folded
from aurora_ml_proxy.plan.spans import Span, commas, word
from aurora_ml_proxy.plan.statement import plan_statement
from aurora_ml_proxy.plan.template import Edit, cut, edit, outermost, text_of
from aurora_ml_proxy.plan.tokens import (
    Kind,
    Statement,
    Token,
    Unreadable,
    identifier,
    is_semicolon,
    read_statement,
    tokenize,
)
from aurora_ml_proxy.plan.views import ViewDefinition, Viewed, read_viewed

_DIAGNOSTICS = re.compile(
    rb"(?<!\w)(?:found_rows|row_count)\b|warning_count|error_count", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE name FROM text."""

    name: str
    source: bytes
    """The name as it was written."""
    text: bytes
    """An expression."""


@dataclass(frozen=True, slots=True)
class Execute:
    """EXECUTE name USING …, or EXECUTE IMMEDIATE text USING …"""

    name: str
    """Empty when the text stands in its place."""
    text: bytes
    using: tuple[bytes, ...]
    is_volatile: bool
    """Whether a value would not be the same when it is evaluated twice."""


@dataclass(frozen=True, slots=True)
class Deallocate:
    """DEALLOCATE PREPARE name."""

    name: str


Command = Prepare | Execute | Deallocate


@dataclass(frozen=True, slots=True)
class PreparedText:
    """A text with calls."""

    plan: Plan
    """Its parameters are variables; `bound` makes them parameters again."""
    parameters: int
    shadows: tuple[bytes, ...]
    """The text with an expression in place of each call that fails when it is executed:
    where the proxy does not see an EXECUTE, there is an error and no answer. The second
    is for a server that evaluates the expression while it prepares the first."""
    function: str
    text_parameters: frozenset[int] = frozenset()
    """The parameters, from 0, that are the whole text of a call."""


@dataclass(frozen=True, slots=True)
class ViewedText:
    """A text that may read a view with calls."""

    plan: Viewed
    """As `PreparedText.plan`."""
    parameters: int
    function: str = "a view"
    """For messages: which function it calls is known to the server only."""
    text_parameters: frozenset[int] = frozenset()


def read_command(
    sql: bytes, dialect: Dialect, functions: Mapping[str, Function] = FUNCTIONS
) -> Command | None:
    """What a statement says; None for others, and for what the server has to judge.

    That is a call in USING: servers allow no stored function there.
    """
    try:
        statement = read_statement(sql, dialect)
    except Unreadable:
        return None
    end = len(statement.tokens)
    while end and is_semicolon(statement.tokens[end - 1]):
        end -= 1
    if any(is_semicolon(token) for token in statement.tokens[:end]):
        return None
    match word(statement, 0), word(statement, 1):
        case b"PREPARE", _ if end > 3 and word(statement, 2) == b"FROM":
            return _read_prepare(statement, end, dialect)
        case b"EXECUTE", _ if end > 1:
            return _read_execute(statement, end, dialect, functions)
        case ((b"DEALLOCATE" | b"DROP"), b"PREPARE") if end == 3:
            name = _name(statement, 2)
            return None if name is None else Deallocate(name)
    return None


def _read_prepare(statement: Statement, end: int, dialect: Dialect) -> Command | None:
    name = _name(statement, 1)
    if name is None or not _is_text(statement, 3, end - 1, dialect):
        return None
    text = statement.source(3, end - 1)
    return Prepare(name, statement.source(1, 1), text)


def _read_execute(
    statement: Statement, end: int, dialect: Dialect, functions: Mapping[str, Function]
) -> Command | None:
    using = next(
        (i for i in range(2, end) if _is_using(statement, i)),
        end,
    )
    is_immediate = dialect.is_mariadb and word(statement, 1) == b"IMMEDIATE" and using > 2
    name = "" if is_immediate else _name(statement, 1)
    if name is None or (not is_immediate and using != 2):
        return None
    if is_immediate and not _is_text(statement, 2, using - 1, dialect):
        return None
    spans = commas(statement, using + 1, end - 1)
    if any(first > last for first, last in spans) or (using < end and not spans):
        return None
    try:
        calls = find_calls(statement, functions)
    except (Unreadable, ProxyError):
        return None
    if calls:
        return None
    return Execute(
        name,
        statement.source(2, using - 1) if is_immediate else b"",
        tuple(statement.source(*span) for span in spans),
        volatile_word(statement, 0, end - 1) is not None,
    )


def _is_using(statement: Statement, i: int) -> bool:
    return word(statement, i) == b"USING" and statement.depth[i] == 0


def _is_text(statement: Statement, first: int, last: int, dialect: Dialect) -> bool:
    """Whether the server takes this for the text, and it may be evaluated twice."""
    tokens = statement.tokens
    if dialect.is_mariadb:
        return volatile_word(statement, first, last) is None
    if first != last:
        return False
    is_variable = tokens[first].kind is Kind.VARIABLE and tokens[first].text[:2] != b"@@"
    return is_variable or tokens[first].kind is Kind.STRING


def _name(statement: Statement, i: int) -> str | None:
    """A statement's name, folded: servers compare it without case and accents."""
    token = statement.tokens[i]
    if token.kind not in (Kind.WORD, Kind.QUOTED):
        return None
    name = folded(identifier(token, statement.sql), statement.charset)
    return "".join(c for c in normalize("NFKD", name) if not combining(c))


def plan_text(
    text: bytes, dialect: Dialect, functions: Mapping[str, Function] = FUNCTIONS
) -> PreparedText | None:
    """How to answer a text that is prepared; None when it calls none of ours.

    Args:
        text: in the dialect's character set; so are the texts of the plan.
    Raises: ProxyError for a call that cannot be answered.
    """
    if PARAMETER.search(text):
        return None
    try:
        statement = read_statement(text, dialect)
        calls = find_calls(statement, functions)
        planned, count = marked(text, dialect)
    except Unreadable:
        return None
    plan = plan_statement(planned, dialect, functions) if calls else None
    if plan is None:
        return None
    name = calls[0].function.name
    if isinstance(plan, ViewDefinition):
        raise UnsupportedPrepare(
            f"{name}: a view that calls it cannot be defined by a prepared statement; "
            "send CREATE VIEW itself"
        )
    if _DIAGNOSTICS.search(text):
        raise UnsupportedStatement(
            f"{name}: in a prepared statement with FOUND_ROWS() or its like, which tells "
            "of the statement before; read that first, into a variable"
        )
    shadows = tuple(_Shadow(statement, calls, delay, dialect).text() for delay in _DELAYS)
    return PreparedText(plan, count, shadows, name, _text_parameters(statement, calls))


def plan_viewed(text: bytes, dialect: Dialect) -> ViewedText | None:
    """How to answer a text that reads views, should one of them call a function.

    Returns: None when it cannot be read, or could not be answered.
    """
    if PARAMETER.search(text):
        return None
    try:
        planned, count = marked(text, dialect)
        viewed = read_viewed(planned, dialect, "")
    except (Unreadable, ProxyError):
        return None
    return ViewedText(viewed, count)


def _text_parameters(statement: Statement, calls: Sequence[Call]) -> frozenset[int]:
    marks = [i for i, token in enumerate(statement.tokens) if is_parameter(token)]
    numbers = {at: number for number, at in enumerate(marks)}
    spans = (call.arguments[0] for call in calls)
    return frozenset(
        numbers[first] for first, last in spans if first == last and first in numbers
    )


def is_parameter(token: Token) -> bool:
    """Whether this is a `?`."""
    return token.kind is Kind.MARK and token.text == b"?"


def as_text(command: Prepare, dialect: Dialect, collation: bytes) -> bytes | None:
    """An expression of what MySQL makes of a text; None: it is the text itself.

    MySQL takes a literal behind FROM as utf8mb3, and a variable in the character set of
    collation_connection; it reads both in character_set_client.

    Args:
        collation: @@collation_connection.
    """
    charset = dialect.charset.encode()
    if dialect.is_mariadb or not charset:
        return None
    if command.text.startswith(b"@"):
        connection = collation.partition(b"_")[0]
        if connection == charset:
            return None
        taken = b"CAST(CONVERT(%b USING %b) AS BINARY)" % (command.text, connection)
    elif command.text.isascii():
        return None
    else:
        taken = b"CAST(CONVERT(_%b%b USING utf8mb3) AS BINARY)" % (charset, command.text)
    return b"CONVERT(%b USING %b)" % (taken, charset)


def marked(text: bytes, dialect: Dialect) -> tuple[bytes, int]:
    """The text with a variable for each parameter, and how many there are."""
    parts, pos, count = [], 0, 0
    for token in tokenize(text, dialect):
        if is_parameter(token):
            parts += [text[pos : token.start], parameter(count)]
            pos, count = token.end, count + 1
    return b"".join((*parts, text[pos:])), count


_TOUCHING = re.compile(PARAMETER.pattern + rb"(?=[\w$\x80-\xff])")
"""In front of what may be an identifier a server takes no `?` for a parameter."""


def bound(sql: bytes) -> tuple[bytes, list[int]]:
    """What `plan_text` marked as parameters again, and which ones in their order.

    A plan may mention a parameter several times, or in another order.
    """
    order = [int(number) for number in PARAMETER.findall(sql)]
    return PARAMETER.sub(b"?", _TOUCHING.sub(rb"\g<0> ", sql)), order


def literal(text: bytes, dialect: Dialect) -> bytes | None:
    """A text of UTF-8 as what the server takes behind FROM; None: it must be a variable.

    Whatever the session's character sets, the server converts it as it converts a text
    of the user's own.
    """
    if text.isascii():
        if not dialect.no_backslash_escapes:
            text = text.replace(b"\\", b"\\\\")
        return b"'" + text.replace(b"'", b"''") + b"'"
    return hexadecimal(text) if dialect.is_mariadb else None


def in_variable(variable: bytes, text: bytes, dialect: Dialect) -> bytes:
    """The SET by which MySQL has a text of UTF-8 in a variable, to take it from there.

    As bytes it is not converted to collation_connection, whose letters are four bytes
    at most; their number has to be a multiple of that.
    """
    charset = dialect.charset.encode()
    taken = b"CAST(CONVERT(%b USING %b) AS BINARY)" % (hexadecimal(text), charset)
    padded = b"SELECT RPAD(t,(LENGTH(t)+3) DIV 4*4,X'20') FROM (SELECT %b AS t) x" % taken
    return b"SET %b=(%b)" % (variable, padded)


def hexadecimal(text: bytes) -> bytes:
    """A text of UTF-8 as a literal of letters that every character set has."""
    return b"_utf8mb4 X'%b'" % text.hex().encode()


_DELAYS = (b"LENGTH(COALESCE(@aurora_ml_never,''))", b"RAND()")
"""What keeps a failing expression of constants from being evaluated while it is prepared.
Of a variable MySQL does not; MariaDB does in conditions. Of RAND() neither does, but two
of them are never equal to ONLY_FULL_GROUP_BY."""


_LABEL = b"_utf8mb4 X'%b'" % ("é" * 8).encode().hex().encode()
"""Gives the type of a function's result, VARCHAR(8), and its place among collations."""


class _Shadow:
    """A text with an expression in place of each call that overflows."""

    def __init__(
        self,
        statement: Statement,
        calls: Sequence[Call],
        delay: bytes,
        dialect: Dialect,
    ) -> None:
        self._statement = statement
        self._calls = calls
        self._delay = delay
        self._dialect = dialect

    def text(self) -> bytes:
        statement, calls = self._statement, self._calls
        edits: list[Edit] = []
        for index in outermost(calls, 0, len(statement.tokens) - 1):
            start = statement.tokens[calls[index].first].start
            end = statement.tokens[calls[index].last].end
            edits.append((start, end, (self._failing(index),)))
        for block in read_blocks(statement):
            for item in block.items:
                span = (item.first, item.last)
                if item.is_star or not has_call(calls, span):
                    continue
                if alias_of(statement, *span) is None:
                    name = quote_name(generated_name(statement, *span))
                    end = statement.tokens[item.last].end
                    edits.append((end, end, (b" AS " + name,)))
        return text_of(edit(statement.sql, edits))

    def _failing(self, index: int) -> bytes:
        """A call's arguments, each once, in an expression of the call's type."""
        call = self._calls[index]
        lengths = [b"LENGTH(%b)" % self._argument(span) for span in call.arguments]
        failing = b"EXP(%d+%b+%b)" % (MISSING, b"+".join(lengths), self._delay)
        # No space in front: behind two dashes it would start a comment.
        if call.function.result is ResultType.SCORE:
            return as_double(failing, self._dialect)
        return b"CASE %b WHEN 1 THEN %b END " % (failing, _LABEL)

    def _argument(self, span: Span) -> bytes:
        return b"".join(
            self._failing(piece) if isinstance(piece, int) else piece
            for piece in cut(self._statement, *span, self._calls)
            if isinstance(piece, int | bytes)
        )
