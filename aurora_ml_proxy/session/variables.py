"""User variables that a statement assigns on its way, as in `SELECT @n := @n + 1`.

Our own queries may assign them too, and a try that misses has done so: they are kept
before, and put back, so that the statement begins with what its client has left in them.
"""

from collections.abc import Sequence

from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.queries import Queries

_KEPT = b"@aurora_ml_kept_%d"


class KeptVariables:
    """The variables of one statement."""

    def __init__(self, names: Sequence[bytes], queries: Queries) -> None:
        self._pairs = [(_KEPT % n, name) for n, name in enumerate(names)]
        self._queries = queries
        self._has_kept = False

    async def keep(self, inbox: Inbox) -> None:
        """Before anything of the statement is sent. Raises: QueryFailed, UpstreamLost."""
        if self._pairs:
            pairs = (b"%b=%b" % pair for pair in self._pairs)
            await self._queries.execute(b"SET " + b",".join(pairs), inbox)
            self._has_kept = True

    async def put_back(self, inbox: Inbox) -> None:
        """After our queries, and after a try. Raises: QueryFailed, UpstreamLost."""
        if self._has_kept:
            pairs = (b"%b=%b" % (name, kept) for kept, name in self._pairs)
            await self._queries.execute(b"SET " + b",".join(pairs), inbox)
