"""Queries of the proxy's own: what is sent, and what of the upstream's answer is read."""

import asyncio

import pytest
from support.conversations import PROGRESS, error, frames, lenenc, ok
from support.playbook import FakePort, settle

from aurora_ml_proxy.errors import MalformedPacket, StatementTooLong, UpstreamLost
from aurora_ml_proxy.protocol.results import Layout
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    CLIENT_QUERY_ATTRIBUTES,
    Capabilities,
    MariaDBCapabilities,
)
from aurora_ml_proxy.session import queries
from aurora_ml_proxy.session.inbox import Inbox
from aurora_ml_proxy.session.queries import Queries, QueryFailed, next_payloads
from session.test_session import EOF, definition, payloads, row

NONE = MariaDBCapabilities(0)
OLD = Layout(Capabilities(0), NONE)
NEW = Layout(CLIENT_DEPRECATE_EOF, NONE)
PROGRESSING = Layout(Capabilities(0), MariaDBCapabilities.PROGRESS)
OK_END = ok(first=0xFE)


class Asked:
    """Queries to an upstream that has already said all it will say."""

    def __init__(self, layout: Layout, *said: bytes, hangs_up: bool = True) -> None:
        self.upstream = FakePort()
        self.inbox = Inbox(self.upstream)
        self.inbox.feed(frames(list(said), 1))
        if hangs_up:
            self.inbox.end()
        self.queries = Queries(self.upstream, layout)

    async def rows(self) -> list[list[bytes | None]]:
        return await self.queries.rows(b"SELECT x", self.inbox)


def result(layout: Layout, *rows: bytes, columns: int = 1) -> list[bytes]:
    head = [lenenc(columns), *[definition()] * columns]
    if layout.sends_eof:
        return [*head, EOF, *rows, EOF]
    return [*head, *rows, OK_END]


layouts = pytest.mark.parametrize("layout", [OLD, NEW], ids=["eof", "deprecate_eof"])


@layouts
async def test_all_rows_of_a_result(layout):
    rows = row(b"a", None), row(None, b"b" * 300)
    asked = Asked(layout, *result(layout, *rows, columns=2))
    assert await asked.rows() == [[b"a", None], [None, b"b" * 300]]
    assert payloads(asked.upstream.written) == [b"\x03SELECT x"]


@layouts
async def test_no_rows(layout):
    assert await Asked(layout, *result(layout)).rows() == []


@layouts
async def test_one_query_behind_another(layout):
    answers = [*result(layout, row(b"1")), *result(layout, row(b"2"))]
    asked = Asked(layout, *answers)
    assert [await asked.rows(), await asked.rows()] == [[[b"1"]], [[b"2"]]]


async def test_rows_that_come_byte_by_byte():
    asked = Asked(OLD, hangs_up=False)
    reading = asyncio.ensure_future(asked.rows())
    for byte in frames(result(OLD, row(b"1")), 1):
        await settle()
        assert not reading.done()
        asked.inbox.feed(bytes((byte,)))
    assert await reading == [[b"1"]]


async def test_a_statement_has_attributes_where_statements_have():
    asked = Asked(Layout(CLIENT_QUERY_ATTRIBUTES, NONE))
    asked.queries.send(b"SELECT x")
    asked.queries.send(b"UPDATE t", b"\x03\1\1the client's own")
    assert payloads(asked.upstream.written) == [
        b"\x03\0\1SELECT x",
        b"\x03\1\1the client's ownUPDATE t",
    ]


async def test_definitions_that_are_left_out():
    layout = Layout(CLIENT_OPTIONAL_RESULTSET_METADATA, NONE)
    asked = Asked(layout, b"\1\0", EOF, row(b"a"), EOF)
    assert await asked.rows() == [[b"a"]]


async def test_progress_reports_are_left_out():
    first, *rest = result(PROGRESSING, row(b"a"))
    asked = Asked(PROGRESSING, PROGRESS, PROGRESS, first, *rest[:2], PROGRESS, *rest[2:])
    assert await asked.rows() == [[b"a"]]


@layouts
async def test_an_error_in_place_of_rows(layout):
    with pytest.raises(QueryFailed) as caught:
        await Asked(layout, error(1054)).rows()
    assert caught.value.packet == error(1054)


@layouts
async def test_an_error_among_rows(layout):
    with pytest.raises(QueryFailed) as caught:
        await Asked(layout, *result(layout, row(b"a"))[:-1], error(1317)).rows()
    assert caught.value.packet == error(1317)


@layouts
@pytest.mark.parametrize("packets", [0, 1, 2, 3])
async def test_an_upstream_that_hangs_up(layout, packets):
    with pytest.raises(UpstreamLost):
        await Asked(layout, *result(layout, row(b"a"))[:packets]).rows()


async def test_a_result_that_makes_no_sense():
    with pytest.raises(MalformedPacket):
        await Asked(OLD, b"\xfbfile.csv").rows()


async def test_definitions_are_given_and_the_rows_left():
    asked = Asked(OLD, *result(OLD, row(b"a", b"b"), columns=2))
    found = await asked.queries.read_definitions(asked.inbox)
    assert [d.type for d in found] == [253, 253]
    assert await next_payloads(asked.inbox) == [row(b"a", b"b"), EOF]


async def test_a_statement_without_rows():
    asked = Asked(OLD, ok(), error(1568))
    await asked.queries.execute(b"SET TRANSACTION READ ONLY", asked.inbox)
    assert payloads(asked.upstream.written) == [b"\x03SET TRANSACTION READ ONLY"]
    with pytest.raises(QueryFailed):
        await asked.queries.execute(b"SET TRANSACTION READ ONLY", asked.inbox)
    with pytest.raises(UpstreamLost):
        await asked.queries.execute(b"SET TRANSACTION READ ONLY", asked.inbox)


# How long a statement may be.


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(queries, "CERTAINLY_TAKEN_BYTES", 2_000)


async def check(length: int, *said: bytes) -> Asked:
    asked = Asked(OLD, *said)
    await asked.queries.check_length(b"x" * length, "f", asked.inbox)
    return asked


async def test_of_a_short_statement_the_upstream_is_not_asked(short):
    asked = await check(1_999)
    assert asked.upstream.written == b""


@pytest.mark.parametrize("value", [b"3024", b"\0003\0000\0002\0004"])
async def test_a_statement_that_just_fits(short, value):
    asked = await check(2_000, *result(OLD, row(value)))
    [sent] = payloads(asked.upstream.written)
    # LIMIT 1 is for a session whose sql_select_limit is 0.
    assert sent == b"\x03SELECT @@max_allowed_packet LIMIT 1"


@pytest.mark.parametrize("value", [b"3023", None])
async def test_a_statement_that_is_too_long(short, value):
    with pytest.raises(StatementTooLong) as caught:
        await check(2_000, *result(OLD, row(value)))
    assert caught.value.message.startswith("f: the statement with its answers in it")
    assert "2,000 bytes" in caught.value.message


async def test_a_length_that_the_upstream_does_not_tell(short):
    with pytest.raises(QueryFailed):
        await check(2_000, error(1820))


# The next packets.


async def test_packets_are_given_as_they_come():
    asked = Asked(OLD, b"a", b"b")
    assert await next_payloads(asked.inbox) == [b"a", b"b"]
    with pytest.raises(UpstreamLost):
        await next_payloads(asked.inbox)


async def test_packets_are_waited_for():
    asked = Asked(OLD, hangs_up=False)
    reading = asyncio.ensure_future(next_payloads(asked.inbox))
    for piece in (b"\1\0", b"\0\1", b"a"):
        await settle()
        assert not reading.done()
        asked.inbox.feed(piece)
    assert await reading == [b"a"]
