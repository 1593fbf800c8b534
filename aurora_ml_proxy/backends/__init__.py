"""The model services. Texts in, answers out, one service call a method call.

boto3 is known here and nowhere else. A backend translates its service's errors into
`Failure` at its edge; it neither caches nor batches nor limits nor tries again: that is
`evaluate`.
"""

from collections.abc import Sequence
from typing import Protocol

from aurora_ml_proxy.functions import Answer, Failure


class Backend(Protocol):
    """One model service."""

    name: str
    identity: tuple[str, ...]
    """What answers depend on besides text and language: the kind of service, its region
    and endpoint, the model and its version. A cache keeps others apart."""
    is_instant: bool
    """Whether asking costs little more than to write its answers to a disk."""

    async def detect_sentiment(
        self, texts: Sequence[str], language: str, *, single: bool
    ) -> list[Answer] | Failure:
        """Ask the service once about texts of one language.

        Args:
            texts: 1 to 25 non-empty texts of at most 5,000 bytes of UTF-8 each.
            language: one of `functions.LANGUAGES`.
            single: ask by the call for one text (row-by-row mode); one text is given.

        Returns: one answer a text, in order; or one Failure, when the call failed as a
            whole. Nothing is asked twice: that is for `evaluate` to decide.
            Raises nothing but CancelledError.
        """
        ...

    async def close(self) -> None:
        """Give back what the backend holds."""
        ...
