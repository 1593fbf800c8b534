import asyncio

import uvloop
from support.playbook import Spawner, settle

from aurora_ml_proxy.evaluate.places import Places


class Bench:
    def __init__(self, limit: int) -> None:
        self.places, self.spawn = Places(limit), Spawner()
        self.has_begun = asyncio.Event()
        self.began: list[str] = []
        self.ends: list[asyncio.Event] = []

    def call(self, owner: str, times: int = 1) -> list[asyncio.Task[None]]:
        return [self.spawn(self._call(owner)) for _ in range(times)]

    async def _call(self, owner: str) -> None:
        async with self.places.place(owner):
            self.began.append(owner)
            self.has_begun.set()
            end = asyncio.Event()
            self.ends.append(end)
            await end.wait()

    async def end(self, *which: int) -> None:
        for i in which:
            self.ends[i].set()
            await settle()


async def test_no_more_have_a_place_than_there_are():
    bench = Bench(2)
    bench.call("a", 5)
    await settle()
    assert bench.began == ["a", "a"] and bench.places.taken == 2
    await bench.end(0, 1, 2, 3, 4)
    assert bench.began == ["a"] * 5 and bench.places.taken == 0


async def test_a_statement_with_a_million_texts_does_not_starve_one_with_ten():
    bench = Bench(4)
    bench.call("million", 1_000)
    await settle()
    bench.call("ten", 3)
    await settle()
    assert bench.began == ["million"] * 4
    await bench.end(0, 1)
    assert bench.began[4:] == ["ten", "ten"]  # as many as the other
    await bench.end(2)
    assert bench.began[6:] == ["million"]
    await bench.end(4)
    assert bench.began[7:] == ["ten"]
    await bench.end(5, 7)
    assert bench.began[8:] == ["million"] * 2  # nobody else wants them
    for task in bench.spawn.tasks:
        task.cancel()
    await settle()
    assert bench.places.taken == 0 and not bench.places._waiting


async def test_among_equals_it_is_first_come_first_served():
    bench = Bench(1)
    for owner in "abc":
        bench.call(owner, 2)
    await settle()
    for i in range(5):
        await bench.end(i)
    assert bench.began == ["a", "a", "b", "c", "b", "c"]


async def test_who_gives_up_gives_its_turn_and_its_place_to_the_next():
    bench = Bench(1)
    tasks = [bench.call(owner)[0] for owner in "abcd"]
    await settle()
    tasks[1].cancel()  # it waits
    tasks[0].cancel()  # it has the place
    await settle()
    assert bench.began == ["a", "c"]
    bench.ends[1].set()
    await asyncio.sleep(0)  # the place is given to d, which has not run yet
    tasks[3].cancel()
    await settle()
    assert bench.places.taken == 0 and not bench.places._waiting
    bench.call("e")
    await settle()
    assert bench.began == ["a", "c", "e"]


async def test_the_number_of_places_may_change():
    bench = Bench(2)
    bench.call("a", 6)
    await settle()
    bench.places.limit = 4
    await settle()
    assert len(bench.began) == 4
    bench.places.limit = 1
    await bench.end(0, 1, 2)
    assert len(bench.began) == 4 and bench.places.taken == 1
    await bench.end(3)
    assert len(bench.began) == 5


async def test_in_a_pause_nobody_gets_a_place_and_the_longest_counts():
    bench = Bench(2)
    loop = asyncio.get_running_loop()
    before_s = loop.time()
    bench.places.pause(0.001)
    bench.places.pause(0.02)
    bench.places.pause(0.001)
    [task] = bench.call("a")
    await settle()
    assert not bench.began
    async with asyncio.timeout(5):
        await bench.has_begun.wait()
    assert loop.time() - before_s >= 0.02
    await bench.end(0)
    assert task.done()


def test_a_pause_is_a_pause_on_uvloop():
    """Its timers do not tell when they end, and one of no time is none."""

    async def play() -> None:
        places = Places(1)
        places.pause(0.0)
        places.pause(0.001)
        places.pause(0.0)
        async with asyncio.timeout(5), places.place("a"):
            pass

    uvloop.run(play())
