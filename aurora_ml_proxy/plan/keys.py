"""The string whose hash finds a call's answer, as SQL.

In: a statement, a call and what cuts text. Out: the text, or `language:text` where the
language is no literal.
"""

from collections.abc import Callable

from aurora_ml_proxy.plan.arguments import literal_batch_size, literal_language
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.spans import Span, has_word
from aurora_ml_proxy.plan.template import Template
from aurora_ml_proxy.plan.tokens import Kind, Statement

_SELECT = frozenset((b"SELECT",))


def key(statement: Statement, call: Call, cut: Callable[[Span], Template]) -> Template:
    """The SQL of a call's key. Raises: WrongArgument."""
    literal_batch_size(statement, call)  # wrong ones are refused here
    text = _named(statement, call.arguments[0], cut)
    if literal_language(statement, call) is not None:
        return text
    language = _named(statement, call.arguments[1], cut)
    if not _is_literal(statement, call.arguments[0]):
        text = (b"CONVERT(", *text, b" USING utf8mb4)")
    return (b"CONCAT(CONVERT(", *language, b" USING utf8mb4),':',", *text, b")")


def _is_literal(statement: Statement, argument: Span) -> bool:
    """Whether the text is written out: CONCAT converts it, without a function of a
    literal, of which MariaDB's optimizer may warn."""
    first, last = argument
    return first == last and statement.tokens[first].kind is Kind.STRING


def _named(
    statement: Statement, argument: Span, cut: Callable[[Span], Template]
) -> Template:
    """An argument that the server sees to be equal to another with the same text.

    A subquery is equal to another by its name, and has one as the argument of a function
    that the grammar does not know: of CONCAT, as of a stored function; not of CONVERT.
    """
    text = cut(argument)
    return (b"CONCAT(", *text, b")") if has_word(statement, argument, _SELECT) else text
