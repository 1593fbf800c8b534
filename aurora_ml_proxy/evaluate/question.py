"""A distinct text of a statement, and its answer once it is there."""

from aurora_ml_proxy.functions import Sentiment

Kind = tuple[str, int]
"""What shares a batch: one language, and at most so many texts."""

NO_KIND: Kind = ("", 0)


class Question:
    """A distinct text, and its answer once it is there."""

    __slots__ = (
        *("answer", "asked", "cells", "is_answered", "is_hit", "key", "kind", "size"),
        "text",
    )

    def __init__(
        self, text: str | None, kind: Kind = NO_KIND, key: bytes | None = None
    ) -> None:
        self.text = text
        """Held until it is answered; None for what needs no asking."""
        self.kind = kind
        self.key = key
        """What the cache knows it by; None when it is not to be known there."""
        self.size = 0
        """Bytes of UTF-8."""
        self.asked = 0
        """How often the statement has asked it while it had no answer."""
        self.is_hit = False
        """Whether another statement's call answers it."""
        self.is_answered = text is None
        self.answer: Sentiment | None = None
        """None is SQL's NULL."""
        self.cells: tuple[bytes | None, bytes | None] | None = None
        """For the splicer: the answer as it stands in rows."""


NULL = Question(None)
"""The question about NULL and about the empty text: NULL, without a call."""
