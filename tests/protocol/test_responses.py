import pytest
from support.conversations import (
    CURSOR_EXISTS,
    MORE_RESULTS,
    PROGRESS,
    Shape,
    definition,
    end_of_rows,
    error,
    frame,
    frames,
    lenenc,
    ok,
    text,
)
from support.three_ways import WAYS, chunks

from aurora_ml_proxy.protocol.responses import Response, ResponseFollower, response_to
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    MAX_PAYLOAD,
    Capabilities,
    MariaDBCapabilities,
)

OLD, NEW = Shape(), Shape(deprecate_eof=True)


def follower(shape: Shape) -> ResponseFollower:
    bits = CLIENT_DEPRECATE_EOF if shape.deprecate_eof else Capabilities(0)
    if shape.optional_metadata:
        bits |= CLIENT_OPTIONAL_RESULTSET_METADATA
    mariadb = MariaDBCapabilities(0)
    if shape.cache_metadata:
        mariadb |= MariaDBCapabilities.CACHE_METADATA
    if shape.progress:
        mariadb |= MariaDBCapabilities.PROGRESS
    return ResponseFollower(bits, mariadb)


def rows(shape: Shape, *payloads: bytes, status: int = 2, count: bytes = b"\2") -> list:
    """A result set of two columns with these packets for rows."""
    eof = [] if shape.deprecate_eof else [end_of_rows(shape, status)]
    return [
        count,
        definition(),
        definition(),
        *eof,
        *payloads,
        end_of_rows(shape, status),
    ]


R, O, P = Response.RESULT, Response.ONE, Response.PREPARE  # noqa: E741
HEAD = b"\0\1\0\0\0"
ROW = text(b"a") + text(None)
EOF = end_of_rows(OLD)

CASES = {
    "ok": (OLD, R, [ok()]),
    "error": (OLD, R, [error()]),
    "rows, the old way": (OLD, R, rows(OLD, ROW, ROW)),
    "rows, the new way": (NEW, R, rows(NEW, ROW, ROW)),
    "no rows": (OLD, R, rows(OLD)),
    "no rows, the new way": (NEW, R, rows(NEW)),
    "rows like OK, EOF, INFILE": (
        NEW,
        R,
        rows(NEW, b"\0", b"\xfb\xfb", b"\0\0\0\0\0\0\0"),
    ),
    "a row like a short EOF": (
        OLD,
        R,
        rows(OLD, b"\xfe" + lenenc(1 << 24)[1:] + b"x" * 9),
    ),
    "an error behind the definitions": (
        OLD,
        R,
        [b"\1", definition(), end_of_rows(OLD), error()],
    ),
    "an error among the definitions": (OLD, R, [b"\2", definition(), error()]),
    "an error between rows": (NEW, R, [b"\1", definition(), ROW, error()]),
    "several results": (
        OLD,
        R,
        [*rows(OLD, ROW, status=2 | MORE_RESULTS), ok(2 | MORE_RESULTS), *rows(OLD)],
    ),
    "several results that end in an error": (OLD, R, [ok(2 | MORE_RESULTS), error()]),
    "several results, the new way": (
        NEW,
        R,
        [*rows(NEW, ROW, status=2 | MORE_RESULTS), *rows(NEW, ROW)],
    ),
    "progress reports": (
        Shape(progress=True),
        R,
        [PROGRESS, b"\1", definition(), EOF, PROGRESS, ROW, PROGRESS, EOF],
    ),
    "an error of that number without progress reports": (OLD, R, [PROGRESS]),
    "no definitions": (
        Shape(optional_metadata=True),
        R,
        [b"\2\0", end_of_rows(OLD), ROW, end_of_rows(OLD)],
    ),
    "no definitions, the new way": (
        Shape(deprecate_eof=True, cache_metadata=True),
        R,
        [b"\2\0", ROW, end_of_rows(NEW)],
    ),
    "definitions that the flag announces": (
        Shape(cache_metadata=True),
        R,
        rows(OLD, ROW, count=b"\2\1"),
    ),
    "300 columns": (
        NEW,
        R,
        [lenenc(300), *[definition()] * 300, ROW, end_of_rows(NEW)],
    ),
    "a cursor": (OLD, R, [b"\1", definition(), end_of_rows(OLD, 2 | CURSOR_EXISTS)]),
    "a cursor, the new way": (
        NEW,
        R,
        [b"\1", definition(), end_of_rows(NEW, 2 | CURSOR_EXISTS)],
    ),
    "a pong": (OLD, O, [ok()]),
    "a refusal": (OLD, O, [error(1047)]),
    "statistics": (OLD, O, [b"Uptime: 5"]),
    "an EOF for an answer": (OLD, O, [EOF]),
    "nothing at all for an answer": (OLD, O, [b""]),
    "a prepared statement": (
        OLD,
        P,
        [HEAD + b"\1\0\2\0\0\0\0", *[definition()] * 2, EOF, definition(), EOF],
    ),
    "a prepared statement, the new way": (
        NEW,
        P,
        [HEAD + b"\1\0\2\0\0\0\0", *[definition()] * 3],
    ),
    "a prepared statement without anything": (OLD, P, [HEAD + bytes(7)]),
    "a prepared statement with columns only": (
        OLD,
        P,
        [HEAD + b"\1\0\0\0\0\0\0", definition(), EOF],
    ),
    "a prepared statement whose definitions are left out": (
        Shape(optional_metadata=True),
        P,
        [HEAD + b"\1\0\2\0\0\0\0\0", EOF, EOF],
    ),
    "a statement that cannot be prepared": (OLD, P, [error()]),
    "a list of fields": (OLD, Response.FIELDS, [definition(), definition(), EOF]),
    "a list of fields, the new way": (
        NEW,
        Response.FIELDS,
        [definition(), end_of_rows(NEW)],
    ),
    "fetched rows": (OLD, Response.FETCH, [b"\0\0a", end_of_rows(OLD, 2 | MORE_RESULTS)]),
    "fetched rows, the new way": (NEW, Response.FETCH, [b"\0\0a", end_of_rows(NEW)]),
    "nothing to fetch": (OLD, Response.FETCH, [error()]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_a_response_ends_where_it_ends(case, way):
    shape, response, payloads = CASES[case]
    following = follower(shape)
    following.expect(response)
    data = frames(payloads, 1)
    for chunk in chunks(data[:-1], way, more=b""):
        following.feed(chunk)
        assert not following.is_idle
    assert not following.is_between_packets
    following.feed(data[-1:])
    assert following.is_idle
    assert following.is_between_packets
    assert not following.is_blind
    # And with more behind it: a response to the next command.
    following.expect(response)
    following.expect(Response.ONE)
    following.feed(data + frame(ok(0x22), 1))
    assert following.is_idle
    assert following.status == 0x22


def test_the_status_is_that_of_the_last_ok_or_eof():
    for shape in (OLD, NEW):
        following = follower(shape)
        following.expect(Response.RESULT)
        following.feed(frames(rows(shape, ROW, status=0x0103), 1))
        assert following.status == 0x0103


def test_nothing_is_expected_behind_a_command_that_has_no_answer():
    following = follower(OLD)
    following.expect(Response.NONE)
    assert following.is_idle


def test_what_nobody_asked_for_is_passed_over():
    following = follower(OLD)
    following.feed(frame(error(4031)) + frame(b"") + frame(b"\xfe"))
    assert following.is_idle and not following.is_blind
    following.expect(Response.ONE)
    following.feed(frame(ok(), 1))
    assert following.is_idle


@pytest.mark.parametrize("size", [MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD])
@pytest.mark.parametrize("first", [b"\xfe", b"\x00"])
@pytest.mark.parametrize("shape", [OLD, NEW])
def test_a_row_of_16_mb_is_a_row(size, first, shape):
    """Its first column's length may begin with 0xFE, as an EOF does."""
    following = follower(shape)
    following.expect(Response.RESULT)
    data = frames(rows(shape, first + bytes(size - 1), ROW), 1)
    for start in range(0, len(data) - 1, 1 << 20):
        following.feed(data[start : min(start + (1 << 20), len(data) - 1)])
        assert not following.is_idle
    following.feed(data[-1:])
    assert following.is_idle


def test_a_file_that_is_wanted_is_told_once_and_then_the_answer_comes():
    following = follower(OLD)
    following.expect(Response.RESULT)
    following.expect(Response.ONE)  # the upstream eats it as file data
    following.feed(frame(b"\xfbname", 1))
    assert following.wants_file
    following.wants_file = False
    assert not following.is_idle
    following.feed(frame(ok(), 3))
    assert following.is_idle and not following.wants_file


@pytest.mark.parametrize(
    ("response", "payloads"),
    [
        (Response.PREPARE, [b"\0\1\0\0"]),
        (Response.RESULT, [b"\1", definition(), ok()]),
        (Response.RESULT, [b"\1", definition(), b"\xfe"]),
        (Response.RESULT, [b"\xfc\1"]),
        (Response.RESULT, [b"\0"]),
    ],
)
def test_what_makes_no_sense_is_passed_on_blindly(response, payloads):
    following = follower(OLD)
    following.expect(response)
    following.feed(frames(payloads, 1))
    assert following.is_blind and following.is_idle
    following.feed(b"anything")
    assert following.is_idle


def test_commands_that_the_table_does_not_name_are_answered_by_one_packet():
    assert response_to(None) is Response.ONE
    assert response_to(0x0E) is Response.ONE
    assert response_to(0xE0) is Response.ONE
    assert response_to(0x01) is Response.NONE
    assert response_to(0x12) is Response.STREAM
