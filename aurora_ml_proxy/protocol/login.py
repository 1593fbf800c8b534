"""The packets of the connection phase: greeting, SSLRequest, HandshakeResponse, switch.

They are edited in place, by span: only capability bits change on their way.
Source: MySQL manual, "Protocol::HandshakeV10" and "Protocol::HandshakeResponse41";
MariaDB Knowledge Base, "Connection" (the extended capabilities).
"""

from dataclasses import dataclass

from aurora_ml_proxy.errors import MalformedPacket, UnsupportedClient
from aurora_ml_proxy.protocol.packets import (
    read_lenenc_bytes,
    read_null_terminated,
    write_lenenc_bytes,
)
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_MYSQL,
    CLIENT_PROTOCOL_41,
    CLIENT_SSL,
    CLIENT_ZSTD_COMPRESSION_ALGORITHM,
    COMPRESSION_CAPABILITIES,
    MASKED_CAPABILITIES,
    PASSED_MARIADB_CAPABILITIES,
    Capabilities,
    MariaDBCapabilities,
)

SSL_REQUEST_BYTES = 32
"""An SSLRequest is the first 32 bytes of the HandshakeResponse."""

_NONE = Capabilities(0)

DEFAULT_ZSTD_LEVEL = 3
"""The level where a client does not name one, as clients' libraries have it."""

NONCE_BYTES = 20
"""Bytes of a scramble that the password plugins of MySQL use."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the upstream says first."""

    server_version: str
    connection_id: int
    nonce: bytes
    capabilities: Capabilities
    mariadb_capabilities: MariaDBCapabilities
    """MariaDB's own bits; none when the upstream sets CLIENT_MYSQL."""
    plugin: str
    capabilities_at: int
    """Where the lower half of the capabilities starts in the payload."""

    @property
    def is_mariadb(self) -> bool:
        """MariaDB says so in its version: 5.5.5-10.11.14-MariaDB."""
        return "MariaDB" in self.server_version


def read_greeting(payload: bytes) -> Greeting:
    """Read a HandshakeV10 packet. Raises: MalformedPacket."""
    if not payload or payload[0] != 10:
        raise MalformedPacket("the upstream greets with an unknown protocol version")
    version, pos = read_null_terminated(payload, 1)
    at = pos + 4 + 8 + 1
    if len(payload) < at + 18:
        raise MalformedPacket("the upstream's greeting is cut off")
    bits = int.from_bytes(payload[at : at + 2], "little")
    bits |= int.from_bytes(payload[at + 5 : at + 7], "little") << 16
    mariadb_bits = int.from_bytes(payload[at + 14 : at + 18], "little")
    rest = payload[at + 18 :]
    second_bytes = max(13, payload[at + 7] - 8)
    return Greeting(
        server_version=version.decode("latin-1"),
        connection_id=int.from_bytes(payload[pos : pos + 4], "little"),
        nonce=payload[pos + 4 : pos + 12] + rest[:second_bytes].rstrip(b"\0"),
        capabilities=Capabilities(bits),
        mariadb_capabilities=MariaDBCapabilities(
            0 if bits & CLIENT_MYSQL else mariadb_bits
        ),
        plugin=rest[second_bytes:].rstrip(b"\0").decode("latin-1"),
        capabilities_at=at,
    )


def offer(
    greeting: Greeting, *, tls: bool, compression: Capabilities = _NONE
) -> tuple[Capabilities, MariaDBCapabilities]:
    """The capabilities that the client is offered: never one that the upstream lacks.

    TLS is the exception, for the client's TLS ends at the proxy.

    Args:
        compression: those of compression that may be offered.
    """
    masked = MASKED_CAPABILITIES | CLIENT_SSL | COMPRESSION_CAPABILITIES & ~compression
    bits = greeting.capabilities & ~masked
    if tls:
        bits |= CLIENT_SSL
    return bits, greeting.mariadb_capabilities & PASSED_MARIADB_CAPABILITIES


def edit_greeting(
    payload: bytes,
    greeting: Greeting,
    capabilities: Capabilities,
    mariadb_capabilities: MariaDBCapabilities,
) -> bytes:
    """The greeting with these capability bits and nothing else changed."""
    at = greeting.capabilities_at
    bits = int(capabilities).to_bytes(4, "little")
    extended = payload[at + 14 : at + 18]
    if not capabilities & CLIENT_MYSQL:
        extended = int(mariadb_capabilities).to_bytes(4, "little")
    return (
        payload[:at]
        + bits[:2]
        + payload[at + 2 : at + 5]
        + bits[2:]
        + payload[at + 7 : at + 14]
        + extended
        + payload[at + 18 :]
    )


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """What the client answers to the greeting. Names are for the log and for bridges."""

    capabilities: Capabilities
    mariadb_capabilities: MariaDBCapabilities
    user: str
    auth_response: tuple[int, int]
    """Where the password plugin's answer starts and ends, its length included."""
    plugin: str | None
    plugin_at: tuple[int, int]
    zstd_level: int
    fields_end: int
    """Where the fields end that go to the upstream; a zstd level stands behind them."""


def read_capabilities(payload: bytes) -> Capabilities:
    """The capabilities of an SSLRequest or HandshakeResponse.

    Raises: UnsupportedClient for the protocol before MySQL 4.1, MalformedPacket.
    """
    if len(payload) < 2:
        raise MalformedPacket("the client's login is cut off")
    if not int.from_bytes(payload[:2], "little") & CLIENT_PROTOCOL_41:
        raise UnsupportedClient(
            "Client does not support the protocol of MySQL 4.1; upgrade the client"
        )
    if len(payload) < SSL_REQUEST_BYTES:
        raise MalformedPacket("the client's login is cut off")
    return Capabilities(int.from_bytes(payload[:4], "little"))


def is_ssl_request(payload: bytes) -> bool:
    """Whether this is the short packet before a TLS handshake."""
    return len(payload) == SSL_REQUEST_BYTES and bool(
        int.from_bytes(payload[:4], "little") & CLIENT_SSL
    )


def read_handshake_response(
    payload: bytes, offered: Capabilities, offered_mariadb: MariaDBCapabilities
) -> HandshakeResponse:
    """Read a HandshakeResponse41, laid out by the bits that both peers have.

    An odd tail is tolerated: it is the upstream's to judge.
    Raises: UnsupportedClient, MalformedPacket when not even a user name is there.
    """
    bits = read_capabilities(payload) & (offered | CLIENT_SSL)
    extended = MariaDBCapabilities(0)
    if not bits & CLIENT_MYSQL and not offered & CLIENT_MYSQL:
        extended = offered_mariadb & int.from_bytes(payload[28:32], "little")
    user, pos = read_null_terminated(payload, SSL_REQUEST_BYTES)
    start = pos
    plugin: str | None = None
    plugin_at = (len(payload), len(payload))
    try:
        if bits & Capabilities.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA:
            _, pos = read_lenenc_bytes(payload, pos)
        elif bits & Capabilities.CLIENT_SECURE_CONNECTION:
            pos += 1 + payload[pos]
        else:
            _, pos = read_null_terminated(payload, pos)
        auth_response = (start, min(pos, len(payload)))
        if bits & Capabilities.CLIENT_CONNECT_WITH_DB:
            _, pos = read_null_terminated(payload, pos)
        if bits & Capabilities.CLIENT_PLUGIN_AUTH:
            name, stop = read_null_terminated(payload, pos)
            plugin, plugin_at = name.decode("latin-1"), (pos, stop)
            pos = stop
    except (MalformedPacket, IndexError):
        auth_response = (start, max(start, min(pos, len(payload))))
        pos = len(payload)
    zstd_level, fields_end = _read_tail(payload, pos, bits, offered)
    return HandshakeResponse(
        bits,
        extended,
        user.decode("utf-8", "replace"),
        auth_response,
        plugin,
        plugin_at,
        zstd_level,
        fields_end,
    )


def _read_tail(
    payload: bytes, pos: int, bits: Capabilities, offered: Capabilities
) -> tuple[int, int]:
    """The zstd level behind the attributes of a login, and where those end."""
    if not offered & CLIENT_ZSTD_COMPRESSION_ALGORITHM:
        return DEFAULT_ZSTD_LEVEL, len(payload)
    if bits & Capabilities.CLIENT_CONNECT_ATTRS:
        try:
            _, pos = read_lenenc_bytes(payload, pos)
        except MalformedPacket:
            return DEFAULT_ZSTD_LEVEL, len(payload)
    # libmysql writes one byte where it uses zstd, libmariadb four where it is offered.
    level = payload[pos] if pos < len(payload) else DEFAULT_ZSTD_LEVEL
    return level, pos


def edit_handshake_response(
    payload: bytes, response: HandshakeResponse, *, tls: bool
) -> bytes:
    """The client's login with the capability bits of the upstream's leg."""
    bits = response.capabilities & ~CLIENT_SSL & ~COMPRESSION_CAPABILITIES
    if tls:
        bits |= CLIENT_SSL
    extended = payload[28:32]
    if not bits & CLIENT_MYSQL:
        extended = int(response.mariadb_capabilities).to_bytes(4, "little")
    return (
        int(bits).to_bytes(4, "little")
        + payload[4:28]
        + extended
        + payload[32 : response.fields_end]
    )


def ask_for_a_switch(payload: bytes, response: HandshakeResponse) -> bytes:
    """The login with no password and an unknown plugin: the upstream answers with a
    switch to the account's own plugin, and the client starts over with that.

    For a password that the client wrote for its own leg and that the other leg's
    encryption makes unreadable. TiProxy does the same.
    """
    start, stop = response.auth_response
    plugin_start, plugin_stop = response.plugin_at
    bits = response.capabilities
    if bits & (
        Capabilities.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | Capabilities.CLIENT_SECURE_CONNECTION
    ):
        nothing = write_lenenc_bytes(b"")
    else:
        nothing = b"\0"
    return (
        payload[:start]
        + nothing
        + payload[stop:plugin_start]
        + b"auth_unknown_plugin\0"
        + payload[plugin_stop:]
    )


def read_auth_switch(payload: bytes) -> tuple[str, bytes] | None:
    """The plugin and the nonce of an AuthSwitchRequest; None for the one-byte switch to
    mysql_old_password."""
    if len(payload) == 1:
        return None
    try:
        name, pos = read_null_terminated(payload, 1)
    except MalformedPacket:
        return payload[1:].decode("latin-1"), b""
    return name.decode("latin-1"), payload[pos:].rstrip(b"\0")[:NONCE_BYTES]


def read_change_user_plugin(payload: bytes, capabilities: Capabilities) -> str | None:
    """The plugin that a COM_CHANGE_USER names; None when it names none."""
    if not capabilities & Capabilities.CLIENT_PLUGIN_AUTH:
        return None
    try:
        _, pos = read_null_terminated(payload, 1)
        if capabilities & Capabilities.CLIENT_SECURE_CONNECTION:
            pos += 1 + payload[pos]
        else:
            _, pos = read_null_terminated(payload, pos)
        _, pos = read_null_terminated(payload, pos)
        name, _ = read_null_terminated(payload, pos + 2)
    except (MalformedPacket, IndexError):
        return None  # it is the upstream's to judge
    return name.decode("latin-1")


def write_dummy_login(greeting: Greeting) -> bytes:
    """A login that the upstream refuses as it should.

    A connection that ends before a login counts against `max_connect_errors`, and after
    too many the upstream blocks the proxy's address; a refused password does not count.
    """
    bits = (
        CLIENT_PROTOCOL_41
        | Capabilities.CLIENT_SECURE_CONNECTION
        | Capabilities.CLIENT_PLUGIN_AUTH
        | Capabilities.CLIENT_LONG_PASSWORD
    )
    return (
        int(bits & (greeting.capabilities | Capabilities.CLIENT_LONG_PASSWORD)).to_bytes(
            4, "little"
        )
        + (1 << 24).to_bytes(4, "little")
        + b"\x21"
        + bytes(23)
        + b"aurora-ml-proxy: client left\0"
        + b"\0"
        + greeting.plugin.encode("latin-1")
        + b"\0"
    )
