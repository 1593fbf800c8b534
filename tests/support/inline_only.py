"""The proxy's command line with splicing switched off: every call is answered inline.

There is no setting for it. Inline answering is the more general of the two ways, and may
answer whatever splicing may; so that a test can compare them, planning's rule for
splicing never applies here.
"""

import sys

from aurora_ml_proxy import cli
from aurora_ml_proxy.plan import statement
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.plan import Splice
from aurora_ml_proxy.plan.select import Select
from aurora_ml_proxy.plan.splice import NotSpliceable
from aurora_ml_proxy.plan.tokens import Statement


def _never(statement: Statement, select: Select, calls: list[Call]) -> Splice:
    raise NotSpliceable("switched off")


if __name__ == "__main__":
    statement.splice = _never
    sys.exit(cli.main())
