"""The files of the inline corpus are read as they are meant."""

from pathlib import Path

import pytest
from support.inline_corpus import ad_hoc, choose, read_corpus, read_section
from support.inline_sessions import SESSIONS

TEXT = """\
# A title.

# only mysql
# error mysql9
SELECT F(t,'en')
  FROM fb;;
DO 1

# Not a mark: only mysql.
INSERT INTO x VALUES ('a;;b')
"""


def test_a_paragraph_is_a_case_and_its_marks_are_read(tmp_path: Path) -> None:
    (tmp_path / "part.sql").write_text(TEXT)
    first, second = read_section(tmp_path / "part.sql")
    assert (first.name, first.line) == ("part:1", 3)
    assert first.steps == (
        "SELECT aws_comprehend_detect_sentiment(t,'en')\n  FROM fb",
        "DO 1",
    )
    assert first.is_for("mysql9") and not first.is_for("mariadb10")
    assert first.fails_on("mysql9") and not first.fails_on("mariadb10")
    assert not first.writes
    assert second.steps == ("INSERT INTO x VALUES ('a;;b')",)
    assert second.is_for("mariadb10") and not second.fails_on("mysql9")
    assert second.writes


def test_a_field_may_differ_on_a_kind_of_server_or_in_a_session(tmp_path: Path) -> None:
    marks = (
        "# may differ mysql: counts\n# may differ in latin1, no backslash: error, rows"
    )
    (tmp_path / "part.sql").write_text(f"{marks}\nSELECT 1")
    (case,) = read_section(tmp_path / "part.sql")
    assert case.may_differ("mysql9", "as it is") == {"counts"}
    assert case.may_differ("mariadb10", "no backslash") == {"error", "rows"}
    assert case.may_differ("mariadb10", "gbk") == set()


def test_every_session_that_is_named_is_one() -> None:
    named = {s for case in read_corpus() for i in case.ignored for s in i.sessions}
    assert named <= SESSIONS.keys()


def test_cases_are_chosen_by_section_and_by_number() -> None:
    cases = read_corpus()
    assert [case.name for case in choose(cases, ["where:2-3", "nested:1"])] == [
        "nested:1",
        "where:2",
        "where:3",
    ]
    assert {case.section for case in choose(cases, ["where"])} == {"where"}


def test_every_name_is_used_once() -> None:
    names = [case.name for case in read_corpus()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("sql", ["SELECT 1", "SET @a = 1;;\nSELECT @a"])
def test_a_statement_of_the_command_line_is_a_case(sql: str) -> None:
    assert ";;\n".join(ad_hoc(sql).steps) == sql
