import pytest
from support.oracle import expand

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.several import may_be_several, read_several

MARIADB = Dialect(is_mariadb=True, version=101114)
ANSI = Dialect(ansi_quotes=True, is_mariadb=True, version=101114)


def cut(packet: str, dialect: Dialect = MARIADB) -> list[str] | None:
    several = read_several(expand(packet).encode(), dialect)
    return several and [statement.decode() for statement in several.statements]


@pytest.mark.parametrize(
    ("packet", "statements"),
    [
        ("SELECT F(1,'en'); SELECT 2", ["SELECT F(1,'en')", "SELECT 2"]),
        ("  SELECT 1 ;\n SELECT F(1,'en') ;; ", ["SELECT 1 ", "SELECT F(1,'en')"]),
        ("SELECT F(1,'en');-- x", ["SELECT F(1,'en')", "-- x"]),
        ("DO ';', `;` -- ;\n;DO F(1,'en')", ["DO ';', `;` -- ;\n", "DO F(1,'en')"]),
        # What is behind the last call goes in one piece.
        ("DO F(1,'en'); SELECT 2; SELECT 3", ["DO F(1,'en')", "SELECT 2; SELECT 3"]),
        ("DO F(1,'en');; SELECT 3", ["DO F(1,'en')", "; SELECT 3"]),
        ("; SELECT F(1,'en')", ["; SELECT F(1,'en')"]),
        ("DO F(1,'en'); DO 'x; DO F(1,'en')", ["DO F(1,'en')", "DO 'x; DO F(1,'en')"]),
        ("DO F(1); DO 2; DO F(1,'en')", ["DO F(1)", "DO 2", "DO F(1,'en')"]),
        (
            "DO F(1,'en'); BEGIN NOT ATOMIC DO 1; END; DO 2",
            ["DO F(1,'en')", "BEGIN NOT ATOMIC DO 1; END; DO 2"],
        ),
        ("BEGIN; DO F(1,'en'); COMMIT", ["BEGIN", "DO F(1,'en')", "COMMIT"]),
        ("CREATE TABLE event a; DO F(1,'en')", ["CREATE TABLE event a", "DO F(1,'en')"]),
        ("CREATE USER u; DO F(1,'en')", ["CREATE USER u", "DO F(1,'en')"]),
    ],
)  # fmt: skip
def test_the_packet_is_cut_where_the_server_cuts_it(packet: str, statements: list[str]):
    assert cut(packet) == [expand(statement) for statement in statements]


@pytest.mark.parametrize(
    "packet", ["SELECT 1; SELECT 2", "SELECT 'F(1,2)'; SELECT 2", "DO F(1; SELECT 2"]
)
def test_without_a_call_nothing_is_cut(packet: str):
    assert cut(packet) is None


def test_quotes_are_the_sessions():
    packet = "SELECT \"a\\\"; DO F(1,'en'); \"; DO F(2,'en')"
    assert len(cut(packet) or ()) == 2
    assert len(cut(packet, ANSI) or ()) == 3


@pytest.mark.parametrize(
    "packet",
    [
        "BEGIN NOT ATOMIC SELECT F(1,'en'); END",
        "IF 1 THEN DO 2; END IF; DO F(1,'en')",
        "l: LOOP DO F(1,'en'); END LOOP",
        "DO 1; CREATE DEFINER=u@h PROCEDURE p() BEGIN DO F(1,'en'); END",
        "ALTER EVENT e DO BEGIN DO F(1,'en'); DO 2; END",
        "LOAD DATA LOW_PRIORITY LOCAL INFILE 'x' INTO TABLE t; DO F(1,'en')",
        "DO F(1,'en'); LOAD XML LOCAL INFILE 'x' INTO TABLE t",
    ],
)
def test_what_cannot_be_answered_one_by_one_has_one_clear_error(packet: str):
    with pytest.raises(UnsupportedStatement, match="one by one"):
        cut(packet)


@pytest.mark.parametrize(
    ("first", "changes"),
    [
        ("SELECT 'SET NAMES gbk'", False),
        ("SET @a = 'sql_mode'", False),
        ("SET @a = 1, @@session.sql_mode = ''", True),
        ("SET NAMES gbk", True),
        ("SET CHARACTER SET gbk", True),
        ("SET STATEMENT sql_mode='' FOR SELECT 1", True),
        ("CALL p()", True),
        ("EXECUTE q", True),
    ],
)
def test_some_statements_change_how_the_next_one_is_read(first: str, changes: bool):
    several = read_several(expand(f"{first}; DO F(1,'en')").encode(), MARIADB)
    assert several is not None and several.changes_lexer == (changes, False)


@pytest.mark.parametrize(
    ("packet", "reads"),
    [
        ("SELECT FOUND_ROWS(), F(1,'en'); SELECT 1", True),
        ("DO 1; SELECT @@warning_count; DO F(1,'en')", True),
        ("SELECT F(1,'en'); SELECT FOUND_ROWS()", False),
        ("DO F(1,'en'); DO 'found_rows'", False),
    ],
)
def test_what_tells_of_the_statement_before_the_packet(packet: str, reads: bool):
    several = read_several(expand(packet).encode(), MARIADB)
    assert several is not None and several.reads_diagnostics is reads


def test_a_semicolon_at_the_end_makes_no_second_statement():
    assert not may_be_several(b"SELECT 1; ; \n")
    assert may_be_several(b"SELECT 1; -- x")
