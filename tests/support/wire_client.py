"""A MySQL client that says what it is told, and keeps every byte it hears.

In: payloads. Out: the server's packets, as they came. It follows a response by headers,
as PROTOCOL's tables say, only to know where it ends; it understands nothing else.
"""

import hashlib
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator

LONG_PASSWORD = 1 << 0
LONG_FLAG = 1 << 2
CONNECT_WITH_DB = 1 << 3
LOCAL_FILES = 1 << 7
PROTOCOL_41 = 1 << 9
SSL = 1 << 11
TRANSACTIONS = 1 << 13
SECURE_CONNECTION = 1 << 15
MULTI_STATEMENTS = 1 << 16
MULTI_RESULTS = 1 << 17
PS_MULTI_RESULTS = 1 << 18
PLUGIN_AUTH = 1 << 19
SESSION_TRACK = 1 << 23
DEPRECATE_EOF = 1 << 24
OPTIONAL_RESULTSET_METADATA = 1 << 25
QUERY_ATTRIBUTES = 1 << 27
MARIADB_PROGRESS = 1 << 32
MARIADB_BULK = 1 << 34
MARIADB_EXTENDED_METADATA = 1 << 35
MARIADB_CACHE_METADATA = 1 << 36

USUAL = (
    LONG_PASSWORD
    | LONG_FLAG
    | CONNECT_WITH_DB
    | LOCAL_FILES
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_STATEMENTS
    | MULTI_RESULTS
    | PS_MULTI_RESULTS
    | PLUGIN_AUTH
)

COM_QUIT, COM_INIT_DB, COM_QUERY, COM_FIELD_LIST = 0x01, 0x02, 0x03, 0x04
COM_STATISTICS, COM_PROCESS_INFO, COM_PING = 0x09, 0x0A, 0x0E
COM_CHANGE_USER, COM_STMT_PREPARE, COM_STMT_EXECUTE = 0x11, 0x16, 0x17
COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE, COM_STMT_FETCH = 0x18, 0x19, 0x1C
COM_STMT_BULK_EXECUTE = 0xFA

MORE_RESULTS = 0x08
CURSOR_EXISTS = 0x40
WHOLE = 0xFFFFFF
TIMEOUT_S = 30
SHOWN_BYTES = 2_000
UNKNOWN_STATEMENT = 3_000_000_000


class Closed(Exception):
    """The peer has closed the connection."""


def frame(payload: bytes, sequence: int = 0) -> bytes:
    """The payload in as many packets as it takes."""
    packets = []
    while True:
        part, payload = payload[:WHOLE], payload[WHOLE:]
        packets.append(struct.pack("<I", len(part))[:3] + bytes([sequence % 256]) + part)
        sequence += 1
        if len(part) < WHOLE:
            return b"".join(packets)


def read_lenenc(data: bytes, at: int = 0) -> tuple[int, int]:
    """A length-encoded integer, and where it ends."""
    first = data[at]
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size:
        return first, at + 1
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


class WireClient:
    """One connection; `heard` is what came back since the login, packet by packet."""

    login_tail = b""
    """What stands behind the fields of the login."""

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        capabilities: int,
        database: str = "",
        tls: bool = False,
        answer: Callable[[str, bytes], bytes] = lambda plugin, scramble: b"",
    ) -> None:
        self.capabilities = capabilities
        self.answer = answer
        self.heard: list[bytes] = []
        self.sequence = 0
        self.statements: list[int] = []
        """The server's ids of what was prepared, in the order of preparation."""
        self._files: list[bytes] = []
        self.socket = socket.create_connection((host, port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        try:
            self._log_in(user, database, tls)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> "WireClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    # -- packets -----------------------------------------------------------------

    def send(self, payload: bytes, sequence: int = 0) -> None:
        try:
            self.socket.sendall(frame(payload, sequence))
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def read(self) -> bytes:
        """The next payload; as long as rows are, in one piece."""
        parts = []
        while True:
            header = self._exactly(4)
            part = self._exactly(int.from_bytes(header[:3], "little"))
            self.sequence = header[3]
            self.heard.append(header + part)
            parts.append(part)
            if len(part) < WHOLE:
                break
        payload = b"".join(parts)
        if payload[:1] == b"\xff":
            self._number_statement(payload)
        # A progress report is an error of number 0xFFFF, and something comes after it.
        progress = payload[:3] == b"\xff\xff\xff" and self._capable(MARIADB_PROGRESS)
        return self.read() if progress else payload

    def _number_statement(self, error: bytes) -> None:
        found = re.search(rb"\((\d+)\)", error)
        if found and int(found[1]) in self.statements:
            number = self.statements.index(int(found[1])) + 1
            self.heard[-1] = error.replace(found[0], b"statement %d" % number)

    def _capable(self, flags: int) -> bool:
        return bool(self.capabilities & flags)

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def is_closed(self) -> bool:
        """Whether the peer says no more; waits for it."""
        try:
            return not self._buffer and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    # -- logging in --------------------------------------------------------------

    def _log_in(self, user: str, database: str, tls: bool) -> None:
        self.greeting = self.read()
        flags = self.capabilities | (SSL if tls else 0)
        extended = flags >> 32
        head = struct.pack("<IIB", flags & 0xFFFFFFFF, 1 << 30, 45) + bytes(19)
        head += struct.pack("<I", extended)
        sequence = 1
        if tls:
            self.send(head, sequence)
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
            sequence = 2
        plugin, scramble = _greeted(self.greeting)
        response = self.answer(plugin, scramble)
        self.send(
            head
            + user.encode()
            + b"\0"
            + bytes([len(response)])
            + response
            + database.encode()
            + b"\0"
            + plugin.encode()
            + b"\0"
            + self.login_tail,
            sequence,
        )
        if not self._authenticate():
            raise AssertionError(f"login refused: {self.heard[-1]!r}")
        self.heard.clear()

    def _authenticate(self) -> bool:
        """Answers what the server asks; whether it said OK."""
        while True:
            packet = self.read()
            match packet[0]:
                case 0x00:
                    return True
                case 0xFF:
                    return False
                case 0xFE:
                    plugin, _, scramble = packet[1:].partition(b"\0")
                    # No two scrambles are alike.
                    self.heard[-1] = self.heard[-1].replace(scramble, b"scramble")
                    reply = self.answer(plugin.decode(), scramble.rstrip(b"\0"))
                    self.send(reply, self.sequence + 1)
                case _:
                    assert packet == b"\x01\x03", packet

    # -- commands ----------------------------------------------------------------

    def statement(self, number: int) -> int:
        """The id of the first, second … prepared statement; of no one beyond them.

        MariaDB counts over all connections, MySQL for each.
        """
        if number > len(self.statements):
            return UNKNOWN_STATEMENT + number
        return self.statements[number - 1]

    def query(self, sql: str | bytes) -> bytes:
        """The payload of COM_QUERY."""
        text = sql.encode() if isinstance(sql, str) else sql
        none = b"\x00\x01" if self._capable(QUERY_ATTRIBUTES) else b""
        return bytes([COM_QUERY]) + none + text

    def say(self, payload: bytes, files: Iterable[bytes] = ()) -> None:
        """Sends a command and reads its response; `files` for LOAD DATA LOCAL."""
        self.send(payload)
        self.follow(payload, files)

    def say_at_once(self, payloads: list[bytes]) -> None:
        """Sends all commands in one segment, then reads the responses."""
        self.socket.sendall(b"".join(frame(payload) for payload in payloads))
        for payload in payloads:
            self.follow(payload)

    def say_byte_by_byte(self, payload: bytes) -> None:
        """Sends a command, every byte by itself."""
        for byte in frame(payload):
            self.socket.sendall(bytes([byte]))
        self.follow(payload)

    def follow(self, payload: bytes, files: Iterable[bytes] = ()) -> None:
        """Reads the response to a command."""
        self._files = list(files)
        match payload[0] if payload else None:
            case 0x18 | 0x19:
                pass
            case 0x01:
                assert self.is_closed()
            case 0x04:
                self._rows()
            case 0x11:
                self._authenticate()
            case 0x16:
                self._prepared()
            case 0x1C:
                self._rows()
            case 0x03 | 0x0A | 0x17 | 0xFA:
                self._results(payload[0] == 0x17 and payload[5] != 0)
            case _:
                self.read()

    @property
    def _old_ends(self) -> bool:
        return not self._capable(DEPRECATE_EOF)

    def _is_end(self, packet: bytes) -> bool:
        return packet[:1] == b"\xfe" and len(packet) < (9 if self._old_ends else WHOLE)

    def _status(self, packet: bytes) -> int:
        if packet[0] == 0xFE and self._old_ends:
            return int.from_bytes(packet[3:5], "little")
        at = read_lenenc(packet, read_lenenc(packet, 1)[1])[1]
        return int.from_bytes(packet[at : at + 2], "little")

    def _rows(self) -> bytes | None:
        """Rows, or what looks like them; the packet at their end, None for an error."""
        while True:
            packet = self.read()
            if self._is_end(packet):
                return packet
            if packet[:1] == b"\xff":
                return None

    def _prepared(self) -> None:
        first = self.read()
        if first[0] == 0xFF:
            return
        self.statements.append(int.from_bytes(first[1:5], "little"))
        # What is compared has its number in place of its id.
        number = len(self.statements).to_bytes(4, "little")
        self.heard[-1] = self.heard[-1][:5] + number + self.heard[-1][9:]
        columns, parameters = struct.unpack_from("<HH", first, 5)
        optional = self._capable(OPTIONAL_RESULTSET_METADATA)
        sent = not (optional and len(first) > 12 and not first[12])
        for count in (parameters, columns):
            if count:
                for _ in range(count * sent + self._old_ends):
                    self.read()

    def _results(self, cursor: bool) -> None:
        while True:
            first = self.read()
            while first[0] == 0xFB:
                for part in [*self._files, b""]:
                    self.send(part, self.sequence + 1)
                    self.sequence += 1
                first = self.read()
            end: bytes | None = first
            if first[0] == 0xFF:
                return
            if first[0] != 0x00:
                end = self._result_set(first, cursor)
            if end is None or not self._status(end) & MORE_RESULTS:
                return

    def _result_set(self, first: bytes, cursor: bool) -> bytes | None:
        count, at = read_lenenc(first)
        optional = self._capable(OPTIONAL_RESULTSET_METADATA | MARIADB_CACHE_METADATA)
        if not (optional and at < len(first) and not first[at]):
            for _ in range(count):
                self.read()
        if self._old_ends:
            end = self.read()
            if end[0] == 0xFF:
                return None
            if cursor and self._status(end) & CURSOR_EXISTS:
                return end
        return self._rows()


def _greeted(greeting: bytes) -> tuple[str, bytes]:
    at = greeting.index(b"\0") + 5
    more = at + 9 + 2 + 1 + 2 + 2 + 1 + 10
    tail = greeting[more:]
    scramble = greeting[at : at + 8] + tail[:12]
    return tail[13:].rstrip(b"\0").decode(), scramble


def native_password(password: str) -> Callable[[str, bytes], bytes]:
    """The answer of mysql_native_password."""

    def answer(plugin: str, scramble: bytes) -> bytes:
        once = hashlib.sha1(password.encode()).digest()
        twice = hashlib.sha1(scramble + hashlib.sha1(once).digest()).digest()
        return bytes(a ^ b for a, b in zip(once, twice, strict=True))

    return answer


def shown(packets: list[bytes]) -> Iterator[str]:
    """The packets for a comparison: hex, and a digest where they are long."""
    for packet in packets:
        if len(packet) > SHOWN_BYTES:
            digest = hashlib.sha256(packet).hexdigest()
            yield f"{packet[:40].hex()}... {len(packet)} bytes {digest}"
        else:
            yield packet.hex()
