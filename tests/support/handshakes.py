"""Greetings and logins, byte for byte, as servers and clients send them."""

from dataclasses import dataclass

LONG_PASSWORD, CONNECT_WITH_DB, COMPRESS = 1 << 0, 1 << 3, 1 << 5
PROTOCOL_41, SSL, SECURE = 1 << 9, 1 << 11, 1 << 15
PLUGIN_AUTH, ATTRS, LENENC, DEPRECATE_EOF = 1 << 19, 1 << 20, 1 << 21, 1 << 24
ZSTD, EXTENSION = 1 << 26, 1 << 29

NONCE = b"abcdefghijklmnopqrst"
USUAL = PROTOCOL_41 | SECURE | PLUGIN_AUTH | CONNECT_WITH_DB | LENENC | DEPRECATE_EOF


@dataclass(frozen=True, slots=True)
class Hello:
    """What a greeting says."""

    version: str = "9.7.0"
    capabilities: int = USUAL | LONG_PASSWORD | SSL | COMPRESS | ZSTD | EXTENSION
    extended: int = 0
    plugin: str = "caching_sha2_password"
    nonce: bytes = NONCE

    def write(self) -> bytes:
        bits = self.capabilities.to_bytes(4, "little")
        return (
            b"\x0a"
            + self.version.encode()
            + b"\0"
            + (77).to_bytes(4, "little")
            + self.nonce[:8]
            + b"\0"
            + bits[:2]
            + b"\xff\x02\x00"
            + bits[2:]
            + bytes((len(self.nonce) + 1,))
            + bytes(6)
            + self.extended.to_bytes(4, "little")
            + self.nonce[8:]
            + b"\0"
            + self.plugin.encode()
            + b"\0"
        )


MYSQL = Hello()
MARIADB = Hello(
    version="5.5.5-10.11.14-MariaDB",
    capabilities=USUAL | SSL | COMPRESS,
    extended=0x3F | 1 << 9,
    plugin="mysql_native_password",
)


def head(capabilities: int, extended: int = 0) -> bytes:
    """An SSLRequest, or the first 32 bytes of a login."""
    return (
        capabilities.to_bytes(4, "little")
        + (1 << 24).to_bytes(4, "little")
        + b"\x2d"
        + bytes(19)
        + extended.to_bytes(4, "little")
    )


def response(
    capabilities: int = USUAL | LONG_PASSWORD,
    *,
    extended: int = 0,
    user: bytes = b"root",
    auth: bytes = b"x" * 20,
    plugin: bytes = b"caching_sha2_password",
) -> bytes:
    """A HandshakeResponse41 with a database and a plugin where the bits say so."""
    payload = head(capabilities, extended) + user + b"\0"
    if capabilities & (LENENC | SECURE):
        payload += bytes((len(auth),)) + auth
    else:
        payload += auth + b"\0"
    if capabilities & CONNECT_WITH_DB:
        payload += b"test\0"
    if capabilities & PLUGIN_AUTH:
        payload += plugin + b"\0"
    if capabilities & ATTRS:
        payload += b"\x06\x02_os\x01x"
    return payload
