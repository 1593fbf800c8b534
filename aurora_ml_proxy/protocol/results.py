"""The parts of a result set that the proxy reads and makes: definitions, OK, EOF, ERR.

Source: MySQL manual, "Protocol::ColumnDefinition41", "OK_Packet", "ERR_Packet";
MariaDB Knowledge Base, "Result Set Packets" (extended metadata).
"""

from dataclasses import dataclass

from aurora_ml_proxy.errors import MalformedPacket, ProxyError
from aurora_ml_proxy.protocol.packets import (
    read_lenenc,
    read_lenenc_bytes,
    write_lenenc,
    write_lenenc_bytes,
)
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    MAX_PAYLOAD,
    Capabilities,
    MariaDBCapabilities,
)


class Layout:
    """What the two peers negotiated about the shape of result sets.

    Plain attributes: they are asked once a row, and an IntFlag's `&` costs more than the
    rest of a row.
    """

    def __init__(
        self, capabilities: Capabilities, mariadb_capabilities: MariaDBCapabilities
    ) -> None:
        self.capabilities = capabilities
        self.mariadb_capabilities = mariadb_capabilities
        self.sends_eof = not capabilities & CLIENT_DEPRECATE_EOF
        """Whether an EOF packet stands behind the column definitions."""
        self.count_has_flag = bool(
            capabilities & CLIENT_OPTIONAL_RESULTSET_METADATA
            or mariadb_capabilities & MariaDBCapabilities.CACHE_METADATA
        )
        """Whether a byte behind the column count says if definitions follow."""
        self.has_extended_metadata = bool(
            mariadb_capabilities & MariaDBCapabilities.EXTENDED_METADATA
        )
        """Whether a definition has MariaDB's extra string behind the names."""
        self.caches_metadata = bool(
            mariadb_capabilities & MariaDBCapabilities.CACHE_METADATA
        )
        """Whether definitions that were sent once are left out."""
        self.has_progress = bool(mariadb_capabilities & MariaDBCapabilities.PROGRESS)
        """Whether an ERR of number 65535 is a progress report."""

    def is_terminator(self, payload: bytes) -> bool:
        """Whether this packet, found among rows, ends them."""
        limit = 9 if self.sends_eof else MAX_PAYLOAD
        return payload[:1] == b"\xfe" and len(payload) < limit

    def is_progress(self, payload: bytes) -> bool:
        """Whether this is a progress report, which looks like an ERR."""
        return self.has_progress and payload[:3] == b"\xff\xff\xff"


def is_error(payload: bytes) -> bool:
    """Whether this is an ERR packet (no row starts with 0xFF)."""
    return payload[:1] == b"\xff"


def error_number(payload: bytes) -> int:
    """The errno of an ERR packet."""
    return int.from_bytes(payload[1:3], "little")


MAX_COLUMNS = 0xFFFF
"""Columns that a result set may have; both servers stop at 4,096."""


def read_column_count(payload: bytes, layout: Layout) -> tuple[int, bool]:
    """The number of columns, and whether their definitions follow."""
    count, pos = read_lenenc(payload, 0)
    if count is None or count > MAX_COLUMNS:
        raise MalformedPacket("a result set without a sensible column count")
    follows = not (layout.count_has_flag and payload[pos : pos + 1] == b"\0")
    return count, follows


def write_column_count(
    count: int, payload: bytes, *, follows: bool | None = None
) -> bytes:
    """The column count packet with another count.

    Args:
        follows: whether definitions follow, if the flag is to say otherwise than it did.
    """
    _, pos = read_lenenc(payload, 0)
    return write_lenenc(count) + (payload[pos:] if follows is None else bytes((follows,)))


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column definition, cut where the proxy edits it."""

    qualifiers: bytes
    """Catalog, schema, table and org_table, as they came."""
    name: bytes
    org_name: bytes
    """The column's own name behind an alias; each name with its length in front."""
    extended: bytes
    """MariaDB's extended metadata with its length, or nothing."""
    charset: int
    """A collation id."""
    length: int
    """The display width, in bytes of the result's character set."""
    type: int
    flags: int
    decimals: int

    def write(self) -> bytes:
        """The payload of the packet."""
        return (
            self.qualifiers
            + self.name
            + self.org_name
            + self.extended
            + b"\x0c"
            + self.charset.to_bytes(2, "little")
            + self.length.to_bytes(4, "little")
            + bytes((self.type,))
            + self.flags.to_bytes(2, "little")
            + bytes((self.decimals, 0, 0))
        )


def read_column_definition(payload: bytes, layout: Layout) -> ColumnDefinition:
    """Read a ColumnDefinition41. Raises: MalformedPacket."""
    pos, ends = 0, []
    for _ in range(6):
        _, pos = read_lenenc_bytes(payload, pos)
        ends.append(pos)
    start = pos
    if layout.has_extended_metadata:
        _, pos = read_lenenc_bytes(payload, pos)
    fixed = payload[pos + 1 : pos + 11]
    if len(fixed) < 10:
        raise MalformedPacket("a column definition is cut off")
    return ColumnDefinition(
        qualifiers=payload[: ends[3]],
        name=payload[ends[3] : ends[4]],
        org_name=payload[ends[4] : start],
        extended=payload[start:pos],
        charset=int.from_bytes(fixed[0:2], "little"),
        length=int.from_bytes(fixed[2:6], "little"),
        type=fixed[6],
        flags=int.from_bytes(fixed[7:9], "little"),
        decimals=fixed[9],
    )


def _is_eof(terminator: bytes, layout: Layout) -> bool:
    return layout.sends_eof and terminator[:1] == b"\xfe"


def add_warnings(terminator: bytes, count: int, layout: Layout) -> bytes:
    """The EOF or OK that ends a result, with `count` more warnings (65,535 at most)."""
    if not count:
        return terminator
    at = _place_of_warnings(terminator, layout)
    before = int.from_bytes(terminator[at : at + 2], "little")
    total = min(before + count, 0xFFFF)
    return terminator[:at] + total.to_bytes(2, "little") + terminator[at + 2 :]


def add_status(terminator: bytes, flags: int, layout: Layout) -> bytes:
    """The EOF or OK of a result, with these server status flags set as well."""
    if not flags:
        return terminator
    if _is_eof(terminator, layout):
        at = 3
    else:
        _, pos = read_lenenc(terminator, 1)
        _, at = read_lenenc(terminator, pos)
    status = int.from_bytes(terminator[at : at + 2], "little") | flags
    return terminator[:at] + status.to_bytes(2, "little") + terminator[at + 2 :]


def _place_of_warnings(terminator: bytes, layout: Layout) -> int:
    if _is_eof(terminator, layout):
        return 1
    _, pos = read_lenenc(terminator, 1)
    _, pos = read_lenenc(terminator, pos)
    return pos + 2


def read_warnings(terminator: bytes, layout: Layout) -> int:
    """The number of warnings in the EOF or OK that ends a result."""
    at = _place_of_warnings(terminator, layout)
    return int.from_bytes(terminator[at : at + 2], "little")


def read_status(terminator: bytes, layout: Layout) -> int:
    """The server status in the EOF or OK that ends a result."""
    if _is_eof(terminator, layout):
        return int.from_bytes(terminator[3:5], "little")
    return read_ok_status(terminator)


def read_ok_status(payload: bytes) -> int:
    """The server status in an OK packet, whichever its first byte."""
    _, pos = read_lenenc(payload, 1)
    _, pos = read_lenenc(payload, pos)
    return int.from_bytes(payload[pos : pos + 2], "little")


def write_error(error: ProxyError, *, with_sqlstate: bool = True) -> bytes:
    """The ERR packet of an error.

    Args:
        with_sqlstate: not before the greeting, where the client's protocol is unknown.
    """
    state = b"#" + error.kind.sqlstate.encode() if with_sqlstate else b""
    message = error.message.encode("utf-8")
    return b"\xff" + error.kind.errno.to_bytes(2, "little") + state + message


def read_text_row(payload: bytes) -> list[bytes | None]:
    """The values of a text protocol row."""
    values, pos = [], 0
    while pos < len(payload):
        value, pos = read_lenenc_bytes(payload, pos)
        values.append(value)
    return values


def write_text_row(values: list[bytes | None]) -> bytes:
    """A text protocol row."""
    return b"".join(write_lenenc_bytes(value) for value in values)
