import pytest
from support.sql_fixtures import inline_of, outline_of

from aurora_ml_proxy.plan.groups import is_on_own_groups

FROM = "FROM fb GROUP BY a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"SELECT F(COUNT(*),'en') {FROM}", True),
        (f"SELECT a, COUNT(*) AS `C` {FROM} HAVING F(c,'en') = 'x'", True),
        (f"SELECT a, COUNT(*) c {FROM} ORDER BY F(CONCAT(a, c),'en')", True),
        (f"SELECT a, COUNT(*) c {FROM} ORDER BY F(d.c,'en')", False),
        (f"SELECT COUNT(*) c, UPPER(a) u {FROM} ORDER BY F(u,'en')", False),
        (f"SELECT (SELECT MAX(b) FROM b) c {FROM} ORDER BY F(c,'en')", False),
        (f"SELECT F((SELECT COUNT(*) FROM b),'en') {FROM}", False),
        (f"SELECT MAX(F(t,'en')) {FROM}", False),
        (f"SELECT COUNT(*) c, F(c,'en') {FROM}", False),
        ("SELECT F(LAG(t) OVER (ORDER BY a),'en') FROM fb", True),
    ],
)
def test_arguments_of_groups(text, expected):
    outline = outline_of(text)
    call = outline.calls[0]
    block = outline.block_at(call.first)
    assert block is not None
    assert is_on_own_groups(outline, call, block) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"SELECT LOWER(F(MAX(t),'en')) {FROM}", True),
        (f"SELECT a {FROM} HAVING F(MAX(t),'en') = 'x'", True),
        (f"SELECT a, MAX(t) AS m {FROM} ORDER BY F(m,'en')", True),
        (f"SELECT a {FROM} UNION SELECT COUNT(*) c {FROM} ORDER BY F(c,'en')", False),
        ("SELECT LOWER(F(MAX(t),'en')) FROM fb", False),
        ("SELECT LOWER(F(LAG(t) OVER (ORDER BY a),'en')) FROM fb", False),
        (f"SELECT LOWER(F(a,'en')) {FROM}", False),
        (f"SELECT MAX(a) m {FROM}, F(m,'en')", False),
        ("UPDATE fb SET a = F(t,'en')", False),
    ],
)
def test_calls_that_have_a_group_of_rows_at_least(text, expected):
    assert inline_of(text).calls[0].is_of_group == expected
