"""Several statements of one packet, between fake ports."""

from support.conversations import frame, frames, lenenc, ok, text
from support.oracle import expand
from support.playbook import Stage, settle

from aurora_ml_proxy.evaluate.evaluation import Policy
from aurora_ml_proxy.protocol.packets import PacketReader
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_MULTI_STATEMENTS,
    Capabilities,
)

EOF, MORE_EOF = b"\xfe\0\0\2\0", b"\xfe\0\0\x0a\0"
OK, MORE_OK = ok(2), ok(10)
NEUTRAL = text(b"NEUTRAL")
DEFINITION = (
    text(b"def")
    + text(b"") * 3
    + text(b"c") * 2
    + b"\x0c"
    + b"\x2d\0"
    + bytes(4)
    + bytes((253, 0, 0, 0, 0, 0))
)
ERROR = b"\xff" + (1054).to_bytes(2, "little") + b"#42S22no"
DEFINED = DEFINITION[:-12] + b"\x2d\0" + bytes(4) + bytes((253, 0, 0, 0, 0, 0))
SPLICED = "SELECT F(t,'en') AS s FROM fb"


def query(sql: str) -> bytes:
    return frame(b"\x03" + expand(sql).encode())


def result(*rows: bytes, columns: int = 1) -> bytes:
    return frames([lenenc(columns), *[DEFINITION] * columns, EOF, *rows, EOF], 1)


def packets(data: bytes) -> list[tuple[int, bytes]]:
    reader = PacketReader()
    reader.feed(data)
    found = []
    while packet := reader.next_packet():
        found.append((packet.seq, packet.payload))
    return found


def stage(capabilities: Capabilities = CLIENT_MULTI_STATEMENTS, **options) -> Stage:
    return Stage(capabilities, **options)


async def test_each_statement_is_sent_when_the_one_before_is_answered():
    on = stage()
    await on.client_sends(query(f"DO 1; {SPLICED}; INSERT INTO x VALUES (1); DO 2"))
    assert on.taken_from_upstream() == query("DO 1")
    await on.upstream_sends(frame(OK, 1))
    assert b"CAST(NULL" in on.taken_from_upstream()
    await on.upstream_sends(result(b"\xfb" + text(b"I love it"), columns=2))
    assert on.taken_from_upstream() == query("INSERT INTO x VALUES (1); DO 2")
    await on.upstream_sends(frame(MORE_OK, 1) + frame(OK, 2))
    assert packets(on.taken_from_client()) == [
        (1, MORE_OK),
        (2, b"\1"),
        (3, DEFINED),
        (4, MORE_EOF),
        (5, NEUTRAL),
        (6, MORE_EOF),
        (7, MORE_OK),
        (8, OK),
    ]
    await on.client_sends(query("SELECT 1"))
    assert on.taken_from_upstream() == query("SELECT 1")


async def test_an_error_ends_the_packet():
    on = stage()
    await on.client_sends(query(f"DO 1; DO 2; {SPLICED}"))
    await on.upstream_sends(frame(OK, 1))
    on.taken_from_upstream()
    await on.upstream_sends(frame(ERROR, 1))
    assert packets(on.taken_from_client()) == [(1, MORE_OK), (2, ERROR)]
    assert on.taken_from_upstream() == b""


async def test_a_plans_error_comes_when_its_turn_comes():
    on = stage()
    await on.client_sends(query("DO 1; SELECT F(t) FROM fb; DO 2"))
    assert on.taken_from_upstream() == query("DO 1")
    await on.upstream_sends(frame(ok(3), 1))
    assert on.taken_from_upstream() == b""
    [first, (seq, last)] = packets(on.taken_from_client())
    assert first == (1, ok(11)) and seq == 2
    assert last[:3] == b"\xff" + (1582).to_bytes(2, "little")
    assert on.session._follower.status == 3


async def test_a_syntax_error_quotes_the_packet_to_its_end():
    on = stage()
    syntax = b"\xff" + (1064).to_bytes(2, "little") + b"#42000near"
    await on.client_sends(query(f"SELEC 1; {SPLICED}"))
    assert on.taken_from_upstream() == query("SELEC 1")
    await on.upstream_sends(frame(syntax, 1))
    assert on.taken_from_upstream() == query(f"SELEC 1; {SPLICED}")
    await on.upstream_sends(frame(syntax + b" all", 1))
    assert packets(on.taken_from_client()) == [(1, syntax + b" all")]


async def test_without_the_capability_the_packet_is_passed_on():
    off = stage(Capabilities(0))
    packet = query(f"{SPLICED}; DO 2")
    await off.client_sends(packet)
    assert off.taken_from_upstream() == packet


async def test_set_option_switches_the_capability():
    switched = stage(Capabilities(0))
    for option, has_several in ((b"\0\0", True), (b"\7\0", True), (b"\1\0", False)):
        for byte in frame(b"\x1b" + option):
            await switched.client_sends(bytes((byte,)))
        await switched.upstream_sends(frame(EOF, 1))
        assert switched.taken_from_upstream() == frame(b"\x1b" + option)
        packet = query(f"DO 1; {SPLICED}")
        await switched.client_sends(packet)
        sent = switched.taken_from_upstream()
        assert sent == (query("DO 1") if has_several else packet)
        await switched.upstream_sends(frame(ERROR, 1))


async def test_warnings_of_the_proxy_are_shown_inside_the_packet():
    on = stage(policy=Policy(long_text="truncate"))
    await on.client_sends(query(f"{SPLICED}; SHOW WARNINGS; {SPLICED}"))
    await on.upstream_sends(result(b"\xfb" + text(b"x" * 6000), columns=2))
    on.taken_from_client()
    on.taken_from_upstream()
    await on.upstream_sends(result(columns=3))
    seen = packets(on.taken_from_client())
    assert [seq for seq, _ in seen] == list(range(6, 6 + len(seen)))
    assert b"5,000" in seen[-2][1] or b"5000" in seen[-2][1]
    assert seen[-1][1] == MORE_EOF and MORE_EOF in [p for _, p in seen[:-1]]


async def test_the_rest_is_cut_anew_when_sql_mode_may_have_changed():
    on = stage()
    asked = result(text(b"utf8mb4 0 "))
    await on.client_sends(query(f'SET sql_mode=\'x\'; SELECT "a"; {SPLICED}; SELECT "b"'))
    assert b"@@sql_mode" in on.taken_from_upstream()
    await on.upstream_sends(asked)
    assert on.taken_from_upstream() == query("SET sql_mode='x'")
    await on.upstream_sends(frame(OK, 1))
    assert b"@@sql_mode" in on.taken_from_upstream()
    await on.upstream_sends(asked)
    assert on.taken_from_upstream() == query('SELECT "a"')


async def test_a_client_that_takes_nothing_stops_the_upstream():
    on = stage()
    await on.client_sends(query(f"SELECT 1; {SPLICED}"))
    head, rows = result(text(b"x"))[:5], result(text(b"x"))[5:]
    on.client.is_full = True
    await on.upstream_sends(head)
    on.taken_from_client()
    await on.upstream_sends(rows)
    assert on.taken_from_client() == b""
    on.client.is_full = False
    on.session.client_has_room()
    await settle()
    assert on.taken_from_client()


async def test_a_file_that_nobody_expects_closes_the_connection():
    on = stage()
    await on.client_sends(query(f"CALL p(); {SPLICED}"))
    await on.upstream_sends(frame(b"\xfbname", 1))
    assert on.client.is_closed
