import pytest
from support.conversations import Shape as _Shape
from support.conversations import end_of_rows, ok, text

from aurora_ml_proxy.errors import MalformedPacket, UnsupportedStatement
from aurora_ml_proxy.protocol.results import (
    ColumnDefinition,
    Layout,
    add_warnings,
    error_number,
    is_error,
    read_column_count,
    read_column_definition,
    read_status,
    read_text_row,
    write_column_count,
    write_error,
    write_text_row,
)
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    MAX_PAYLOAD,
    Capabilities,
    MariaDBCapabilities,
)

NONE = MariaDBCapabilities(0)
OLD = Layout(Capabilities(0), NONE)
NEW = Layout(CLIENT_DEPRECATE_EOF, NONE)
OPTIONAL = Layout(CLIENT_OPTIONAL_RESULTSET_METADATA, NONE)
CACHED = Layout(Capabilities(0), MariaDBCapabilities.CACHE_METADATA)
EXTENDED = Layout(Capabilities(0), MariaDBCapabilities.EXTENDED_METADATA)
PROGRESS = Layout(Capabilities(0), MariaDBCapabilities.PROGRESS)

# SELECT id AS n FROM test.fb, MariaDB 10.11: INT, display width 11, NOT NULL and a key.
DEFINITION = bytes.fromhex(
    "03646566 0474657374 026662 026662 016e 026964 0c 3f00 0b000000 03 0342 00 0000"
)


def test_a_definition_is_cut_where_it_is_edited_and_comes_out_the_same():
    found = read_column_definition(DEFINITION, OLD)
    assert found == ColumnDefinition(
        qualifiers=b"\x03def\x04test\x02fb\x02fb",
        name=b"\x01n",
        org_name=b"\x02id",
        extended=b"",
        charset=63,
        length=11,
        type=3,
        flags=0x4203,
        decimals=0,
    )
    assert found.write() == DEFINITION


def test_extended_metadata_is_kept():
    at = DEFINITION.index(b"\x0c")
    payload = DEFINITION[:at] + text(b"\0\4json") + DEFINITION[at:]
    found = read_column_definition(payload, EXTENDED)
    assert found.extended == b"\x06\0\4json"
    assert found.type == 3
    assert found.write() == payload


@pytest.mark.parametrize("end", range(len(DEFINITION) - 2))
def test_a_definition_cut_off_is_malformed(end):
    with pytest.raises(MalformedPacket):
        read_column_definition(DEFINITION[:end], OLD)


@pytest.mark.parametrize(
    ("layout", "payload", "count", "follows"),
    [
        (OLD, b"\x05", 5, True),
        (OLD, b"\xfc\x2c\x01", 300, True),
        (OPTIONAL, b"\x05\x01", 5, True),
        (OPTIONAL, b"\x05\x00", 5, False),
        (CACHED, b"\xfc\x2c\x01\x00", 300, False),
        (CACHED, b"\x05", 5, True),
    ],
)
def test_column_counts(layout, payload, count, follows):
    assert read_column_count(payload, layout) == (count, follows)
    assert write_column_count(count, payload) == payload


def test_a_column_count_crosses_the_size_of_a_byte_and_keeps_its_flag():
    assert write_column_count(250, b"\xfc\xfb\x00\x01") == b"\xfa\x01"
    assert write_column_count(251, b"\xfa\x01") == b"\xfc\xfb\x00\x01"


@pytest.mark.parametrize("payload", [b"\xfb", b"", b"\xfc\x01", b"\xfd\0\0\1"])
def test_no_column_count_is_malformed(payload):
    with pytest.raises(MalformedPacket):
        read_column_count(payload, OLD)


def test_terminators_are_told_from_rows():
    eof, ok_like = b"\xfe\0\0\2\0", ok(first=0xFE, info=b"x" * 300)
    assert OLD.is_terminator(eof) and NEW.is_terminator(eof)
    assert not OLD.is_terminator(ok_like) and NEW.is_terminator(ok_like)
    assert not OLD.is_terminator(b"") and not OLD.is_terminator(b"\0")
    giant = b"\xfe" + bytes(MAX_PAYLOAD - 1)
    assert not OLD.is_terminator(giant) and not NEW.is_terminator(giant)


def test_progress_is_no_error_where_it_was_negotiated():
    payload = b"\xff\xff\xff\1\1\1\0\0\0\0"
    assert PROGRESS.is_progress(payload)
    assert not OLD.is_progress(payload)
    assert not PROGRESS.is_progress(b"\xff\x10\x04")
    assert is_error(payload) and not is_error(b"") and not is_error(b"\0")
    assert error_number(b"\xff\x28\x04no") == 1064


@pytest.mark.parametrize("layout", [OLD, NEW])
def test_warnings_are_added_to_what_ends_the_rows(layout):
    shape = _Shape(deprecate_eof=layout is NEW)
    payload = end_of_rows(shape, status=0x22, info=b"" if layout is OLD else b"info")
    assert add_warnings(payload, 0, layout) == payload
    three = add_warnings(payload, 3, layout)
    assert len(three) == len(payload)
    assert read_status(three, layout) == 0x22
    at = 1 if layout is OLD else 5
    assert three[at : at + 2] == b"\3\0"
    assert add_warnings(three, 2, layout)[at : at + 2] == b"\5\0"
    assert add_warnings(three, 1 << 20, layout)[at : at + 2] == b"\xff\xff"


def test_an_error_is_written_with_a_sqlstate_once_the_protocol_is_known():
    error = UnsupportedStatement("not so")
    assert write_error(error) == b"\xff\xd3\x04#42000not so"
    assert write_error(error, with_sqlstate=False) == b"\xff\xd3\x04not so"


def test_a_text_row_round_trips():
    values = [None, b"", b"x" * 251, b"\xfb", b"y" * 70_000]
    assert read_text_row(write_text_row(values)) == values
    assert read_text_row(b"") == []
