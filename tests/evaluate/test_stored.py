"""The store fails in every way; nobody who asks notices more than a miss."""

import asyncio
import logging

import pytest
from support.playbook import Spawner, settle
from support.stores import FakeStore, Pauses

from aurora_ml_proxy.evaluate import stored as module
from aurora_ml_proxy.evaluate.store import StoreFailed
from aurora_ml_proxy.evaluate.stored import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_QUEUED,
    StoredAnswers,
)


class Bench:
    def __init__(self) -> None:
        self.store, self.spawn, self.pauses = FakeStore(), Spawner(), Pauses()
        self.store.records[b"k"] = b"record"
        self.now_s = 0.0
        self.forgotten = 0
        self.stored = StoredAnswers(
            self.store,
            self.spawn,
            self._on_forgotten,
            sleep=self.pauses,
            clock=lambda: self.now_s,
        )

    def _on_forgotten(self) -> None:
        self.forgotten += 1

    async def pass_a_pause(self) -> None:
        self.pauses.end()
        await settle()


async def test_reading_and_writing():
    bench = Bench()
    assert await bench.stored.look_up([b"k", b"x"]) == {b"k": b"record"}
    bench.stored.keep({b"x": b"1", b"y": b"2"})
    await settle()
    assert bench.store.records == {b"k": b"record", b"x": b"1", b"y": b"2"}
    assert bench.store.writes == 1 and not bench.spawn.tasks


@pytest.mark.parametrize("how", ["fails", "raises", "stalls"])
async def test_a_store_that_fails_is_left_alone_and_tried_again(how, caplog):
    caplog.set_level(logging.INFO)
    bench = Bench()
    if how == "fails":
        bench.store.fails = "connection refused"
    elif how == "raises":
        bench.store.raises = RuntimeError("secret")
    else:
        bench.store.gate.clear()
    assert await bench.stored.look_up([b"k"]) == {}
    assert not bench.stored.is_up
    # Nobody waits for it again, and nobody asks it.
    asked = len(bench.store.reads)
    assert await bench.stored.look_up([b"k"]) == {}
    bench.stored.watch()
    bench.stored.keep({b"x": b"1"})
    await settle()
    assert len(bench.store.reads) == asked and bench.store.writes == 0
    bench.store.fails = bench.store.raises = None
    bench.store.gate.set()
    await bench.pass_a_pause()
    assert bench.stored.is_up
    assert await bench.stored.look_up([b"k"]) == {b"k": b"record"}
    # What it could not be told is written.
    assert bench.store.records[b"x"] == b"1"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and "for now" in said[0] and "again" in said[1]
    assert "secret" not in caplog.text
    assert not bench.spawn.tasks and not bench.spawn.failures


async def test_pauses_grow_until_it_answers_a_statement():
    bench = Bench()
    bench.store.fails = "gone"
    await bench.stored.look_up([b"k"])
    for _ in range(8):
        await settle()
        await bench.pass_a_pause()
    assert bench.pauses.asked_s[:3] == [FIRST_PAUSE_S, 2, 4]
    assert bench.pauses.asked_s[-1] == LONGEST_PAUSE_S
    # It answers the try, and fails again with the first look: no new start.
    bench.store.fails = None
    await bench.pass_a_pause()
    bench.now_s = 100.0
    bench.stored.watch()  # no look either
    await settle()
    bench.store.fails = "gone"
    await bench.stored.look_up([b"k"])
    await settle()
    assert bench.pauses.asked_s[-1] == LONGEST_PAUSE_S
    bench.store.fails = None
    await bench.pass_a_pause()
    assert await bench.stored.look_up([b"k"])
    bench.store.fails = "gone"
    await bench.stored.look_up([b"k"])
    await settle()
    assert bench.pauses.asked_s[-1] == FIRST_PAUSE_S


async def test_looks_that_wait_behind_one_that_stalls_do_not_stall_in_turn():
    bench = Bench()
    bench.store.gate.clear()
    looks = [bench.stored.look_up([b"k"]) for _ in range(40)]
    async with asyncio.timeout(10 * bench.store.patience_s):
        assert await asyncio.gather(*looks) == [{}] * 40
    assert len(bench.store.reads) == module.READ_AT_ONCE
    bench.store.gate.set()
    await bench.pass_a_pause()


async def test_a_store_that_cannot_be_written_to_is_still_read(caplog):
    bench = Bench()
    bench.store.cannot_write = "it is full"
    bench.stored.keep({b"x": b"1"})
    await settle()
    assert "it is full" in caplog.text
    assert bench.stored.is_up and await bench.stored.look_up([b"k"])
    bench.store.cannot_write = None
    await bench.pass_a_pause()
    assert bench.store.records[b"x"] == b"1"


async def test_what_waits_to_be_written_is_bounded():
    bench = Bench()
    bench.store.cannot_write = "it is full"
    for n in range(MAX_QUEUED + 50):
        bench.stored.keep({b"%d" % n: b"1"})
    await settle()
    assert len(bench.stored._queue) == MAX_QUEUED
    bench.store.cannot_write = None
    for _ in range(5):
        await bench.pass_a_pause()
    assert len(bench.store.records) == MAX_QUEUED + 1
    assert max(map(len, bench.store.reads), default=0) == 0


async def test_that_another_has_made_it_forget_is_seen_at_a_look_or_within_a_second():
    bench = Bench()
    await bench.stored.look_up([b"k"])
    assert bench.forgotten == 0  # the first that is seen is no change
    await bench.store.forget_all()
    bench.stored.watch()
    await settle()
    assert bench.forgotten == 0
    bench.now_s = 1.0
    bench.store.gate.clear()
    for _ in range(3):
        bench.stored.watch()
        await settle()
    assert len(bench.store.reads) == 2  # one at a time
    bench.store.gate.set()
    await settle()
    assert bench.forgotten == 1
    await bench.store.forget_all()
    await bench.stored.look_up([b"k"])
    assert bench.forgotten == 2


async def test_what_was_queued_before_all_was_forgotten_is_not_written():
    bench = Bench()
    bench.store.cannot_write = "it is full"
    bench.stored.keep({b"x": b"1"})
    await settle()
    await bench.stored.forget_all()
    bench.store.cannot_write = None
    await bench.pass_a_pause()
    assert bench.store.records == {} and bench.forgotten == 0


async def test_nor_is_it_when_another_process_has_made_it_forget():
    bench = Bench()
    bench.store.cannot_write = "it is full"
    bench.stored.keep({b"x": b"1"})
    await settle()
    await bench.store.forget_all()
    await bench.stored.look_up([b"k"])
    bench.store.cannot_write = None
    await bench.pass_a_pause()
    assert bench.store.records == {} and bench.forgotten == 1


async def test_what_is_being_written_while_all_is_forgotten_is_not_queued_again():
    bench = Bench()
    await bench.stored.look_up(())
    bench.store.gate.clear()
    bench.stored.keep({b"x": b"1"})
    await settle()
    bench.stored._generation = 2
    bench.store.fails = "gone"
    bench.store.gate.set()
    await settle()
    assert bench.stored._queue == {}


async def test_forgetting_is_owed_while_it_is_down():
    bench = Bench()
    bench.store.fails = "gone"
    await bench.stored.look_up([b"k"])
    with pytest.raises(StoreFailed, match="does not answer"):
        await bench.stored.forget_all()
    bench.store.fails = None
    await settle()
    await bench.pass_a_pause()
    assert bench.stored.is_up and bench.store.records == {}


async def test_closing_waits_for_a_stalled_store_no_longer_than_it_must(monkeypatch):
    monkeypatch.setattr(module, "CLOSING_S", 0.01)
    bench = Bench()
    await bench.stored.look_up([b"k"])
    bench.store.gate.clear()
    bench.stored.keep({b"x": b"1"})
    await bench.stored.close()
    assert bench.store.is_closed
    bench.store.gate.set()
    await settle()
