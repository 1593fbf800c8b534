import pytest
from support.sql_fixtures import outline_of, spans, statement_of, text

from aurora_ml_proxy.plan.aliases import (
    item_names,
    mentions,
    names_in,
    renaming,
    without_alias,
)

FOLDED = {"a": (b"(1)",), "bc": (b"(2)",)}


def test_the_names_of_items_are_folded_and_stand_for_them():
    outline = outline_of("SELECT 1 AS A, x + 2 `b C`, F(t,'en') 'd', e FROM f")
    names = item_names(outline, outline.blocks[0])
    assert {name: text(item) for name, item in names.items()} == {
        "a": "(1)",
        "bc": "(x + 2)",
        "d": "(«0»)",
    }


@pytest.mark.parametrize(
    ("item", "expected"),
    [("a AS b", "a"), ("a b", "a"), ("a", "a"), ("h(a) 'b'", "h(a)"), ("AS b", "")],
)
def test_an_item_without_its_alias(item, expected):
    outline = outline_of(f"SELECT {item}")
    span = without_alias(outline.statement, outline.blocks[0].items[0])
    assert spans(outline.statement, [span]) == [expected]


@pytest.mark.parametrize(
    ("sql", "tables", "expected"),
    [
        ("A + `B c`", "", ["(1)", "(2)"]),
        ("a(1) + a.b + x.a + 'a' + @a", "", []),
        ("x.a + y.x.`b c` + a.z + y.a", "xz", ["(1)", "(2)"]),
        ("x.", "x", []),
        ("x.a.", "x", []),
    ],
)
def test_the_tokens_that_are_such_a_name(sql, tables, expected):
    statement = statement_of(sql)
    substitute = renaming(statement, FOLDED, tables)
    found, i = [], 0
    while i < len(statement.tokens):
        replaced = substitute(i)
        if replaced is not None:
            i = replaced[0]
            found.append(text(replaced[1]))
        i += 1
    assert found == expected
    span = (0, len(statement.tokens) - 1)
    assert mentions(statement, span, FOLDED, tables) == bool(expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT t AS a FROM b ORDER BY F(a,'en')", "(t)"),
        ("SELECT t AS a FROM b HAVING F(a,'en')", "(t)"),
        ("SELECT t AS a FROM b WHERE F(a,'en')", None),
        ("SELECT t AS a, F(a,'en') FROM b", None),
        ("SELECT t AS a FROM b ORDER BY F(c,'en')", None),
        ("UPDATE b SET c = 1, a = d + 1, e = F(b.a,'en'), a = 2", "(d + 1)"),
        ("UPDATE b SET e = F(a,'en'), a = 2", None),
        ("UPDATE b SET a, e = F(a,'en')", None),
    ],
)
def test_the_names_that_a_call_means(sql, expected):
    outline = outline_of(sql)
    call = outline.calls[0]
    substitute = names_in(outline, call, outline.blocks[0])
    if expected is None:
        assert substitute is None
    else:
        assert substitute is not None
        assert text(outline.cut(call.arguments[0], substitute)) == expected
