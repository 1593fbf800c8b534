"""Whether a failed change is sent again: the upstream played here tells of tables."""

import pytest
from support.conversations import error

from aurora_ml_proxy.plan.plan import Inline
from session.test_inline import (
    FIRST,
    MISSED,
    NO_LIMIT,
    TEXTS_CHANGED,
    Play,
    planned,
    play,
)
from session.test_session import row

__all__ = ["play"]

CHANGE = planned(changes_data=True, tables=(b"fb", b"it's"))


async def missed_change(began: Play, plan: Inline = CHANGE) -> bytes:
    """A statement that changes data has missed; what is asked then."""
    await began.begins(plan)
    await began.gives_texts(b"good")
    began.sent()
    await began.says(MISSED)
    return began.sent_one()


async def test_a_change_is_sent_again_where_engines_undo_what_it_did(play):
    began = play()
    sql = await missed_change(began)
    assert b"information_schema.ENGINES" in sql
    assert b"X'%b'" % b"it's".hex().encode() in sql and b"it's" not in sql
    await began.gives(row(b"1", b"0", b"0"), columns=3)
    assert began.sent() == [FIRST + NO_LIMIT]


@pytest.mark.parametrize("digits", [b"2", b"\0002"])
async def test_a_change_is_not_sent_again_where_an_engine_undoes_nothing(play, digits):
    began = play()
    await missed_change(began)
    await began.gives(row(b"1", digits, b"0"), columns=3)
    assert began.sent() == []
    assert began.seen()[0].startswith(TEXTS_CHANGED) and began.is_usable()


async def test_a_change_is_not_sent_again_where_a_trigger_may_write_elsewhere(play):
    began = play()
    await missed_change(began)
    await began.gives(row(b"1", b"0", b"1"), columns=3)
    assert began.sent() == []
    assert began.seen()[0].startswith(TEXTS_CHANGED) and began.is_usable()


async def test_digits_of_a_wide_character_set(play):
    began = play()
    await missed_change(began)
    await began.gives(row(b"\0001", b"\0000", b"\0000"), columns=3)
    assert began.sent() == [FIRST + NO_LIMIT]


@pytest.mark.parametrize("found", [b"0", b"\0000"])
async def test_a_change_of_a_table_that_nobody_knows_is_not_sent_again(play, found):
    """A temporary table is in no list of tables, and may be one that undoes nothing."""
    began = play()
    await missed_change(began)
    await began.gives(row(found, b"0", b"0"), columns=3)
    assert began.sent() == [] and began.seen()[0].startswith(TEXTS_CHANGED)


async def test_a_change_whose_tables_are_not_told(play):
    began = play()
    await missed_change(began)
    await began.says(error(1142))
    assert began.sent() == [] and began.seen() == [error(1142)]


async def test_a_change_of_no_table(play):
    began = play()
    assert await missed_change(began, planned(changes_data=True)) == FIRST + NO_LIMIT


# Temporary tables.


TEMPORARY = b"CREATE TEMPORARY TABLE `fb` (\n  `t` text\n) ENGINE=%b CHARSET=utf8"
NAMED = planned(changes_data=True, tables=(b"fb",), targets=(b"`fb`", b"a.b"))


async def gives_definition(began: Play, definition: bytes) -> None:
    await began.gives(row(b"fb", definition), columns=2)


async def test_temporary_tables_that_undo_are_in_no_list(play):
    began = play()
    assert await missed_change(began, NAMED) == b"SHOW CREATE TABLE `fb`"
    await gives_definition(began, TEMPORARY % b"InnoDB")
    assert began.sent() == [b"SHOW CREATE TABLE a.b"]
    await gives_definition(began, TEMPORARY % b"InnoDB")
    assert began.sent() == [FIRST + NO_LIMIT]


@pytest.mark.parametrize(
    "definition",
    [
        TEMPORARY % b"MyISAM",
        (TEMPORARY % b"MEMORY").decode().encode("utf-16-be"),
        TEMPORARY % b"InnoDB" + b"\n) ENGINE=MyISAM",
        b"CREATE TEMPORARY TABLE `fb` (\n  `t` text\n)",
    ],
)
async def test_a_temporary_table_that_undoes_nothing_may_hide_another(play, definition):
    began = play()
    await missed_change(began, NAMED)
    await gives_definition(began, definition)
    assert began.sent() == [] and began.seen()[0].startswith(TEXTS_CHANGED)


@pytest.mark.parametrize(
    "definition", [b"CREATE TABLE `fb` (\n) ENGINE=MyISAM", b"CREATE VIEW `fb` AS", None]
)
async def test_other_tables_are_looked_up_in_the_lists(play, definition):
    began = play()
    await missed_change(began, NAMED)
    await gives_definition(began, TEMPORARY % b"InnoDB")
    began.sent()
    await gives_definition(began, definition)
    assert b"information_schema.ENGINES" in began.sent_one()


async def test_what_is_no_table_is_looked_up_in_the_lists(play):
    began = play()
    await missed_change(began, NAMED)
    await began.says(error(1146))
    assert began.sent() == [b"SHOW CREATE TABLE a.b"]
    await began.says(error(1142))
    assert b"information_schema.ENGINES" in began.sent_one()


async def test_an_error_that_ends_the_statement_does_so(play):
    began = play()
    await missed_change(began, NAMED)
    await began.says(error(1317))
    assert began.sent() == [] and began.seen() == [error(1317)]
