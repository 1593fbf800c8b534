import pytest
from support.oracle import expand

from aurora_ml_proxy.errors import UnsupportedStatement
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.names import parameter
from aurora_ml_proxy.plan.plan import Inline, Splice
from aurora_ml_proxy.plan.prepared import (
    Deallocate,
    Execute,
    Prepare,
    as_text,
    bound,
    in_variable,
    literal,
    plan_text,
    read_command,
)

MARIADB = Dialect(is_mariadb=True, version=101114)
MYSQL = Dialect()


def read(sql: str, dialect: Dialect = MARIADB):
    return read_command(expand(sql).encode(), dialect)


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        ("PREPARE q FROM 'SELECT 1'", Prepare("q", b"q", b"'SELECT 1'")),
        ("/* x */ prepare `Q a` from @t ;", Prepare("qa", b"`Q a`", b"@t")),
        ("EXECUTE é", Execute("e", b"", (), False)),
        ("EXECUTE q USING @a, @b", Execute("q", b"", (b"@a", b"@b"), False)),
        ("DEALLOCATE PREPARE q", Deallocate("q")),
        ("DROP PREPARE q;", Deallocate("q")),
    ],
)
def test_what_a_statement_says(sql: str, command: object):
    assert read(sql) == command
    assert read(sql, MYSQL) == command


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        (
            "EXECUTE IMMEDIATE CONVERT(@t USING utf8) USING 'a', 1+2",
            Execute("", b"CONVERT(@t USING utf8)", (b"'a'", b"1+2"), False),
        ),
        ("EXECUTE IMMEDIATE 'x' USING RAND()", Execute("", b"'x'", (b"RAND()",), True)),
        ("PREPARE q FROM CONCAT('a', @b)", Prepare("q", b"q", b"CONCAT('a', @b)")),
        ("PREPARE q FROM @a := 'x'", None),
        ("EXECUTE IMMEDIATE", Execute("immediate", b"", (), False)),
    ],
)
def test_mariadb_takes_expressions(sql: str, command: object):
    assert read(sql) == command


@pytest.mark.parametrize(
    "sql",
    [
        *("PREPARE q", "PREPARE 'q' FROM 'x'", "PREPARE q FROM CONCAT('a','b')"),
        *("PREPARE q FROM @@sql_mode", "EXECUTE", "EXECUTE 'q'", "EXECUTE q USING"),
        *("EXECUTE q @a", "EXECUTE q USING @a,", "EXECUTE q USING F(1,'en')"),
        *("EXECUTE q; SELECT 2", "PREPARE q FROM 'x"),
        *("EXECUTE IMMEDIATE 'x'", "DROP PREPARE", "DROP TABLE x", "SELECT 1", ""),
        "EXECUTE q USING F(,)",
    ],
)
def test_the_rest_is_the_servers_to_judge(sql: str):
    assert read(sql, MYSQL) is None


def test_a_parameter_is_planned_as_a_variable_and_bound_as_a_parameter():
    text = expand("SELECT '?', F(?,?), `?` FROM t WHERE F(a,'en')=? LIMIT ?").encode()
    planned = plan_text(text, MARIADB)
    assert planned is not None and isinstance(planned.plan, Inline)
    assert planned.parameters == 4
    spliced = plan_text(expand("SELECT a=?, F(?,?) FROM t LIMIT ?").encode(), MYSQL)
    assert spliced is not None and isinstance(spliced.plan, Splice)
    sql, order = bound(spliced.plan.statement)
    assert order == [0, 1, 1, 2, 2, 3] or set(order) == {0, 1, 2, 3}
    assert sql.count(b"?") == len(order) + 2  # in the column's name
    assert b"`aws_comprehend_detect_sentiment(?,?)`" in sql
    assert b"@aurora" not in sql


def test_a_shadow_has_the_parameters_and_no_call():
    planned = plan_text(expand("SELECT F(F(?,'en'),?), G(a,'en',?)").encode(), MYSQL)
    assert planned is not None
    for shadow in planned.shadows:
        assert bound(shadow)[1] == [] and shadow.split(b" AS `")[0].count(b"?") == 2
        assert b"EXP(" in shadow and shadow.count(b"aws_comprehend") == 3  # names


@pytest.mark.parametrize(
    "text", ["SELECT 1", "SELECT F(a,'en'", "DO F(1,'en'); DO 2", "FROM F(1,'en')"]
)
def test_a_text_that_is_none_of_ours(text: str):
    assert plan_text(expand(text).encode(), MARIADB) is None
    assert plan_text(parameter(1) + expand("DO F(1,'en')").encode(), MARIADB) is None


def test_diagnostics_are_refused():
    with pytest.raises(UnsupportedStatement, match="FOUND_ROWS"):
        plan_text(expand("SELECT F('a','en'), FOUND_ROWS()").encode(), MARIADB)
    assert plan_text(expand("SELECT SQL_CALC_FOUND_ROWS F('a','en')").encode(), MARIADB)


def test_a_text_as_a_literal():
    no_escapes = Dialect(no_backslash_escapes=True)
    assert literal(b"a'b\\c", MYSQL) == b"'a''b\\\\c'"
    assert literal(b"a'b\\c", no_escapes) == b"'a''b\\c'"
    assert literal("é".encode(), MARIADB) == b"_utf8mb4 X'c3a9'"
    assert literal("é".encode(), MYSQL) is None


def test_mysql_reads_a_text_twice():
    command = Prepare("q", b"q", "'é'".encode("latin-1"))
    latin1 = Dialect(charset="latin1")
    collation = b"latin1_swedish_ci"
    assert b"USING latin1)" in (as_text(command, latin1, collation) or b"")
    assert as_text(command, MARIADB, collation) is None
    assert as_text(Prepare("q", b"q", b"'e'"), latin1, collation) is None
    variable = Prepare("q", b"q", b"@e")
    assert as_text(variable, latin1, collation) is None
    assert as_text(variable, MARIADB, b"utf16_bin") is None
    read = b"CONVERT(CAST(CONVERT(@e USING utf16) AS BINARY) USING latin1)"
    assert as_text(variable, latin1, b"utf16_bin") == read


def test_a_text_in_a_variable_is_whole_letters_of_every_character_set():
    assert in_variable(b"@t", b"\xc3\xa9", Dialect(charset="gbk")) == (
        b"SET @t=(SELECT RPAD(t,(LENGTH(t)+3) DIV 4*4,X'20') FROM "
        b"(SELECT CAST(CONVERT(_utf8mb4 X'c3a9' USING gbk) AS BINARY) AS t) x)"
    )
