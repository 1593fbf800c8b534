"""Open a connection to the upstream."""

import asyncio
import os
import pwd
import socket

import aiohappyeyeballs

from aurora_ml_proxy.config import ConfigError, Upstream
from aurora_ml_proxy.errors import UpstreamUnavailable

_TRUSTED_USERS = frozenset(("root", "mysql"))

_NEXT_ADDRESS_S = 0.25
"""Seconds until a name's next address is tried beside one that does not answer; RFC 8305
recommends it."""


def refuse_trusted_socket(upstream: Upstream) -> None:
    """Refuse a unix socket when we run as a user whom servers trust by their uid.

    unix_socket and auth_socket accounts would let every client in without a password.
    Raises: ConfigError.
    """
    if upstream.socket is None:
        return
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return
    if user in _TRUSTED_USERS:
        raise ConfigError(
            f"upstream.socket: refused while the proxy runs as {user}, whom the server "
            "trusts without a password; run it as another user, or set upstream.host"
        )


async def dial(upstream: Upstream) -> socket.socket:
    """A connected socket. Raises: UpstreamUnavailable."""
    try:
        async with asyncio.timeout(upstream.connect_timeout_s):
            if upstream.socket is not None:
                return await _connect_unix(str(upstream.socket))
            return await _connect_tcp(upstream.host, upstream.port)
    except TimeoutError:
        reason = f"no answer within {upstream.connect_timeout_s:g} s"
    except socket.gaierror as error:
        reason = error.strerror or str(error)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
    raise UpstreamUnavailable(
        f"aurora-ml-proxy can't connect to its MySQL server on '{name_of(upstream)}' "
        f"({reason})"
    )


def name_of(upstream: Upstream) -> str:
    """Where the upstream is, for messages."""
    return str(upstream.socket or f"{upstream.host}:{upstream.port}")


async def _connect_tcp(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = await aiohappyeyeballs.start_connection(
        infos, happy_eyeballs_delay=_NEXT_ADDRESS_S
    )
    set_options(sock)
    return sock


async def _connect_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock


def set_options(sock: socket.socket) -> None:
    """Send at once, and notice a peer whose machine is gone."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
