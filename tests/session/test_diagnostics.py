import pytest

from aurora_ml_proxy.session.diagnostics import is_show_warnings, keeps_warnings


@pytest.mark.parametrize(
    "sql", [b"SHOW WARNINGS", b" show\twarnings ; ", b"SHOW COUNT ( * ) WARNINGS"]
)
def test_what_shows_warnings(sql):
    assert is_show_warnings(sql) and keeps_warnings(sql)


@pytest.mark.parametrize(
    "sql", [b"SHOW ERRORS", b"SHOW WARNINGS LIMIT 1", b"SELECT 1", b"", b"SHOW TABLES"]
)
def test_what_does_not(sql):
    assert not is_show_warnings(sql)


def test_what_leaves_them_as_they_are():
    assert keeps_warnings(b"GET DIAGNOSTICS @n = NUMBER")
    assert keeps_warnings(b"SHOW WARNINGS LIMIT 1")
    assert not keeps_warnings(b"SELECT 1") and not keeps_warnings(b"GETTING")
