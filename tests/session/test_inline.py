"""Statements answered inline: the tests make the plans and play the upstream."""

import re
from dataclasses import replace

import pytest
from splice.test_packed import packed
from support.conversations import PROGRESS, error, frame, frames, lenenc, ok
from support.inline_plans import inline_plan
from support.playbook import Stage, settle

from aurora_ml_proxy.evaluate.evaluation import Policy
from aurora_ml_proxy.functions import LABEL, Failure, Sentiment
from aurora_ml_proxy.plan.inline import MISSING
from aurora_ml_proxy.plan.plan import (
    Asked,
    Described,
    Harvest,
    Inline,
    InlineCall,
    Query,
)
from aurora_ml_proxy.plan.template import Lenient, Template, Unknown
from aurora_ml_proxy.protocol.results import read_column_definition
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    CLIENT_QUERY_ATTRIBUTES,
    Capabilities,
    MariaDBCapabilities,
)
from aurora_ml_proxy.session import answer, held, inbox, inline, queries
from aurora_ml_proxy.splice.lookups import hash_of
from session.test_session import EOF, IN_TRANS, PING, definition, payloads, query, row

LONGLONG, BLOB = 8, 252
STATEMENT = query("UPDATE fb SET s = F(t,'en')")
SENT = b"UPDATE fb SET s="
NO_LIMIT = b" LIMIT 18446744073709551615"
LAST = b"%d" % (1 << 60)
FOUND_ROWS = b"SELECT FOUND_ROWS() LIMIT 1"

PREPARED = b"\0\7\0\0\0" + bytes(7)
FORGET = b"\x19\7\0\0\0"

MISSED = error(1690, b"DOUBLE value is out of range in 'exp(%d + 4)'" % MISSING)
TEXTS_CHANGED = b"\xff\xfc\x03#HY000"
UNSUPPORTED = b"\xff\xd3\x04#42000"
INTERRUPTED = b"\xff\x25\x05#70100"


def asked(**change: object) -> Asked:
    return replace(Asked(0, LABEL, 0, "en", 25, None), **change)


def harvest(*sql: bytes | Template, **change: object) -> Harvest:
    """Ways to read texts, one column each."""
    found = tuple(Query((s,) if isinstance(s, bytes) else s, 1) for s in sql)
    return Harvest((asked(**change),), found)


FIRST, WIDER = b"SELECT t FROM fb WHERE a", b"SELECT t FROM fb"


def planned(*harvests: Harvest, **change: object) -> Inline:
    plan = inline_plan(
        statement=(SENT, 0, b"WHERE a"),
        calls=(InlineCall(LABEL, (b"t",), 0),),
        harvests=harvests or (harvest(FIRST),),
    )
    return replace(plan, **change)


class Play:
    """A session whose client has sent a statement with this plan."""

    def __init__(self, monkeypatch, *capabilities, **options) -> None:
        self.stage = Stage(*capabilities, **options)
        self._monkeypatch = monkeypatch
        self.sends_eof = not (capabilities and capabilities[0] & CLIENT_DEPRECATE_EOF)

    async def begins(self, plan: Inline, statement: bytes = STATEMENT) -> "Play":
        """The client sends the statement, and the upstream can prepare it."""
        await self.starts(plan, statement)
        if plan.harvests:
            await self.judges(PREPARED)
        return self

    async def starts(self, plan: Inline, statement: bytes = STATEMENT) -> "Play":
        self._monkeypatch.setattr(answer, "plan_statement", lambda *_: plan)
        await self.stage.client_sends(statement)
        return self

    async def judges(self, *verdict: bytes) -> None:
        """The upstream is to prepare the statement with answers that nobody knows."""
        [judged] = payloads(self.stage.taken_from_upstream())
        assert judged.startswith(b"\x16" + SENT) and b"%d" % MISSING not in judged
        await self.says(*verdict)

    def sent(self) -> list[bytes]:
        """The statements that the upstream was sent since the last time."""
        found = payloads(self.stage.taken_from_upstream())
        found = [payload for payload in found if payload != FORGET]
        assert all(payload[:1] == b"\x03" for payload in found), found
        return [payload[1:] for payload in found]

    def sent_one(self) -> bytes:
        [sql] = self.sent()
        return sql

    def seen(self) -> list[bytes]:
        """What the client was sent since the last time; its numbers start with 1."""
        data = self.stage.taken_from_client()
        found = payloads(data)
        assert data == frames(found, 1)
        return found

    def texts(self) -> list[str]:
        """All that the model was asked, in order."""
        return [text for call in self.stage.backend.calls for text in call[0]]

    async def says(self, *payloads_: bytes, seq: int = 1) -> None:
        await self.stage.upstream_sends(frames(list(payloads_), seq))

    async def gives(self, *rows: bytes, columns: int = 1, kind: int = 253) -> None:
        await self.says(*self.result(*rows, columns=columns, kind=kind))

    def result(self, *rows: bytes, columns: int = 1, kind: int = 253) -> list[bytes]:
        end = EOF if self.sends_eof else ok(first=0xFE)
        middle = [EOF] if self.sends_eof else []
        head = [lenenc(columns), *[definition(kind=kind)] * columns, *middle]
        return [*head, *rows, end]

    async def gives_texts(self, *texts: bytes) -> None:
        await self.gives(*map(row, texts))

    def is_usable(self) -> bool:
        return not self.stage.client.is_closed and not self.stage.spawn.tasks


@pytest.fixture
def play(monkeypatch):
    return lambda *capabilities, **options: Play(monkeypatch, *capabilities, **options)


def has_answer(sql: bytes, text: bytes) -> bool:
    return b"%d" % hash_of(text) in sql


# From the harvest to the statement.


async def test_texts_are_read_then_asked_then_sent_with_the_statement(play):
    began = await play().begins(planned())
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good", b"bad")
    assert began.stage.backend.calls == [(["good", "bad"], "en", False)]
    sql = began.sent_one()
    assert sql.startswith(SENT) and sql.endswith(b"WHERE a")
    assert has_answer(sql, b"good") and has_answer(sql, b"bad")
    assert began.seen() == []
    await began.says(ok(3, affected=2, info=b"Rows matched: 2"))
    assert began.seen() == [ok(3, affected=2, info=b"Rows matched: 2")]
    assert began.stage.session._follower.status == 3
    await began.stage.client_sends(PING)
    assert began.stage.taken_from_upstream() == PING


async def test_a_result_of_rows(play):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    await began.gives(row(b"1"), row(None))
    assert began.seen() == began.result(row(b"1"), row(None))
    assert began.is_usable()


@pytest.mark.parametrize("capabilities", [Capabilities(0), CLIENT_DEPRECATE_EOF])
async def test_byte_by_byte(play, capabilities):
    began = play(capabilities)
    await began.begins(planned())
    for payload in (began.result(row(b"good")), began.result(row(b"a" * 300))):
        assert began.seen() == []
        for byte in frames(payload, 1):
            await began.stage.upstream_sends(bytes((byte,)))
    assert began.texts() == ["good"]
    assert began.seen() == began.result(row(b"a" * 300))


async def test_what_is_pipelined_behind_the_statement_waits(play):
    began = await play().begins(planned(), STATEMENT + PING)
    await began.gives_texts(b"good")
    await began.says(ok())
    assert began.stage.taken_from_upstream().endswith(b"WHERE a" + PING)


async def test_a_text_is_asked_once_whatever_harvest_reads_it(play):
    began = await play().begins(planned(harvest(FIRST), harvest(WIDER)))
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good", b"good", b"bad")
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.gives_texts(b"bad", b"new")
    assert began.texts() == ["good", "bad", "new"]
    assert has_answer(began.sent_one(), b"new")


async def test_null_and_empty_texts_are_not_asked(play):
    began = await play().begins(planned())
    await began.gives(row(None), row(b""))
    assert began.texts() == []
    assert has_answer(began.sent()[-1], b"")


async def test_a_harvest_with_a_limit_of_its_own_gets_no_other(play):
    began = await play().begins(planned(harvest(b"SELECT t LIMIT 1")))
    assert began.sent() == [b"SELECT t LIMIT 1"]


@pytest.mark.parametrize(
    "sql", [b"FROM (SELECT t LIMIT 5) x", b"FROM x WHERE t=' LIMIT 1'"]
)
async def test_a_limit_further_inside_is_none_of_the_harvest(play, sql):
    """@@sql_select_limit would cut off what the statement needs."""
    began = await play().begins(planned(harvest(b"SELECT t " + sql)))
    assert began.sent() == [b"SELECT t " + sql + NO_LIMIT]


async def test_a_statement_without_harvests_is_sent_at_once(play):
    plan = replace(planned(), harvests=(), is_explained=True)
    began = await play().begins(plan)
    sql = began.sent_one()
    assert sql.startswith(SENT) and b"%d" % MISSING not in sql
    await began.gives(row(b"1"))
    assert began.seen() == began.result(row(b"1")) and began.texts() == []


async def test_attributes_are_the_statements_and_not_the_harvests(play):
    attributes = b"\1\1\0\1\3\0\1a\5"
    statement = query("UPDATE fb SET s = F(t,'en')", b"\1\1\0\1\xfd\0\1a\3abc")
    assert attributes
    began = await play(CLIENT_QUERY_ATTRIBUTES).begins(planned(), statement)
    assert began.sent_one() == b"\0\1" + FIRST + NO_LIMIT
    await began.gives_texts(b"good")
    assert began.sent_one().startswith(b"\1\1\0\1\xfd\0\1a\3abc" + SENT)


async def test_our_column_and_descriptions_are_those_of_the_plan(play):
    plan = planned(described=(Described(0, LABEL.result),), has_check=True)
    began = await play().begins(plan)
    await began.gives_texts(b"good")
    await began.gives(row(b"POSITIVE", None), columns=2, kind=BLOB)
    count, first, _, *rows = began.seen()
    assert count == b"\1" and rows == [row(b"POSITIVE"), EOF]
    layout = began.stage.session._layout
    assert read_column_definition(first, layout).type == 253


async def test_progress_reports_among_our_rows_are_ours(play):
    began = await play(Capabilities(0), MariaDBCapabilities.PROGRESS).begins(planned())
    first, *rest = began.result(row(b"good"))
    await began.says(PROGRESS, first, *rest[:2], PROGRESS, *rest[2:])
    assert began.texts() == ["good"]
    await began.says(PROGRESS, ok())
    assert began.seen() == [PROGRESS, ok()]


# The upstream's judgement before anything is asked.


REFUSED = error(1054)[:3] + b"#42S22Unknown column"


async def test_what_the_upstream_does_not_prepare_fails_at_once(play):
    began = await play().starts(planned())
    await began.judges(REFUSED)
    assert began.seen() == [REFUSED] and began.sent() == []
    assert began.texts() == [] and began.is_usable()


@pytest.mark.parametrize(
    "capabilities",
    [Capabilities(0), CLIENT_DEPRECATE_EOF, CLIENT_OPTIONAL_RESULTSET_METADATA],
)
async def test_definitions_in_the_judgement_are_skipped(play, capabilities):
    began = await play(capabilities).starts(planned())
    head = b"\0\7\0\0\0\2\0\1\0\0\0\0"
    eof = [EOF] if began.sends_eof else []
    parts = [head, definition(), *eof, definition(), definition(), *eof]
    if capabilities & CLIENT_OPTIONAL_RESULTSET_METADATA:
        parts = [head + b"\0", *eof, *eof]
    await began.judges(*parts[:-1])
    assert began.sent() == []
    await began.says(parts[-1], seq=len(parts))
    assert began.stage.taken_from_upstream().startswith(frame(FORGET))


async def test_a_statement_that_cannot_be_parsed_is_the_upstreams_to_judge(play):
    """Its message quotes the user's own text."""
    began = await play().starts(planned())
    await began.judges(error(1064)[:3] + b"#42000syntax")
    assert began.stage.taken_from_upstream() == STATEMENT
    assert began.texts() == []


@pytest.mark.parametrize("verdict", [error(1295), error(1461)[:3] + b"#42000too many"])
async def test_a_judgement_that_says_nothing(play, verdict):
    began = await play().starts(planned())
    await began.judges(verdict)
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent() == [queries._CLEARS_WARNINGS]


async def test_a_judgement_that_ends_the_statement(play):
    began = await play().starts(planned())
    await began.judges(error(1317))
    assert began.seen() == [error(1317)] and began.sent() == []


# What a call's arguments are.


async def test_a_language_from_a_column(play):
    reads = Query((FIRST,), 2)
    made = Harvest((asked(language=1),), (reads,))
    began = await play().begins(planned(made))
    await began.gives(row(b"gut", b"de"), row(b"good", b"en"), row(b"?", None), columns=2)
    assert sorted(began.stage.backend.calls) == [
        (["good"], "en", False),
        (["gut"], "de", False),
    ]
    sql = began.sent()[-1]
    assert has_answer(sql, b"de:gut") and has_answer(sql, b"en:good")
    assert not has_answer(sql, b"gut")


async def test_only_the_last_columns_of_a_row_are_read(play):
    """A harvest may have to select what it sorts by."""
    began = await play().begins(planned())
    await began.gives(row(b"1", b"good"), columns=2)
    assert began.texts() == ["good"]


async def test_a_null_text_in_a_language_of_its_own(play):
    made = Harvest((asked(language=1),), (Query((FIRST,), 2),))
    began = await play().begins(planned(made))
    await began.gives(row(None, b"de"), columns=2)
    assert began.texts() == [] and began.sent()[-1].startswith(SENT)


@pytest.mark.parametrize("value", [b"xx", b""])
async def test_a_language_that_is_none(play, value):
    made = Harvest((asked(language=1),), (Query((FIRST,), 2),))
    began = await play().begins(planned(made))
    began.sent()
    rest = [row(b"gut", b"de")] * 2_000
    await began.gives(row(b"gut", value), *rest, columns=2)
    await settle()
    [told] = began.seen()
    assert told.startswith(b"\xff\xba\x04") and b"language_code" in told
    assert began.sent() == [] and began.texts() == [] and began.is_usable()


SIZED = Harvest((asked(batch_size_column=1),), (Query((FIRST,), 2),))


async def test_a_batch_size_from_a_column(play):
    began = await play().begins(planned(SIZED))
    rows = [row(text, b"2") for text in (b"a", b"b", b"c")]
    await began.gives(*rows, columns=2, kind=LONGLONG)
    assert [call[0] for call in began.stage.backend.calls] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(("value", "kind"), [(b"0", LONGLONG), (b"2", 253), (None, 8)])
async def test_a_batch_size_that_is_none(play, value, kind):
    began = await play().begins(planned(SIZED))
    began.sent()
    await began.gives(row(b"a", value), columns=2, kind=kind)
    [told] = began.seen()
    assert told.startswith(b"\xff\xba\x04") and b"max_batch_size" in told
    assert began.sent() == [] and began.is_usable()


async def test_without_definitions_a_batch_size_is_told_by_its_value(play):
    began = await play(CLIENT_OPTIONAL_RESULTSET_METADATA).begins(planned(SIZED))
    await began.says(b"\2\0", EOF, row(b"a", b"2"), EOF)
    assert began.stage.backend.calls and began.is_usable() is False
    await began.says(ok())
    assert began.seen() == [ok()]


async def test_packed_texts(play):
    made = asked(language=1, batch_size_column=2)
    reads = Query((FIRST,), 1, is_packed=True)
    began = await play().begins(planned(Harvest((made,), (reads,))))
    value = packed(b"good", b"en", b"1") + packed(b"gut", b"de", b"2")
    await began.gives(row(value), row(packed(b"fein", b"de", b"2")), row(None))
    assert began.stage.backend.calls == [
        (["good"], "en", True),
        (["gut", "fein"], "de", False),
    ]


async def test_packed_texts_of_one_language_and_size(play):
    reads = Query((FIRST,), 1, is_packed=True)
    began = await play().begins(planned(Harvest((asked(),), (reads,))))
    await began.gives(row(packed(b"good") + packed(b"bad")))
    assert began.texts() == ["good", "bad"]


# A harvest that needs the answers of another.


@pytest.mark.parametrize("piece", [0, Lenient(0), Unknown(0), 1])
async def test_a_harvest_that_needs_answers_waits_for_them(play, piece):
    """Call 1's text holds call 0, and so does a harvest with call 1 in it."""
    plan = planned(
        harvest(FIRST),
        harvest((b"SELECT ", piece, b" FROM u"), known=1),
        calls=(
            InlineCall(LABEL, (b"t",), 0),
            InlineCall(LABEL, (b"CONCAT(", 0, b")"), 1),
        ),
        known_sets=2,
    )
    began = play()
    began.stage.backend.gate.clear()
    await began.begins(plan)
    began.sent()
    await began.gives_texts(b"good")
    assert began.sent() == [] and began.texts() == ["good"]
    began.stage.backend.gate.set()
    await settle()
    sql = began.sent_one()
    assert sql.startswith(b"SELECT ") and has_answer(sql, b"good")
    assert b"%d" % MISSING not in sql


async def test_a_harvest_that_needs_no_answers_does_not_wait(play):
    plan = planned(harvest(FIRST), harvest((b"SELECT ", 1), known=0), known_sets=2)
    other = InlineCall(LABEL, (b"u",), 1)
    plan = replace(plan, calls=(*plan.calls, other))
    began = play()
    began.stage.backend.gate.clear()
    await began.begins(plan)
    began.sent()
    await began.gives_texts(b"good")
    assert began.sent_one().startswith(b"SELECT ")


# Answers that are missing.


async def test_a_miss_is_harvested_again_and_the_client_sees_nothing_of_it(play):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    assert not has_answer(began.sent()[-1], b"new")
    await began.says(*began.result(row(b"1"))[:-1], MISSED)
    assert began.seen() == []
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good", b"new")
    assert began.texts() == ["good", "new"]
    # What SHOW WARNINGS would tell of the miss is cleared first.
    assert began.sent() == [queries._CLEARS_WARNINGS]
    await began.gives()
    sql = began.sent_one()
    assert has_answer(sql, b"good") and has_answer(sql, b"new")
    await began.gives(row(b"2"))
    assert began.seen() == began.result(row(b"2"))


async def play_misses(began: Play, *, new_text: bool) -> int:
    """Every harvest finds a new text, or none; every statement misses. How many."""
    count = 0
    for turn in range(300):
        if began.stage.client.written:
            return count
        sql = began.sent_one()
        if sql.startswith(SENT):
            count += 1
            await began.says(MISSED)
        elif sql == queries._CLEARS_WARNINGS:
            await began.gives()
        else:
            await began.gives_texts(b"%d" % turn if new_text else b"good")
    raise AssertionError("it never ends")


PREFIX = Harvest((asked(),), (Query((FIRST,), 1, limit=25),))


@pytest.mark.parametrize("plan", [planned(), planned(PREFIX, has_check=True)])
async def test_statements_that_always_miss_end(play, plan):
    began = await play().begins(plan)
    assert await play_misses(began, new_text=True) == inline.MAX_TRIES
    [told] = began.seen()
    assert told.startswith(TEXTS_CHANGED)
    assert began.is_usable()
    await began.stage.client_sends(PING)
    assert began.stage.taken_from_upstream() == PING


async def test_a_miss_that_no_harvest_explains(play):
    """The one query is tried again, for rows may have come, and then there is no more."""
    began = await play().begins(planned())
    assert await play_misses(began, new_text=False) == 1
    assert began.seen()[0].startswith(TEXTS_CHANGED)


async def test_a_miss_of_a_statement_that_reads_nothing(play):
    began = await play().begins(replace(planned(), harvests=()))
    began.sent()
    await began.says(MISSED)
    assert began.seen()[0].startswith(TEXTS_CHANGED) and began.sent() == []


async def test_behind_a_miss_wider_queries_are_tried(play):
    began = await play().begins(planned(harvest(FIRST, WIDER)))
    await began.gives_texts(b"good")
    began.sent()
    await began.says(MISSED)
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.gives_texts(b"good", b"new")
    assert began.sent() == [queries._CLEARS_WARNINGS]
    await began.gives()
    assert has_answer(began.sent_one(), b"new")
    # And if that was not enough: the widest again, then no more.
    await began.says(MISSED)
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.gives_texts(b"good", b"new")
    assert began.seen()[0].startswith(TEXTS_CHANGED)


async def test_a_narrower_query_is_read_again_when_answers_it_depends_on_have_come(play):
    depends = (b"SELECT f(", Lenient(0), b")")
    began = await play().begins(planned(harvest(depends, WIDER)))
    began.sent()
    await began.gives_texts(b"good")
    began.sent()
    await began.says(MISSED)
    began.sent()
    await began.gives_texts(b"good")
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.gives_texts(b"good", b"new")
    await began.gives()
    began.sent()
    await began.says(MISSED)
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.gives_texts(b"good", b"new")
    again = began.sent_one()
    assert again.startswith(b"SELECT f(") and has_answer(again, b"new")
    await began.gives_texts(b"newer")
    assert began.texts() == ["good", "new", "newer"]


@pytest.mark.parametrize("errno", [1969, 3024])
async def test_a_query_with_a_time_limit_of_its_own_may_end_by_it(play, errno):
    ways = Query((FIRST,), 1, is_bounded=True), Query((WIDER,), 1)
    began = await play().begins(planned(Harvest((asked(),), ways)))
    began.sent()
    await began.says(error(errno))
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.says(error(errno))
    assert began.seen() == [error(errno)] and began.is_usable()


async def test_a_prefix_grows_until_the_rows_end(play):
    began = await play().begins(planned(PREFIX, has_check=True))
    assert began.sent() == [FIRST + b" LIMIT 25"]
    await began.gives_texts(*(b"%d" % i for i in range(25)))
    began.sent()
    await began.says(MISSED)
    assert began.sent() == [FIRST + b" LIMIT 50"]
    # No new text in them: read on before the statement is sent again.
    await began.gives_texts(*[b"0"] * 50)
    assert began.sent() == [FIRST + b" LIMIT 100"]
    await began.gives_texts(*[b"0"] * 99)
    assert began.seen()[0].startswith(TEXTS_CHANGED)


async def test_a_prefix_that_is_done_does_not_grow(play):
    began = await play().begins(planned(PREFIX, has_check=True))
    began.sent()
    await began.gives_texts(b"good")
    began.sent()
    await began.says(MISSED)
    assert began.sent() == [FIRST + b" LIMIT 25"]


async def test_a_miss_behind_rows_that_were_passed_on_is_one_error(play, monkeypatch):
    monkeypatch.setattr(held, "HELD_BYTES", 1_000)
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    rows = [row(b"x" * 200)] * 300
    before = began.result(*rows)[:-1]
    await began.says(*before, MISSED)
    for _ in range(10):
        await settle()
    seen = began.seen()
    assert seen[:-1] == before and seen[-1].startswith(TEXTS_CHANGED)
    assert began.sent() == [] and began.is_usable()


async def test_rows_over_the_limit_are_passed_on_as_they_come(play, monkeypatch):
    monkeypatch.setattr(held, "HELD_BYTES", 1_000)
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    result = began.result(*[row(b"x" * 100)] * 12)
    await began.says(*result[:8])
    assert began.stage.client.written == b""
    await began.says(*result[8:13], seq=9)
    passed = bytes(began.stage.client.written)
    assert passed == frames(result[:13], 1)
    await began.says(result[13], seq=14)
    assert began.stage.client.written == frames(result[:14], 1)
    await began.says(*result[14:], seq=15)
    assert began.seen() == result


async def test_an_error_behind_rows_that_were_passed_on(play, monkeypatch):
    monkeypatch.setattr(held, "HELD_BYTES", 100)
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    sent = [*began.result(row(b"x" * 200))[:-1], error(1317)]
    await began.says(*sent)
    assert began.seen() == sent and began.is_usable()


async def test_rows_for_a_client_that_is_full_wait(play, monkeypatch):
    monkeypatch.setattr(held, "HELD_BYTES", 1_000)
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.stage.client.capacity = 4_000
    rows = [row(b"x" * 200)] * 10_000
    result = began.result(*rows)
    await began.says(*result)
    for _ in range(20):
        await settle()
    assert len(began.stage.client.written) < 200_000
    began.stage.client.capacity = None
    began.stage.client.is_full = False
    began.stage.session.client_has_room()
    for _ in range(60):
        await settle()
    assert began.seen() == result


async def test_a_miss_in_a_later_result_is_not_sent_again(play):
    """What the first result tells of has been done."""
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    await began.says(ok(0x0A), MISSED)
    assert began.sent() == []
    first, told = began.seen()
    assert first == ok(0x0A) and told.startswith(TEXTS_CHANGED)


@pytest.mark.parametrize("charset", ["utf-16-be", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_miss_in_a_wide_character_set(play, charset, is_ours):
    """Both servers end the message of an error at the first NUL."""
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    message = f"DOUBLE value is out of range in 'exp({MISSING if is_ours else 800})'"
    wide = message.encode(charset)
    cut = MISSED[:9] + wide[: wide.index(b"\0")]
    await began.says(cut)
    assert began.sent() == [b"SHOW WARNINGS"]
    ours = f"out of range in 'exp({MISSING} + 1)'".encode(charset)
    behind = row(b"Error", "1690".encode(charset), ours)  # MariaDB goes on for a while
    note = row(b"Note", "1003".encode(charset), ours)
    first = row(b"Error", "1690".encode(charset), wide)
    await began.gives(note, first, behind, columns=3)
    if is_ours:
        assert began.sent() == [FIRST + NO_LIMIT] and began.seen() == []
    else:
        assert began.sent() == [] and began.seen() == [cut]


@pytest.mark.parametrize(
    "theirs", [error(1690, b"out of range in 'exp(800)'"), error(1062, b"%d" % MISSING)]
)
async def test_errors_that_are_no_miss(play, theirs):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    await began.says(theirs)
    assert began.seen() == [theirs] and began.sent() == []


async def test_a_file_is_not_written_twice(play):
    began = await play().begins(planned(writes_file=True))
    await began.gives_texts(b"good")
    began.sent()
    await began.says(MISSED)
    assert began.sent() == [] and began.seen()[0].startswith(TEXTS_CHANGED)


# An OK that hides an error.


WARNING = ok()[:-2] + b"\1\0"


async def swallowed(began: Play, message: bytes) -> Play:
    """DO has given OK with this warning."""
    await began.begins(planned(may_swallow_errors=True))
    await began.gives_texts(b"good")
    began.sent()
    await began.says(WARNING)
    assert began.seen() == [] and began.sent() == [b"SHOW WARNINGS"]
    await began.gives(row(b"Warning", b"1690", message), columns=3)
    return began


@pytest.mark.parametrize("charset", ["ascii", "utf-16-be"])
async def test_a_miss_that_is_a_warning(play, charset):
    message = b"exp(%d + 4)" % MISSING
    began = await swallowed(play(), message.decode().encode(charset))
    assert began.sent() == [FIRST + NO_LIMIT]


async def test_a_warning_of_the_users_own(play):
    began = await swallowed(play(), b"Division by 0")
    assert began.sent() == [] and began.seen() == [WARNING]


async def test_an_ok_without_warnings_hides_nothing(play):
    began = await play().begins(planned(may_swallow_errors=True))
    await began.gives_texts(b"good")
    began.sent()
    await began.says(ok())
    assert began.sent() == [] and began.seen() == [ok()]


# SET TRANSACTION.


SET_TRANSACTION = b"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"


async def with_next_transaction(began: Play) -> Play:
    await began.stage.client_sends(query(SET_TRANSACTION.decode()))
    began.sent()
    await began.says(ok())
    began.seen()
    await began.begins(planned())
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent() == [SET_TRANSACTION]
    return began


async def test_set_transaction_is_said_again_for_the_statement(play):
    began = await with_next_transaction(play())
    await began.says(ok())
    assert began.sent_one().startswith(SENT)
    await began.says(MISSED)
    assert began.sent() == [FIRST + NO_LIMIT]


async def test_set_transaction_that_fails(play):
    began = await with_next_transaction(play())
    await began.says(error(1568))
    assert began.sent() == [] and began.seen() == [error(1568)]


# Harvests that the upstream does not understand, or will not do.


async def test_behind_a_harvest_that_fails_comes_the_next_query(play):
    began = await play().begins(planned(harvest(FIRST, WIDER)))
    began.sent()
    await began.says(error(1054))
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.texts() == ["good"]
    assert began.sent() == [queries._CLEARS_WARNINGS]
    await began.gives()
    assert has_answer(began.sent_one(), b"good")
    await began.says(ok())
    assert began.seen() == [ok()]


async def test_a_harvest_that_fails_among_its_rows(play):
    began = await play().begins(planned(harvest(FIRST, WIDER)))
    began.sent()
    await began.says(*began.result(row(b"good"))[:-1], error(1242))
    assert began.sent() == [WIDER + NO_LIMIT]
    await began.gives_texts(b"good", b"bad")
    assert began.texts() == ["good", "bad"]


async def test_where_no_harvest_works_the_statement_judges(play):
    began = await play().begins(planned())
    began.sent()
    await began.says(error(1054))
    await began.gives()
    assert began.sent()[-1].startswith(SENT)
    await began.says(error(1054, b"the user's own"))
    assert began.seen() == [error(1054, b"the user's own")]


async def test_where_no_harvest_works_and_a_text_is_missing(play):
    began = await play().begins(planned())
    await began.says(error(1054))
    await began.gives()
    await began.says(MISSED)
    [told] = began.seen()
    assert told.startswith(UNSUPPORTED) and b"cannot be read before" in told


@pytest.mark.parametrize("errno", [1020, 1205, 1213, 1290, 1317, 1969, 3024, 3572])
@pytest.mark.parametrize("in_rows", [False, True])
async def test_what_ends_the_statement_ends_it_in_a_harvest_too(play, errno, in_rows):
    began = await play().begins(planned(harvest(FIRST, WIDER)))
    began.sent()
    head = began.result(row(b"good"))[:-1] if in_rows else []
    await began.says(*head, error(errno))
    assert began.seen() == [error(errno)]
    assert began.sent() == [] and began.is_usable()


async def test_a_deadlock_of_the_statement_is_passed_on(play):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    await began.says(error(1213))
    assert began.seen() == [error(1213)] and began.sent() == []


async def test_a_syntax_error_is_told_of_the_users_own_text(play):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    await began.says(error(1064, b"near CASE"))
    assert began.stage.taken_from_client() == b""
    assert began.stage.taken_from_upstream() == STATEMENT


async def test_a_syntax_error_behind_rows_is_their_end(play):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    sent = [*began.result(row(b"1"))[:-1], error(1064)]
    await began.says(*sent)
    assert began.seen() == sent and began.sent() == []


# max_allowed_packet.


async def test_a_statement_over_max_allowed_packet(play, monkeypatch):
    began = await play().begins(planned())
    monkeypatch.setattr(queries, "CERTAINLY_TAKEN_BYTES", 200)
    await began.gives_texts(*(b"%d" % i for i in range(50)))
    began.sent()
    await began.gives(row(b"2048"))
    [told] = began.seen()
    assert told.startswith(b"\xff\x81\x04") and b"max_allowed_packet of 2,048" in told
    assert began.sent() == [] and began.is_usable()


async def test_a_long_statement_that_the_upstream_takes(play, monkeypatch):
    began = await play().begins(planned())
    monkeypatch.setattr(queries, "CERTAINLY_TAKEN_BYTES", 200)
    await began.gives_texts(*(b"%d" % i for i in range(50)))
    assert b"@@max_allowed_packet" in began.sent()[-1]
    await began.gives(row(b"\0" + b"1\0" + b"00000000".replace(b"0", b"\0000")))
    assert began.sent_one().startswith(SENT)


async def test_a_harvest_over_max_allowed_packet(play, monkeypatch):
    began = await play().starts(planned(harvest(b"SELECT " + b"x" * 5_000)))
    monkeypatch.setattr(queries, "CERTAINLY_TAKEN_BYTES", 200)
    await began.judges(PREPARED)
    assert b"@@max_allowed_packet" in began.sent_one()
    await began.gives(row(b"4096"))
    assert began.seen()[0].startswith(b"\xff\x81\x04")


async def test_a_statement_over_max_allowed_packet_before_it_has_answers(
    play, monkeypatch
):
    """It only grows; nothing is asked."""
    monkeypatch.setattr(queries, "CERTAINLY_TAKEN_BYTES", 200)
    began = await play().starts(planned())
    assert b"@@max_allowed_packet" in began.sent_one()
    await began.gives(row(b"1024"))
    assert began.seen()[0].startswith(b"\xff\x81\x04")
    assert began.sent() == [] and began.is_usable()


# FOUND_ROWS().


async def kept(began: Play, found: bytes) -> list[bytes]:
    """FOUND_ROWS() was this; what is sent between the answers and the statement."""
    await began.begins(planned(keeps_found_rows=True))
    assert began.sent() == [FOUND_ROWS]
    await began.gives(row(found))
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    return began.sent()


@pytest.mark.parametrize(("found", "length"), [(b"1", 1), (b"7", 7), (b"\x007", 7)])
async def test_found_rows_is_what_it_was(play, found, length):
    began = play()
    [restoring] = await kept(began, found)
    assert b"SQL_CALC_FOUND_ROWS" in restoring
    times = re.search(rb"CONCAT\('\[0',REPEAT\(',0',(\d+)\),'\]'\)", restoring)
    assert times is not None and int(times[1]) == length - 1
    await began.gives(row(b"1"))
    assert began.sent_one().startswith(SENT)


async def test_found_rows_of_no_rows(play):
    assert await kept(play(), b"0") == [b"SELECT 1 LIMIT 0"]


async def test_found_rows_of_more_rows_than_can_be_made(play):
    [sql] = await kept(play(), b"1000001")
    assert sql.startswith(SENT)


async def test_found_rows_that_cannot_be_restored(play):
    began = play()
    await kept(began, b"7")
    await began.says(error(1064))
    assert began.sent_one().startswith(SENT)


async def test_found_rows_is_asked_once(play):
    began = play()
    await kept(began, b"0")
    await began.gives()
    began.sent()
    await began.says(MISSED)
    assert began.sent() == [FIRST + NO_LIMIT]


async def test_found_rows_that_cannot_be_read(play):
    began = await play().begins(planned(keeps_found_rows=True))
    began.sent()
    await began.says(error(1820))
    assert began.seen() == [error(1820)] and began.sent() == []


async def test_found_rows_is_known_where_the_modes_were_asked(play):
    statement = query("UPDATE fb SET s = F(\"t\",'en')")
    began = await play().starts(planned(keeps_found_rows=True), statement)
    assert b"@@sql_mode" in began.sent_one()
    await began.gives(row(b"utf8mb4 0 STRICT"))
    await began.judges(PREPARED)
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent() == [b"SELECT 1 LIMIT 0"]


async def test_found_rows_of_a_query_are_its_own(play):
    statement = query("SELECT F(\"t\",'en') FROM fb")
    began = await play().starts(planned(), statement)
    began.sent()
    await began.gives(row(b"utf8mb4 3 STRICT"))
    await began.judges(PREPARED)
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent_one().startswith(SENT)


# The model's failures.


async def test_a_failed_call_is_an_error_before_anything_is_changed(play):
    began = play()
    began.stage.backend.replies["bad"] = Failure("Throttling", "slow down")
    await began.begins(planned())
    began.sent()
    await began.gives_texts(b"good", b"bad")
    [told] = began.seen()
    assert told.startswith(b"\xff\x51\x04#HY000") and b"Throttling" in told
    assert began.sent() == [] and began.is_usable()


async def test_behind_a_failed_call_the_harvest_is_read_to_its_end(play):
    began = play()
    began.stage.backend.replies["0"] = Failure("X", "why")
    await began.begins(planned())
    began.sent()
    sent = frames(began.result(*(row(b"%d" % i) for i in range(5_000))), 1)
    for start in range(0, len(sent), 8_192):
        assert began.seen() == []
        await began.stage.upstream_sends(sent[start : start + 8_192])
    assert began.seen()[0].startswith(b"\xff\x51\x04")
    assert len(began.stage.backend.calls) < 60
    await began.stage.client_sends(PING)
    assert began.stage.taken_from_upstream() == PING


async def test_a_failed_call_that_gives_null(play):
    began = play(policy=Policy(null_on_error=True))
    began.stage.backend.replies["bad"] = Failure("X", "why")
    await began.begins(planned())
    await began.gives_texts(b"good", b"bad")
    assert has_answer(began.sent()[-1], b"bad")
    await began.says(ok(affected=2))
    assert began.seen() == [ok(affected=2)[:-2] + b"\1\0"]
    await began.stage.client_sends(query("SHOW WARNINGS"))
    head = [b"\3", *[definition()] * 3, EOF]
    await began.says(*head, EOF)
    assert began.seen()[len(head)].startswith(row(b"Warning", b"1105"))


async def test_a_text_that_is_too_long(play):
    began = await play().begins(planned())
    began.sent()
    await began.gives_texts(b"x" * 5_001, b"good")
    [told] = began.seen()
    assert told.startswith(b"\xff\x7e\x05#22001")
    assert began.sent() == [] and began.texts() == [] and began.is_usable()


@pytest.mark.parametrize(("what", "asks"), [("truncate", ["x" * 5_000]), ("null", [])])
async def test_a_text_that_is_too_long_for_the_service_alone(play, what, asks):
    began = await play(policy=Policy(long_text=what)).begins(planned())
    await began.gives_texts(b"x" * 5_001)
    assert began.texts() == asks
    assert has_answer(began.sent()[-1], b"x" * 5_001)
    await began.says(ok())
    assert began.seen() == [ok()[:-2] + b"\1\0"]


async def test_an_answer_is_in_the_statement_as_it_was_given(play):
    began = play()
    began.stage.backend.replies["good"] = Sentiment("POSITIVE", 0.75)
    await began.begins(planned())
    await began.gives_texts(b"good")
    assert b"%d THEN 1" % hash_of(b"good") in began.sent()[-1]


# Waiting.


async def test_rows_are_read_no_faster_than_the_model_answers(play, monkeypatch):
    monkeypatch.setattr(inbox, "SIP_S", 60.0)
    monkeypatch.setattr(queries, "CERTAINLY_TAKEN_BYTES", 1 << 20)
    began = play(concurrency=1)
    began.stage.backend.gate.clear()
    await began.begins(planned())
    rows = [row(b"%d" % i + b"x" * 900) for i in range(2_000)]
    result = frames(began.result(*rows), 1)
    await began.stage.upstream_sends(result)
    for _ in range(10):
        await settle()
    assert began.stage.upstream.is_paused and len(began.texts()) < 200
    began.stage.backend.gate.set()
    for _ in range(300):
        await settle()
    assert len(began.texts()) == 2_000
    assert began.sent()[-1].startswith(SENT) and not began.stage.upstream.is_paused


async def test_an_upstream_that_waits_for_long_is_read_in_sips(play, monkeypatch):
    monkeypatch.setattr(inbox, "SIP_S", 0.0)
    began = play(concurrency=1)
    began.stage.backend.gate.clear()
    await began.begins(planned())
    rows = [row(b"%d" % i + b"x" * 900) for i in range(2_000)]
    await began.stage.upstream_sends(frames(began.result(*rows), 1))
    for _ in range(200):
        await settle()
    assert began.stage.session._upstream_inbox._reader.held_bytes == 0
    assert not began.stage.upstream.is_paused


async def waiting(began: Play) -> Play:
    """A statement that waits for its model, its texts read."""
    began.stage.backend.gate.clear()
    await began.begins(planned())
    began.sent()
    await began.gives_texts(b"good")
    assert began.stage.backend.in_flight == 1 and began.sent() == []
    return began


def assert_nothing_is_left(began: Play) -> None:
    stage = began.stage
    assert stage.client.is_closed and stage.upstream.is_closed
    assert stage.backend.in_flight == 0
    assert not stage.spawn.tasks and not stage.spawn.failures
    assert not stage.context.answering


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_peer_that_leaves_while_a_model_answers(play, who):
    began = await waiting(play())
    getattr(began.stage.session, f"{who}_ended")()
    await settle()
    assert began.stage.client.is_closed
    began.stage.backend.gate.set()
    await settle()
    assert len(began.stage.backend.calls) == 1
    assert_nothing_is_left(began)


@pytest.mark.parametrize("who", ["client", "upstream"])
@pytest.mark.parametrize("packets", [0, 1, 2, 4])
async def test_a_peer_that_leaves_in_mid_harvest(play, who, packets):
    began = await play().begins(planned())
    await began.says(*began.result(row(b"good"))[:packets])
    getattr(began.stage.session, f"{who}_ended")()
    await settle()
    assert_nothing_is_left(began)


@pytest.mark.parametrize("who", ["client", "upstream"])
@pytest.mark.parametrize("packets", [0, 1, 4])
async def test_a_peer_that_leaves_in_mid_statement(play, who, packets):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    await began.says(*began.result(row(b"1"))[:packets])
    getattr(began.stage.session, f"{who}_ended")()
    await settle()
    assert_nothing_is_left(began)


async def kill(began: Play) -> None:
    other = Stage(context=began.stage.context, connection_id=8)
    await other.client_sends(query("KILL QUERY 7"))
    await other.upstream_sends(frame(ok(), 1))


async def test_kill_while_a_model_answers(play):
    began = await waiting(play())
    await kill(began)
    [told] = began.seen()
    assert told.startswith(INTERRUPTED)
    began.stage.backend.gate.set()  # what the model is being asked ends by itself
    await settle()
    assert began.sent() == [] and began.is_usable()


@pytest.mark.parametrize("is_met", [True, False])
async def test_kill_between_the_answers_and_the_statement(play, is_met):
    """Whether or not it meets a question of ours, the statement must not run."""
    began = play()
    await kept(began, b"7")
    await kill(began)
    await (began.says(error(1317)) if is_met else began.gives(row(b"1")))
    assert began.sent() == [] and began.is_usable()
    [told] = began.seen()
    assert told[:3] == INTERRUPTED[:3]


async def test_kill_on_the_server_itself_meets_a_question_of_ours(play):
    began = play()
    await kept(began, b"7")
    await began.says(error(1317))
    assert began.sent() == [] and began.seen() == [error(1317)]


async def test_kill_in_mid_statement_is_the_upstreams(play):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    began.sent()
    await kill(began)
    assert began.seen() == []
    await began.says(error(1317))
    assert began.seen() == [error(1317)] and began.is_usable()


async def test_a_transaction_that_a_statement_opens_is_known(play):
    began = await play().begins(planned())
    await began.gives_texts(b"good")
    await began.says(*began.result()[:-1], IN_TRANS)
    assert began.stage.session._follower.status == 3
