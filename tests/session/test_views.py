"""A statement on a view, between fake ports: what the server is sent, what is seen."""

from hashlib import sha256

from support.conversations import error, frame, frames, lenenc, ok, text
from support.playbook import Stage

from aurora_ml_proxy.protocol.packets import PacketReader

EOF_PACKET = b"\xfe\0\0\2\0"
FUNCTION = b"aws_comprehend_detect_sentiment"
ALONE = b"\xff\x6c\x06#45000" + FUNCTION + b": connect through aurora-ml-proxy"
LATE = ALONE.replace(b": ", b": a text is not answered yet; ")
QUERY = frame(b"\x03SELECT s FROM v")
PLAIN = frame(b"\x03SELECT 1")


def definition() -> bytes:
    fixed = b"\x2d\0" + bytes(4) + b"\xfd" + bytes(5)
    return text(b"def") + text(b"") * 3 + text(b"c") * 2 + b"\x0c" + fixed


def head(columns: int = 1) -> list[bytes]:
    return [lenenc(columns), *[definition()] * columns, EOF_PACKET]


def result(*rows: bytes, columns: int = 1, end: bytes = EOF_PACKET) -> bytes:
    return frames([*head(columns), *rows, end], 1)


def payloads(data: bytes) -> list[bytes]:
    reader = PacketReader()
    reader.feed(data)
    found = []
    while packet := reader.next_packet():
        found.append(packet.payload)
    return found


def noted(*texts: bytes) -> bytes:
    records = b""
    for one in texts:
        digits = sha256(b"en:" + one).hexdigest()[:15].encode()
        records += b"|" + digits + b"002" + b"%010d" % len(one) + b"en" + one
    return result(text(b"") + text(records), columns=2)


async def met(stage: Stage, query: bytes = QUERY) -> None:
    """The query has met a marker that nobody has set anything for."""
    await stage.client_sends(query)
    assert stage.taken_from_upstream() == query
    await stage.upstream_sends(frames([*head(), ALONE], 1))


async def collected(stage: Stage, response: bytes, *texts: bytes) -> None:
    """The proxy lets the query run and reads what was noted."""
    sent = payloads(stage.taken_from_upstream())
    assert [one[:28] for one in sent] == [
        b"\x03SET @aurora_ml_proxy_0=_bin",
        b"\x03SET @aurora_ml_proxy_statem",
    ]
    await stage.upstream_sends(frame(ok(), 1) * 2)
    assert stage.taken_from_upstream() == QUERY
    await stage.upstream_sends(response)
    closing, reading = payloads(stage.taken_from_upstream())
    assert closing.endswith(b"_statement=NULL,@aurora_ml_proxy_left=0")
    assert b"aurora_ml_proxy_noted" in reading
    await stage.upstream_sends(frame(ok(), 1) + noted(*texts))


async def test_a_query_on_a_view_is_sent_again_until_every_text_has_its_answer():
    stage = Stage()
    await met(stage)
    assert stage.taken_from_client() == b""
    await collected(stage, frames([*head(), LATE], 1), b"a", b"b")
    await collected(stage, result(text(b"NEUTRAL"), b"\xfb"), b"c")
    assert [texts for texts, _, _ in stage.backend.calls] == [["a", "b"], ["c"]]
    *answers, start = payloads(stage.taken_from_upstream())
    assert answers[0].count(b"U") == 3
    assert b"aurora_ml_proxy_left=0," in start
    assert stage.taken_from_client() == b""
    await stage.upstream_sends(frame(ok(), 1) * 2)
    assert stage.taken_from_upstream() == QUERY
    last = result(text(b"NEUTRAL"), text(b"NEUTRAL"))
    await stage.upstream_sends(last)
    assert stage.taken_from_client() == last
    # And the relay goes on.
    await stage.client_sends(PLAIN)
    assert stage.taken_from_upstream() == PLAIN


async def test_what_the_client_sends_meanwhile_waits():
    stage = Stage()
    await met(stage)
    stage.taken_from_upstream()
    await stage.client_sends(PLAIN)
    assert stage.taken_from_upstream() == b""


async def test_an_error_behind_rows_is_rewritten():
    stage = Stage()
    await stage.client_sends(QUERY)
    stage.taken_from_upstream()
    rows = frames([*head(), text(b"plain")], 1)
    await stage.upstream_sends(rows, frame(ALONE, 5))
    seen = stage.taken_from_client()
    assert seen.startswith(rows)
    (packet,) = payloads(seen[len(rows) :])
    assert packet[:9] == b"\xff\xd3\x04#42000" and b"again, alone" in packet
    # The names of the views are asked for, to do better next time.
    assert b"information_schema.TABLES" in stage.taken_from_upstream()
    await stage.upstream_sends(result(text(b"v")))
    await stage.client_sends(QUERY)
    assert stage.taken_from_upstream() == QUERY
    await stage.upstream_sends(rows)
    assert stage.taken_from_client() == b""
    await stage.upstream_sends(frame(ALONE, 5))
    assert stage.taken_from_client() == b""
    await collected(stage, result(text(b"plain"), b"\xfb"), b"a")


async def test_an_error_of_one_of_several_commands_is_rewritten():
    stage = Stage()
    await stage.client_sends(QUERY + PLAIN)
    await stage.upstream_sends(frame(ALONE, 1))
    (packet,) = payloads(stage.taken_from_client())
    assert b"could not be answered here" in packet
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.taken_from_client() == frame(ok(), 1)


async def test_an_error_of_a_prepared_statement_is_rewritten():
    stage = Stage()
    await stage.client_sends(frame(b"\x17\1\0\0\0\0\1\0\0\0"))
    await stage.upstream_sends(frame(ALONE, 1))
    (packet,) = payloads(stage.taken_from_client())
    assert b"send the statement as text" in packet


async def test_a_row_that_ends_like_the_error_is_a_row():
    stage = Stage()
    await stage.client_sends(QUERY)
    rows = frames([*head(), text(b"I connect through aurora-ml-proxy")], 1)
    await stage.upstream_sends(rows)
    assert stage.taken_from_client() == rows
    await stage.upstream_sends(frame(EOF_PACKET, 5))
    assert stage.taken_from_client() == frame(EOF_PACKET, 5)


async def test_byte_by_byte_the_error_is_the_servers_own():
    stage = Stage()
    await stage.client_sends(QUERY)
    answer = frames([*head(), ALONE], 1)
    await stage.upstream_sends(*(bytes((byte,)) for byte in answer))
    assert stage.taken_from_client() == answer


async def test_the_statements_own_error_is_passed_on():
    stage = Stage()
    await met(stage)
    own = error(1242, b"more than 1 row")
    await collected(stage, frame(own, 1))
    await stage.upstream_sends(frame(ok(), 1) * 2)
    stage.taken_from_upstream()
    await stage.upstream_sends(frame(own, 1))
    assert stage.taken_from_client() == frame(own, 1)
