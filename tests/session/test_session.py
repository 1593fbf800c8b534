"""A session between fake ports: what goes where, and in which order."""

from dataclasses import replace

import pytest
from support.conversations import error, frame, frames, lenenc, ok, text
from support.oracle import expand
from support.playbook import Stage, settle

from aurora_ml_proxy.evaluate.evaluation import Policy
from aurora_ml_proxy.functions import Failure
from aurora_ml_proxy.protocol.packets import PacketReader
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_QUERY_ATTRIBUTES,
    MAX_PAYLOAD,
    Capabilities,
)
from aurora_ml_proxy.session import answer, inbox, session, waiting

CLIENT_PLUGIN_AUTH = Capabilities.CLIENT_PLUGIN_AUTH
CLIENT_SECURE_CONNECTION = Capabilities.CLIENT_SECURE_CONNECTION
EOF = b"\xfe\0\0\2\0"
IN_TRANS = b"\xfe\0\0\3\0"
NEUTRAL = text(b"NEUTRAL")
PING = frame(b"\x0e")


def query(sql: str, attributes: bytes = b"") -> bytes:
    return frame(b"\x03" + attributes + expand(sql).encode())


ML = query("SELECT id, F(t,'en') AS s FROM fb")
PLAIN = query("SELECT 1")


def definition(charset: int = 45, kind: int = 253) -> bytes:
    fixed = charset.to_bytes(2, "little") + bytes(4) + bytes((kind, 0, 0, 0, 0, 0))
    return text(b"def") + text(b"") * 3 + text(b"c") * 2 + b"\x0c" + fixed


def row(*values: bytes | None) -> bytes:
    return b"".join(map(text, values))


def result(*rows: bytes, columns: int = 3, end: bytes = EOF, seq: int = 1) -> bytes:
    """What the upstream answers to ML: the user's columns and the text."""
    head = [lenenc(columns), *[definition()] * columns, EOF]
    return frames([*head, *rows, end], seq)


def payloads(data: bytes) -> list[bytes]:
    reader = PacketReader()
    reader.feed(data)
    found = []
    while packet := reader.next_packet():
        found.append(packet.payload)
    assert reader.take_rest() == b""
    return found


def rows_of(data: bytes, columns: int = 2) -> list[bytes]:
    return payloads(data)[1 + columns + 1 : -1]


async def ml(stage: Stage, *rows: bytes) -> bytes:
    """An ML statement, answered; what the client saw."""
    await stage.client_sends(ML)
    stage.taken_from_upstream()
    await stage.upstream_sends(result(*rows))
    return stage.taken_from_client()


async def test_a_call_is_answered():
    stage = Stage()
    await stage.client_sends(ML)
    sent = stage.taken_from_upstream()
    assert sent[3] == 0 and b"aws_comprehend" not in sent and b"CAST(NULL" in sent
    await stage.upstream_sends(result(row(b"1", None, b"I love it"), end=IN_TRANS))
    seen = stage.taken_from_client()
    assert rows_of(seen) == [text(b"1") + NEUTRAL]
    assert payloads(seen)[-1] == IN_TRANS
    assert stage.backend.calls == [(["I love it"], "en", False)]
    assert stage.session._follower.status == 3
    # And the relay goes on.
    await stage.client_sends(PLAIN)
    assert stage.taken_from_upstream() == PLAIN
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.taken_from_client() == frame(ok(), 1)


async def test_byte_by_byte():
    stage = Stage()
    await stage.client_sends(*(bytes((byte,)) for byte in ML))
    answered = result(row(b"1", None, b"a"), row(b"2", None, None))
    for byte in answered:
        await stage.upstream_sends(bytes((byte,)))
    seen = stage.taken_from_client()
    assert rows_of(seen) == [text(b"1") + NEUTRAL, text(b"2") + b"\xfb"]


async def test_an_ml_statement_waits_for_the_answers_to_earlier_commands():
    stage = Stage()
    await stage.client_sends(PLAIN + PLAIN + ML)
    assert stage.taken_from_upstream() == PLAIN + PLAIN
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.taken_from_upstream() == b""
    await stage.upstream_sends(frame(ok(), 1))
    assert b"CAST(NULL" in stage.taken_from_upstream()
    await stage.upstream_sends(result(row(b"1", None, b"a")))
    assert rows_of(stage.taken_from_client()[2 * len(frame(ok())) :])


async def test_what_is_pipelined_behind_an_ml_statement_stays_in_order():
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML + PLAIN, PING)
    assert PLAIN not in stage.taken_from_upstream()
    await stage.upstream_sends(result(row(b"1", None, b"a")))
    await stage.client_sends(PLAIN)
    assert stage.taken_from_upstream() == b""
    stage.backend.gate.set()
    await settle()
    assert stage.taken_from_upstream() == PLAIN + PING + PLAIN
    assert rows_of(stage.taken_from_client()) == [text(b"1") + NEUTRAL]


async def test_a_client_that_sends_too_far_ahead_is_read_no_more(monkeypatch):
    monkeypatch.setattr(session, "MAX_HELD_BYTES", 100)
    stage = Stage()
    await stage.client_sends(ML, b"x" * 50)
    assert not stage.client.is_paused
    await stage.client_sends(b"x" * 51)
    assert stage.client.is_paused
    await stage.upstream_sends(result())
    assert not stage.client.is_paused


async def test_a_client_that_leaves_while_a_model_answers_is_answered_to_nobody():
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML)
    await stage.upstream_sends(result(row(b"1", None, b"a")))
    assert stage.backend.in_flight == 1
    stage.session.client_ended()
    await settle()
    assert stage.client.is_closed and stage.upstream.is_closed
    assert not stage.context.answering
    # What the service is being asked is paid for; it comes to an end by itself.
    stage.backend.gate.set()
    await settle()
    assert len(stage.backend.calls) == 1 and stage.backend.in_flight == 0
    assert not stage.spawn.tasks and not stage.spawn.failures


async def test_a_client_that_ends_with_nothing_under_way_is_heard_to_the_end():
    stage = Stage()
    await stage.client_sends(PLAIN)
    stage.session.client_ended()
    assert stage.upstream.has_eof and not stage.upstream.is_closed
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.taken_from_client() == frame(ok(), 1)
    stage.session.upstream_ended()
    assert stage.client.is_closed


async def test_an_upstream_lost_among_the_rows_closes_the_client():
    stage = Stage()
    await stage.client_sends(ML)
    await stage.upstream_sends(result(row(b"1", None, b"a"))[:-9])
    stage.session.upstream_ended()
    await settle()
    assert stage.client.is_closed and stage.upstream.is_closed
    assert not stage.spawn.tasks and not stage.spawn.failures


async def test_an_upstream_lost_before_an_ml_statements_turn():
    stage = Stage()
    await stage.client_sends(PLAIN + ML)
    stage.session.upstream_ended()
    await settle()
    assert stage.client.is_closed and not stage.spawn.tasks


async def test_a_failed_call_is_one_error_and_the_connection_goes_on():
    stage = Stage()
    stage.backend.replies["bad"] = Failure("Throttling", "slow down")
    seen = payloads(await ml(stage, row(b"1", None, b"bad"), row(b"2", None, b"a")))
    assert seen[-1].startswith(b"\xff\x51\x04#HY000")
    assert b"Throttling" in seen[-1]
    assert len(seen) == 1 + 2 + 1 + 1
    await stage.client_sends(PING)
    assert stage.taken_from_upstream() == PING


async def failed_among_the_rows() -> tuple[Stage, bytes]:
    """A session whose statement has failed, and what the upstream still has to say."""
    stage = Stage()
    stage.backend.replies["5"] = Failure("X", "why")
    await stage.client_sends(ML + PING)
    stage.taken_from_upstream()
    sent = result(*(row(b"1", None, b"%d" % i) for i in range(60)))
    await stage.upstream_sends(sent[:-100])
    seen = payloads(stage.taken_from_client())
    assert seen[-1].startswith(b"\xff\x51\x04")
    assert stage.taken_from_upstream() == b""
    return stage, sent[-100:]


async def test_behind_a_failed_call_the_rows_are_read_to_their_end():
    stage, rest = await failed_among_the_rows()
    await stage.upstream_sends(rest[:50], rest[50:])
    assert stage.taken_from_client() == b""
    assert stage.taken_from_upstream() == PING
    assert len(stage.backend.calls[0][0]) == 25


async def test_an_upstream_lost_behind_a_failed_call():
    stage, _ = await failed_among_the_rows()
    stage.session.upstream_ended()
    await settle()
    assert stage.client.is_closed and not stage.spawn.tasks and not stage.spawn.failures


async def test_after_a_statement_that_the_proxy_failed_only_its_own_error_is_shown():
    stage, rest = await failed_among_the_rows()
    await stage.upstream_sends(rest, frame(ok(), 1))
    stage.taken_from_client()
    await stage.client_sends(query("SHOW WARNINGS"))
    own = row(b"Note", b"1", b"of an older statement")
    await stage.upstream_sends(frames([b"\3", *[definition()] * 3, EOF, own, EOF], 1))
    assert own not in payloads(stage.taken_from_client())


async def test_a_question_of_our_own_has_attributes_where_statements_have():
    stage = Stage(CLIENT_QUERY_ATTRIBUTES)
    await stage.client_sends(query("SELECT F(\"t\",'en') AS s FROM fb", b"\0\1"))
    assert stage.taken_from_upstream()[5:].startswith(b"\0\1SELECT CAST(CONCAT(@@")


async def test_an_unexpected_failure_closes_both_ends_and_is_raised(monkeypatch):
    def broken(*args):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(answer, "plan_statement", broken)
    stage = Stage()
    await stage.client_sends(ML)
    assert stage.client.is_closed and stage.upstream.is_closed
    assert [type(failure) for failure in stage.spawn.failures] == [RuntimeError]


async def test_a_client_that_is_full_when_its_statement_is_done():
    stage = Stage()
    seen = await ml(stage, row(b"1", None, None))
    stage.client.capacity = len(seen)
    await ml(stage, row(b"1", None, None))
    assert stage.upstream.is_paused
    stage.client.is_full = False
    stage.session.client_has_room()
    assert not stage.upstream.is_paused


async def test_a_refused_statement_never_reaches_the_upstream():
    stage = Stage()
    await stage.client_sends(query("SHOW TABLES WHERE F(t,'en')") + PING)
    [refusal] = payloads(stage.taken_from_client())
    assert refusal.startswith(b"\xff\xd3\x04#42000")
    assert stage.taken_from_upstream() == PING


async def test_a_prepared_statement_without_a_call_is_passed_on():
    stage = Stage()
    named = frame(b"\x16SELECT aws_comprehend_detect_sentiment FROM t")
    await stage.client_sends(named)
    assert stage.taken_from_upstream() == named


async def test_an_error_of_the_upstream_is_the_answer():
    stage = Stage()
    await stage.client_sends(ML)
    await stage.upstream_sends(frame(error(1146, b"no table"), 1))
    assert stage.taken_from_client() == frame(error(1146, b"no table"), 1)
    assert not stage.spawn.tasks


async def test_a_syntax_error_is_told_of_the_users_own_text():
    stage = Stage()
    await stage.client_sends(ML)
    stage.taken_from_upstream()
    await stage.upstream_sends(frame(error(1064, b"near CAST"), 1))
    assert stage.taken_from_client() == b""
    assert stage.taken_from_upstream() == ML
    await stage.upstream_sends(frame(error(1064, b"near F"), 1))
    assert stage.taken_from_client() == frame(error(1064, b"near F"), 1)
    assert stage.session._follower.is_idle


async def test_a_syntax_error_behind_rows_is_the_end_of_them():
    """Dynamic SQL in a stored function fails like this, when rows are out."""
    stage = Stage()
    await stage.client_sends(ML)
    stage.taken_from_upstream()
    head = [b"\3", *[definition()] * 3, EOF, row(b"1", None, None), error(1064)]
    await stage.upstream_sends(frames(head, 1))
    assert payloads(stage.taken_from_client())[-1] == error(1064)
    assert stage.taken_from_upstream() == b""


async def test_the_upstream_is_asked_for_its_modes_when_they_matter():
    stage = Stage()
    statement = query("SELECT F(\"t\",'en') AS s FROM fb")
    await stage.client_sends(statement)
    assert b"@@sql_mode" in stage.taken_from_upstream()
    answered = frames(
        [b"\1", definition(), EOF, row(b"utf8mb4 7 STRICT,ANSI_QUOTES"), EOF], 1
    )
    await stage.upstream_sends(answered)
    assert b'CHARSET("t")' in stage.taken_from_upstream()  # a column
    assert stage.taken_from_client() == b""


@pytest.mark.parametrize(
    "answered",
    [frame(error(1820), 1), frames([b"\1", definition(), EOF, error(1317)], 1)],
)
async def test_an_upstream_that_does_not_tell_its_modes_judges_the_statement(answered):
    stage = Stage()
    statement = query("SELECT F(\"t\",'en') AS s FROM fb")
    await stage.client_sends(statement)
    stage.taken_from_upstream()
    await stage.upstream_sends(answered)
    assert stage.taken_from_upstream() == statement
    assert stage.taken_from_client() == b""


async def test_an_upstream_lost_while_it_is_asked():
    stage = Stage()
    await stage.client_sends(query("SELECT F(\"t\",'en') AS s FROM fb"))
    stage.session.upstream_ended()
    await settle()
    assert stage.client.is_closed and not stage.spawn.failures


async def test_a_statement_that_reads_the_diagnostics_is_not_disturbed():
    stage = Stage()
    statement = query("SELECT F(\"t\",'en'), FOUND_ROWS()")
    await stage.client_sends(statement)
    assert stage.taken_from_upstream() == statement


async def test_attributes_go_with_the_statement():
    stage = Stage(CLIENT_QUERY_ATTRIBUTES)
    attributes = b"\1\1\0\1\xfd\0\1a\3abc"
    await stage.client_sends(query("SELECT F(t,'en') AS s FROM fb", attributes))
    assert stage.taken_from_upstream()[5:].startswith(attributes + b"SELECT CAST(NULL")


async def test_broken_attributes_are_the_upstreams_to_judge():
    stage = Stage(CLIENT_QUERY_ATTRIBUTES)
    statement = query("SELECT F(t,'en') AS s FROM fb", b"\1\1\0\1\xfd\0\1a\x99abc")
    await stage.client_sends(statement)
    assert stage.taken_from_upstream() == statement


async def test_kill_of_a_connection_that_waits_for_answers_interrupts_it():
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML)
    await stage.upstream_sends(result(row(b"1", None, b"a")))
    other = Stage(context=stage.context, connection_id=8)
    kill = query("KILL QUERY 7")
    await other.client_sends(kill)
    assert other.taken_from_upstream() == kill
    assert stage.backend.in_flight == 1
    await other.upstream_sends(frame(ok(), 1))
    assert other.taken_from_client() == frame(ok(), 1)
    assert payloads(stage.taken_from_client())[-1][:3] == b"\xff\x25\x05"  # 1317
    assert not stage.client.is_closed


@pytest.mark.parametrize("sql", ["KILL 7", "kill connection 7 ;", "KILL QUERY 99"])
async def test_kill_that_is_not_allowed_or_of_somebody_else_interrupts_nobody(sql):
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML)
    await stage.upstream_sends(result(row(b"1", None, b"a")))
    other = Stage(context=stage.context, connection_id=8)
    await other.client_sends(query(sql))
    answered = ok() if "99" in sql else error(1094)
    await other.upstream_sends(frame(answered, 1))
    assert other.taken_from_client() == frame(answered, 1)
    assert stage.backend.in_flight == 1


async def test_kill_whose_upstream_is_lost():
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML)
    other = Stage(context=stage.context, connection_id=8)
    await other.client_sends(query("KILL 7"))
    other.session.upstream_ended()
    await settle()
    assert other.client.is_closed and not other.spawn.failures


WARNED = Policy(null_on_error=True)


async def warned(**kw) -> Stage:
    """A session after a statement with one warning of the proxy's."""
    stage = Stage(policy=WARNED, **kw)
    stage.backend.replies["bad"] = Failure("X", "why")
    seen = payloads(await ml(stage, row(b"1", None, b"bad")))
    assert seen[-1] == b"\xfe\1\0\2\0" and seen[-2] == text(b"1") + b"\xfb"
    return stage


async def test_warnings_are_shown_with_the_servers_own():
    stage = await warned()
    show = query("SHOW WARNINGS")
    await stage.client_sends(show)
    assert stage.taken_from_upstream() == show
    own = row(b"Note", b"1", b"server")
    await stage.upstream_sends(frames([b"\3", *[definition()] * 3, EOF, own, EOF], 1))
    seen = stage.taken_from_client()
    assert payloads(seen)[5] == own
    assert payloads(seen)[6].startswith(row(b"Warning", b"1105"))
    assert payloads(seen)[7] == EOF
    assert seen == frames(payloads(seen), 1)
    # They are still there.
    await stage.client_sends(query("show count(*) warnings"))
    await stage.upstream_sends(frames([b"\1", definition(), EOF, row(b"2"), EOF], 1))
    assert payloads(stage.taken_from_client())[3] == row(b"3")


@pytest.mark.parametrize("sql", ["SHOW WARNINGS", "SHOW COUNT(*) WARNINGS"])
async def test_warnings_that_the_upstream_does_not_show(sql):
    stage = await warned()
    await stage.client_sends(query(sql))
    await stage.upstream_sends(frame(error(1317), 1))
    assert stage.taken_from_client() == frame(error(1317), 1)
    assert not stage.client.is_closed


@pytest.mark.parametrize("sql", ["SHOW WARNINGS", "SHOW COUNT(*) WARNINGS"])
async def test_warnings_that_the_upstream_begins_to_show(sql):
    stage = await warned()
    await stage.client_sends(query(sql))
    answered = frames([b"\1", definition(), EOF, error(1317)], 1)
    await stage.upstream_sends(answered)
    assert stage.taken_from_client() == answered
    assert not stage.client.is_closed


async def test_an_upstream_lost_while_it_shows_warnings():
    stage = await warned()
    await stage.client_sends(query("SHOW WARNINGS"))
    stage.session.upstream_ended()
    await settle()
    assert stage.client.is_closed and not stage.spawn.failures


@pytest.mark.parametrize("between", [PLAIN, frame(b"\x17" + bytes(9)), frame(b"\x1f")])
async def test_warnings_are_forgotten_with_the_next_statement(between):
    stage = await warned()
    await stage.client_sends(between)
    assert stage.taken_from_upstream() == between
    await stage.upstream_sends(frame(ok(), 1))
    stage.taken_from_client()
    await stage.client_sends(query("SHOW WARNINGS"))
    shown = frames([b"\3", *[definition()] * 3, EOF, EOF], 1)
    await stage.upstream_sends(shown)
    assert stage.taken_from_client() == shown


async def test_warnings_outlive_what_reads_them():
    stage = await warned()
    for sql in ("SHOW ERRORS", "GET DIAGNOSTICS @n = NUMBER"):
        await stage.client_sends(query(sql))
        await stage.upstream_sends(frame(ok(), 1))
    assert stage.session._last.warning_count == 1


async def test_draining_waits_for_commands_transactions_and_answers():
    stage = Stage()
    await stage.client_sends(PLAIN)
    stage.session.drain()
    assert not stage.client.is_closed
    await stage.upstream_sends(frame(ok(3), 1))  # in a transaction
    assert not stage.client.is_closed
    await stage.client_sends(ML)
    assert not stage.client.is_closed
    await stage.upstream_sends(result(row(b"1", None, b"a")))
    assert stage.client.is_closed and stage.upstream.is_closed
    assert rows_of(stage.taken_from_client()[len(frame(ok())) :])


async def test_draining_closes_an_idle_session_and_not_one_in_mid_command():
    stage = Stage()
    stage.session.drain()
    assert stage.client.is_closed
    stage = Stage()
    await stage.client_sends(PLAIN[:6])
    stage.session.drain()
    assert not stage.client.is_closed
    await stage.client_sends(PLAIN[6:])
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.client.is_closed


async def test_back_pressure_in_the_relay():
    stage = Stage()
    stage.session.client_is_full()
    assert stage.upstream.is_paused
    stage.session.client_has_room()
    assert not stage.upstream.is_paused
    stage.session.upstream_is_full()
    assert stage.client.is_paused
    stage.session.upstream_has_room()
    assert not stage.client.is_paused


async def test_back_pressure_of_a_client_that_takes_no_answers():
    stage = Stage()
    await stage.client_sends(ML)
    stage.client.is_full = True
    stage.session.client_is_full()
    answered = result(*(row(b"%d" % i, None, b"a") for i in range(2_000)))
    await stage.upstream_sends(answered)
    before = len(stage.client.written)
    assert before < len(answered) // 4
    stage.client.is_full = False
    stage.session.client_has_room()
    for _ in range(20):
        await settle()
    assert len(rows_of(stage.taken_from_client())) == 2_000
    assert not stage.upstream.is_paused


async def test_rows_that_wait_are_bounded(monkeypatch):
    monkeypatch.setattr(answer, "WINDOW_BYTES", 5_000)
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML)
    text_of = b"%d" + b"x" * 900
    sent = result(*(row(b"1", None, text_of % i) for i in range(400)))
    await stage.upstream_sends(*(sent[i : i + 8192] for i in range(0, len(sent), 8192)))
    assert stage.backend.calls  # what waits is asked about, full batch or not
    assert sum(len(texts) for texts, _, _ in stage.backend.calls) < 200
    stage.backend.gate.set()
    for _ in range(60):
        await settle()
    assert len(rows_of(stage.taken_from_client())) == 400


async def test_although_there_is_no_room_the_upstream_is_read_in_sips(monkeypatch):
    """An upstream that cannot write for net_write_timeout would hang up."""
    monkeypatch.setattr(answer, "WINDOW_BYTES", 1)
    monkeypatch.setattr(inbox, "SIP_S", 0.0)
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML)
    sent = result(*(row(b"1", None, b"x" * 900) for _ in range(400)))
    await stage.upstream_sends(sent)
    for _ in range(200):
        await settle()
    assert stage.session._upstream_inbox._reader.held_bytes == 0
    assert stage.backend.in_flight == 1
    stage.backend.gate.set()
    for _ in range(60):
        await settle()
    assert len(rows_of(stage.taken_from_client())) == 400


async def test_change_user_forgets_the_warnings():
    stage = await warned()
    await stage.client_sends(frame(b"\x11root\0\0\0"))
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.session._last.warning_count == 0


async def test_change_user_whose_client_leaves():
    stage = Stage()
    await stage.client_sends(frame(b"\x11root\0\0\0"))
    await stage.upstream_sends(frame(b"\xfex\0" + b"n" * 20, 1))
    stage.session.client_ended()
    await settle()
    assert stage.upstream.is_closed and not stage.spawn.tasks


async def test_change_user_with_an_answer_too_large_for_a_login():
    stage = Stage()
    await stage.client_sends(frame(b"\x11root\0\0\0"))
    await stage.upstream_sends(frame(b"\xfex\0" + b"n" * 20, 1))
    await stage.client_sends(frame(b"x" * (1 << 20), 2))
    assert stage.taken_from_upstream().endswith(frame(b"x" * (1 << 20), 2))
    await stage.upstream_sends(frame(b"\x01more", 3))
    await stage.client_sends(frame(b"x" * ((1 << 20) + 1), 4)[:600_000])
    await stage.upstream_sends(frame(error(1045), 5))  # to the empty answer
    assert stage.client.is_closed and stage.upstream.is_closed
    assert payloads(stage.taken_from_client())[-1][1:3] == (1835).to_bytes(2, "little")


async def test_change_user_that_is_itself_too_large_for_a_login():
    """Of 16 MB it would be of several packets, and the upstream would wait for them."""
    stage = Stage()
    await stage.client_sends(frame(b"\x11" + b"x" * (MAX_PAYLOAD - 1)))
    assert stage.client.is_closed and stage.upstream.is_closed
    assert stage.taken_from_upstream() == b""
    assert payloads(stage.taken_from_client())[-1][1:3] == (1835).to_bytes(2, "little")


async def test_after_change_user_no_transaction_is_under_way():
    stage = Stage()
    await stage.client_sends(PLAIN)
    await stage.upstream_sends(frame(ok(3), 1))  # in a transaction
    await stage.client_sends(frame(b"\x11root\0\0\0"))
    await stage.upstream_sends(frame(ok(2), 1))
    stage.session.drain()
    assert stage.client.is_closed


async def test_change_user_with_a_clear_password_does_not_leave_tls():
    stage = Stage(CLIENT_PLUGIN_AUTH | CLIENT_SECURE_CONNECTION)
    secure = replace(stage.session._login.legs, client_tls=True)
    stage.session._login = replace(stage.session._login, legs=secure)
    far = replace(stage.session._login_policy, upstream_is_local=False)
    stage.session._login_policy = far
    command = b"\x11root\0\7secret\0db\0\x2d\0mysql_clear_password\0"
    await stage.client_sends(frame(command))
    assert b"secret" not in stage.taken_from_upstream()
    assert b"upstream.tls" in stage.taken_from_client()
    assert stage.client.is_closed and stage.upstream.is_closed


async def test_a_replica_is_passed_on_blindly():
    stage = Stage()
    dump = frame(b"\x12" + bytes(10))
    await stage.client_sends(dump)
    await stage.upstream_sends(frame(b"\0event", 1), b"anything")
    await stage.client_sends(ML, b"\xef\1semi-sync")
    assert stage.taken_from_upstream() == dump + ML + b"\xef\1semi-sync"
    assert stage.taken_from_client() == frame(b"\0event", 1) + b"anything"


async def test_an_ml_statement_behind_nonsense_is_passed_on():
    stage = Stage()
    await stage.client_sends(PLAIN + ML)
    await stage.upstream_sends(frame(b"\xfc\1", 1))  # no column count: blind
    assert stage.taken_from_upstream() == PLAIN + ML


@pytest.mark.parametrize("tail", [b"", b"x"])
async def test_a_statement_of_16_mb_in_one_chunk(tail):
    stage = Stage()
    data = frame(b"\x03" + b"x" * (MAX_PAYLOAD - 1) + tail)
    first = data[: MAX_PAYLOAD + 4]
    await stage.client_sends(first, data[MAX_PAYLOAD + 4 :] + PING)
    assert stage.taken_from_upstream() == data + PING
    await stage.upstream_sends(frame(ok(), 2))
    assert not stage.session._follower.is_idle
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.session._follower.is_idle


async def test_deprecate_eof():
    stage = Stage(CLIENT_DEPRECATE_EOF)
    await stage.client_sends(ML)
    sent = [b"\3", *[definition()] * 3, row(b"1", None, b"a"), ok(3, first=0xFE)]
    await stage.upstream_sends(frames(sent, 1))
    seen = payloads(stage.taken_from_client())
    assert seen[3:] == [text(b"1") + NEUTRAL, ok(3, first=0xFE)]
    assert stage.session._follower.status == 3


async def test_a_mistake_inside_the_proxy_closes_the_connection():
    stage = Stage()
    await stage.client_sends(ML)
    stage.context.engine.lane.backend.detect_sentiment = (
        None  # a type error, in the call's task
    )
    await stage.upstream_sends(result(row(b"1", None, b"a")))
    assert payloads(stage.taken_from_client())[-1].startswith(b"\xff\x51\x04")
    assert [type(failure) for failure in stage.spawn.failures] == [TypeError]


async def test_a_statement_behind_a_result_that_the_client_reads_slowly_is_answered():
    """The relay has paused the upstream; whoever takes it over must read it again."""
    stage = Stage()
    await stage.client_sends(PLAIN, ML)
    stage.client.is_full = True
    stage.session.client_is_full()
    assert stage.upstream.is_paused
    await stage.upstream_sends(frame(ok(), 1))
    assert not stage.upstream.is_paused


async def test_two_connections_of_the_same_id_do_not_end_each_other():
    """Behind a balancer two upstreams may give the same id."""
    one = Stage()
    other = Stage(context=one.context)
    one.backend.gate.clear()
    await one.client_sends(ML)
    await other.client_sends(ML)
    await one.upstream_sends(result(row(b"1", None, b"a")))
    await other.upstream_sends(result(row(b"1", None, b"a")))
    one.backend.gate.set()
    await settle()
    assert not one.spawn.failures
    assert not one.client.is_closed and not other.client.is_closed


@pytest.mark.parametrize("behind", [" " * 100_000 + "x", "\n" * 100_000])
async def test_a_long_statement_is_no_kill_and_no_show(behind):
    """A regular expression over spaces would take minutes, for all connections."""
    stage = Stage()
    stage.backend.gate.clear()
    await stage.client_sends(ML)
    other = Stage(context=stage.context, connection_id=8)
    for word in ("KILL 1", "SHOW WARNINGS"):
        sent = query(word + behind)
        await other.client_sends(sent)
        assert other.taken_from_upstream() == sent
        await other.upstream_sends(frame(ok(), 1))
        other.taken_from_client()


async def test_a_statement_too_long_to_be_read_is_passed_on(monkeypatch):
    monkeypatch.setattr(waiting, "MAX_PLANNED_BYTES", 100)
    monkeypatch.setattr(waiting, "PLANNED_AT_ONCE_BYTES", 50)
    stage = Stage()
    sent = query("SELECT F(t,'en') FROM fb WHERE t = '" + "x" * 100 + "'")
    await stage.client_sends(sent)
    assert stage.taken_from_upstream() == sent


async def test_a_second_result_behind_the_rows_ends_the_session():
    """Nobody knows where a response ends that is none of what was asked for."""
    stage = Stage()
    await stage.client_sends(ML)
    await stage.upstream_sends(result(row(b"1", None, b"a"), end=b"\xfe\0\0\x0a\0"))
    assert stage.client.is_closed


async def test_an_ok_where_rows_should_come_ends_the_session():
    stage = Stage()
    await stage.client_sends(ML)
    await stage.upstream_sends(frame(ok(), 1))
    assert stage.client.is_closed
