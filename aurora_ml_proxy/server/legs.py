"""A peer's connection while it logs in: exact reads on the bare socket, then a link.

TLS starts in the middle of the stream. A transport would already have read the first
bytes of the TLS handshake when it is told to start (cpython#142352), so until then
nothing is read but the packet that is awaited.
"""

import asyncio
import socket
import ssl

from aurora_ml_proxy.errors import MalformedPacket, ProxyError, UpstreamTlsFailed
from aurora_ml_proxy.protocol.packets import Packet, write_packet
from aurora_ml_proxy.protocol.results import write_error
from aurora_ml_proxy.server.links import Link
from aurora_ml_proxy.session.login import MAX_LOGIN_PACKET_BYTES


class SocketLeg:
    """One peer during the login. `read_packet` and `send` keep its sequence numbers."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.link: Link | None = None
        self.has_timed_out = False
        """The peer was silent until the deadline."""
        self._socket = sock
        self._deadline = deadline
        self._next_seq = 0

    async def read_packet(self) -> Packet | None:
        """The next packet; None when the peer hung up or was silent for too long."""
        try:
            async with asyncio.timeout_at(self._deadline):
                if self.link is not None:
                    return await self.link.inbox.read_packet()
                return await self._read_from_socket()
        except TimeoutError:
            self.has_timed_out = True
            return None
        except OSError:
            return None

    async def _read_from_socket(self) -> Packet | None:
        header = await self._read_exactly(4)
        if header is None:
            return None
        length = int.from_bytes(header[:3], "little")
        if length > MAX_LOGIN_PACKET_BYTES:
            raise MalformedPacket(f"a packet of {length} bytes is too large for a login")
        payload = await self._read_exactly(length)
        if payload is None:
            return None
        self._next_seq = header[3] + 1
        return Packet(payload, header[3])

    async def _read_exactly(self, size: int) -> bytes | None:
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < size:
            more = await loop.sock_recv(self._socket, size - len(data))
            if not more:
                return None
            data += more
        return data

    async def send(self, payload: bytes) -> None:
        """Send a payload under the next sequence number. A lost peer shows in reading."""
        if self.link is not None:
            await self.link.inbox.send(payload)
            return
        data = write_packet(payload, self._next_seq)
        self._next_seq += 1
        try:
            async with asyncio.timeout_at(self._deadline):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except (OSError, TimeoutError):
            pass

    async def start_tls(self) -> bool:
        """Go on inside TLS; False when the peer hung up over it."""
        raise NotImplementedError

    async def attach(self) -> Link:
        """The peer's link; made of the bare socket when there was no TLS."""
        if self.link is None:
            loop = asyncio.get_running_loop()
            link = self._new_link()
            await loop.connect_accepted_socket(lambda: link, self._socket)
            self.link = link
        return self.link

    def _new_link(self) -> Link:
        return Link(self._next_seq, MAX_LOGIN_PACKET_BYTES)

    def _time_left(self) -> float:
        return max(0.01, self._deadline - asyncio.get_running_loop().time())

    def close(self) -> None:
        """Close when everything written is sent."""
        if self.link is not None:
            self.link.close()
        else:
            self._socket.close()


class ClientLeg(SocketLeg):
    """The client: we are its TLS server."""

    def __init__(
        self, sock: socket.socket, deadline: float, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(sock, deadline)
        self._tls = tls

    async def send_error(self, error: ProxyError) -> None:
        """Send an error, without its SQLSTATE where it stands for the greeting."""
        has_greeted = self.link is not None or self._next_seq > 0
        await self.send(write_error(error, with_sqlstate=has_greeted))

    async def start_tls(self) -> bool:
        """Shake hands as the server."""
        assert self._tls is not None, "the greeting did not offer TLS"
        link = self._new_link()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: link,
                self._socket,
                ssl=self._tls,
                ssl_handshake_timeout=self._time_left(),
            )
        except OSError:  # ssl.SSLError and ConnectionError: it does not like us
            return False
        self.link = link
        return True


class UpstreamLeg(SocketLeg):
    """The upstream: we are its TLS client.

    Its greeting has a deadline of its own: after that it is the client who takes time.
    """

    def __init__(
        self,
        sock: socket.socket,
        greeting_deadline: float,
        login_deadline: float,
        tls: ssl.SSLContext,
        hostname: str,
    ) -> None:
        super().__init__(sock, greeting_deadline)
        self._login_deadline = login_deadline
        self._tls = tls
        self._hostname = hostname

    async def read_packet(self) -> Packet | None:
        """The next packet; None when the peer hung up or was silent for too long."""
        packet = await super().read_packet()
        self._deadline = self._login_deadline
        return packet

    async def start_tls(self) -> bool:
        """Shake hands as the client. Raises: UpstreamTlsFailed."""
        link = self._new_link()
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: link,
                sock=self._socket,
                ssl=self._tls,
                server_hostname=self._hostname,
                ssl_handshake_timeout=self._time_left(),
            )
        except OSError as error:
            reason = getattr(error, "verify_message", None) or type(error).__name__
            raise UpstreamTlsFailed(f"TLS to the upstream failed: {reason}") from None
        self.link = link
        return True
