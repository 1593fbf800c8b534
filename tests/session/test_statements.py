"""Server-side prepared statements: what the upstream is sent, and what the client hears.

What real servers make of it is in conformance/test_server_statements.py.
"""

import struct

import pytest
from support.conversations import error, frame, frames, ok
from support.oracle import expand
from support.playbook import Stage

from aurora_ml_proxy.protocol.vocabulary import Capabilities, MariaDBCapabilities
from aurora_ml_proxy.session import statements
from session.test_prepared import CONTEXT, rows
from session.test_session import EOF, definition, payloads, query

SPLICED = "SELECT F(t,?) AS s FROM fb"
INLINE = "DO F(t,?)"
STRING = b"\xfd\0"


def prepare(sql: str) -> bytes:
    return frame(b"\x16" + expand(sql).encode())


def prepared(statement: int, columns: int, parameters: int = 1) -> bytes:
    head = struct.pack("<BIHHBH", 0, statement, columns, parameters, 0, 0)
    packets = [head]
    for count in (parameters, columns):
        packets += [definition()] * count + ([EOF] if count else [])
    return frames(packets, 1)


def execute(statement: int, value: bytes = b"\x02en", flags: int = 0) -> bytes:
    head = struct.pack("<BIBI", 0x17, statement, flags, 1)
    return frame(head + b"\0\1" + STRING + value)


def command(number: int, statement: int, rest: bytes = b"") -> bytes:
    return frame(struct.pack("<BI", number, statement) + rest)


async def prepare_spliced(stage: Stage, ours: int = 8, shadow: int = 9) -> None:
    await stage.client_sends(prepare(SPLICED))
    [sent] = payloads(stage.taken_from_upstream())
    assert sent.startswith(b"\x16SELECT CAST(NULL AS CHAR") and b"?" in sent
    await stage.upstream_sends(prepared(ours, 3, 3))
    [sent] = payloads(stage.taken_from_upstream())
    assert sent.startswith(b"\x16SELECT CASE EXP(")
    await stage.upstream_sends(prepared(shadow, 1))
    assert payloads(stage.taken_from_client())[0][1:5] == struct.pack("<I", shadow)


async def prepare_inline(stage: Stage, shadow: int = 9) -> None:
    await stage.client_sends(prepare(INLINE))
    await stage.upstream_sends(rows(b"x", *CONTEXT))
    await stage.upstream_sends(rows(b"1"))  # FOUND_ROWS() is put back
    stage.taken_from_upstream()
    await stage.upstream_sends(prepared(shadow, 0))
    stage.taken_from_client()


async def test_the_client_s_statement_is_a_shadow_and_what_is_executed_is_ours():
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(execute(9))
    [sent] = payloads(stage.taken_from_upstream())
    # The language stands three times in it, with the type and the bytes that came.
    assert sent == struct.pack("<BIBI", 0x17, 8, 0, 1) + b"\0\1" + STRING * 3 + (
        b"\x02en" * 3
    )


async def test_rows_are_spliced():
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(execute(9))
    row = b"\0\x04" + b"\x04text\x02en"
    await stage.upstream_sends(frames([b"\3", *[definition()] * 3, EOF, row, EOF], 1))
    assert stage.backend.calls == [(["text"], "en", False)]
    assert b"\0\0\x07NEUTRAL" in payloads(stage.taken_from_client())


async def test_an_execution_without_types_has_those_of_before():
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(execute(9))
    await stage.upstream_sends(frame(error(1317, b"x"), 1))
    stage.taken_from_upstream()
    await stage.client_sends(
        frame(struct.pack("<BIBI", 0x17, 9, 0, 1) + b"\0\0" + b"\x02fr")
    )
    [sent] = payloads(stage.taken_from_upstream())
    assert sent.endswith(b"\0\1" + STRING * 3 + b"\x02fr" * 3)


async def test_one_that_makes_no_sense_is_the_upstream_s_to_judge():
    stage = Stage()
    await prepare_spliced(stage)
    broken = frame(struct.pack("<BIBI", 0x17, 9, 0, 1))
    await stage.client_sends(broken)
    assert stage.taken_from_upstream() == broken


async def test_what_is_sent_ahead_goes_to_ours_in_its_places():
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(command(0x18, 9, b"\0\0e"), command(0x18, 9, b"\0\0n"))
    assert stage.taken_from_upstream() == b""
    await stage.client_sends(execute(9, b""))
    sent = payloads(stage.taken_from_upstream())
    assert sent[:3] == [struct.pack("<BIH", 0x18, 8, place) + b"en" for place in range(3)]
    assert sent[3].endswith(b"\0\1" + STRING * 3)
    await stage.upstream_sends(frame(error(1317, b"x"), 1))
    await stage.client_sends(execute(9))
    assert len(payloads(stage.taken_from_upstream())) == 1


async def test_too_much_sent_ahead_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(statements, "MAX_LONG_DATA_BYTES", 3)
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(command(0x18, 9, b"\0\0four"))
    await stage.client_sends(execute(9, b""))
    assert b"more than 3 bytes" in stage.taken_from_client()
    assert stage.taken_from_upstream() == b""
    await stage.client_sends(execute(9))
    assert stage.taken_from_upstream() != b""


async def test_a_statement_without_a_cursor_once_it_had_one_is_an_error_on_mysql_only():
    for version in ("9.7.0", "11.8.2-MariaDB"):
        stage = Stage(server_version=version)
        await prepare_spliced(stage)
        for step, flags in enumerate((0, 1, 1, 0)):
            await stage.client_sends(execute(9, flags=flags))
            sent = stage.taken_from_upstream()
            is_refused = version == "9.7.0" and step == 3
            assert (sent == b"") is is_refused
            assert (b"once it had one" in stage.taken_from_client()) is (is_refused)
            if not is_refused:
                await stage.upstream_sends(frame(error(1317, b"x"), 1))
                stage.taken_from_client()


async def test_closing_a_statement_closes_ours():
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(command(0x19, 9))
    assert stage.taken_from_upstream() == command(0x19, 8) + command(0x19, 9)
    await stage.client_sends(execute(9))
    assert stage.taken_from_upstream() == execute(9)


@pytest.mark.parametrize("ends", [frame(b"\x1f"), None])
async def test_a_reset_connection_has_no_statements(ends: bytes | None):
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(ends or command(0x1A, 9))
    await stage.upstream_sends(frame(ok(2), 1))
    stage.taken_from_upstream()
    await stage.client_sends(execute(9))
    assert (stage.taken_from_upstream() == execute(9)) is (ends is not None)


async def test_a_statement_of_another_context_is_refused():
    stage = Stage()
    await prepare_inline(stage)
    await stage.client_sends(execute(9))
    stage.taken_from_upstream()
    await stage.upstream_sends(rows(b"x", *CONTEXT[:-1], b"other"))
    assert b"prepare it again" in stage.taken_from_client()
    assert stage.taken_from_upstream() == b""


async def test_an_error_of_a_prepare_leaves_nothing_behind():
    stage = Stage()
    await stage.client_sends(prepare(SPLICED))
    await stage.upstream_sends(prepared(8, 3, 3))
    stage.taken_from_upstream()
    await stage.upstream_sends(frame(error(1146, b"no table"), 1))
    assert stage.taken_from_upstream() == command(0x19, 8)
    assert stage.taken_from_client() == frame(error(1146, b"no table"), 1)


async def test_a_syntax_error_is_told_of_the_user_s_own_text():
    stage = Stage()
    await stage.client_sends(prepare(SPLICED))
    stage.taken_from_upstream()
    await stage.upstream_sends(frame(error(1064, b"near"), 1))
    assert stage.taken_from_upstream() == prepare(SPLICED)


async def test_the_last_prepared_is_the_client_s_and_never_ours():
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(execute(statements.LAST_PREPARED))
    assert payloads(stage.taken_from_upstream())[0][1:5] == struct.pack("<I", 8)
    await stage.upstream_sends(frame(error(1317, b"x"), 1))
    await stage.client_sends(frame(b"\x16SELECT ?"))
    await stage.upstream_sends(prepared(12, 1))
    stage.taken_from_upstream()
    await stage.client_sends(execute(statements.LAST_PREPARED))
    assert stage.taken_from_upstream() == execute(12)


async def test_the_last_prepared_is_none_that_was_prepared_to_judge_a_text():
    stage = Stage()
    await stage.client_sends(frame(b"\x16SELECT ?"))
    await stage.upstream_sends(prepared(12, 1))
    stage.taken_from_upstream()
    await stage.client_sends(query("DO F('a','en')"))
    assert payloads(stage.taken_from_upstream())[0].startswith(b"\x16DO ")
    await stage.upstream_sends(frame(error(1317, b"killed"), 1))
    await stage.client_sends(execute(statements.LAST_PREPARED))
    assert stage.taken_from_upstream() == execute(12)


async def test_behind_a_prepare_that_failed_none_was_prepared_last():
    stage = Stage()
    await prepare_spliced(stage)
    await stage.client_sends(frame(b"\x16SELEKT"))
    await stage.upstream_sends(frame(error(1064, b"near"), 1))
    stage.taken_from_upstream()
    await stage.client_sends(execute(statements.LAST_PREPARED))
    assert stage.taken_from_upstream() == frame(b"\x16")
    await stage.upstream_sends(frame(error(1065, b"empty"), 1))
    assert stage.taken_from_upstream() == execute(statements.LAST_PREPARED)


async def test_mysql_has_no_last_prepared():
    stage = Stage(server_version="9.7.0")
    await prepare_spliced(stage)
    await stage.client_sends(execute(statements.LAST_PREPARED))
    assert stage.taken_from_upstream() == execute(statements.LAST_PREPARED)


async def test_a_time_is_a_text_to_mysql():
    stage = Stage(server_version="9.7.0")
    await stage.client_sends(prepare("SELECT F(?,'en')"))
    await stage.upstream_sends(prepared(8, 2), prepared(9, 1))
    stage.taken_from_upstream()
    head = struct.pack("<BIBI", 0x17, 9, 0, 1)
    await stage.client_sends(frame(head + b"\0\1\x0b\0" + b"\0"))
    [sent] = payloads(stage.taken_from_upstream())
    assert sent.endswith(b"\x0800:00:00") and b"\x0b\0" not in sent


async def test_a_bulk_of_a_select_is_the_upstream_s_to_judge():
    stage = Stage(Capabilities(0), MariaDBCapabilities.STMT_BULK_OPERATIONS)
    await prepare_spliced(stage)
    bulk = frame(struct.pack("<BIH", 0xFA, 9, 128) + STRING + b"\0\x02en")
    await stage.client_sends(bulk)
    assert stage.taken_from_upstream() == bulk
