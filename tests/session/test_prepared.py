"""Which statements the session looks into for what they prepare, and what it sends."""

import pytest
from support.conversations import frame, frames, lenenc, ok, text
from support.oracle import expand
from support.playbook import Stage

PREPARED = frame(ok(2), 1)
CONTEXT = [b"0", b"utf8mb4", b"", b"utf8mb4_general_ci", b"test"]


def query(sql: str) -> bytes:
    return frame(b"\x03" + expand(sql).encode())


def rows(*values: bytes) -> bytes:
    fixed = b"\x2d\0" + bytes(4) + bytes((253, 0, 0, 0, 0, 0))
    definition = text(b"def") + text(b"") * 3 + text(b"c") * 2 + b"\x0c" + fixed
    eof = b"\xfe\0\0\2\0"
    row = b"".join(map(text, values))
    return frames([lenenc(len(values)), *[definition] * len(values), eof, row, eof], 1)


async def prepare(stage: Stage, sql: str = "DO F(''a'',?)") -> None:
    await stage.client_sends(query(f"PREPARE q FROM '{sql}'"))
    await stage.upstream_sends(rows(expand(sql.replace("''", "'")).encode(), *CONTEXT))
    await stage.upstream_sends(rows(b"Com_prepare_sql", b"5"))
    await stage.upstream_sends(rows(b"1"))  # FOUND_ROWS() is put back
    sent = stage.taken_from_upstream()
    assert b"PREPARE q FROM 'DO " in sent and b"EXP(" in sent
    await stage.upstream_sends(PREPARED)
    assert stage.taken_from_client() == PREPARED


@pytest.mark.parametrize(
    ("statement", "concerns", "concerns_then"),
    [
        (b"SELECT 1", False, False),
        (b"PREPARE q FROM @a", True, True),
        (b"\0\1prepare q FROM @a", True, True),
        (b"/* x */ PREPARE q FROM @a", True, True),
        (b"execute immediate @a", True, True),
        (b"EXECUTE q", False, True),
        (b"SET @a = 1; EXECUTE q", False, True),
        (b"DEALLOCATE PREPARE q", False, True),
        (b"", False, False),
        (b"EXPLAIN SELECT 1", False, False),
        (b"-- x\nSELECT 1", False, False),
    ],
)
async def test_few_statements_are_looked_into(
    statement: bytes, concerns: bool, concerns_then: bool
):
    stage = Stage()
    prepared = stage.session._answerer.prepared
    assert prepared.concerns(statement) is concerns
    await prepare(stage)
    assert prepared.concerns(statement) is concerns_then
    prepared.forget_all()
    assert prepared.concerns(statement) is concerns


async def test_an_execute_keeps_its_parameters():
    stage = Stage()
    await prepare(stage)
    await stage.client_sends(query("EXECUTE q USING @a"))
    await stage.upstream_sends(rows(b"x", *CONTEXT))
    sent = stage.taken_from_upstream()
    while b"EXECUTE aurora_ml_statement USING @a" not in sent:
        if b"PREPARE aurora" in sent:
            await stage.upstream_sends(PREPARED)
        else:
            await stage.upstream_sends(rows(b"0"))
        sent = stage.taken_from_upstream()
    await stage.upstream_sends(rows(b"I love it", b"en"))
    assert stage.backend.calls == [(["I love it"], "en", False)]


async def test_another_number_of_values_is_the_servers_error():
    stage = Stage()
    await prepare(stage)
    await stage.client_sends(query("EXECUTE q"))
    assert stage.taken_from_upstream() == query("EXECUTE q")


@pytest.mark.parametrize("context", [b"other", b"test"])
async def test_another_default_database_is_refused(context: bytes):
    stage = Stage()
    await prepare(stage)
    await stage.client_sends(query("EXECUTE q USING @a"))
    await stage.upstream_sends(rows(b"x", *CONTEXT[:-1], context))
    assert (b"PREPARE it again" in stage.taken_from_client()) is (context == b"other")


@pytest.mark.parametrize("command", [b"\x1f", None])
async def test_what_ends_a_session_forgets(command: bytes | None):
    stage = Stage()
    await prepare(stage)
    if command is None:
        await stage.client_sends(query("DEALLOCATE PREPARE q"))
    else:
        await stage.client_sends(frame(command))
    await stage.upstream_sends(frame(ok(2), 1))
    stage.taken_from_upstream()
    await stage.client_sends(query("EXECUTE q USING @a"))
    assert stage.taken_from_upstream() == query("EXECUTE q USING @a")
