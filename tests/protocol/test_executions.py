import struct

import pytest

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.executions import (
    BulkExecution,
    Execution,
    Parameter,
    read_bulk,
    read_execution,
    read_statement_id,
    write_bulk,
    write_execution,
)
from aurora_ml_proxy.protocol.vocabulary import CLIENT_QUERY_ATTRIBUTES, Capabilities

OLD = Capabilities(0)
HEAD = struct.pack("<IBI", 7, 0, 1)
STRING, LONG = b"\xfd\x00", b"\x03\x80"
TEXT, NUMBER = Parameter(STRING, b"\x02ab"), Parameter(LONG, bytes(4))
NAMED = Parameter(STRING, b"\x01v", b"\x04name")


def test_the_statement_id_comes_first():
    assert read_statement_id(HEAD) == 7


def test_parameters_are_cut_with_their_types():
    payload = HEAD + b"\x00\x01" + STRING + LONG + b"\x02ab" + bytes(4)
    found = read_execution(payload, 2, (), (), OLD)
    assert found == Execution(0, (TEXT, NUMBER), ())
    assert write_execution(7, found, OLD) == b"\x17" + payload


def test_without_types_those_of_before_count():
    payload = HEAD + b"\x02\x00" + b"\x02ab"
    found = read_execution(payload, 2, (TEXT, NUMBER), (), OLD)
    assert found.parameters == (TEXT, Parameter(LONG, None))
    with pytest.raises(MalformedPacket):
        read_execution(payload, 2, (), (), OLD)


def test_what_was_sent_ahead_is_not_in_the_packet():
    payload = HEAD + b"\x00\x01" + STRING + LONG + bytes(4)
    found = read_execution(payload, 2, (), {0}, OLD)
    assert found.parameters == (Parameter(STRING, b""), NUMBER)
    assert write_execution(7, found, OLD) == b"\x17" + payload


def test_without_parameters_there_is_nothing_more():
    assert read_execution(HEAD, 0, (), (), OLD) == Execution(0, (), ())
    assert write_execution(7, Execution(1, (), ()), OLD) == b"\x17" + struct.pack(
        "<IBI", 7, 1, 1
    )


@pytest.mark.parametrize("flags", [0, 8])
def test_attributes_come_behind_the_parameters(flags: int):
    head = struct.pack("<IBI", 7, flags, 1)
    payload = head + b"\x02\x00\x01" + STRING + b"\0" + STRING + b"\4name\x02ab\x01v"
    found = read_execution(payload, 1, (), (), CLIENT_QUERY_ATTRIBUTES)
    assert found == Execution(flags, (TEXT,), (NAMED,))
    again = write_execution(7, found, CLIENT_QUERY_ATTRIBUTES)[1:]
    assert read_execution(again, 1, (), (), CLIENT_QUERY_ATTRIBUTES) == Execution(
        8, (TEXT,), (NAMED,)
    )


def test_a_cursor_is_asked_for_by_a_flag():
    assert Execution(1, (), ()).asks_for_cursor
    assert not Execution(8, (), ()).asks_for_cursor


def test_a_packet_cut_off_anywhere_is_malformed():
    payload = HEAD + b"\x00\x01" + STRING + LONG + b"\x02ab" + bytes(4)
    for end in range(4, len(payload)):
        with pytest.raises(MalformedPacket):
            read_execution(payload[:end], 2, (), (), OLD)
    with pytest.raises(MalformedPacket):
        read_execution(payload + b"x", 2, (), (), OLD)


def test_a_bulk_is_rows_of_values_with_indicators():
    payload = struct.pack("<IH", 7, 128) + STRING + LONG + b"\0\x02ab\0" + bytes(4)
    payload += b"\x01\x02"
    rows = ((b"\0\x02ab", b"\0" + bytes(4)), (b"\x01", b"\x02"))
    bulk = BulkExecution(128, (STRING, LONG), rows)
    assert read_bulk(payload, 2, ()) == bulk
    assert write_bulk(7, bulk) == b"\xfa" + payload
    without = struct.pack("<IH", 7, 0) + payload[10:]
    assert read_bulk(without, 2, (STRING, LONG)).rows == rows


def test_a_bulk_cut_off_is_malformed():
    payload = struct.pack("<IH", 7, 128) + STRING + LONG + b"\0\x02ab\0" + bytes(4)
    for end in (4, 8, 11, 13, len(payload) - 1):
        with pytest.raises(MalformedPacket):
            read_bulk(payload[:end], 2, ())
    with pytest.raises(MalformedPacket):
        read_bulk(struct.pack("<IH", 7, 0), 2, ())
