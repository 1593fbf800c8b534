import pytest
from support.sql_fixtures import MARIADB, MYSQL, inline_of

RUN, ROW = b"+0*CONNECTION_ID()", b"+0*RAND()"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT LOWER(F('x','en')) FROM a", RUN),
        ("SELECT LOWER(F(_utf16 x'0041',@v)) FROM a", RUN),
        ("SELECT LOWER(F(t,'en')) FROM a", b""),
        ("SELECT LOWER(F('x',lang)) FROM a", b""),
        ("SELECT 1 FROM a WHERE F('x','en') = 'y'", RUN),
        ("SELECT n FROM a WHERE F('x','en') = 'y' GROUP BY n WITH ROLLUP", ROW),
        ("SELECT n FROM a JOIN b ON F('x','en') = 'y' GROUP BY n WITH ROLLUP", ROW),
        ("SELECT n, LOWER(F('x','en')) FROM a GROUP BY n WITH ROLLUP", RUN),
        (
            "SELECT n FROM (SELECT n FROM a WHERE F('x','en') = 'y') b "
            "GROUP BY n WITH ROLLUP",
            ROW,
        ),
        ("INSERT INTO c SELECT n FROM a WHERE F('x','en') GROUP BY n WITH ROLLUP", RUN),
        ("INSERT INTO a VALUES (F('x','en'))", RUN),
        ("SET @v = F('x','en')", RUN),
    ],
)
def test_mysql_computes_a_call_of_literals_no_earlier_than_a_function(
    statement, expected
):
    assert inline_of(statement, MYSQL).calls[0].zero == expected
    assert inline_of(statement, MARIADB).calls[0].zero == b""
