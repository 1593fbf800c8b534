"""A fake Comprehend in the test's own process, which does something before it answers.

The texts have been read by then, and the statement has not been sent with the answers:
what is done here is what another session does in between, at the same moment every time.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from aurora_ml_proxy.backends.fake import FakeComprehend
from aurora_ml_proxy.backends.fake_service import Call

Meddle = Callable[[int], None]
"""Is given the number of the call, from 1."""


class MeddlingFake(FakeComprehend):
    """`meddle` is called before each answer, one at a time, in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._one_at_a_time = asyncio.Lock()
        self._done = 0
        self.begin(lambda _: None)

    def begin(self, meddle: Meddle) -> None:
        """From now on do this, and count the calls anew."""
        self.calls.clear()
        self.meddle = meddle
        self.failures: list[Exception] = []
        """What went wrong in it."""
        self._done = 0

    @property
    def texts(self) -> list[str]:
        """All that was asked since `begin`."""
        return [text for call in self.calls for text in call.texts]

    def settings(self) -> dict[str, dict[str, object]]:
        """The settings of a proxy that asks this service."""
        return {
            "sentiment": {"backend": "comprehend"},
            "comprehend": {"region": "us-east-1", "endpoint_url": self.url},
        }

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        async with self._one_at_a_time:
            self._done += 1
            try:
                await asyncio.to_thread(self.meddle, self._done)
            except Exception as failure:
                self.failures.append(failure)
        return await super()._answer(request, call)


@contextmanager
def meddling_fake() -> Iterator[MeddlingFake]:
    """The service on a loop of its own, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> MeddlingFake:
        return await MeddlingFake().__aenter__()

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    try:
        fake = run(start())
        yield fake
        run(fake.__aexit__())
    finally:
        run(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
