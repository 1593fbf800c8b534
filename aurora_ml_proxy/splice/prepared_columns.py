"""What is known of a prepared statement's columns before its rows come.

With MariaDB's cached metadata the server leaves out definitions that it has sent before.
What it has prepared is a statement of ours, so that its client may know other ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aurora_ml_proxy.protocol.results import Layout, write_column_count


@dataclass(slots=True)
class Definitions:
    """The column definitions of a statement, as they were sent last."""

    last: Sequence[bytes] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The columns of a statement that is about to give binary rows."""

    received: Definitions
    """From the upstream, those of our own columns too."""
    told: Definitions
    """To the client."""
    has_columns: bool
    """Whether the statement had columns when it was prepared. A CALL has none, and what
    it gives is described every time."""

    def left_out(self, count: int) -> Sequence[bytes]:
        """The definitions that the upstream leaves out because it has sent them.

        Args:
            count: how many columns the result has.
        """
        return self.received.last if len(self.received.last) == count else ()

    def tell(
        self,
        received: Sequence[bytes],
        told: Sequence[bytes],
        count: bytes,
        layout: Layout,
    ) -> list[bytes]:
        """What the client is sent in front of the rows: a count, and definitions.

        Args:
            received: the definitions from the upstream.
            told: those for the client.
            count: the upstream's column count packet.
        """
        is_cached = layout.caches_metadata and self.has_columns
        is_known = is_cached and list(told) == list(self.told.last)
        self.received.last, self.told.last = received, told
        follows = not is_known if layout.caches_metadata else None
        first = write_column_count(len(told), count, follows=follows)
        return [first] if is_known else [first, *told]
