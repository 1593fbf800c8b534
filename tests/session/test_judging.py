"""What is asked before anything is paid for: the upstream is played."""

import pytest
from support.conversations import error, ok

from aurora_ml_proxy.plan.plan import Inline
from aurora_ml_proxy.session import queries
from aurora_ml_proxy.session.judging import is_of_statement
from session.test_inline import (
    FIRST,
    FOUND_ROWS,
    MISSED,
    NO_LIMIT,
    PREPARED,
    SENT,
    Play,
    has_answer,
    planned,
    play,
)
from session.test_session import payloads, row

__all__ = ["play"]


def refused(number: int, state: bytes) -> bytes:
    return error(number)[:3] + b"#" + state + b"message"


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (1054, b"42S22"),
        (1136, b"21S01"),
        (1142, b"42000"),
        (1146, b"42S02"),
        (1582, b"42000"),
        (1052, b"23000"),
        (1093, b"HY000"),
        (1792, b"25006"),
    ],
)
def test_errors_that_the_statement_would_end_in_as_well(number, state):
    assert is_of_statement(refused(number, state))


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (1295, b"HY000"),
        (1461, b"42000"),
        (1231, b"42000"),
        (1690, b"22003"),
        (1048, b"23000"),
        (1105, b"HY000"),
    ],
)
def test_errors_that_may_be_of_the_preparing(number, state):
    assert not is_of_statement(refused(number, state))


def test_an_error_without_a_state():
    assert not is_of_statement(b"\xff\x1e\x04")


# Again and again.


async def answered(began: Play, plan: Inline) -> list[bytes]:
    """What is sent first for a statement, which is then answered."""
    await began.starts(plan)
    first = payloads(began.stage.taken_from_upstream())
    if first[0][:1] == b"\x16":
        await began.says(PREPARED)
    await began.gives_texts(b"good")
    await began.says(ok())
    began.stage.taken_from_upstream()
    return first


async def test_a_query_is_judged_once(play):
    began = play()
    [first] = await answered(began, planned())
    assert first.startswith(b"\x16" + SENT)
    assert await answered(began, planned()) == [b"\x03" + FIRST + NO_LIMIT]
    [other] = await answered(began, planned(statement=(SENT, 0, b"WHERE b")))
    assert other.startswith(b"\x16" + SENT)


async def test_a_change_is_judged_each_time(play):
    """The transaction may be READ ONLY this time."""
    began = play()
    for _ in range(2):
        [first] = await answered(began, planned(changes_data=True))
        assert first.startswith(b"\x16" + SENT)


async def test_a_query_that_was_refused_is_judged_again(play):
    began = await play().starts(planned())
    await began.judges(refused(1054, b"42S22"))
    await began.starts(planned())
    await began.judges(PREPARED)
    assert began.sent() == [FIRST + NO_LIMIT]


async def test_so_many_texts_are_remembered(play, monkeypatch):
    monkeypatch.setattr(queries, "_REMEMBERED", 2)
    began = play()
    plans = [planned(statement=(SENT, 0, b"WHERE %d" % n)) for n in range(3)]
    for plan in plans:
        await answered(began, plan)
    for plan, is_judged in zip(reversed(plans), (False, False, True), strict=True):
        [first] = await answered(began, plan)
        assert first.startswith(b"\x16") == is_judged


# Rehearsals.


EXPLAIN = b"EXPLAIN UPDATE fb SET s=NULL"
REHEARSED = planned(rehearsal=(EXPLAIN, b" ORDER BY ", 0))


async def test_a_change_is_explained_before_its_texts_are_read(play):
    began = await play().begins(REHEARSED)
    sql = began.sent_one()
    assert sql.startswith(EXPLAIN + b" ORDER BY ELT(")
    await began.gives(row(b"1"))
    assert began.sent() == [FIRST + NO_LIMIT]


@pytest.mark.parametrize("number", [1054, 1099, 1136, 1290, 1317])
async def test_what_the_rehearsal_shows_fails_at_once(play, number):
    began = await play().begins(REHEARSED)
    began.sent()
    await began.says(error(number))
    assert began.seen() == [error(number)] and began.sent() == []
    assert began.texts() == [] and began.is_usable()


@pytest.mark.parametrize("number", [1064, 1345, 1142])
async def test_what_may_be_of_the_rehearsal_says_nothing(play, number):
    began = await play().begins(REHEARSED)
    began.sent()
    await began.says(error(number))
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent() == [queries._CLEARS_WARNINGS]


# CREATE TABLE.


CREATES = planned(created=b"made", keeps_found_rows=True)
LOOKS = b"SELECT 1 FROM made LIMIT 0"


async def looks(began: Play) -> Play:
    """Whether the table is there is asked first of all, and FOUND_ROWS() before."""
    await began.starts(CREATES)
    assert began.sent() == [FOUND_ROWS]
    await began.gives(row(b"0"))
    assert began.sent() == [LOOKS]
    return began


async def test_a_table_that_is_not_there_is_made_with_answers(play):
    began = await looks(play())
    await began.says(error(1146))
    await began.judges(PREPARED)
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent() == [queries._CLEARS_WARNINGS]


async def sends_at_once(began: Play) -> Play:
    await looks(began)
    await began.gives()
    assert began.sent() == [b"SELECT 1 LIMIT 0"]
    await began.gives()
    assert began.sent_one().startswith(SENT)
    return began


@pytest.mark.parametrize("told", [ok(info=b"it exists"), error(1050)])
async def test_a_table_that_is_there_costs_nothing(play, told):
    began = await sends_at_once(play())
    await began.says(told)
    assert began.seen() == [told] and began.texts() == [] and began.is_usable()


async def test_a_table_that_was_there_a_moment_ago(play):
    began = await sends_at_once(play())
    await began.says(MISSED)
    await began.judges(PREPARED)
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    began.sent()
    await began.gives()
    await began.gives()
    assert has_answer(began.sent()[-1], b"good")


async def test_a_look_that_is_the_end_of_the_statement(play):
    began = await looks(play())
    await began.says(error(1317))
    assert began.seen() == [error(1317)] and began.sent() == []
