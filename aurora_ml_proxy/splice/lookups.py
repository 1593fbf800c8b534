"""Answers → into the statement: an expression that looks a text's answer up.

The expression is a pure function of its arguments, of numbers and of hex literals, which
no sql_mode and no character set can read in another way. Which form is best for how many
texts is measured in docs/lookup-forms.md.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from aurora_ml_proxy.functions import LABELS, ResultType, Sentiment
from aurora_ml_proxy.plan.dialect import as_double
from aurora_ml_proxy.plan.inline import MISSING
from aurora_ml_proxy.plan.plan import Inline, InlineCall
from aurora_ml_proxy.plan.template import (
    Lenient,
    Renamed,
    Template,
    Text,
    Unknown,
)
from aurora_ml_proxy.splice.texts import WHOLE, Texts, text_as

_HASH_DIGITS = 15
"""Hex digits of SHA-256 that find a text: 60 bits fit a BIGINT. Two of a million texts
share them once in two million statements."""

_FEW = 32
"""So many texts are compared one after the other: their hash is computed once."""


class KnownAnswers:
    """The answers to the texts that were read for some calls."""

    def __init__(self) -> None:
        self.answers: dict[int, Sentiment | None] = {}
        """By the hash of the text; None is NULL."""


def hash_of(text: bytes) -> int:
    """What the server's expression gives for a text in UTF-8."""
    return number_of(sha256(text).digest())


def number_of(digest: bytes) -> int:
    """The same for a text that is known by its SHA-256."""
    return int(digest.hex()[:_HASH_DIGITS], 16)


def render(
    plan: Inline,
    template: Template,
    known: Sequence[KnownAnswers],
    *,
    is_strict: bool,
    texts: Texts = WHOLE,
) -> bytes:
    """The text of a template with the answers in it.

    Args:
        is_strict: a text without an answer is an error, and otherwise NULL.
        texts: how a harvest reads its texts.
    """
    return _Renderer(plan, known, texts).text(template, is_strict=is_strict)


class _Renderer:
    def __init__(self, plan: Inline, known: Sequence[KnownAnswers], texts: Texts) -> None:
        self._plan = plan
        self._known = known
        self._texts = texts

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
                case Renamed(call, key):
                    parts.append(self._lookup(call, key, is_strict=is_strict))
                case Text(text, whole_key):
                    read = (self.text(t, is_strict=is_strict) for t in (text, whole_key))
                    parts.append(text_as(self._texts, *read))
        return b"".join(parts)

    def _lookup(
        self, index: int, renamed: Template | None = None, *, is_strict: bool
    ) -> bytes:
        call = self._plan.calls[index]
        key = self.text(renamed or call.key, is_strict=is_strict)
        answers = self._known[call.known].answers
        otherwise = self._failing(call, key) if is_strict else b"NULL"
        number = self._hash(call, key)
        # No space in front: behind two dashes it would start a comment.
        if call.function.result is ResultType.SCORE:
            found = _scores(number, answers, otherwise)
            return as_double(found, self._plan.dialect)
        return _labels(number, answers, otherwise) + b" "

    def _failing(self, call: InlineCall, key: bytes) -> bytes:
        """What stands for a missing answer: an overflow, that depends on the row.

        MariaDB evaluates what is over an aggregate before a group is complete as well,
        throws that away, and need not find a text that no group has: COUNT(*) is 0 then.
        """
        if call.is_of_group and self._plan.dialect.is_mariadb:
            return b"EXP(%d+LENGTH(%b)+NULLIF(COUNT(*),0))" % (MISSING, key)
        return b"EXP(%d+LENGTH(%b))" % (MISSING, key)

    def _hash(self, call: InlineCall, key: bytes) -> bytes:
        """The server's expression for `hash_of`. SHA2 is the one hash MySQL 9 kept."""
        count = b"%d%b" % (_HASH_DIGITS, call.zero)
        digits = b"LEFT(SHA2(CONVERT(%b USING utf8mb4),256),%b)" % (key, count)
        if self._plan.dialect.is_mariadb:
            return b"CAST(CONV(%b,16,10) AS SIGNED)" % digits
        # MySQL's CONV writes ASCII, and calls it utf16 when collation_connection is.
        digits = b"CAST(CONV(CONVERT(%b USING latin1),16,10) AS BINARY)" % digits
        return b"CAST(REPLACE(%b,X'00',X'') AS SIGNED)" % digits

    def _unknown(self, index: int) -> bytes:
        call: InlineCall = self._plan.calls[index]
        key = self.text(call.key, is_strict=False)
        answers = self._known[call.known].answers
        # NOT IN of NULL is NULL, and a text that is NULL is known to give NULL.
        return b"(COALESCE(%b NOT IN (%b),0))" % (
            self._hash(call, key),
            _listed(answers or [-1]),
        )


def _listed(numbers: Iterable[int]) -> bytes:
    return b",".join(b"%d" % number for number in numbers)


_CHOICES = b",".join(
    b"_utf8mb4 X'%b'" % text.encode().hex().upper().encode()
    for text in (*LABELS, "\u00e9")
)
"""What ELT chooses from. The last is never chosen: of ASCII letters alone the servers
would convert what they refuse a function's result."""


def _labels(
    number: bytes, answers: dict[int, Sentiment | None], otherwise: bytes
) -> bytes:
    """ELT of the number of the label; 0 is NULL."""
    if len(answers) <= _FEW:
        cells = [(n, b"%d" % _choice(answer)) for n, answer in sorted(answers.items())]
        return b"ELT(%b,%b)" % (_case(number, cells, otherwise), _CHOICES)
    by_choice: dict[int, list[int]] = {}
    for n, answer in sorted(answers.items()):
        by_choice.setdefault(_choice(answer), []).append(n)
    longest_first = sorted(by_choice.items(), key=lambda pair: -len(pair[1]))
    whens = b"".join(
        b" WHEN %b IN (%b) THEN %d" % (number, _listed(numbers), choice)
        for choice, numbers in longest_first
    )
    return b"ELT(CASE%b ELSE %b END,%b)" % (whens, otherwise, _CHOICES)


def _choice(answer: Sentiment | None) -> int:
    return 0 if answer is None else 1 + LABELS.index(answer.label)


def _scores(
    number: bytes, answers: dict[int, Sentiment | None], otherwise: bytes
) -> bytes:
    """CASE; of many texts a bucket each _FEW of them, which ELT finds by the hash."""
    cells = [(n, _double(answer)) for n, answer in sorted(answers.items())]
    if len(cells) <= _FEW:
        return _case(number, cells, otherwise)
    bits = (len(cells) // _FEW).bit_length()
    shift = 4 * _HASH_DIGITS - bits
    buckets: list[list[tuple[int, bytes]]] = [[] for _ in range(1 << bits)]
    for cell in cells:
        buckets[cell[0] >> shift].append(cell)
    parts = b",".join(_case(number, bucket, otherwise) for bucket in buckets)
    return b"ELT(1+(%b>>%d),%b)" % (number, shift, parts)


def _case(number: bytes, cells: list[tuple[int, bytes]], otherwise: bytes) -> bytes:
    if not cells:
        return b"CASE WHEN %b IS NULL THEN NULL ELSE %b END" % (number, otherwise)
    whens = b"".join(b" WHEN %d THEN %b" % cell for cell in cells)
    return b"CASE %b%b ELSE %b END" % (number, whens, otherwise)


def _double(answer: Sentiment | None) -> bytes:
    """A literal that both servers read as exactly this DOUBLE, and not as a DECIMAL."""
    if answer is None:
        return b"NULL"
    text = repr(answer.confidence)
    return (text if "e" in text else text + "e0").encode()
