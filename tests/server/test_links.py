"""A link on a real transport of the loop that serves."""

import asyncio
import socket

import pytest
import uvloop

from aurora_ml_proxy.server.links import Link


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_what_is_written_after_the_end_is_dropped(new_loop) -> None:
    """A peer that was told "no more" may still be answered by what was under way."""

    async def talk() -> bytes:
        here, there = socket.socketpair()
        with there:
            there.setblocking(False)
            loop = asyncio.get_running_loop()
            link = Link(0, 1 << 20)
            await loop.connect_accepted_socket(lambda: link, here)
            link.write(b"before")
            link.write_eof()
            link.write(b"after")
            link.write_eof()
            received = b""
            while more := await loop.sock_recv(there, 100):
                received += more
            link.close()
            await asyncio.sleep(0)
            return received

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(talk()) == b"before"
