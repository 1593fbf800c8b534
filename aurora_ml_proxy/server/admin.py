"""The admin endpoint: /metrics for Prometheus, /healthz and /readyz for others."""

import os

from aiohttp import web
from prometheus_client import generate_latest

from aurora_ml_proxy.config import Admin, ConfigError
from aurora_ml_proxy.metrics import REGISTRY
from aurora_ml_proxy.server.listener import Listener


async def start_admin(settings: Admin, listener: Listener) -> web.AppRunner | None:
    """Serve the admin endpoint, if the config has a port for it. Raises: ConfigError."""
    if settings.port is None:
        return None

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(REGISTRY),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        if listener.is_draining:
            return web.Response(status=503, text="draining\n")
        # While clients get through it makes no connection of its own: each would be a
        # refused login in the upstream's log. But where they do not, a balancer that
        # asks here sends none, and nobody else would notice the upstream's return.
        if listener.upstream_is_up is False and not await listener.try_upstream():
            return web.Response(status=503, text="the upstream cannot be reached\n")
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        errno = error.errno or 0  # asyncio has words of its own; below 0, getaddrinfo
        reason = os.strerror(errno) if errno > 0 else error.strerror
        raise ConfigError(f"admin: {settings.host}:{settings.port}: {reason}") from None
    return runner
