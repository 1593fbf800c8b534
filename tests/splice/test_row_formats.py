import struct

import pytest

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.functions import Sentiment
from aurora_ml_proxy.splice.row_formats import BinaryRows, TextRows

LONG, DOUBLE, DATE, VAR_STRING = 3, 5, 10, 253
MIXED = Sentiment("MIXED", 0.25)


def binary(*kinds: int, filled: tuple[bool, ...]) -> BinaryRows:
    return BinaryRows(filled, [(kind, 0) for kind in kinds], "ascii")


def test_a_text_row_is_cut_and_filled():
    rows = TextRows((False, True, True), 1, "ascii", "ascii")
    payload = b"\x01a\xfb\xfb\x04text"
    cuts, end, values = rows.cut(payload)
    assert (cuts, end, values) == ([2, 3], 4, [b"text"])
    cells = rows.cells(MIXED)
    assert rows.fill(payload, cuts, end, cells) == b"\x01a\x05MIXED\x040.25"
    assert rows.cells(None) == (b"\xfb", b"\xfb")


def test_a_binary_row_is_cut_and_filled():
    rows = binary(LONG, VAR_STRING, VAR_STRING, DATE, VAR_STRING, filled=(
        False, True, True, False,
    ))  # fmt: skip
    payload = b"\0\x18" + bytes(4) + b"\x04date" + b"\x04text"
    cuts, end, values = rows.cut(payload)
    assert (cuts, end, values) == ([6, 6], 11, [b"text"])
    label, score = rows.cells(MIXED)
    filled = rows.fill(payload, cuts, end, (label, score))
    quarter = struct.pack("<d", 0.25)
    assert filled == b"\0\0" + bytes(4) + b"\x05MIXED" + quarter + b"\x04date"
    unanswered = rows.fill(payload, cuts, end, rows.cells(None))
    assert unanswered == b"\0\x18" + bytes(4) + b"\x04date"


def test_the_bitmap_of_a_binary_row_shrinks_with_its_columns():
    # Seven columns need two bytes, six of the user's one.
    kinds = (VAR_STRING,) * 7
    rows = binary(*kinds, filled=(True, False, False, False, False, False))
    payload = b"\0\x04\x01" + b"\x01b\x01c\x01d\x01e\x01f"
    cuts, end, values = rows.cut(payload)
    assert values == [None]
    filled = rows.fill(payload, cuts, end, [b"\x01a"])
    assert filled == b"\0\0" + b"\x01a" + payload[3:]


def test_an_appended_number_is_given_in_digits():
    rows = binary(VAR_STRING, LONG, DOUBLE, filled=(True,))
    payload = b"\0\x04" + struct.pack("<i", -5) + bytes(8)
    assert rows.cut(payload)[2] == [b"-5", b""]


def test_a_binary_row_of_another_length_is_malformed():
    rows = binary(VAR_STRING, VAR_STRING, filled=(True,))
    payload = b"\0\x04\x02ab"
    with pytest.raises(MalformedPacket):
        rows.cut(payload + b"x")
    for end in range(2, len(payload)):
        with pytest.raises((MalformedPacket, IndexError)):
            rows.cut(payload[:end])
