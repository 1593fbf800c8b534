"""One client's connection, from the accepted socket to the last byte."""

import asyncio
import logging
import socket
import time

from aurora_ml_proxy import metrics
from aurora_ml_proxy.errors import HandshakeTimeout, ProxyError, UpstreamUnavailable
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.results import write_error
from aurora_ml_proxy.server.dial import dial
from aurora_ml_proxy.server.legs import ClientLeg, UpstreamLeg
from aurora_ml_proxy.server.service import Service
from aurora_ml_proxy.session.conversation import (
    ClientClosed,
    UpstreamClosed,
    carry_out,
)
from aurora_ml_proxy.session.login import Login, LoginRefused, login
from aurora_ml_proxy.session.session import Session

log = logging.getLogger(__name__)

LINGER_S = 5.0
"""Seconds that a peer has to take its last bytes once the other one is gone."""


class Connection:
    """A client and its upstream connection."""

    def __init__(self, sock: socket.socket, service: Service) -> None:
        self._socket = sock
        self._service = service
        self._session: Session | None = None
        self._is_draining = False
        self.upstream_is_up: bool | None = None
        """Whether the upstream could be reached, once that is known."""

    async def run(self) -> None:
        """Log in, then relay until both peers are gone."""
        started = time.monotonic()
        login_ = await self._log_in_and_relay()
        metrics.LOGINS.labels("refused" if login_ is None else "ok").inc()
        if login_ is not None:
            log.info(
                "connection id=%d user=%s tls=%s seconds=%.3f",
                login_.greeting.connection_id,
                login_.user,
                login_.legs.client_tls,
                time.monotonic() - started,
            )

    def drain(self) -> None:
        """End as soon as no command and no transaction is under way."""
        self._is_draining = True
        if self._session is not None:
            self._session.drain()

    def close(self) -> None:
        """End now."""
        if self._session is not None:
            self._session.close()

    async def _log_in_and_relay(self) -> Login | None:
        settings = self._service.settings
        now = asyncio.get_running_loop().time()
        deadline = now + settings.listen.login_timeout_s
        client = ClientLeg(self._socket, deadline, self._service.client_tls)
        try:
            upstream_socket = await dial(settings.upstream)
        except ProxyError as error:
            self.upstream_is_up = False
            log.warning("%s", error.message)
            await client.send(write_error(error, with_sqlstate=False))
            client.close()
            return None
        upstream = UpstreamLeg(
            upstream_socket,
            # The upstream is given time to refuse a login that the client did not end.
            deadline + settings.upstream.connect_timeout_s,
            self._service.upstream_tls,
            self._service.upstream_hostname,
        )
        try:
            login_ = await self._log_in(client, upstream)
            if login_ is not None:
                self.upstream_is_up = True
                await self._relay(login_, client, upstream)
            return login_
        finally:
            client.close()
            upstream.close()

    async def _log_in(self, client: ClientLeg, upstream: UpstreamLeg) -> Login | None:
        try:
            conversation = login(self._service.login_policy)
            return await carry_out(conversation, client, upstream)
        except LoginRefused:
            self.upstream_is_up = True
        except ClientClosed:
            if client.has_timed_out:
                await client.send(write_error(HandshakeTimeout("Login took too long")))
        except UpstreamClosed:
            self.upstream_is_up = False
            error = UpstreamUnavailable("The upstream hung up during the login")
            log.warning("%s", error.message)
            await client.send(write_error(error))
        except ProxyError as error:
            log.info("login failed errno=%d %s", error.kind.errno, error.message)
            await client.send(write_error(error))
        return None

    async def _relay(
        self, login_: Login, client: ClientLeg, upstream: UpstreamLeg
    ) -> None:
        client_link = await client.attach()
        upstream_link = await upstream.attach()
        session = Session(
            client_link,
            upstream_link,
            login_,
            self._service.login_policy,
            self._service.context,
        )
        self._session = session
        gone = asyncio.Semaphore(0)
        upstream_link.hand_over(
            session.upstream_received,
            session.upstream_ended,
            session.upstream_is_full,
            session.upstream_has_room,
            gone.release,
        )
        client_link.hand_over(
            session.client_received,
            session.client_ended,
            session.client_is_full,
            session.client_has_room,
            gone.release,
        )
        if self._is_draining:
            session.drain()
        await gone.acquire()
        session.close()
        try:
            async with asyncio.timeout(LINGER_S):
                await gone.acquire()
        except TimeoutError:
            client_link.abort()
            upstream_link.abort()


async def turn_away(sock: socket.socket, error: ProxyError) -> None:
    """Tell a client why it cannot be served, in place of a greeting."""
    with sock:
        try:
            async with asyncio.timeout(LINGER_S):
                data = write_packet(write_error(error, with_sqlstate=False), 0)
                await asyncio.get_running_loop().sock_sendall(sock, data)
        except (OSError, TimeoutError):
            pass
