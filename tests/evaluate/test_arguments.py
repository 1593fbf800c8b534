import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.errors import ProxyError, TextNotUtf8, WrongArgument
from aurora_ml_proxy.evaluate.arguments import (
    cut_text,
    read_batch_size,
    read_language,
    read_text,
    text_too_long,
)
from aurora_ml_proxy.functions import LANGUAGES, MAX_TEXT_BYTES


def test_languages_are_those_of_the_service():
    for language in LANGUAGES:
        assert read_language(language.encode(), "f") == language
    for wrong in (b"", b"EN", b"en ", b"zh-tw", b"\xff", b"tlh"):
        with pytest.raises(WrongArgument, match=r"^f: language_code"):
            read_language(wrong, "f")


@pytest.mark.parametrize(("value", "size"), [(b"1", 1), (b"25", 25), (b"007", 7)])
def test_batch_sizes(value, size):
    assert read_batch_size(value, "f") == size


@pytest.mark.parametrize("value", [None, b"", b"0", b"26", b"-1", b"1.0", b"x", b"1e1"])
def test_wrong_batch_sizes(value):
    with pytest.raises(WrongArgument, match=r"^f: max_batch_size"):
        read_batch_size(value, "f")


def test_texts_are_utf8():
    assert read_text("größe 👍".encode(), "f") == "größe 👍"
    with pytest.raises(TextNotUtf8, match=r"^f: "):
        read_text(b"caf\xe9", "f")


def test_a_text_too_long_is_named_by_its_size_only():
    error = text_too_long(b"secret" * 1000, "f")
    assert "6000 bytes" in error.message and "secret" not in error.message


@given(st.text(min_size=1, max_size=4), st.integers(0, 3))
def test_a_cut_text_is_at_most_5000_bytes_and_no_character_is_split(unit, shift):
    value = ("x" * shift + unit * 5_000).encode("utf-8", "ignore")
    cut = cut_text(value)
    assert len(cut) <= MAX_TEXT_BYTES
    assert value.startswith(cut)
    cut.decode("utf-8")
    if len(value) > MAX_TEXT_BYTES:
        assert len(cut) > MAX_TEXT_BYTES - 4


@given(st.binary(max_size=20))
def test_random_bytes_are_an_argument_or_an_error(value):
    for read in (read_language, read_batch_size, read_text):
        try:
            read(value, "f")
        except ProxyError:
            pass
