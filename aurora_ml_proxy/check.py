"""Try all that `serve` will need: one line each, ok or FAIL.

It knows the upstream's greeting, the backends and the listening addresses; it changes
nothing and keeps nothing open.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiomysql

from aurora_ml_proxy.backends.comprehend import CheckLine, Comprehend
from aurora_ml_proxy.backends.local import Local
from aurora_ml_proxy.config import ConfigError, Listen, Settings, Upstream
from aurora_ml_proxy.errors import ProxyError, UpstreamUnavailable
from aurora_ml_proxy.evaluate.store import StoreFailed
from aurora_ml_proxy.functions import Failure
from aurora_ml_proxy.protocol.login import Greeting, read_greeting, write_dummy_login
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.vocabulary import CLIENT_PROTOCOL_41, CLIENT_SSL
from aurora_ml_proxy.server.dial import dial, name_of, refuse_trusted_socket
from aurora_ml_proxy.server.service import open_store
from aurora_ml_proxy.server.tls import client_context, new_key, upstream_context

MAX_GREETING_BYTES = 1024
"""A greeting has about a hundred; more is not a MySQL server."""


@dataclass(frozen=True, slots=True)
class Login:
    """An account to try at the upstream."""

    user: str
    password: str


class CheckFailed(Exception):
    """Why a line says FAIL."""


async def run(settings: Settings, login: Login | None) -> int:
    """Print a line for each check; the exit status."""
    status = 0
    async for subject, line in check(settings, login):
        print(f"{'ok  ' if line.ok else 'FAIL'}  {subject:<9}  {line.text}", flush=True)
        status |= not line.ok
    return status


async def check(
    settings: Settings, login: Login | None
) -> AsyncIterator[tuple[str, CheckLine]]:
    """What was tried, and how it went."""
    upstream_lines = await check_upstream(settings.upstream)
    for line in upstream_lines:
        yield "upstream", line
    if login is not None and all(line.ok for line in upstream_lines):
        yield "login", await check_login(settings.upstream, login)
    for line in await check_sentiment(settings):
        yield "sentiment", line
    if settings.cache.enabled and (settings.cache.path or settings.cache.url):
        yield "cache", await check_cache(settings)
    listen, admin = settings.listen, settings.admin
    yield "listen", check_address(listen.host, listen.port)
    if listen.socket is not None:
        yield "listen", check_socket(listen.socket)
    if listen.tls and listen.tls_cert is not None:
        yield "listen", check_certificate(listen)
    if admin.port is not None:
        yield "admin", check_address(admin.host, admin.port)


async def check_upstream(upstream: Upstream) -> list[CheckLine]:
    """Whether it answers, and whether its TLS is what the settings ask for."""
    lines: list[CheckLine] = []
    try:
        async with asyncio.timeout(upstream.connect_timeout_s):
            refuse_trusted_socket(upstream)
            reader, writer = await asyncio.open_connection(sock=await dial(upstream))
            try:
                greeting = await _read_greeting(reader)
                # MariaDB 10 puts 5.5.5- before its version, for old replicas.
                release = greeting.server_version.removeprefix("5.5.5-")
                said = f"{release} answers at {name_of(upstream)}"
                lines.append(CheckLine(True, said))
                lines.append(await _try_tls(upstream, greeting, reader, writer))
            finally:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        waited = f"no answer within {upstream.connect_timeout_s:g} s"
        lines.append(CheckLine(False, f"{name_of(upstream)}: {waited}"))
    except (ConfigError, UpstreamUnavailable) as error:
        lines.append(CheckLine(False, str(error)))
    except (CheckFailed, ProxyError, OSError, EOFError) as error:
        lines.append(CheckLine(False, f"{name_of(upstream)}: {_reason(error)}"))
    return lines


async def _read_packet(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    header = await reader.readexactly(4)
    length = int.from_bytes(header[:3], "little")
    if length > MAX_GREETING_BYTES:
        raise CheckFailed("this is not a MySQL server")
    return await reader.readexactly(length), header[3]


async def _read_greeting(reader: asyncio.StreamReader) -> Greeting:
    payload, _ = await _read_packet(reader)
    if payload[:1] == b"\xff":
        raise CheckFailed(payload[3:].decode("utf-8", "replace"))
    return read_greeting(payload)


async def _try_tls(
    upstream: Upstream,
    greeting: Greeting,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> CheckLine:
    """Go through the TLS handshake where the proxy would, and say goodbye properly."""
    login = write_dummy_login(greeting)
    seq = 1
    try:
        line = _tls_wanted(upstream, greeting)
        if line is None:
            bits = int.from_bytes(login[:4], "little") | CLIENT_SSL | CLIENT_PROTOCOL_41
            login = int(bits).to_bytes(4, "little") + login[4:]
            writer.write(write_packet(login[:32], seq))
            await writer.start_tls(
                upstream_context(upstream), server_hostname=upstream.host
            )
            seq += 1
            line = CheckLine(True, _describe_tls(upstream, writer))
    except ssl.SSLError as error:
        return CheckLine(False, f"TLS: {_reason(error)}")
    writer.write(write_packet(login, seq))
    await _read_packet(reader)  # "Access denied": a login that ended as logins do
    return line


def _tls_wanted(upstream: Upstream, greeting: Greeting) -> CheckLine | None:
    """None when there is TLS to try, else the line to print instead."""
    if upstream.tls == "disabled":
        return CheckLine(True, 'TLS is not used (upstream.tls = "disabled")')
    if not greeting.capabilities & CLIENT_SSL:
        if upstream.tls == "required":
            said = 'offers no TLS, and upstream.tls = "required"'
            return CheckLine(False, said)
        return CheckLine(True, f'offers no TLS (upstream.tls = "{upstream.tls}")')
    return None


def _describe_tls(upstream: Upstream, writer: asyncio.StreamWriter) -> str:
    protocol = writer.get_extra_info("ssl_object").version()
    if upstream.tls_ca is None:
        return f"{protocol}, its certificate not verified (no upstream.tls_ca)"
    by = "and host name verified" if upstream.tls_verify_identity else "verified"
    return f"{protocol}, its certificate {by} by {upstream.tls_ca}"


async def check_login(upstream: Upstream, login: Login) -> CheckLine:
    """Whether the account can log in, straight at the upstream."""
    try:
        connection = await aiomysql.connect(
            host=upstream.host,
            port=upstream.port,
            unix_socket=str(upstream.socket) if upstream.socket else None,
            user=login.user,
            password=login.password,
            connect_timeout=upstream.connect_timeout_s,
        )
    except (aiomysql.Error, OSError) as error:
        return CheckLine(False, _reason(error))
    async with connection, connection.cursor() as cursor:
        await cursor.execute("SELECT CURRENT_USER()")
        (account,) = await cursor.fetchone()
    return CheckLine(True, f"the upstream knows {login.user} as {account}")


async def check_sentiment(settings: Settings) -> list[CheckLine]:
    """Whether the backend answers; Comprehend is called, for real money."""
    if settings.sentiment.backend == "local":
        backend = Local()
        answers = await backend.detect_sentiment(["I like it"], "en", single=True)
        await backend.close()
        answer = answers if isinstance(answers, Failure) else answers[0]
        if isinstance(answer, Failure):
            return [CheckLine(False, answer.message)]
        return [CheckLine(True, 'the local model answers; "I like it": ' + answer.label)]
    try:
        comprehend = Comprehend(settings.comprehend, concurrency=1)
    except ConfigError as error:
        return [CheckLine(False, str(error))]
    try:
        return await comprehend.check()
    finally:
        await comprehend.close()


async def check_cache(settings: Settings) -> CheckLine:
    """Whether the file or the server for answers can be used."""
    path = settings.cache.path
    if path is not None and not path.exists():
        # To make it here would give it to whoever runs the check.
        return _check_folder(path) or CheckLine(True, f"{path} will be made")
    try:
        store = open_store(settings)
    except ConfigError as error:
        return CheckLine(False, str(error))
    assert store is not None
    try:
        async with asyncio.timeout(settings.upstream.connect_timeout_s):
            await store.read(())
    except TimeoutError:
        return CheckLine(False, f"{store.name}: no answer")
    except StoreFailed as error:
        return CheckLine(False, f"{store.name}: {error}")
    finally:
        await store.close()
    return CheckLine(True, f"answers are kept in {path or store.name}")


def _check_folder(path: Path) -> CheckLine | None:
    """None when a file can be made there."""
    if not path.parent.is_dir():
        return CheckLine(False, f"{path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return CheckLine(False, f"{path}: no right to write to {path.parent}")
    return None


def check_address(host: str, port: int) -> CheckLine:
    """Whether the address can be listened on."""
    place = f"{host}:{port}"
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return CheckLine(False, f"{place}: {_reason(error)}")
    return CheckLine(True, f"{place} is free" if port else f"{host}, on any free port")


def check_socket(path: Path) -> CheckLine:
    """Whether a unix socket can be made there."""
    if (failed := _check_folder(path)) is not None:
        return failed
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return CheckLine(True, f"{path} is free")
    return CheckLine(False, f"{path}: somebody listens there")


def check_certificate(listen: Listen) -> CheckLine:
    """Whether both files can be read and belong together."""
    try:
        client_context(listen, new_key())
    except ConfigError as error:
        return CheckLine(False, str(error))
    said = f"the certificate {listen.tls_cert} and its key belong together"
    return CheckLine(True, said)


def _reason(error: BaseException) -> str:
    """One line, in the words of whoever refused."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, aiomysql.Error):
        return str(error.args[-1])
    if isinstance(error, asyncio.IncompleteReadError):
        return "it closed the connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
