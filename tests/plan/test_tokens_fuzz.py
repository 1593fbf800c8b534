from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.plan.dialect import Dialect, mask_multibyte
from aurora_ml_proxy.plan.tokens import Unreadable, read_statement, tokenize

dialects = st.builds(
    Dialect,
    charset=st.sampled_from(
        ["utf8mb4", "latin1", "gbk", "gb18030", "sjis", "big5", "cp932", "cp866"]
    ),
    ansi_quotes=st.booleans(),
    no_backslash_escapes=st.booleans(),
    is_mariadb=st.booleans(),
    version=st.sampled_from([50700, 80036, 90700, 101114]),
)

PIECES = [
    *("SELECT", "f", "(", ")", ",", "a", "`q``q`", "'s''s'", "'b\\\\'", "1", "1.5"),
    *("@v", "@@g.v", ":=", "||", "*", "/", "-- c\n", "# c\n", "/* c */", "/*/ */"),
    *("/*! a */", "/*!99999 ' */", "/*M! b */", "_latin1'x'", "N'n'", "x'41'", "é"),
    *('"d""d"', "AS", "FROM", "ORDER", "BY", ";", ".", "\n", "\t", "--1", "*/*x*/"),
]

statements = st.lists(st.sampled_from(PIECES), max_size=30).map(
    lambda pieces: " ".join(pieces).encode()
)


def check(sql: bytes, dialect: Dialect) -> None:
    try:
        tokens = tokenize(sql, dialect)
    except Unreadable:
        return
    end = 0
    for token in tokens:
        assert end <= token.start < token.end
        end = token.end
    assert end <= len(sql)


@given(statements, dialects)
def test_tokens_stand_in_order_and_do_not_overlap(sql, dialect):
    check(sql, dialect)


@given(st.binary(max_size=60), dialects)
def test_random_bytes_are_cut_or_unreadable(sql, dialect):
    check(sql, dialect)
    assert len(mask_multibyte(sql, dialect.charset)) == len(sql)


@given(st.text(alphabet="'\"`\\a /*!-#\n", max_size=30), dialects)
def test_quotes_and_comments_in_any_order(sql, dialect):
    check(sql.encode(), dialect)


@given(statements, dialects)
def test_what_stands_between_tokens_is_space_or_comment(sql, dialect):
    """The gaps, cut by themselves, have no tokens (executable comments aside)."""
    if b"/*!" in sql or b"/*M!" in sql:
        return
    try:
        tokens = tokenize(sql, dialect)
    except Unreadable:
        return
    bounds = [0, *(at for token in tokens for at in (token.start, token.end)), len(sql)]
    for start, stop in zip(bounds[::2], bounds[1::2], strict=True):
        assert tokenize(sql[start:stop], dialect) == []


@given(statements, dialects)
def test_the_source_has_the_same_tokens(sql, dialect):
    try:
        statement = read_statement(sql, dialect)
    except Unreadable:
        return
    if not statement.tokens:
        return
    source = statement.source(0, len(statement.tokens) - 1)
    again = read_statement(source, dialect)
    assert [(t.kind, t.text) for t in again.tokens] == [
        (t.kind, t.text) for t in statement.tokens
    ]
