import pytest
from support.sql_fixtures import statement_of

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.names import alias_of, generated_name, quote_name
from aurora_ml_proxy.plan.tokens import read_statement


@pytest.mark.parametrize(
    ("item", "alias"),
    [
        ("a AS b", "b"),
        ("a b", "b"),
        ("a `b c`", "`b c`"),
        ("a AS 'b'", "'b'"),
        ("a 'b'", "'b'"),
        ("f(a) b", "b"),
        ("a + 1 b", "b"),
        ("? b", "b"),
        ("CASE a WHEN b THEN c END d", "d"),
        ("CASE WHEN a THEN b END end", "end"),
        ("a + INTERVAL 1 DAY b", "b"),
        ("a day", "day"),
        ("SUM(a) OVER (ORDER BY b) c", "c"),
        ("SUM(a) OVER w c", "c"),
        ("{d '2020-01-01'} a", "a"),
        # No alias.
        ("a", None),
        ("'a'", None),
        ("a.b", None),
        ("a + b", None),
        ("f(a)", None),
        ("a AND b", None),
        ("a LIKE 'b'", None),
        ("a COLLATE b", None),
        ("NOT b", None),
        ("SUM(a) OVER w", None),
        ("CASE a WHEN b THEN c END", None),
        ("CASE WHEN CASE WHEN a THEN b END THEN c END", None),
        ("a + INTERVAL 1 DAY", None),
        ("DATE_ADD(a, INTERVAL 1 DAY) - INTERVAL b SECOND_MICROSECOND", None),
        ("'a' 'b'", None),
        ("N'a'", None),
        ("_latin1'a'", None),
        ("X'41'", None),
        ("DATE '2020-01-01'", None),
        ("DISTINCT a", None),
        ("a IS NULL", None),
        ("@a := b", None),
    ],
)
def test_the_alias_of_an_item(item, alias):
    statement = statement_of(item)
    last = len(statement.tokens) - 1
    found = alias_of(statement, 0, last)
    if alias is None:
        assert found is None
    else:
        assert found == last
        assert statement.source(last, last).decode() == alias


def name_of(text: bytes, charset: str = "utf8mb4") -> bytes:
    statement = read_statement(text, Dialect(charset=charset))
    return generated_name(statement, 0, len(statement.tokens) - 1)


@pytest.mark.parametrize(
    ("text", "charset", "name"),
    [
        (b" f( a ) /* b */ + 1 -- c", "utf8mb4", b"f( a ) /* b */ + 1"),
        ("f('é', '😀')".encode(), "utf8mb4", "f('é', '?')".encode()),
        (b"f('\xe9')", "latin1", b"f('\xe9')"),
        (b"f(" + b"a" * 300 + b")", "latin1", b"f(" + b"a" * 253),
        (("f(" + "é" * 200 + ")").encode(), "utf8", ("f(" + "é" * 126).encode()),
    ],
)
def test_the_name_that_the_server_gives(text, charset, name):
    assert name_of(text, charset) == name


def test_an_executable_comment_makes_a_name_uncertain():
    with pytest.raises(UnsupportedStatement, match="give it an alias"):
        name_of(b"f(a /*! , b */)")


def test_names_are_quoted_in_a_way_that_every_mode_understands():
    assert quote_name(b"a`b") == b"`a``b`"
