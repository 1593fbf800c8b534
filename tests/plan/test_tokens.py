import pytest

from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.tokens import (
    Kind,
    Token,
    Unreadable,
    digest,
    identifier,
    read_statement,
    tokenize,
)

MYSQL = Dialect(version=90700)
MARIADB = Dialect(is_mariadb=True, version=101114)
ANSI = Dialect(ansi_quotes=True)
PLAIN = Dialect(no_backslash_escapes=True)
BOTH = Dialect(ansi_quotes=True, no_backslash_escapes=True)

LETTERS = {
    Kind.WORD: "w",
    Kind.QUOTED: "q",
    Kind.STRING: "s",
    Kind.NUMBER: "n",
    Kind.VARIABLE: "v",
    Kind.MARK: "m",
}


def cut(sql: bytes, dialect: Dialect = MYSQL) -> list[tuple[str, bytes]]:
    """Kinds by their letter, and the very bytes."""
    return [(LETTERS[t.kind], sql[t.start : t.end]) for t in tokenize(sql, dialect)]


W, Q, S, N, V, M = "wqsnvm"


@pytest.mark.parametrize(
    ("sql", "dialect", "expected"),
    [
        # Quotes under every sql_mode.
        (rb"'it''s'", MYSQL, [(S, rb"'it''s'")]),
        (rb"'a\'b'", MYSQL, [(S, rb"'a\'b'")]),
        (rb"'a\\' b", MYSQL, [(S, rb"'a\\'"), (W, b"b")]),
        (rb"'a\' b", PLAIN, [(S, rb"'a\'"), (W, b"b")]),
        (rb"'a\\''' b", PLAIN, [(S, rb"'a\\'''"), (W, b"b")]),
        (rb'"a\"b"', MYSQL, [(S, rb'"a\"b"')]),
        (rb'"a""b" c', MYSQL, [(S, rb'"a""b"'), (W, b"c")]),
        (rb'"a""b" c', ANSI, [(Q, rb'"a""b"'), (W, b"c")]),
        (rb'"a\" c', ANSI, [(Q, rb'"a\"'), (W, b"c")]),
        (rb'"a\" c', BOTH, [(Q, rb'"a\"'), (W, b"c")]),
        (rb"'a\'b'", ANSI, [(S, rb"'a\'b'")]),
        (rb"'a\' c", BOTH, [(S, rb"'a\'"), (W, b"c")]),
        (rb"`a\` b", MYSQL, [(Q, rb"`a\`"), (W, b"b")]),
        (rb"`a``b`", MYSQL, [(Q, rb"`a``b`")]),
        (
            rb"""'a"b' "c'd" `e'f`""",
            MYSQL,
            [(S, b"'a\"b'"), (S, b'"c\'d"'), (Q, b"`e'f`")],
        ),
        (b"'a' 'b'\"c\"", MYSQL, [(S, b"'a'"), (S, b"'b'"), (S, b'"c"')]),
        (b"'new\nline'", MYSQL, [(S, b"'new\nline'")]),
        # Introducers are words in front of a string.
        (b"_latin1'x'", MYSQL, [(W, b"_latin1"), (S, b"'x'")]),
        (
            b"N'x' x'41' b'1'",
            MYSQL,
            [(W, b"N"), (S, b"'x'"), (W, b"x"), (S, b"'41'"), (W, b"b"), (S, b"'1'")],
        ),
        (b"0x41 0b1", MYSQL, [(W, b"0x41"), (W, b"0b1")]),
        # Numbers are digits that are no name.
        (
            b"1 1a 1$ 1\xc3\xa9",
            MYSQL,
            [(N, b"1"), (W, b"1a"), (W, b"1$"), (W, b"1\xc3\xa9")],
        ),
        (b"1.5", MYSQL, [(N, b"1"), (M, b"."), (N, b"5")]),
        (b"-1e5", MYSQL, [(M, b"-"), (W, b"1e5")]),
        # Variables.
        (
            b"@a @`b c` @'d e' @\"f\" @",
            MYSQL,
            [(V, b"@a"), (V, b"@`b c`"), (V, b"@'d e'"), (V, b'@"f"'), (V, b"@")],
        ),
        (b"@@global.x @@y", MYSQL, [(V, b"@@global.x"), (V, b"@@y")]),
        (b"@a:=1", MYSQL, [(V, b"@a"), (M, b":="), (N, b"1")]),
        # Marks.
        (
            b"a.b->'$.c'",
            MYSQL,
            [(W, b"a"), (M, b"."), (W, b"b"), (M, b"-"), (M, b">"), (S, b"'$.c'")],
        ),
        (
            b"a||b&&c<=>d",
            MYSQL,
            [
                (W, b"a"),
                (M, b"||"),
                (W, b"b"),
                (M, b"&&"),
                (W, b"c"),
                (M, b"<=>"),
                (W, b"d"),
            ],
        ),
        # Comments.
        (b"a--1", MYSQL, [(W, b"a"), (M, b"-"), (M, b"-"), (N, b"1")]),
        (b"a -- 'b\nc", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a --\nc", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a --\x01'\nc", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a --", MYSQL, [(W, b"a")]),
        (b"a # 'b\nc", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a#b", MYSQL, [(W, b"a")]),
        (b"a /* 'b /* */ c", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a /**/ b", MYSQL, [(W, b"a"), (W, b"b")]),
        (b"a /*/ b */ c", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a /*+ HINT(b) */ c", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a /* -- */ b", MYSQL, [(W, b"a"), (W, b"b")]),
        (b"2 */* b */ 3", MYSQL, [(N, b"2"), (M, b"*"), (N, b"3")]),
        (b"2 */ 3", MYSQL, [(N, b"2"), (M, b"*"), (M, b"/"), (N, b"3")]),
        # Executable comments.
        (b"a /*! b */ c", MYSQL, [(W, b"a"), (W, b"b"), (W, b"c")]),
        (b"a /*!b*/", MYSQL, [(W, b"a"), (W, b"b")]),
        (b"a /*!50000 b */", MYSQL, [(W, b"a"), (W, b"b")]),
        (b"a /*!50000b */", MYSQL, [(W, b"a"), (W, b"b")]),
        (b"a /*!90700 b */", MYSQL, [(W, b"a"), (W, b"b")]),
        (b"a /*!090701 b */", MYSQL, [(W, b"a")]),
        (b"a /*!99999 b ' */ c", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a /*!99999 b /* ' */ c */ d", MYSQL, [(W, b"a"), (W, b"d")]),
        (b"a /*M! b */ c", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a /*M!100000 b */ c", MYSQL, [(W, b"a"), (W, b"c")]),
        (b"a /*!1234 b */", MYSQL, [(W, b"a"), (N, b"1234"), (W, b"b")]),
        (b"a /*! b /* c */ d */", MYSQL, [(W, b"a"), (W, b"b"), (W, b"d")]),
        (b"a /*! b -- c */\nd */", MYSQL, [(W, b"a"), (W, b"b"), (W, b"d")]),
        (b"a /*M! b */ c", MARIADB, [(W, b"a"), (W, b"b"), (W, b"c")]),
        (b"a /*M!101114 b */", MARIADB, [(W, b"a"), (W, b"b")]),
        (b"a /*M!101115 b */", MARIADB, [(W, b"a")]),
        (b"a /*!50699 b */", MARIADB, [(W, b"a"), (W, b"b")]),
        (b"a /*!50700 b */", MARIADB, [(W, b"a")]),
        (b"a /*!80036 b */", MARIADB, [(W, b"a")]),
        (b"a /*!100000 b */", MARIADB, [(W, b"a"), (W, b"b")]),
        (b"a /*!101115 b */", MARIADB, [(W, b"a")]),
        (b"a /*M!80000 b */", MARIADB, [(W, b"a"), (W, b"b")]),
    ],
)
def test_a_statement_is_cut_as_the_server_would(sql, dialect, expected):
    assert cut(sql, dialect) == expected


@pytest.mark.parametrize(
    "sql",
    [b"'", b'"a', b"`a", b"'a\\'", b"/* a", b"/*! a", b"/*!99999 a", b"a\0", b"--\x7f"],
)
def test_what_has_no_end_cannot_be_read(sql):
    with pytest.raises(Unreadable):
        tokenize(sql, MYSQL)


@pytest.mark.parametrize("sql", [b"(", b")", b"())", b"(()"])
def test_odd_parentheses_cannot_be_read(sql):
    with pytest.raises(Unreadable):
        read_statement(sql, MYSQL)


@pytest.mark.parametrize("sql", [b"--\x7f a\nb", b"a --\xe9 b"])
def test_two_dashes_that_only_some_servers_take_for_a_comment(sql):
    with pytest.raises(Unreadable):
        tokenize(sql, MYSQL)


@pytest.mark.parametrize(
    ("charset", "trail"),
    [
        ("gbk", b"\xdf\x5c"),  # the second byte is a backslash
        ("gbk", b"\x81\x60"),  # a back quote
        ("gb18030", b"\x81\x5c"),
        ("gb18030", b"\x81\x30\x81\x30"),
        ("big5", b"\xa5\x5c"),
        ("sjis", b"\x83\x5c"),
        ("cp932", b"\xfc\x5c"),
    ],
)
def test_half_a_character_is_no_quote_and_no_backslash(charset, trail):
    dialect = Dialect(charset=charset)
    assert cut(b"'" + trail + b"' b", dialect) == [
        ("s", b"'" + trail + b"'"),
        ("w", b"b"),
    ]
    quoted = b"`" + trail + b"`"
    assert cut(quoted + b" b", dialect) == [("q", quoted), ("w", b"b")]
    assert cut(b"a" + trail, dialect) == [("w", b"a" + trail)]


def test_a_quote_is_never_half_a_character():
    for charset in ("gbk", "gb18030", "big5", "sjis", "cp932"):
        for lead in (0x81, 0xA5, 0xE0):
            sql = b"'" + bytes((lead,)) + b"' b"
            assert cut(sql, Dialect(charset=charset))[0] == ("s", sql[:3])


def test_in_utf8_and_latin1_a_backslash_is_one():
    for charset in ("utf8mb4", "latin1"):
        assert cut(b"'\xdf\\' b'", Dialect(charset=charset)) == [("s", b"'\xdf\\' b'")]


@pytest.mark.parametrize(
    ("charset", "space"),
    [("latin1", b"\xa0"), ("greek", b"\xa0"), ("cp866", b"\xff")],
)
def test_spaces_of_a_character_set(charset, space):
    dialect = Dialect(charset=charset)
    assert cut(b"ORDER" + space + b"BY a", dialect) == cut(b"ORDER BY a")
    assert cut(b"'a" + space + b"b'", dialect) == [("s", b"'a" + space + b"b'")]
    assert len(cut(b"a" + space + b"b", Dialect(charset="koi8r"))) == 1


def test_words_are_upper_case_and_the_rest_is_as_written():
    assert tokenize(b"select `Ab`", MYSQL) == [
        Token(Kind.WORD, 0, 6, b"SELECT"),
        Token(Kind.QUOTED, 7, 11, b"`Ab`"),
    ]


def test_parentheses_are_paired_and_counted():
    statement = read_statement(b"f(a, (b), c)", MYSQL)
    texts = [token.text for token in statement.tokens]
    assert texts == [b"F", b"(", b"A", b",", b"(", b"B", b")", b",", b"C", b")"]
    assert statement.closing == {1: 9, 4: 6}
    assert statement.depth == [0, 0, 1, 1, 1, 2, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("sql", "source"),
    [
        (b"a  +\n b", b"a + b"),
        (b"COUNT (x)", b"COUNT (x)"),
        (b"COUNT(x)", b"COUNT(x)"),
        (b"a /* c */ b", b"a b"),
        (b"a/**/b", b"a b"),
        (b"a /*! + b */ c", b"a + b c"),
        (b"a -- x\n .b", b"a .b"),
    ],
)
def test_the_source_keeps_tokens_and_drops_comments(sql, source):
    statement = read_statement(sql, MYSQL)
    assert statement.source(0, len(statement.tokens) - 1) == source


def test_identifiers_are_compared_without_quotes_and_case():
    sql = b'Ab `Cd``E` "F""g"'
    tokens = tokenize(sql, ANSI)
    assert [identifier(token, sql) for token in tokens] == [b"ab", b"cd`e", b'f"g']


def test_a_digest_is_the_same_when_only_literals_differ():
    one, two, three = (
        digest(read_statement(sql, MYSQL))
        for sql in (
            b"SELECT a FROM t WHERE b = 1 AND c = 'x'",
            b"select a from t\nwhere b=22 and c='it''s'  -- now",
            b"SELECT a FROM u WHERE b = 1 AND c = 'x'",
        )
    )
    assert one == two != three
    assert len(one) == 16
