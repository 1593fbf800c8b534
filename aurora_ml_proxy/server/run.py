"""Run the proxy until it is told to stop: SIGTERM drains, SIGHUP reloads the config."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from operator import attrgetter

import uvloop

from aurora_ml_proxy.config import ConfigError, Log, Settings
from aurora_ml_proxy.server.admin import start_admin
from aurora_ml_proxy.server.listener import Listener
from aurora_ml_proxy.server.service import Service, new_service, open_cache
from aurora_ml_proxy.server.tasks import TaskSet
from aurora_ml_proxy.server.tls import new_key
from aurora_ml_proxy.session.session import Session

log = logging.getLogger("aurora_ml_proxy")

_SECRETIVE = ("boto3", "botocore", "s3transfer", "urllib3")
"""Their debug lines hold requests and replies whole: keys of AWS, customers' texts."""
_SWITCH_INTERVAL_S = 0.0005
"""Seconds that a thread keeps the interpreter while another wants it; Python's own 5 ms
are what the event loop would wait at each of its turns while the local model's thread
works. Measured with 300 emoji a text, a round trip of a byte: 3 ms, not 32."""
_AT_START = ("listen.host", "listen.port", "listen.socket", "cache", "admin", "log")
"""Settings that a reload does not change."""


def run(load_settings: Callable[[], Settings]) -> int:
    """Serve until SIGTERM or SIGINT; a second one ends it at once.

    Args:
        load_settings: called at the start and on SIGHUP; raises ConfigError.
    Returns: an exit status: 0, or 2 for a wrong config, told in one line.
    """
    try:
        settings = load_settings()
        _start_log(settings.log)
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        uvloop.run(_serve(settings, load_settings))
    except ConfigError as error:
        print(f"aurora-ml-proxy: {error}", file=sys.stderr)
        return 2
    if any(not thread.daemon for thread in threading.enumerate()[1:]):
        # Calls of the model service that nobody waits for any more: the interpreter
        # would, for comprehend.timeout_s.
        logging.shutdown()
        os._exit(0)
    return 0


def _start_log(settings: Log) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    if settings.level == "debug":
        for name in _SECRETIVE:
            logging.getLogger(name).setLevel(logging.INFO)


async def _serve(settings: Settings, load_settings: Callable[[], Settings]) -> None:
    tasks = TaskSet()
    key = new_key()
    answering: set[Session] = set()
    cache = open_cache(settings, tasks.spawn)

    def new(settings: Settings) -> Service:
        return new_service(settings, key, tasks.spawn, answering, cache)

    listener = Listener(new(settings), tasks)
    await listener.listen()
    try:
        admin = await start_admin(settings.admin, listener)
    except ConfigError:
        listener.stop_listening()
        raise
    stop = asyncio.Event()
    kill = asyncio.Event()

    def on_stop() -> None:
        (kill if stop.is_set() else stop).set()

    reloading = asyncio.Lock()  # or a slow one would end after the next, and win

    async def reload() -> None:
        async with reloading:
            try:
                # In a thread: to find AWS credentials may take seconds.
                service = await asyncio.to_thread(lambda: new(load_settings()))
            except ConfigError as error:
                log.error("reload failed, the config stays as it was: %s", error)
                return
            listener.replace_service(service)
            log.info("config reloaded, for new connections")
            if changed := _changed_at_start(settings, service.settings):
                log.warning("these take effect at a restart: %s", ", ".join(changed))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: tasks.spawn(reload()))
    for address in listener.addresses:
        log.info("listening on %s", address)
    await stop.wait()
    log.info("draining")
    draining = tasks.spawn(listener.drain())
    killed = tasks.spawn(_set(kill))
    await asyncio.wait((draining, killed), return_when=asyncio.FIRST_COMPLETED)
    await tasks.cancel_all()
    if admin is not None:
        await admin.cleanup()
    await listener.service.context.engine.close()
    if cache is not None:
        await cache.close()
    log.info("stopped")


def _changed_at_start(old: Settings, new: Settings) -> list[str]:
    """Which settings of `_AT_START` differ."""
    return [key for key in _AT_START if attrgetter(key)(old) != attrgetter(key)(new)]


async def _set(event: asyncio.Event) -> None:
    await event.wait()
