"""Whether a statement's texts are worth reading by their hashes first.

What it read last time tells: long texts, most of them known by now, come cheaper so.
"""

from collections import OrderedDict
from dataclasses import dataclass

MAX_STATEMENTS = 1_000
"""Statements that are remembered, by their digests, the latest ones."""

HASH_BYTES = 36
"""A row with a hash."""

WANTED_BYTES = 24
"""To say to the server that a text is wanted, and its row's own bytes."""

MIN_BYTES = 32 << 10
"""Fewer bytes of texts are not worth a second query."""


@dataclass(slots=True)
class _Seen:
    count: int
    mean_bytes: float
    new_share: float
    """Of its texts, those that were not known."""


class Outlook:
    """What statements have read, and how much of it was new."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def prefers_hashes(self, statement: str) -> bool:
        """Whether the texts of a statement will probably come cheaper by their hashes.

        They must take half the bytes: where some are new, the rows are read twice.
        Measured on 100,000 rows, MariaDB 10.11 and MySQL 9.7: to read the hashes takes
        the server 0.3 to 1 times as long as the texts, and to read the new ones then as
        long again.
        """
        seen = self._seen.get(statement)
        if seen is None or seen.count * seen.mean_bytes < MIN_BYTES:
            return False
        expected = HASH_BYTES + seen.new_share * (seen.mean_bytes + WANTED_BYTES)
        return 2 * expected <= seen.mean_bytes

    def saw_texts(
        self, statement: str, count: int, size_bytes: int, new_share: float
    ) -> None:
        """A statement has read all its texts.

        The first time they are all new, and all known the next time.
        """
        if count:
            is_first = statement not in self._seen
            share = 0.0 if is_first else new_share
            self._remember(statement, _Seen(count, size_bytes / count, share))

    def saw_hashes(self, statement: str, count: int, new_share: float) -> None:
        """A statement has read the hashes of its texts."""
        seen = self._seen.get(statement)
        if seen is not None and count:
            self._remember(statement, _Seen(count, seen.mean_bytes, new_share))

    def _remember(self, statement: str, seen: _Seen) -> None:
        self._seen[statement] = seen
        self._seen.move_to_end(statement)
        if len(self._seen) > MAX_STATEMENTS:
            self._seen.popitem(last=False)
