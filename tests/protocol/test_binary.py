import struct

import pytest

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.binary import (
    UNSIGNED_FLAG,
    end_of_value,
    integer_text,
    is_null,
    read_binary_row,
    temporal_text,
    write_nulls,
)

LONG, LONGLONG, DATE, TIME, DATETIME, VAR_STRING, VECTOR = 3, 8, 10, 11, 12, 253, 242


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (6, b""),
        (1, b"\x01"),
        (2, bytes(2)),
        (13, bytes(2)),
        (LONG, bytes(4)),
        (9, bytes(4)),
        (4, bytes(4)),
        (LONGLONG, bytes(8)),
        (5, bytes(8)),
        (DATE, b"\x00"),
        (DATETIME, b"\x0b" + bytes(11)),
        (TIME, b"\x08" + bytes(8)),
        (VAR_STRING, b"\x02ab"),
        (VECTOR, b"\xfc\x00\x01" + bytes(256)),
    ],
)
def test_a_value_ends_where_its_type_says(kind: int, value: bytes):
    assert end_of_value(kind, b"before" + value + b"behind", 6) == 6 + len(value)


def test_nulls_are_bits_behind_an_offset():
    assert write_nulls([b"a", None, b"c"]) == b"\x02"
    assert write_nulls([None, *[b""] * 5, None], offset=2) == b"\x04\x01"
    assert write_nulls([]) == b""
    assert is_null(b"\x04\x01", 2) and is_null(b"\x04\x01", 8)
    assert not is_null(b"\x04\x01", 3)


def test_a_row_is_its_values():
    payload = b"\x00\x08" + bytes(4) + b"\x02ab" + b"\x04abcd"
    kinds = (LONG, 1, VAR_STRING, DATE)
    assert read_binary_row(payload, kinds) == [bytes(4), None, b"ab", b"\x04abcd"]


def test_a_row_of_another_length_is_malformed():
    payload = b"\x00\x00" + bytes(4) + b"\x02ab"
    for wrong in (*(payload[:end] for end in range(2, len(payload))), payload + b"x"):
        with pytest.raises(MalformedPacket):
            read_binary_row(wrong, (LONG, VAR_STRING))


def test_an_integer_is_signed_unless_its_flag_says_otherwise():
    assert integer_text(b"\xff\xff", 0) == b"-1"
    assert integer_text(b"\xff\xff", UNSIGNED_FLAG) == b"65535"


def test_dates_and_times_are_written_as_servers_do():
    day = struct.pack("<HBB", 2024, 2, 29)
    assert temporal_text(DATE, b"\x04" + day) == b"2024-02-29"
    assert temporal_text(DATE, b"\x00") == b"0000-00-00"
    assert temporal_text(DATETIME, b"\x04" + day) == b"2024-02-29 00:00:00"
    assert temporal_text(DATETIME, b"\x07" + day + b"\1\2\3") == b"2024-02-29 01:02:03"
    micro = day + b"\1\2\3" + bytes(4)
    assert temporal_text(7, b"\x0b" + micro) == b"2024-02-29 01:02:03"
    assert temporal_text(TIME, b"\x00") == b"00:00:00"
    assert temporal_text(TIME, b"\x08\1\2\0\0\0\3\4\5") == b"-51:04:05"
