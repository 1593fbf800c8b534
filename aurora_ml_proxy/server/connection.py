"""One client's connection, from the accepted socket to the last byte."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable

from aurora_ml_proxy import metrics
from aurora_ml_proxy.config import Upstream
from aurora_ml_proxy.errors import HandshakeTimeout, ProxyError, UpstreamUnavailable
from aurora_ml_proxy.protocol.compression import Compression
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.results import write_error
from aurora_ml_proxy.server.compressed import CompressedLink
from aurora_ml_proxy.server.dial import dial, name_of
from aurora_ml_proxy.server.legs import ClientLeg, UpstreamLeg
from aurora_ml_proxy.server.links import Link
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

    def __init__(
        self,
        sock: socket.socket,
        service: Service,
        report_upstream: Callable[[bool], None],
    ) -> None:
        """Take over an accepted socket.

        Args:
            report_upstream: told whether the upstream answers, once that is known.
        """
        self._socket = sock
        self._service = service
        self._report_upstream = report_upstream
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Log in, then relay until both peers are gone."""
        self._task = asyncio.current_task()
        started = time.monotonic()
        login_ = await self._log_in_and_relay()
        if login_ is not None:
            log.info(
                "connection id=%d user=%r tls=%s compression=%s seconds=%.3f",
                login_.greeting.connection_id,
                login_.user,
                login_.legs.client_tls,
                login_.compression.algorithm.value if login_.compression else "none",
                time.monotonic() - started,
            )

    def drain(self) -> None:
        """End as soon as no command and no transaction is under way."""
        if self._session is not None:
            self._session.drain()
        else:
            self.close()

    def close(self) -> None:
        """End now, in the middle of a login too."""
        if self._session is not None:
            self._session.close()
        elif self._task is not None:
            self._task.cancel()

    async def _log_in_and_relay(self) -> Login | None:
        settings = self._service.settings
        now = asyncio.get_running_loop().time()
        deadline = now + settings.listen.login_timeout_s
        client = ClientLeg(self._socket, deadline, self._service.client_tls)
        upstream: UpstreamLeg | None = None
        try:
            upstream = await reach_upstream(self._service)
            login_ = await self._log_in(client, upstream)
            metrics.LOGINS.labels("refused" if login_ is None else "ok").inc()
            if login_ is not None:
                await self._relay(login_, client, upstream)
            return login_
        except UpstreamUnavailable as error:
            metrics.LOGINS.labels("refused").inc()
            self._report_upstream(False)
            log.warning("%s", error.message)
            await client.send_error(error)
            return None
        finally:
            client.close()
            if upstream is not None:
                upstream.close()

    async def _log_in(self, client: ClientLeg, upstream: UpstreamLeg) -> Login | None:
        """Relay the login; None when it failed. Raises: UpstreamUnavailable."""
        try:
            conversation = login(
                self._service.login_policy,
                client_is_socket=self._socket.family == socket.AF_UNIX,
            )
            login_ = await carry_out(conversation, client, upstream)
        except LoginRefused:
            self._report_upstream(True)
        except ClientClosed:
            self._report_upstream(True)
            if client.has_timed_out:
                error = HandshakeTimeout("Login took too long")
                await client.send_error(error)
        except UpstreamClosed:
            raise upstream_gone(self._service.settings.upstream, upstream) from None
        except UpstreamUnavailable:
            raise
        except ProxyError as error_:
            log.info("login failed errno=%d %s", error_.kind.errno, error_.message)
            await client.send_error(error_)
        except Exception:
            metrics.LOGINS.labels("failed").inc()
            raise
        else:
            self._report_upstream(True)
            return login_
        return None

    async def _relay(
        self, login_: Login, client: ClientLeg, upstream: UpstreamLeg
    ) -> None:
        client_link: Link | CompressedLink
        client_link = bare_link = await client.attach()
        if login_.compression is not None:
            # The upstream's OK was the last that went as it is.
            client_link = CompressedLink(bare_link, Compression(login_.compression))
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
        await gone.acquire()
        session.close()
        try:
            async with asyncio.timeout(LINGER_S):
                await gone.acquire()
        except TimeoutError:
            client_link.abort()
            upstream_link.abort()


async def reach_upstream(service: Service) -> UpstreamLeg:
    """A connection to the upstream that has yet to greet. Raises: UpstreamUnavailable."""
    settings = service.settings
    now = asyncio.get_running_loop().time()
    greeting_deadline = now + settings.upstream.connect_timeout_s
    return UpstreamLeg(
        await dial(settings.upstream),
        greeting_deadline,
        # It is given time to refuse a login that the client did not end.
        greeting_deadline + settings.listen.login_timeout_s,
        service.upstream_tls,
        service.upstream_hostname,
    )


async def upstream_answers(service: Service) -> bool:
    """Whether the upstream greets: tried as a client that leaves after the greeting."""
    try:
        upstream = await reach_upstream(service)
    except UpstreamUnavailable:
        return False
    try:
        await carry_out(login(service.login_policy), _Nobody(), upstream)
    except (LoginRefused, ClientClosed):
        return True
    except (UpstreamClosed, ProxyError):
        return False
    finally:
        upstream.close()
    return True


class _Nobody:
    """The leg of a client that has left."""

    async def read_packet(self) -> None:
        return None

    async def send(self, payload: bytes) -> None:
        pass

    async def start_tls(self) -> bool:
        return False


def upstream_gone(settings: Upstream, leg: UpstreamLeg) -> UpstreamUnavailable:
    """The error for an upstream that did not let a login come to its end."""
    what = "does not answer" if leg.has_timed_out else "hung up during the login"
    return UpstreamUnavailable(f"The MySQL server on '{name_of(settings)}' {what}")


async def turn_away(sock: socket.socket, error: ProxyError) -> None:
    """Tell a client why it cannot be served, in place of a greeting."""
    with sock:
        try:
            async with asyncio.timeout(LINGER_S):
                data = write_packet(write_error(error, with_sqlstate=False), 0)
                await asyncio.get_running_loop().sock_sendall(sock, data)
        except (OSError, TimeoutError):
            pass
