"""The proxy's command line with every text read by its hash first, whatever it costs.

A quarter of the answers is never found in the cache: most statements then read hashes
and the texts that are wanted, which small tables would not let them do.
"""

import sys

from aurora_ml_proxy import cli
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.outlook import Outlook
from aurora_ml_proxy.functions import Sentiment

_recall = Engine.recall


def _recall_most(engine: Engine, key: bytes) -> Sentiment | None:
    return None if key[-1] % 4 == 0 else _recall(engine, key)


def _always(outlook: Outlook, statement: str) -> bool:
    return True


if __name__ == "__main__":
    Engine.recall = _recall_most  # type: ignore[method-assign]
    Outlook.prefers_hashes = _always  # type: ignore[method-assign]
    sys.exit(cli.main())
