"""The names of ML functions, looked for in raw bytes.

A hit is only a maybe: the name may stand in a string or a comment. A miss is certain:
character_set_client is always a superset of ASCII, where a name cannot be spelt in
another way (no escape exists in an unquoted or a back-quoted name).
"""

import re
from collections.abc import Iterable


class NameFilter:
    """Says of a statement whether it may name one of the functions."""

    def __init__(self, names: Iterable[str]) -> None:
        lowered = sorted({name.lower().encode() for name in names}, key=len)
        self._needles: list[bytes] = []
        for name in lowered:
            if not any(needle in name for needle in self._needles):
                self._needles.append(name)
        self._call = re.compile(
            rb"(?:%b)[`\"]?(?:[\s(/#\-\xa0\xff]|\*/)"
            % b"|".join(re.escape(name) for name in reversed(lowered))
        )
        """A name and what may stand between it and its parenthesis: a space of any
        character set, a comment's start, the end of an executable comment."""

    def may_match(self, statement: bytes) -> bool:
        """Whether one of the names stands in these bytes, in any case, as a call might.

        The second test spares a text that merely ends in a name the cutting into tokens.
        """
        lowered = statement.lower()
        for needle in self._needles:
            if needle in lowered:
                return self._call.search(lowered) is not None
        return False


_NO_LETTER_BEFORE = rb"(?<![\w$\x80-\xff])"
_NOR_BEHIND = rb"(?![\w$\x80-\xff])"

MAX_VIEWS = 64
"""Names of views that are remembered, the last ones: every statement is searched for
them."""


class ViewNames:
    """The names of views that call ML functions, as far as they have been met.

    The markers in a view say themselves that they want answers. The names are for what
    comes too late: a result of which the client has got the beginning by then.
    """

    def __init__(self) -> None:
        self._names: dict[bytes, re.Pattern[bytes]] = {}

    def learn(self, names: Iterable[bytes]) -> None:
        """Remember names, given in lower case."""
        for name in names:
            self._names.pop(name, None)
            self._names[name] = re.compile(
                _NO_LETTER_BEFORE + re.escape(name) + _NOR_BEHIND
            )
        while len(self._names) > MAX_VIEWS:
            del self._names[next(iter(self._names))]

    def may_match(self, statement: bytes) -> bool:
        """Whether one of the names stands in these bytes, in any case, as a word."""
        if not self._names:
            return False
        lowered = statement.lower()
        return any(
            name in lowered and word.search(lowered) is not None
            for name, word in self._names.items()
        )
