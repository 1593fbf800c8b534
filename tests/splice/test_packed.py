import pytest

from aurora_ml_proxy.splice.packed import read_packed


def packed(text: bytes, language: bytes = b"", size: bytes = b"") -> bytes:
    return b"%b:%b:%b." % (text.hex().encode(), language.hex().encode(), size)


def read(value: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return list(read_packed(value))


def test_items_of_text_language_and_batch_size():
    value = packed(b"good", b"en", b"25") + packed("schön".encode(), b"de", b"1")
    assert read(value) == [
        (b"good", b"en", b"25"),
        ("schön".encode(), b"de", b"1"),
    ]


def test_nothing_and_empty_texts():
    assert read(b"") == []
    assert read(packed(b"")) == [(b"", b"", b"")]


def test_bytes_that_mean_something_to_the_packing_are_hexadecimal():
    assert read(packed(b".:.\0.", b":", b"")) == [(b".:.\0.", b":", b"")]


@pytest.mark.parametrize("cut", range(len(packed(b"second", b"en", b"7"))))
def test_an_item_that_the_server_cut_off_is_left_out(cut):
    value = packed(b"first") + packed(b"second", b"en", b"7")[:cut]
    assert read(value) == [(b"first", b"", b"")]


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-32-be"])
def test_a_wide_character_set(encoding):
    value = packed(b"good", b"en", b"25") * 2
    assert read(value.decode().encode(encoding)) == read(value)


@pytest.mark.parametrize("nonsense", [b"4:3:1.", b"zz::.", b"\xff::.", b"41:.", b"."])
def test_an_item_that_makes_no_sense_is_left_out(nonsense):
    """Its text is then missing, and is read again in another way."""
    value = packed(b"a") + nonsense + packed(b"b")
    assert [text for text, _, _ in read(value)] == [b"a", b"b"]
