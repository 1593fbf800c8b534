import pytest

from aurora_ml_proxy.plan.dialect import depends_on_session, mask_multibyte, read_version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.0.36", (False, 80036)),
        ("9.7.4-2", (False, 90704)),
        ("5.7.44-log", (False, 50744)),
        ("8.0.mysql_aurora.3.05.2", (False, 80000)),
        ("10.11.14-MariaDB-0+deb12u1", (True, 101114)),
        ("5.5.5-10.11.14-MariaDB-log", (True, 101114)),
        ("11.8.2-MariaDB", (True, 110802)),
        ("MariaDB", (True, 80000)),
        ("", (False, 80000)),
    ],
)
def test_versions(text, expected):
    assert read_version(text) == expected


def test_only_what_modes_and_charsets_read_differently_depends_on_the_session():
    assert not depends_on_session(b"SELECT f(`a`,'en') -- it's\n/*! x */")
    for sql in (b'SELECT "a"', b"SELECT 'a\\'", b"SELECT '\xc3\xa9'"):
        assert depends_on_session(sql)


def test_masking_keeps_the_length_and_ascii():
    assert mask_multibyte(b"a\xdf\x5cb", "gbk") == b"a\xff\xffb"
    assert mask_multibyte(b"a\x81\x30\x81\x30b", "gb18030") == b"a\xff\xff\xff\xffb"
    assert mask_multibyte(b"a\xdf\x5cb", "utf8mb4") == b"a\xdf\x5cb"
    assert mask_multibyte(b"a\xa0b", "latin1") == b"a b"
