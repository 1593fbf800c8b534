"""Tasks are held until they end, and what they did not expect is logged."""

import asyncio
import gc
import logging

import pytest

from aurora_ml_proxy.server.tasks import TaskSet


async def test_a_task_survives_the_garbage_collector() -> None:
    tasks, done = TaskSet(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        done.set()

    tasks.spawn(work())
    gc.collect()
    await done.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_an_unexpected_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks = TaskSet()

    async def fail() -> None:
        raise ValueError("surprise")

    with pytest.raises(ValueError):
        await tasks.spawn(fail())
    [record] = caplog.records
    assert record.levelno == logging.ERROR and "surprise" in caplog.text


async def test_all_are_cancelled_and_waited_for() -> None:
    tasks, ended = TaskSet(), []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    for number in range(3):
        tasks.spawn(wait(number))
    await asyncio.sleep(0)
    await tasks.cancel_all()
    assert sorted(ended) == [0, 1, 2] and len(tasks) == 0
