import pytest
from support.sql_fixtures import outline_of, text

from aurora_ml_proxy.plan.inner_aggregates import kept_inside

ONE_ROW = "CROSS JOIN (SELECT 1 AS aml_one) aml_inner"


def kept(condition: str, front: str = "SELECT 1 FROM a WHERE") -> str | None:
    outline = outline_of(f"{front} F({condition},'en') = 'x'")
    call = outline.calls[0]
    block = outline.block_at(call.first)
    assert block is not None
    substitute = kept_inside(outline, call, block)
    if substitute is None:
        return None
    return " ".join(text(outline.cut(call.arguments[0], substitute)).split())


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (
            "(SELECT MAX(a.t) FROM s)",
            f"(SELECT MAX( IF(aml_inner.aml_one, a.t,NULL)) FROM s {ONE_ROW} )",
        ),
        (
            "(SELECT COUNT(DISTINCT G(a.t,'en')) FROM s JOIN r ON s.i = r.i WHERE n)",
            "(SELECT COUNT(DISTINCT IF(aml_inner.aml_one, «1» ,NULL)) "
            f"FROM s JOIN r ON s.i = r.i {ONE_ROW} WHERE n)",
        ),
        (
            "(SELECT GROUP_CONCAT(a.t ORDER BY s.i SEPARATOR '+') FROM s)",
            "(SELECT GROUP_CONCAT( IF(aml_inner.aml_one, a.t ,NULL)ORDER BY s.i "
            f"SEPARATOR '+') FROM s {ONE_ROW} )",
        ),
        ("(SELECT COUNT(*) FROM s)", None),
        ("(SELECT MAX(a.t))", None),
        ("(SELECT a.t FROM s)", None),
        ("MAX(a.t)", None),
    ],
)
def test_an_aggregate_stays_in_its_subquery(argument, expected):
    assert kept(argument) == expected


@pytest.mark.parametrize(
    ("front", "is_kept"),
    [
        ("SELECT 1 FROM a WHERE", True),
        ("SELECT 1 FROM a JOIN b ON", True),
        ("UPDATE a SET b =", True),
        ("SELECT 1 FROM a GROUP BY", True),
        ("SELECT", False),
        ("SELECT 1 FROM a HAVING", False),
        ("SELECT 1 FROM a ORDER BY", False),
    ],
)
def test_only_where_the_block_around_may_have_no_aggregate(front, is_kept):
    assert (kept("(SELECT MAX(a.t) FROM s)", front) is not None) == is_kept
