"""Every difference is seen and told by its field; an order only where it counts."""

from dataclasses import replace

import pytest
from support.inline_corpus import Ignored, ad_hoc
from support.inline_differences import differences, is_ordered, summary
from support.inline_oracle import Result, Shown, Step

CASE = ad_hoc("SELECT id FROM fb")
COLUMN = ("x", "fb", "fb", "id", "id", 63, 11, 3, 0, 0)
RESULT = Result((COLUMN,), ((b"1",), (b"2",)), 2, 0, b"", 0, 2)
STEP = Step("SELECT id FROM fb", None, (RESULT,), ((b"-1", b"2", b"0", b"0"),), ())
SHOWN = Shown((STEP,), {}, {"fb": (b"CREATE TABLE fb", ((b"1",),))})


def fields(direct: Shown, proxied: Shown) -> list[str]:
    return [field for field, _ in differences(CASE, direct, proxied)]


def with_step(**changes: object) -> Shown:
    return replace(SHOWN, steps=(replace(STEP, **changes),))


def with_result(**changes: object) -> Shown:
    return with_step(results=(replace(RESULT, **changes),))


@pytest.mark.parametrize(
    ("shown", "field"),
    [
        (with_step(error=(1, "no", "HY000")), "error"),
        (with_step(results=()), "results"),
        (with_step(results=(RESULT, RESULT)), "results"),
        (with_step(counts=((b"-1", b"3", b"0", b"0"),)), "counts"),
        (with_step(warnings=((b"Warning", b"1292", b"x"),)), "warnings"),
        (with_result(columns=()), "columns"),
        (with_result(columns=((*COLUMN[:6], 12, *COLUMN[7:]),)), "column length"),
        (with_result(columns=((*COLUMN[:8], 1, 0),)), "column flags"),
        (with_result(rows=((b"1",), (b"3",))), "rows"),
        (with_result(rows=((b"1",), (b"2",), (b"2",))), "rows"),
        (with_result(affected_rows=3), "affected_rows"),
        (with_result(insert_id=3), "insert_id"),
        (with_result(message=b"Records: 1"), "message"),
        (with_result(warning_count=1), "warning_count"),
        (with_result(status=3), "status"),
        (replace(SHOWN, left_behind={}), "tables left_behind"),
        (replace(SHOWN, left_behind={"fb": (b"x", ((b"1",),))}), "tables left_behind"),
        (
            replace(SHOWN, left_behind={"fb": (b"CREATE TABLE fb", ())}),
            "tables left_behind",
        ),
        (replace(SHOWN, inside={"fb": (None, ((b"1",),))}), "tables inside"),
    ],
)
def test_every_field_is_compared(shown: Shown, field: str) -> None:
    assert fields(SHOWN, shown) == [field]
    assert fields(shown, SHOWN) == [field]
    assert fields(shown, shown) == []


def test_rows_in_another_order_differ_where_the_statement_orders_them() -> None:
    other = with_result(rows=((b"2",), (b"1",)))
    assert fields(SHOWN, other) == []
    ordered = "SELECT id FROM fb ORDER BY id"
    sides = [
        replace(side, steps=(replace(side.steps[0], statement=ordered),))
        for side in (SHOWN, other)
    ]
    assert fields(*sides) == ["rows"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT a FROM b ORDER  by c", True),
        ("SELECT MAX(a) FROM b\nORDER BY MAX(c) LIMIT 3", True),
        ("EXPLAIN SELECT 1", True),
        ("SELECT GROUP_CONCAT(a ORDER BY b) FROM c", False),
        ("SELECT a FROM (SELECT a FROM b ORDER BY (c)) d", False),
        ("SELECT ' ORDER BY ' FROM b -- ORDER BY c", False),
        ("SELECT `ORDER BY` /* ORDER BY */ FROM b", False),
        ("SELECT 1 /*! ORDER BY 1 */", True),
    ],
)
def test_an_order_is_that_of_the_outermost_query(statement: str, expected: bool) -> None:
    assert is_ordered(statement) is expected


def test_the_expression_that_is_out_of_range_is_not_compared() -> None:
    texts = (
        "BIGINT value is out of range in 'f(x)'",
        "BIGINT value is out of range in 'y'",
    )
    sides = [with_step(error=(1690, text, "22003")) for text in texts]
    assert fields(*sides) == []
    assert fields(with_step(error=(1690, "DOUBLE value", "22003")), sides[0]) == ["error"]


def test_a_summary_has_a_line_for_each_case_that_differs() -> None:
    cases = [ad_hoc("SELECT 1")] * 3
    other = with_result(affected_rows=3, insert_id=4)
    text = summary(cases, [SHOWN] * 3, [SHOWN, other, other], 1)
    assert text.splitlines() == [
        "2 of 3 cases differ: 2 affected_rows, 2 insert_id",
        "ad hoc:1 (+1) affected_rows: direct 2 proxied 3",
        "… and 1 more",
    ]
    assert summary(cases, [SHOWN] * 3, [SHOWN] * 3, 1) == ""


def test_errors_of_a_case_that_is_refused_are_not_compared() -> None:
    case = replace(CASE, refused=True)
    sides = [with_step(error=(number, "no", "HY000")) for number in (1, 2)]
    assert fields(*sides) == ["error"]
    assert differences(case, *sides) == []
    assert differences(case, sides[0], SHOWN) != []


def test_a_case_that_the_proxy_refuses_needs_the_proxys_own_error() -> None:
    case = replace(CASE, proxy_refuses=True)
    ours = (1235, "aws_comprehend_detect_sentiment: it cannot be read twice", "42000")
    assert differences(case, SHOWN, with_step(error=ours)) == []
    assert differences(case, SHOWN, with_step(error=(1064, "syntax", "42000"))) != []
    assert differences(case, SHOWN, with_result(affected_rows=3)) != []
    assert differences(case, SHOWN, SHOWN) == []


def test_fields_that_may_differ_are_not_compared_on_that_kind_of_server() -> None:
    case = replace(CASE, ignored=(Ignored(("mysql",), (), ("affected_rows",)),))
    for kind, expected in (("mysql9", []), ("mariadb10", ["affected_rows"])):
        sides = [
            replace(side, kind=kind) for side in (SHOWN, with_result(affected_rows=3))
        ]
        assert [field for field, _ in differences(case, *sides)] == expected


def test_what_depends_on_the_plan_alone_is_not_compared() -> None:
    keys = (*COLUMN[:8], 0x4203 & ~1, 0)
    assert fields(SHOWN, with_result(columns=(keys,), status=2 | 32)) == []
