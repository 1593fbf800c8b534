import pytest

from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.select import folded, mentions, positions, read_select
from aurora_ml_proxy.plan.tokens import read_statement


def shape(text: str):
    """Options, items and clauses as text."""
    statement = read_statement(text.encode(), Dialect())
    select = read_select(statement)
    if select is None:
        return None
    items = [statement.source(item.first, item.last).decode() for item in select.items]
    clauses = [
        statement.source(clause.first, clause.last).decode() for clause in select.clauses
    ]
    return [option.decode() for option in select.options], items, clauses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", ([], ["1"], [])),
        (
            "SELECT a, f(b, c) AS d, t.* FROM t",
            ([], ["a", "f(b, c) AS d", "t.*"], ["FROM t"]),
        ),
        (
            "SELECT SQL_NO_CACHE ALL a FROM t;",
            (["SQL_NO_CACHE", "ALL"], ["a"], ["FROM t"]),
        ),
        (
            "SELECT a FROM t JOIN u ON v WHERE b GROUP BY c HAVING d ORDER BY e LIMIT 1",
            (
                [],
                ["a"],
                [
                    "FROM t JOIN u ON v",
                    "WHERE b",
                    "GROUP BY c",
                    "HAVING d",
                    "ORDER BY e",
                    "LIMIT 1",
                ],
            ),
        ),
        (
            "SELECT a FROM t ON DUPLICATE KEY UPDATE b = 1",
            ([], ["a"], ["FROM t", "ON DUPLICATE KEY UPDATE b = 1"]),
        ),
        (
            "SELECT a FROM t USE INDEX FOR ORDER BY (k) ORDER BY b",
            ([], ["a"], ["FROM t USE INDEX FOR ORDER BY (k)", "ORDER BY b"]),
        ),
        (
            "SELECT a FROM t FOR SYSTEM_TIME AS OF b RETURNING c",
            ([], ["a"], ["FROM t FOR SYSTEM_TIME AS OF b", "RETURNING c"]),
        ),
        ("SELECT (SELECT a FROM t) b FROM u", ([], ["(SELECT a FROM t) b"], ["FROM u"])),
        ("WITH c AS (SELECT 1) SELECT a FROM c", ([], ["a"], ["FROM c"])),
        ("WITH RECURSIVE c AS (SELECT 1), d AS (SELECT 2) SELECT a", ([], ["a"], [])),
        ("WITH c AS (SELECT 1) UPDATE t SET a = 1", None),
        ("WITH c AS (SELECT 1)", None),
        ("UPDATE t SET a = 1", None),
        ("(SELECT 1)", None),
        ("", None),
        ("SELECT", ([], [], [])),
        ("SELECT ,", ([], [], [])),
        ("SELECT t.window, t.order FROM t", ([], ["t.window", "t.order"], ["FROM t"])),
        # Words that are names here and keywords there.
        ("SELECT a window FROM t", ([], ["a window"], ["FROM t"])),
        (
            "SELECT window, a AS offset, minus FROM t",
            ([], ["window", "a AS offset", "minus"], ["FROM t"]),
        ),
        ("SELECT a offset FROM t", ([], ["a offset"], ["FROM t"])),
        ("SELECT a qualify, b qualify", ([], ["a qualify", "b qualify"], [])),
        ("SELECT a minus FROM t", ([], ["a minus"], ["FROM t"])),
        (
            "SELECT a FROM t WINDOW w AS (ORDER BY b)",
            ([], ["a"], ["FROM t", "WINDOW w AS (ORDER BY b)"]),
        ),
        (
            "SELECT a OFFSET 1 ROW FETCH FIRST 1 ROWS ONLY",
            ([], ["a"], ["OFFSET 1 ROW", "FETCH FIRST 1 ROWS ONLY"]),
        ),
        ("SELECT a FROM t QUALIFY b > 1", ([], ["a"], ["FROM t", "QUALIFY b > 1"])),
        ("SELECT a MINUS SELECT b", ([], ["a"], ["MINUS SELECT b"])),
        ("SELECT a MINUS (SELECT b)", ([], ["a"], ["MINUS (SELECT b)"])),
        (
            "SELECT a FROM t ORDER BY b offset, c",
            ([], ["a"], ["FROM t", "ORDER BY b offset, c"]),
        ),
        (
            "SELECT NEXT VALUE FOR s, a FROM t",
            ([], ["NEXT VALUE FOR s", "a"], ["FROM t"]),
        ),
        ("SELECT a INTO @b FROM t", ([], ["a"], ["INTO @b", "FROM t"])),
        ("SELECT a FROM t FOR UPDATE", ([], ["a"], ["FROM t", "FOR UPDATE"])),
    ],
)
def test_the_shape_of_a_select(text, expected):
    assert shape(text) == expected


def test_stars_are_known():
    statement = read_statement(b"SELECT *, t.*, a*b, COUNT(*) FROM t", Dialect())
    select = read_select(statement)
    assert select is not None
    assert [item.is_star for item in select.items] == [True, True, False, False]
    assert select.has(b"FROM") and not select.has(b"WHERE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ORDER BY 1", [1]),
        ("ORDER BY a, 2 DESC, 03 ASC, b", [2, 3]),
        ("GROUP BY 1, 2 WITH ROLLUP", [1, 2]),
        ("GROUP BY ROLLUP (a, 2), b", [2]),
        ("ORDER BY (1), ((2)), +3, - -4, {x 5}", [1, 2, 3, 4, 5]),
        ("ORDER BY TRUE, NOT FALSE", [1, 1]),
        ("ORDER BY a + 1, 2 * b, f(1), IF(a,1,2), 1.5e0, 'x', @a, a.b", []),
        ("ORDER BY (SELECT 1)", []),
        ("ORDER BY", []),
        ("HAVING 1", []),
        ("WINDOW w AS (ORDER BY 1)", []),
    ],
)
def test_positions(text, expected):
    statement = read_statement(b"SELECT a FROM t " + text.encode(), Dialect())
    select = read_select(statement)
    assert select is not None
    assert positions(statement, select.clauses[-1]) == expected


@pytest.mark.parametrize(
    ("left", "right", "charset"),
    [
        (b"Sum", b"sUM", "utf8mb4"),
        (b" s", b"s", "utf8mb4"),
        (b"s ", b"s", "utf8mb4"),
        (b"\x01s", b"s", "utf8mb4"),
        ("É".encode(), "é".encode(), "utf8mb4"),
        ("ı".encode(), b"I", "utf8mb4"),
        ("Я".encode("cp1251"), "я".encode("cp1251"), "cp1251"),
        ("É".encode("cp1252"), "é".encode("cp1252"), "latin1"),
        (b"\xff\xfe", b"", "utf8mb4"),
    ],
)
def test_names_that_a_server_may_take_for_one(left, right, charset):
    assert folded(left, charset) == folded(right, charset)


@pytest.mark.parametrize(
    ("left", "right", "charset"),
    [
        (b"s", b"t", "utf8mb4"),
        (b"a_b", b"ab", "utf8mb4"),
        ("é".encode(), b"e", "utf8mb4"),
        ("感情".encode(), "名前".encode(), "utf8mb4"),
        ("感情".encode("gbk"), "名前".encode("gbk"), "gbk"),
    ],
)
def test_names_that_are_two_to_every_server(left, right, charset):
    assert folded(left, charset) != folded(right, charset)


def test_only_an_unqualified_name_is_mentioned():
    statement = read_statement(b"a + t.s + `S` + 's' + @s", Dialect())
    last = len(statement.tokens) - 1
    assert mentions(statement, 0, last, "s")
    assert not mentions(statement, 0, 5, "s")
    assert not mentions(statement, 7, last, "s")
