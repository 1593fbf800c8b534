"""User variables that a statement assigns: the upstream is played."""

from support.conversations import error, ok

from session.test_inline import (
    FIRST,
    MISSED,
    NO_LIMIT,
    SENT,
    TEXTS_CHANGED,
    Play,
    planned,
    play,
)

__all__ = ["play"]

ASSIGNS = planned(assigned=(b"@n", b"@`a b`"))
KEEP = b"SET @aurora_ml_kept_0=@n,@aurora_ml_kept_1=@`a b`"
PUT_BACK = b"SET @n=@aurora_ml_kept_0,@`a b`=@aurora_ml_kept_1"


async def sent_once(began: Play) -> Play:
    """The statement has been sent, its variables as they were."""
    await began.begins(ASSIGNS)
    assert began.sent() == [KEEP]
    await began.says(ok())
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good")
    assert began.sent() == [PUT_BACK]
    await began.says(ok())
    assert began.sent_one().startswith(SENT)
    return began


async def test_variables_are_put_back_before_the_statement(play):
    began = await sent_once(play())
    await began.says(ok())
    assert began.seen() == [ok()] and began.sent() == []


async def test_variables_are_put_back_after_a_miss(play):
    began = await sent_once(play())
    await began.says(MISSED)
    assert began.sent() == [FIRST + NO_LIMIT]
    await began.gives_texts(b"good", b"new")
    assert began.sent() == [PUT_BACK]


async def test_variables_are_put_back_when_it_is_given_up(play):
    began = await sent_once(play())
    await began.says(MISSED)
    began.sent()
    await began.gives_texts(b"good")
    assert began.sent() == [PUT_BACK] and began.seen() == []
    await began.says(ok())
    assert began.seen()[0].startswith(TEXTS_CHANGED) and began.is_usable()


async def test_the_error_is_the_statements_when_they_cannot_be_put_back(play):
    began = await sent_once(play())
    await began.says(MISSED)
    began.sent()
    await began.gives_texts(b"good")
    await began.says(error(1231))
    assert began.seen()[0].startswith(TEXTS_CHANGED) and began.is_usable()


async def test_an_error_of_the_servers_leaves_them_as_the_statement_does(play):
    began = await sent_once(play())
    await began.says(error(1062))
    assert began.seen() == [error(1062)] and began.sent() == []


async def test_variables_that_cannot_be_kept(play):
    began = await play().begins(ASSIGNS)
    began.sent()
    await began.says(error(1317))
    assert began.seen() == [error(1317)] and began.sent() == []


async def test_a_statement_that_assigns_none_asks_nothing_more(play):
    began = await play().begins(planned())
    assert began.sent() == [FIRST + NO_LIMIT]
