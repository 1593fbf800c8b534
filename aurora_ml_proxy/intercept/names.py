"""The names of ML functions, looked for in raw bytes.

A hit is only a maybe: the name may stand in a string or a comment. A miss is certain:
character_set_client is always a superset of ASCII, where a name cannot be spelt in
another way (no escape exists in an unquoted or a back-quoted name).
"""

from collections.abc import Iterable


class NameFilter:
    """Says of a statement whether it may name one of the functions."""

    def __init__(self, names: Iterable[str]) -> None:
        lowered = sorted({name.lower().encode() for name in names}, key=len)
        self._needles: list[bytes] = []
        for name in lowered:
            if not any(needle in name for needle in self._needles):
                self._needles.append(name)

    def may_match(self, statement: bytes) -> bool:
        """Whether one of the names stands anywhere in these bytes, in any case."""
        lowered = statement.lower()
        for needle in self._needles:  # noqa: SIM110 - a generator costs more than it all
            if needle in lowered:
                return True
        return False
