"""Run the proxy until it is told to stop: SIGTERM drains, SIGHUP reloads the config."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

import uvloop

from aurora_ml_proxy.config import ConfigError, Settings
from aurora_ml_proxy.server.admin import start_admin
from aurora_ml_proxy.server.listener import Listener
from aurora_ml_proxy.server.service import Service, new_service
from aurora_ml_proxy.server.tasks import TaskSet
from aurora_ml_proxy.server.tls import new_key
from aurora_ml_proxy.session.session import Session

log = logging.getLogger("aurora_ml_proxy")


def run(load_settings: Callable[[], Settings]) -> int:
    """Serve until SIGTERM or SIGINT; a second one ends it at once.

    Args:
        load_settings: called at the start and on SIGHUP; raises ConfigError.
    Returns: an exit status: 0, or 2 for a wrong config, told in one line.
    """
    try:
        settings = load_settings()
        logging.basicConfig(
            stream=sys.stderr,
            level=settings.log.level.upper(),
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
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


async def _serve(settings: Settings, load_settings: Callable[[], Settings]) -> None:
    tasks = TaskSet()
    key = new_key()
    answering: set[Session] = set()

    def new(settings: Settings) -> Service:
        return new_service(settings, key, tasks.spawn, answering)

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

    async def reload() -> None:
        try:
            # In a thread: to find AWS credentials may take seconds.
            service = await asyncio.to_thread(lambda: new(load_settings()))
        except ConfigError as error:
            log.error("reload failed, the config stays as it was: %s", error)
        else:
            listener.replace_service(service)
            log.info("config reloaded, for new connections")

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
    log.info("stopped")


async def _set(event: asyncio.Event) -> None:
    await event.wait()
