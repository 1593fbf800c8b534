"""Plans that a test makes by hand: every field of `Inline` has a plain value here."""

from dataclasses import replace
from typing import Any

from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.plan import Inline

_PLAIN = Inline(
    statement=(),
    calls=(),
    known_sets=1,
    harvests=(),
    described=(),
    has_check=False,
    changes_data=False,
    is_repeatable=True,
    assigned=(),
    tables=(),
    targets=(),
    created=b"",
    rehearsal=(),
    keeps_found_rows=False,
    is_explained=False,
    writes_file=False,
    may_swallow_errors=False,
    dialect=Dialect(),
    digest="digest",
)


def inline_plan(**change: Any) -> Inline:
    """A plan that asks nothing, with these changes."""
    return replace(_PLAIN, **change)
