"""The login, relayed: the upstream's greeting to the client, the client's answers back.

The proxy knows no users and keeps no password. It edits capability bits, and where one
leg has TLS and the other has not, it turns one form of a password into the other.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric import rsa

from aurora_ml_proxy.config import Listen, Upstream
from aurora_ml_proxy.errors import (
    InsecureTransport,
    MalformedPacket,
    UnsupportedClient,
    UpstreamTlsFailed,
    UpstreamUnavailable,
)
from aurora_ml_proxy.protocol.compression import AVAILABLE, Agreed, agree
from aurora_ml_proxy.protocol.login import (
    Greeting,
    ask_for_a_switch,
    edit_greeting,
    edit_handshake_response,
    is_ssl_request,
    offer,
    read_auth_switch,
    read_capabilities,
    read_change_user_plugin,
    read_greeting,
    read_handshake_response,
    write_dummy_login,
)
from aurora_ml_proxy.protocol.passwords import (
    decrypt_password,
    encrypt_password,
    public_key_pem,
)
from aurora_ml_proxy.protocol.results import Layout, is_error, read_ok_status
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_MULTI_FACTOR_AUTHENTICATION,
    CLIENT_SSL,
    COMPRESSION_CAPABILITIES,
    Capabilities,
)
from aurora_ml_proxy.session.conversation import (
    Conversation,
    ReadFromClient,
    ReadFromUpstream,
    SendToClient,
    SendToUpstream,
    StartClientTls,
    StartUpstreamTls,
    UpstreamClosed,
)

MAX_LOGIN_PACKET_BYTES = 1 << 20
"""Bytes of a packet of a login: TiProxy's limit."""

_NONE = Capabilities(0)

CACHING_SHA2 = "caching_sha2_password"
SHA256 = "sha256_password"
_CLEAR_TEXT = frozenset(
    ("mysql_clear_password", "dialog", "authentication_openid_connect_client")
)
"""Plugins that send the password, or a token as good as one, as it is."""
_MIN_ENCRYPTED_BYTES = 256
"""Bytes of a password encrypted with 2048 bits, which no bare one has."""


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """What the config says about logins."""

    client_tls: bool
    """Whether the listener has a certificate to offer."""
    upstream_tls: str
    """upstream.tls of the config."""
    upstream_is_local: bool
    """Whether the upstream's leg never leaves this machine."""
    key: rsa.RSAPrivateKey
    """For passwords that a client without TLS sends to an upstream with TLS."""
    upstream_is_socket: bool = False
    """Whether the upstream is reached over a unix socket."""
    compression: Capabilities = _NONE
    """The compression that clients may be offered, where the upstream offers it too."""


@dataclass(frozen=True, slots=True)
class Legs:
    """What the two legs look like; an authentication depends on it."""

    client_tls: bool
    upstream_tls: bool
    nonce: bytes
    plugin: str
    """The plugin that the next packets belong to."""
    capabilities: Capabilities
    """What the client and the upstream both use."""
    client_is_socket: bool = False
    """Whether the client came over a unix socket."""
    upstream_is_socket: bool = False

    @property
    def client_is_secure(self) -> bool:
        """Whether the client may take its leg for one that nobody listens to."""
        return self.client_tls or self.client_is_socket

    def upstream_takes_bare_password(self, plugin: str) -> bool:
        """Whether the upstream awaits the password as it is: MySQL's servers count a unix
        socket as secure for caching_sha2_password, for sha256_password they don't."""
        return self.upstream_tls or (plugin == CACHING_SHA2 and self.upstream_is_socket)


@dataclass(frozen=True, slots=True)
class Login:
    """A login that succeeded."""

    greeting: Greeting
    layout: Layout
    """The capabilities that client and upstream both use."""
    user: str
    legs: Legs
    status: int
    """The server status of the upstream's OK."""
    compression: Agreed | None = None
    """How the client's leg is compressed from here on; the upstream's is not."""


class LoginRefused(Exception):
    """The upstream said no, and the client has been told in the upstream's words."""


def login(policy: LoginPolicy, *, client_is_socket: bool = False) -> Conversation[Login]:
    """Relay a login from the greeting to OK.

    Args:
        client_is_socket: whether the client came over a unix socket.
    Raises: LoginRefused, ClientClosed, UpstreamClosed, ProxyError.
    """
    payload = yield from _hear_upstream()
    if is_error(payload):  # "Too many connections", "Host is blocked"
        yield SendToClient(payload)
        raise LoginRefused
    try:
        greeting = read_greeting(payload)
    except MalformedPacket as error:
        raise _no_sense(error) from None
    offers_tls = _offers_tls(policy, greeting)
    offered, offered_mariadb = offer(
        greeting, tls=offers_tls, compression=policy.compression
    )
    yield SendToClient(edit_greeting(payload, greeting, offered, offered_mariadb))
    try:
        response_payload = yield ReadFromClient()
        client_tls = is_ssl_request(response_payload)
        if client_tls:
            if not offers_tls:
                raise UnsupportedClient(
                    "The client asks for TLS, which the proxy did not offer"
                )
            yield StartClientTls()
            response_payload = yield ReadFromClient()
        response = read_handshake_response(response_payload, offered, offered_mariadb)
        _refuse_compression(response_payload, offered)
        legs = Legs(
            client_tls=client_tls,
            upstream_tls=_wants_upstream_tls(policy, greeting, client_tls),
            nonce=greeting.nonce,
            plugin=response.plugin or greeting.plugin,
            capabilities=response.capabilities & ~CLIENT_SSL & ~COMPRESSION_CAPABILITIES,
            client_is_socket=client_is_socket,
            upstream_is_socket=policy.upstream_is_socket,
        )
        _refuse_leak(policy, legs, legs.plugin)
    except Exception:
        yield from leave_quietly(greeting)
        raise
    edited = edit_handshake_response(response_payload, response, tls=legs.upstream_tls)
    if legs.upstream_tls:
        yield SendToUpstream(edited[:32])
        yield StartUpstreamTls()
    if response.plugin == SHA256 and _may_be_unreadable(legs):
        edited = ask_for_a_switch(edited, response)
    yield SendToUpstream(edited)
    answer = yield from authenticate(policy, legs)
    if is_error(answer):
        raise LoginRefused
    layout = Layout(legs.capabilities, response.mariadb_capabilities)
    return Login(
        greeting,
        layout,
        response.user,
        legs,
        read_ok_status(answer),
        agree(response.capabilities, response.zstd_level),
    )


def _refuse_compression(response: bytes, offered: Capabilities) -> None:
    """Refuse a client that sets a bit of compression that it was not offered.

    A server's bits and the client's together decide; but libmysql, libmariadb, mysql2
    and MariaDB's Node.js connector clear what is not offered before they answer. Who sets
    it all the same (MySQL's Connector/Python) compresses after the login, and would wait
    for an answer to what no server can read. MySQL Router refuses it, too.
    Raises: UnsupportedClient.
    """
    if read_capabilities(response) & COMPRESSION_CAPABILITIES & ~offered:
        raise UnsupportedClient(
            "The client insists on a compression that was not offered; "
            "turn it off at the client"
        )


def _may_be_unreadable(legs: Legs) -> bool:
    """Whether a sha256_password's answer to the greeting may be in the wrong form."""
    return legs.client_is_socket or legs.client_tls != legs.upstream_tls


def _hear_upstream() -> Conversation[bytes]:
    """The upstream's next payload. Raises: UpstreamClosed, UpstreamUnavailable."""
    try:
        return (yield ReadFromUpstream())
    except MalformedPacket as error:
        raise _no_sense(error) from None


def _no_sense(error: MalformedPacket) -> UpstreamUnavailable:
    return UpstreamUnavailable(
        f"What the upstream says is not MySQL's protocol: {error.message}"
    )


def _offers_tls(policy: LoginPolicy, greeting: Greeting) -> bool:
    if policy.upstream_tls == "as_client":
        return policy.client_tls and bool(greeting.capabilities & CLIENT_SSL)
    return policy.client_tls


def _wants_upstream_tls(
    policy: LoginPolicy, greeting: Greeting, client_tls: bool
) -> bool:
    can = bool(greeting.capabilities & CLIENT_SSL)
    match policy.upstream_tls:
        case "as_client":
            return client_tls
        case "preferred":
            return can
        case "required" if not can:
            raise UpstreamTlsFailed(
                "The upstream offers no TLS, and upstream.tls is required"
            )
        case "required":
            return True
        case _:
            return False


def leave_quietly(greeting: Greeting) -> Conversation[None]:
    """Finish the upstream's handshake with a login that it refuses.

    An unfinished one counts against max_connect_errors (MDEV-21456), and after a
    hundred of them the upstream would block the proxy and all its clients.
    """
    yield from _finish(write_dummy_login(greeting))


def _finish(payload: bytes) -> Conversation[None]:
    """Say this, then nothing, until the upstream says no (or, to no password, yes)."""
    try:
        yield SendToUpstream(payload)
        while (yield from _hear_upstream())[:1] not in (b"\x00", b"\xff"):
            yield SendToUpstream(b"")
    except (UpstreamClosed, UpstreamUnavailable):
        pass  # so be it: what ended the login is the news


def authenticate(policy: LoginPolicy, legs: Legs) -> Conversation[bytes]:
    """Relay what a password plugin says until the upstream's OK or ERR, also relayed.

    After a COM_CHANGE_USER the same exchange comes again.
    Returns: the last packet.
    Raises: ClientClosed, UpstreamClosed, InsecureTransport, MalformedPacket (the
        client's), UpstreamUnavailable.
    """
    try:
        return (yield from _authenticate(policy, legs))
    except (UpstreamClosed, UpstreamUnavailable):
        raise
    except Exception:
        yield from _finish(b"")  # it waits for an answer to its last packet
        raise


def _authenticate(policy: LoginPolicy, legs: Legs) -> Conversation[bytes]:
    plugin, nonce = legs.plugin, legs.nonce
    while True:
        packet = yield from _hear_upstream()
        head = packet[:1]
        if _is_switch(packet, legs) and (switch := read_auth_switch(packet)):
            plugin, nonce = switch
            _refuse_leak(policy, legs, plugin)
        yield SendToClient(packet)
        if head in (b"\x00", b"\xff"):
            return packet
        if packet == b"\x01\x03" and plugin == CACHING_SHA2:
            continue  # fast authentication worked: the upstream speaks again
        reply = yield ReadFromClient()
        if reply in (b"", b"\0"):  # no password
            yield SendToUpstream(reply)
            continue
        if plugin == CACHING_SHA2 and packet == b"\x01\x04":
            ask_key = b"\x02"
        elif plugin == SHA256 and head in (b"\xfe", b"\x02"):
            ask_key = b"\x01"
        else:
            yield SendToUpstream(reply)
            continue
        is_bare = _is_bare_password(legs, reply, ask_key)
        if is_bare == legs.upstream_takes_bare_password(plugin):
            yield SendToUpstream(reply)
            continue
        refusal = yield from _bridge(policy, nonce, reply, ask_key, is_bare=is_bare)
        if refusal is not None:
            return refusal


def _is_switch(packet: bytes, legs: Legs) -> bool:
    """Whether this names the plugin of the next packets: a switch, or the next factor of
    several. Without those, a packet that starts with 2 is a plugin's own."""
    return packet[:1] == b"\xfe" or (
        packet[:1] == b"\x02"
        and b"\0" in packet
        and bool(legs.capabilities & CLIENT_MULTI_FACTOR_AUTHENTICATION)
    )


def check_change_user(policy: LoginPolicy, legs: Legs, payload: bytes) -> None:
    """Refuse a COM_CHANGE_USER that must not go on.

    Raises: InsecureTransport, MalformedPacket.
    """
    if len(payload) > MAX_LOGIN_PACKET_BYTES:
        raise MalformedPacket(
            f"a packet of {len(payload)} bytes is too large for a login"
        )
    plugin = read_change_user_plugin(payload, legs.capabilities)
    if plugin is not None:
        _refuse_leak(policy, legs, plugin)


def _refuse_leak(policy: LoginPolicy, legs: Legs, plugin: str) -> None:
    is_open = not legs.upstream_tls and not policy.upstream_is_local
    if legs.client_is_secure and is_open and plugin in _CLEAR_TEXT:
        raise InsecureTransport(
            f"The plugin {plugin} would send the password to the upstream in clear "
            "text; set upstream.tls to required"
        )


def _is_bare_password(legs: Legs, reply: bytes, ask_key: bytes) -> bool:
    """Whether a reply holds the password as it is, and no encrypted one, nor the request
    for a key to encrypt it with.

    What a unix socket means to a client is known from its reply only: PyMySQL takes it
    for secure with both plugins, libmysql with caching_sha2_password alone.
    """
    if legs.client_tls:
        return True
    return (
        legs.client_is_socket and reply != ask_key and len(reply) < _MIN_ENCRYPTED_BYTES
    )


def _bridge(
    policy: LoginPolicy, nonce: bytes, reply: bytes, ask_key: bytes, *, is_bare: bool
) -> Conversation[bytes | None]:
    """Send a password on in the form that the other leg wants.

    Returns: the upstream's ERR, also relayed, when it has no key to hand out.
    """
    if is_bare:
        yield SendToUpstream(ask_key)
        answer = yield from _hear_upstream()
        if is_error(answer):
            yield SendToClient(answer)
            return answer
        if answer[:1] != b"\x01":
            raise MalformedPacket("the upstream does not hand out its public key")
        yield SendToUpstream(encrypt_password(reply, nonce, answer[1:]))
        return None
    if reply == ask_key:
        yield SendToClient(b"\x01" + public_key_pem(policy.key))
        reply = yield ReadFromClient()
    yield SendToUpstream(decrypt_password(reply, nonce, policy.key))
    return None


def login_policy(
    listen: Listen, upstream: Upstream, *, client_tls: bool, key: rsa.RSAPrivateKey
) -> LoginPolicy:
    """The policy that the config means."""
    return LoginPolicy(
        client_tls=client_tls,
        upstream_tls=upstream.tls,
        upstream_is_local=upstream.socket is not None or _is_loopback(upstream.host),
        key=key,
        upstream_is_socket=upstream.socket is not None,
        compression=_NONE if listen.compression == "off" else AVAILABLE,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
