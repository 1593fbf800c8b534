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
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from aiohttp import web

from aurora_ml_proxy.backends.fake_sts import FakeSts, RoleCall, error_xml
from aurora_ml_proxy.backends.oracle import expected
from aurora_ml_proxy.functions import (
    LANGUAGES,
    MAX_BATCH_SIZE,
    MAX_TEXT_BYTES,
    Sentiment,
)

OPERATIONS = ("DetectSentiment", "BatchDetectSentiment")
MAX_LOGGED_CALLS = 100_000
"""The log keeps the last ones: a fake that serves a demo for weeks must not grow."""

STATUS = {"InternalServerException": 500, "ServiceUnavailableException": 503}
"""HTTP status by code; every other error is a 400."""

FAULTS = {
    "throttle": "ThrottlingException",
    "500": "InternalServerException",
    "503": "ServiceUnavailableException",
    "denied": "AccessDeniedException",
}
"""Words of `Behaviour.script` that answer with an error."""

MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "AccessDeniedException": "User: arn:aws:iam::123456789012:user/fake is not "
    "authorized to perform the action",
    "UnrecognizedClientException": "The security token included in the request is "
    "invalid.",
}


@dataclass(slots=True)
class Behaviour:
    """How the fake answers. Change it at any time; it holds from the next call on."""

    answers: Literal["hash", "vader"] = "hash"
    """hash: `oracle.expected`. vader: believable ones, for a demo."""
    latency_s: float = 0.0
    """What every reply waits."""
    max_in_flight: int | None = None
    """One call more at the same time is throttled."""
    script: list[str | dict[str, Any]] = field(default_factory=list)
    """What becomes of the next calls, one entry each: "ok", a word of FAULTS,
    "reset" (the connection), "truncated" (in mid-body), "garbage" (no JSON),
    "item_errors" (every other text fails, in ErrorList), "drop" (the last result is
    missing), "duplicate" (the first is given twice), or a reply to send as it is."""
    poison_items: dict[str, str] = field(default_factory=dict)
    """Texts that fail alone, in ErrorList, and with which code."""
    poison_calls: dict[str, str] = field(default_factory=dict)
    """Texts that make their whole call fail, and with which code."""
    denied_actions: list[str] = field(default_factory=list)
    """Operations that IAM denies; AssumeRole may be one."""
    role_lifetime_s: float = 3600.0
    """How long the credentials of a role are good."""


@dataclass(slots=True)
class Call:
    """One call, as it arrived."""

    operation: str
    language: str
    texts: list[str]
    access_key_id: str
    """Whose key signed it."""
    in_flight: int
    """Calls under way at its start, this one included."""
    started_s: float
    """By time.monotonic()."""
    finished_s: float | None = None
    error: str | None = None
    """The code it was answered with."""


class Refusal(Exception):
    """The call fails with this code."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES.get(code, code)


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
        body = _json_or_none(await request.read())
        call = Call(
            operation=request.headers.get("X-Amz-Target", "").rpartition(".")[2],
            language=str(body.get("LanguageCode", "")),
            texts=_texts(body),
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
            return _json_1_1(
                {"__type": refusal.code, "Message": refusal.message}, status
            )
        finally:
            call.finished_s = time.monotonic()
            await self._count(-1)

    async def _count(self, change: int) -> None:
        self._in_flight += change
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        behaviour = self.behaviour
        step = behaviour.script.pop(0) if behaviour.script else "ok"
        limit = behaviour.max_in_flight
        if limit is not None and call.in_flight > limit:
            raise Refusal("ThrottlingException")
        await self._gate.wait()
        await asyncio.sleep(behaviour.latency_s)
        if isinstance(step, dict):
            return _json_1_1(step)
        if step in FAULTS:
            raise Refusal(FAULTS[step])
        if step == "garbage":
            return web.Response(body=b"<html>Not JSON", content_type="text/html")
        if step == "reset":
            call.error = step
            return _reset_connection(request)
        self._authorize(request, call)
        _validate(call, behaviour)
        reply = _reply(call, behaviour)
        if step == "truncated":
            call.error = step
            return await _truncated(request, reply)
        return _json_1_1(_spoil(reply, step, call))

    def _authorize(self, request: web.Request, call: Call) -> None:
        if not call.access_key_id:
            raise Refusal("MissingAuthenticationTokenException")
        token = request.headers.get("X-Amz-Security-Token")
        if not self._sts.knows(call.access_key_id, token):
            raise Refusal("UnrecognizedClientException")
        if call.operation in self.behaviour.denied_actions:
            raise Refusal("AccessDeniedException")

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


def _validate(call: Call, behaviour: Behaviour) -> None:
    """The service's limits, and the poisoned texts. Raises: Refusal."""
    if call.operation not in OPERATIONS:
        raise Refusal("UnknownOperationException")
    if not call.texts:
        raise Refusal("ValidationException", "1 validation error detected")
    if call.language not in LANGUAGES:
        raise Refusal("UnsupportedLanguageException")
    if len(call.texts) > MAX_BATCH_SIZE:
        raise Refusal("BatchSizeLimitExceededException")
    if not all(call.texts):
        raise Refusal("InvalidRequestException", "a text is empty")
    if call.operation == "DetectSentiment" and _is_too_long(call.texts[0]):
        raise Refusal(
            "TextSizeLimitExceededException", "Input text size exceeds limit."
        )
    for text in call.texts:
        if text in behaviour.poison_calls:
            raise Refusal(behaviour.poison_calls[text])


def _reply(call: Call, behaviour: Behaviour) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for index, text in enumerate(call.texts):
        code = behaviour.poison_items.get(text)
        # XXX Reports differ on whether one long text fails alone or fails its batch.
        # The proxy never sends one. A recorded reply of the service would settle it.
        if _is_too_long(text):
            code = "TEXT_SIZE_LIMIT_EXCEEDED"
        if code:
            errors.append(_item_error(index, code))
        else:
            sentiment = _judge(text, call.language, behaviour.answers)
            results.append({"Index": index, **_result(sentiment)})
    if call.operation == "BatchDetectSentiment":
        return {"ResultList": results, "ErrorList": errors}
    if errors:
        raise Refusal(errors[0]["ErrorCode"])
    return _result(_judge(call.texts[0], call.language, behaviour.answers))


def _spoil(reply: dict[str, Any], step: str, call: Call) -> dict[str, Any]:
    """The reply of a batch, damaged as the script says."""
    if step == "ok" or "ResultList" not in reply:
        return reply
    results, errors = reply["ResultList"], reply["ErrorList"]
    if step == "drop":
        return {"ResultList": results[:-1], "ErrorList": errors}
    if step == "duplicate":
        return {"ResultList": [*results, *results[:1]], "ErrorList": errors}
    if step == "item_errors":
        call.error = "INTERNAL_SERVER_ERROR"
        failed = [_item_error(r["Index"], call.error) for r in results[1::2]]
        return {"ResultList": results[::2], "ErrorList": errors + failed}
    raise Refusal("InternalServerException", f"no such word in a script: {step}")


def _judge(text: str, language: str, answers: str) -> Sentiment:
    if answers == "hash":
        return expected(text, language)
    from aurora_ml_proxy.backends.local import judge  # reads the lexicon: only if used

    return judge(text)


def _result(sentiment: Sentiment) -> dict[str, Any]:
    """The label's score is its confidence; the other classes share the rest."""
    rest = (1 - sentiment.confidence) / 3
    scores = dict.fromkeys(("Positive", "Negative", "Neutral", "Mixed"), rest)
    scores[sentiment.label.capitalize()] = sentiment.confidence
    return {"Sentiment": sentiment.label, "SentimentScore": scores}


def _item_error(index: int, code: str) -> dict[str, Any]:
    return {"Index": index, "ErrorCode": code, "ErrorMessage": "fails alone"}


def _is_too_long(text: str) -> bool:
    return len(text.encode()) > MAX_TEXT_BYTES


def _json_or_none(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _texts(body: dict[str, Any]) -> list[str]:
    """The texts of either operation; none when they are not strings of UTF-8."""
    texts = body.get("TextList", [body.get("Text")])
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        return []
    if any("\ud800" <= char <= "\udfff" for text in texts for char in text):
        return []
    return texts


def _access_key_id(request: web.Request) -> str:
    authorization = request.headers.get("Authorization", "")
    match = re.search(r"Credential=([^/]+)/", authorization)
    return match[1] if match else ""


def _json_1_1(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(body),
        status=status,
        content_type="application/x-amz-json-1.1",
        headers={"x-amzn-RequestId": "fake"},
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
