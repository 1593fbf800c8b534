"""Settings of the server that a statement with answers needs, for that statement only.

MariaDB keeps what a subquery has given for the columns that it means, and takes it again
for columns that are equal: of a subquery over 'Good' for one over 'good ', whose answers
differ. So the statement is sent without that cache, and so are our queries.
Source: MariaDB Knowledge Base, "Subquery Cache", "SET STATEMENT".
"""

from collections.abc import Iterator

from aurora_ml_proxy.plan.outline import Outline
from aurora_ml_proxy.plan.spans import word
from aurora_ml_proxy.plan.template import Edit, Template

_NO_CACHE = b"optimizer_switch='subquery_cache=off'"


def with_settings(outline: Outline, query: Template, *more: bytes) -> Template:
    """A query of ours with the settings in front.

    Args:
        more: assignments besides, of MariaDB's variables.
    """
    assignments = [*_assignments(outline), *more]
    if not assignments:
        return query
    return (b"SET STATEMENT %b FOR " % b",".join(assignments), *query)


def settings(outline: Outline) -> Iterator[Edit]:
    """What gives the user's statement the settings; his own SET STATEMENT is kept."""
    statement = outline.statement
    if word(statement, 0) == b"DO":
        return  # nobody sees what it computes
    for assignment in _assignments(outline):
        if (word(statement, 0), word(statement, 1)) != (b"SET", b"STATEMENT"):
            yield 0, 0, (b"SET STATEMENT %b FOR " % assignment,)
        elif all(
            word(statement, i) != b"OPTIMIZER_SWITCH"
            for i in range(2, outline.blocks[0].first)
        ):
            at = statement.tokens[2].start
            yield at, at, (assignment + b",",)


def _assignments(outline: Outline) -> Iterator[bytes]:
    if outline.is_mariadb and outline.has_call_in_subquery:
        yield _NO_CACHE
