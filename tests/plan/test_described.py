import pytest
from support.sql_fixtures import outline_of

from aurora_ml_proxy.functions import ResultType
from aurora_ml_proxy.plan.described import described, returning
from aurora_ml_proxy.plan.plan import Described

LABEL, SCORE = ResultType.LABEL, ResultType.SCORE


def own(column: int, result: ResultType) -> Described:
    return Described(column, result)


def of_inner(column: int, result: ResultType) -> Described:
    return Described(column, result, is_own=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a, F(t,'en'), G(t,'en') AS c", [own(1, LABEL), own(2, SCORE)]),
        ("SELECT (+(F(t,'en'))) x, -G(t,'en')", [own(0, LABEL)]),
        ("SELECT *, F(t,'en'), a FROM fb", [own(-2, LABEL)]),
        ("SELECT F(t,'en'), *, G(t,'en') FROM fb", [own(0, LABEL), own(-1, SCORE)]),
        ("SELECT *, F(t,'en'), b.* FROM fb, b", []),
        ("SELECT F(t,'en') UNION SELECT 'a'", []),
        ("SELECT a, F(a,'en') FROM b GROUP BY a + 2 WITH ROLLUP", [own(1, LABEL)]),
        ("SELECT a, F(a,'en') FROM b GROUP BY a, F(a,'en') WITH ROLLUP", []),
        ("SELECT a, F(a,'en') s FROM b GROUP BY a, `S` WITH ROLLUP", []),
        ("SELECT a, F(a,'en') s FROM b GROUP BY 2 WITH ROLLUP", []),
        ("SELECT a, s FROM (SELECT F(t,'en') s) d GROUP BY a WITH ROLLUP", []),
        ("SELECT d.`s` FROM (SELECT F(t,'en') AS S FROM fb) d", []),
        (
            "SELECT s, d.s FROM (SELECT F(t,'en') s) d",
            [of_inner(0, LABEL), of_inner(1, LABEL)],
        ),
        ("SELECT e.s FROM (SELECT F(t,'en') s) d, (SELECT n + 1 s) e", []),
        ("SELECT s FROM (SELECT F(t,'en') s) d, (SELECT G(t,'en') s) e", []),
        ("SELECT s FROM (SELECT s FROM (SELECT F(t,'en') s) d) e", [of_inner(0, LABEL)]),
        (
            "SELECT * FROM (SELECT G(t,'en') AS `a b` FROM fb) d",
            [Described(None, SCORE, name=b"a b", is_own=False)],
        ),
        (
            "SELECT d.* FROM (SELECT F(t,'en') FROM fb) d",
            [
                Described(
                    None,
                    LABEL,
                    name=b"aws_comprehend_detect_sentiment(t,'en')",
                    is_own=False,
                )
            ],
        ),
        ("INSERT INTO fb (a) VALUES (1) RETURNING a, F(t,'en')", [own(1, LABEL)]),
        ("DELETE FROM fb RETURNING *, G(t,'en') AS g", [own(-1, SCORE)]),
        ("UPDATE fb SET a = F(t,'en')", []),
        (
            "VALUES (1, F(t,'en'))",
            [
                Described(0, None, name=b"1"),
                Described(1, None, name=b"aws_comprehend_detect_sentiment(t,'en')"),
            ],
        ),
        ("VALUES ROW(F(t,'en'))", []),
        (
            "VALUES (,F(t,'en'))",
            [Described(1, None, name=b"aws_comprehend_detect_sentiment(t,'en')")],
        ),
        ("SELECT AS x, F(t,'en')", [own(1, LABEL)]),
    ],
)
def test_the_columns_that_are_a_call(text, expected):
    assert list(described(outline_of(text), has_check=False)) == expected


def test_a_column_of_ours_is_counted_too():
    outline = outline_of("SELECT *, F(t,'en') FROM fb WHERE F(t,'en') = 'x' LIMIT 1")
    assert described(outline, has_check=True) == (own(-2, LABEL),)


def test_the_items_of_returning():
    outline = outline_of("DELETE FROM fb WHERE F(t,'en') RETURNING a, fb.*, f(b, c)")
    items = [(i.last - i.first + 1, i.is_star) for i in returning(outline)]
    assert items == [(1, False), (3, True), (6, False)]
