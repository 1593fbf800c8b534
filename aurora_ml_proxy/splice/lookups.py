"""Answers → into the statement: an expression that looks a text's answer up.

The expression is a pure function of its arguments, of numbers and of hex literals, which
no sql_mode and no character set can read in another way. Which form is best for how many
texts is measured in docs/lookup-forms.md.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from aurora_ml_proxy.functions import ResultType, Sentiment
from aurora_ml_proxy.plan.inline import MISSING
from aurora_ml_proxy.plan.plan import Inline, InlineCall
from aurora_ml_proxy.plan.template import Lenient, Template, Unknown

_HASH_DIGITS = 15
"""Hex digits of SHA-256 that find a text: 60 bits fit a BIGINT. Two of a million texts
share them once in two million statements."""

_FANOUT_BITS = 5
_LEAF = 48
"""A bucket of more texts is cut into 2**_FANOUT_BITS."""


class KnownAnswers:
    """The answers to the texts that were read for some calls."""

    def __init__(self) -> None:
        self.answers: dict[int, Sentiment | None] = {}
        """By the hash of the text; None is NULL."""

    def add(self, text: bytes, language: str | None, answer: Sentiment | None) -> None:
        """Remember an answer.

        Args:
            language: None when the calls have one literal language.
        """
        key = text if language is None else language.encode() + b":" + text
        self.answers[hash_of(key)] = answer


def hash_of(text: bytes) -> int:
    """What the server's expression gives for a text in UTF-8."""
    return int(sha256(text).hexdigest()[:_HASH_DIGITS], 16)


def render(
    plan: Inline, template: Template, known: Sequence[KnownAnswers], *, is_strict: bool
) -> bytes:
    """The text of a template with the answers in it.

    Args:
        is_strict: a text without an answer is an error, and otherwise NULL.
    """
    return _Renderer(plan, known).text(template, is_strict=is_strict)


class _Renderer:
    def __init__(self, plan: Inline, known: Sequence[KnownAnswers]) -> None:
        self._plan = plan
        self._known = known

    def text(self, template: Template, *, is_strict: bool) -> bytes:
        parts = []
        for piece in template:
            match piece:
                case bytes():
                    parts.append(piece)
                case int():
                    parts.append(self._lookup(piece, is_strict=is_strict))
                case Lenient(call):
                    parts.append(self._lookup(call, is_strict=False))
                case Unknown(call):
                    parts.append(self._unknown(call))
        return b"".join(parts)

    def _lookup(self, index: int, *, is_strict: bool) -> bytes:
        call = self._plan.calls[index]
        key = self.text(call.key, is_strict=is_strict)
        answers = self._known[call.known].answers
        failing = b"EXP(%d+LENGTH(%b))" % (MISSING, key)
        # No space in front: behind two dashes it would start a comment.
        if call.function.result is ResultType.SCORE:
            found = _scores(key, answers, failing if is_strict else b"NULL")
            # MariaDB's CAST has the width of a function's DOUBLE; MySQL's has not.
            return b"CAST(%b AS DOUBLE) " % found if self._plan.casts else found + b" "
        otherwise = b"LEFT(%b,8)" % failing if is_strict else b"NULL"
        return _labels(key, answers, otherwise) + b" "

    def _unknown(self, index: int) -> bytes:
        call: InlineCall = self._plan.calls[index]
        key = self.text(call.key, is_strict=False)
        answers = self._known[call.known].answers
        # NOT IN of NULL is NULL, and a text that is NULL is known to give NULL.
        return b"(COALESCE(%b NOT IN (%b),0))" % (_hash(key), _listed(answers or [-1]))


def _hash(key: bytes) -> bytes:
    """The server's expression for `hash_of`. SHA2 is the one hash that MySQL 9 kept."""
    return b"CAST(CONV(LEFT(SHA2(CONVERT(%b USING utf8mb4),256),%d),16,10) AS SIGNED)" % (
        key,
        _HASH_DIGITS,
    )


def _listed(numbers: Iterable[int]) -> bytes:
    return b",".join(b"%d" % number for number in numbers)


def _hex(label: str) -> bytes:
    return b"_utf8mb4 X'%b'" % label.encode().hex().upper().encode()


_TYPE = b"_utf8mb4 X'%b'" % ("\u00e9" * 8).encode().hex().upper().encode()
"""An answer that no text has gives the expression its type: VARCHAR(8) of any letters.
Of ASCII letters alone the servers would convert what they refuse a function's result."""


def _labels(key: bytes, answers: dict[int, Sentiment | None], otherwise: bytes) -> bytes:
    by_label: dict[str, list[int]] = {}
    nulls = []
    for number, answer in sorted(answers.items(), key=lambda pair: pair[0]):
        if answer is None:
            nulls.append(number)
        else:
            by_label.setdefault(answer.label, []).append(number)
    parts = [b"CASE WHEN LENGTH(%b)<0 THEN %b" % (key, _TYPE)]
    for label, numbers in sorted(by_label.items()):
        then = (_hash(key), _listed(numbers), _hex(label))
        parts.append(b" WHEN %b IN (%b) THEN %b" % then)
    if nulls:
        parts.append(b" WHEN %b IN (%b) THEN NULL" % (_hash(key), _listed(nulls)))
    parts.append(b" ELSE %b END" % otherwise)
    return b"".join(parts)


def _scores(key: bytes, answers: dict[int, Sentiment | None], otherwise: bytes) -> bytes:
    cells = sorted(
        (number, _double(answer.confidence) if answer else b"NULL")
        for number, answer in answers.items()
    )
    cells = [(-1, b"0e0"), *cells]
    return _tree(_hash(key), cells, otherwise, 4 * _HASH_DIGITS)


def _double(value: float) -> bytes:
    """A literal that both servers read as exactly this DOUBLE, and not as a DECIMAL."""
    text = repr(value)
    return (text if "e" in text else text + "e0").encode()


def _tree(
    number: bytes, cells: list[tuple[int, bytes]], otherwise: bytes, bits: int
) -> bytes:
    """CASE over the hash, by its next bits where there are many."""
    if len(cells) <= _LEAF or bits <= _FANOUT_BITS:
        whens = b"".join(b" WHEN %d THEN %b" % cell for cell in cells)
        return b"CASE %b%b ELSE %b END" % (number, whens, otherwise)
    shift = bits - _FANOUT_BITS
    buckets: dict[int, list[tuple[int, bytes]]] = {}
    for cell in cells:
        bucket = cell[0] >> shift & ((1 << _FANOUT_BITS) - 1) if cell[0] >= 0 else 0
        buckets.setdefault(bucket, []).append(cell)
    whens = b"".join(
        b" WHEN %d THEN %b" % (bucket, _tree(number, found, otherwise, shift))
        for bucket, found in sorted(buckets.items())
    )
    masked = b"(%b>>%d)&%d" % (number, shift, (1 << _FANOUT_BITS) - 1)
    return b"CASE %b%b ELSE %b END" % (masked, whens, otherwise)
