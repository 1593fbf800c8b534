import pytest
from support.sql_fixtures import inline_of, text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("t,'en'", "t"),
        ("t,_latin1'en'", "t"),
        ("'x','en'", "'x'"),
        (
            "CONCAT(t, a.u), lang",
            "CONCAT(CONVERT(lang USING utf8mb4),':',"
            "CONVERT(CONCAT(t, a.u) USING utf8mb4))",
        ),
        ("'x', lang", "CONCAT(CONVERT(lang USING utf8mb4),':','x')"),
        ("5, lang", "CONCAT(CONVERT(lang USING utf8mb4),':',CONVERT(5 USING utf8mb4))"),
        ("(SELECT a FROM b),'en'", "CONCAT((SELECT a FROM b))"),
        ("a IN (SELECT a FROM b),'en'", "CONCAT(a IN (SELECT a FROM b))"),
        (
            "t, (SELECT a)",
            "CONCAT(CONVERT(CONCAT((SELECT a)) USING utf8mb4),':',"
            "CONVERT(t USING utf8mb4))",
        ),
    ],
)
def test_what_the_answer_of_a_call_is_found_by(arguments, expected):
    plan = inline_of(f"SELECT LOWER(F({arguments})) FROM c")
    assert text(plan.calls[0].key) == expected
