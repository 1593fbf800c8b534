"""A fake Amazon Comprehend over HTTP: what the tests and the demo ask instead.

It speaks what boto3 speaks to Comprehend, JSON 1.1, keeps the real limits, misbehaves
on demand, and counts: a proxy's calls are counted here, never inside the proxy.

    async with FakeComprehend() as fake:      # Comprehend(endpoint_url=fake.url)
        fake.behaviour.script = ["throttle", "500"]
        ...
        assert len(fake.calls) == 3

Other processes: `python -m aurora_ml_proxy.backends.fake --port 8099`, and then
GET /_fake/calls, POST /_fake/behaviour (any fields of `Behaviour`), POST /_fake/reset.
Roles: point AWS_ENDPOINT_URL_STS at the same URL.
"""

import argparse
import asyncio
import json
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Self

from aiohttp import web

from aurora_ml_proxy.backends.fake_service import (
    STATUS,
    Behaviour,
    Call,
    Dice,
    Refusal,
    json_or_none,
    reply_to,
    texts_of,
)
from aurora_ml_proxy.backends.fake_sts import FakeSts, RoleCall, error_xml
from aurora_ml_proxy.backends.oracle import expected

__all__ = ["Behaviour", "Call", "FakeComprehend", "RoleCall", "expected"]

MAY_COME_AGAIN = (
    "ThrottlingException",
    "TooManyRequestsException",
    "ServiceUnavailableException",
)
"""Codes with a Retry-After, if the behaviour says so."""

MAX_LOGGED_CALLS = 100_000
"""The log keeps the last ones: a fake that serves a demo for weeks must not grow."""


class FakeComprehend:
    """The service. An async context manager; `url` is known inside."""

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.calls: deque[Call] = deque(maxlen=MAX_LOGGED_CALLS)
        self.url = ""
        self._host, self._port = host, port
        self._sts = FakeSts()
        self._dice = Dice()
        self._in_flight = 0
        self._changed = asyncio.Condition()
        self._gate = asyncio.Event()
        self._gate.set()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/_fake/calls", self._list_calls)
        app.router.add_post("/_fake/behaviour", self._change_behaviour)
        app.router.add_post("/_fake/reset", self._reset)
        app.router.add_post("/", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.release()
        await self._runner.cleanup()

    @property
    def role_calls(self) -> list[RoleCall]:
        """The calls of AssumeRole."""
        return self._sts.calls

    @property
    def max_in_flight(self) -> int:
        """The most calls that were under way at one time."""
        return max((call.in_flight for call in self.calls), default=0)

    @property
    def open_connections(self) -> int:
        """Connections that clients hold open."""
        assert self._runner.server is not None
        return len(self._runner.server.connections)

    def reset(self) -> None:
        """Forget the calls and the behaviour; keys handed out stay good."""
        self.calls.clear()
        self.behaviour = Behaviour()
        self.release()

    def hold(self) -> None:
        """Let calls arrive, and answer none."""
        self._gate.clear()

    def release(self) -> None:
        """Answer the held calls, and those to come."""
        self._gate.set()

    async def wait_for_calls(self, count: int) -> None:
        """Wait until so many calls have arrived."""
        await self._wait_until(lambda: len(self.calls) >= count)

    async def wait_until_idle(self) -> None:
        """Wait until no call is under way."""
        await self._wait_until(lambda: self._in_flight == 0)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.content_type == "application/x-www-form-urlencoded":
            return await self._serve_sts(request)
        body = json_or_none(await request.read())
        call = Call(
            operation=request.headers.get("X-Amz-Target", "").rpartition(".")[2],
            language=str(body.get("LanguageCode", "")),
            texts=texts_of(body),
            access_key_id=_access_key_id(request),
            in_flight=self._in_flight + 1,
            started_s=time.monotonic(),
        )
        self.calls.append(call)
        await self._count(+1)
        try:
            return await self._answer(request, call)
        except Refusal as refusal:
            call.error = refusal.code
            status = STATUS.get(refusal.code, 400)
            body = {"__type": refusal.code, "Message": refusal.message}
            return _json_1_1(body, status, self._advice(refusal.code))
        finally:
            call.finished_s = time.monotonic()
            await self._count(-1)

    def _advice(self, code: str) -> dict[str, str]:
        """When to come again, for a call that comes too often or too early."""
        seconds = self.behaviour.retry_after_s
        if seconds is None or code not in MAY_COME_AGAIN:
            return {}
        return {"Retry-After": str(seconds)}

    async def _count(self, change: int) -> None:
        self._in_flight += change
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        behaviour = self.behaviour
        step = behaviour.script.pop(0) if behaviour.script else self._dice.word(behaviour)
        limit = behaviour.max_in_flight
        if limit is not None and call.in_flight > limit:
            raise Refusal("ThrottlingException")
        await self._gate.wait()
        await asyncio.sleep(behaviour.latency_s)
        if step == "slow":
            await asyncio.sleep(behaviour.slow_s)
        if isinstance(step, dict):
            return _json_1_1(step)
        if step == "garbage":
            return web.Response(body=b"<html>Not JSON", content_type="text/html")
        if step == "reset":
            call.error = step
            return _reset_connection(request)
        self._authorize(request, call)
        reply = reply_to(call, behaviour, step)
        if step == "truncated":
            call.error = step
            return await _truncated(request, reply)
        return _json_1_1(reply)

    def _authorize(self, request: web.Request, call: Call) -> None:
        if not call.access_key_id:
            raise Refusal("MissingAuthenticationTokenException")
        token = request.headers.get("X-Amz-Security-Token")
        if not self._sts.knows(call.access_key_id, token):
            raise Refusal("UnrecognizedClientException")
        if call.access_key_id in self.behaviour.expired_keys:
            raise Refusal("ExpiredTokenException")

    async def _serve_sts(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        action = form.get("Action", "")
        if action != "AssumeRole":
            xml, status = error_xml("InvalidAction", "not an action of this fake"), 400
        elif action in self.behaviour.denied_actions:
            xml, status = error_xml("AccessDenied", "not authorized: AssumeRole"), 403
        else:
            lifetime_s = self.behaviour.role_lifetime_s
            xml = self._sts.assume_role(form, _access_key_id(request), lifetime_s)
            status = 200
        return web.Response(text=xml, status=status, content_type="text/xml")

    async def _list_calls(self, _request: web.Request) -> web.Response:
        calls = [asdict(call) for call in self.calls]
        roles = [asdict(call) for call in self.role_calls]
        return web.json_response({"calls": calls, "role_calls": roles})

    async def _change_behaviour(self, request: web.Request) -> web.Response:
        change = await request.json()
        known = {f.name for f in fields(Behaviour)}
        if not isinstance(change, dict) or not change.keys() <= known:
            raise web.HTTPBadRequest(text=f"the fields are: {', '.join(sorted(known))}")
        for name, value in change.items():
            setattr(self.behaviour, name, value)
        return web.json_response(asdict(self.behaviour))

    async def _reset(self, _request: web.Request) -> web.Response:
        self.reset()
        return web.json_response({})


def _access_key_id(request: web.Request) -> str:
    authorization = request.headers.get("Authorization", "")
    match = re.search(r"Credential=([^/]+)/", authorization)
    return match[1] if match else ""


def _json_1_1(
    body: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        text=json.dumps(body),
        status=status,
        content_type="application/x-amz-json-1.1",
        headers={"x-amzn-RequestId": "fake", **(headers or {})},
    )


def _reset_connection(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _truncated(request: web.Request, reply: dict[str, Any]) -> web.StreamResponse:
    """Half of the reply, and the end of the connection."""
    body = json.dumps(reply).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def _run(arguments: argparse.Namespace) -> None:
    behaviour = Behaviour(answers=arguments.answers, latency_s=arguments.latency)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    fake = FakeComprehend(behaviour, host=arguments.host, port=arguments.port)
    async with fake:
        print(fake.url, flush=True)
        await stop.wait()


def main() -> None:
    """Serve until SIGTERM. The first line of output is the URL."""
    parser = argparse.ArgumentParser(description="A fake Amazon Comprehend.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--answers", choices=["hash", "vader"], default="hash")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
