"""A PyMySQL connection whose statements the server prepares, rows kept as they come.

In: statements in text, with literals or with parameters in their places. Out: what
PyMySQL's own `_result` has for a text statement, and what PREPARE has said of parameters
and columns. What cannot be prepared is sent as text.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pymysql
from pymysql.connections import MySQLResult
from pymysql.protocol import EOFPacketWrapper, FieldDescriptorPacket, OKPacketWrapper

from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.tokens import Kind, Token, Unreadable, tokenize

PREPARE, EXECUTE, CLOSE = 0x16, 0x17, 0x19
LONGLONG, DOUBLE, NEWDECIMAL, VAR_STRING = 8, 5, 246, 253
MORE_RESULTS = 0x08

CANNOT_BE_PREPARED = frozenset((1295, 1064))
"""What goes as text: several statements in one, and commands that no server prepares."""


@dataclass(slots=True)
class PreparedResult:
    """One result of an EXECUTE, with the fields of PyMySQL's own."""

    affected_rows: int = 0
    insert_id: int | None = None
    message: bytes = b""
    warning_count: int = 0
    server_status: int = 0
    has_next: bool = False
    description: object | None = None
    fields: list[Any] = field(default_factory=list)
    rows: tuple[Any, ...] | None = None
    unbuffered_active: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    kind: int
    value: bytes


def parametrized(sql: bytes) -> tuple[bytes, list[Parameter]]:
    """The statement with a parameter for each plain literal, and their values."""
    dialect = Dialect(is_mariadb=True, version=101100)
    try:
        tokens = [token for token in tokenize(sql, dialect)]
    except Unreadable:
        return sql, []
    parts, parameters, pos = [], [], 0
    for before, token, behind in _with_neighbours(tokens):
        parameter = _parameter(before, token, behind)
        if parameter is not None:
            parts += (sql[pos : token.start], b"?")
            parameters.append(parameter)
            pos = token.end
    return b"".join((*parts, sql[pos:])), parameters


def _with_neighbours(
    tokens: list[Token],
) -> Iterator[tuple[Token | None, Token, Token | None]]:
    yield from zip([None, *tokens], tokens, [*tokens[1:], None], strict=False)


_TAKE_LITERALS = frozenset(
    b"AS N X B DATE TIME TIMESTAMP ESCAPE SEPARATOR COMMENT OUTFILE DUMPFILE BY".split()
)
"""Words behind which only a literal may stand, or where a parameter means another."""


_NO_NEIGHBOURS = frozenset((b".", b"DESC", b"ASC"))
"""Of numbers in parts, and of columns by their numbers."""


def _parameter(
    before: Token | None, token: Token, behind: Token | None
) -> Parameter | None:
    word = before.text if before is not None and before.kind is Kind.WORD else b""
    if word in _TAKE_LITERALS or word.startswith(b"_"):
        return None
    for neighbour in (before, behind):
        if neighbour is not None and (
            neighbour.kind is Kind.STRING or neighbour.text in _NO_NEIGHBOURS
        ):
            return None
    if token.kind is Kind.STRING:
        inner = token.text[1:-1]
        if token.text[:1] != b"'" or b"\\" in inner or b"'" in inner:
            return None
        return Parameter(VAR_STRING, inner)
    if token.kind is not Kind.NUMBER:
        return None
    if token.text.isdigit() and len(token.text) < 18:
        return Parameter(LONGLONG, token.text)
    try:
        float(token.text)
    except ValueError:
        return None
    is_double = b"e" in token.text.lower()
    return Parameter(DOUBLE if is_double else NEWDECIMAL, token.text)


def _written(parameter: Parameter) -> bytes:
    match parameter.kind:
        case 8:
            return int(parameter.value).to_bytes(8, "little", signed=True)
        case 5:
            return struct.pack("<d", float(parameter.value))
        case _:
            size = len(parameter.value)
            head = bytes((size,)) if size < 251 else b"\xfc" + struct.pack("<H", size)
            return head + parameter.value


class PreparedConnection(pymysql.connections.Connection):  # type: ignore[misc]
    """Prepares, executes and closes each statement of `query`."""

    with_parameters = False
    prepares = False
    last_status: int | None = None
    prepared: tuple[Any, ...] = ()
    """Errors of PREPAREs before the last, and how many parameters that has."""
    prepared_columns: tuple[Any, ...] = ()
    _packets_status = 0

    def query(self, sql: Any, unbuffered: bool = False) -> Any:
        self.prepared = self.prepared_columns = ()
        if not self.prepares:
            return super().query(sql, unbuffered)
        text = sql if isinstance(sql, bytes) else sql.encode()
        tries = [(text, [])]
        if self.with_parameters and (found := parametrized(text))[1]:
            tries.insert(0, found)
        failures: list[int] = []
        for attempt, parameters in tries:
            try:
                statement = self._prepare(attempt, len(parameters))
            except pymysql.MySQLError as failure:
                failures.append(failure.args[0])
                if failure.args[0] not in CANNOT_BE_PREPARED and not parameters:
                    raise
                continue
            if statement is None:
                continue
            self.prepared = (tuple(failures), len(parameters))
            try:
                self._execute(statement, parameters)
            finally:
                result = self._result
                if self.open and not (result and result.has_next):
                    self._execute_command(CLOSE, struct.pack("<I", statement))
                    self._result = result
            return self._result.affected_rows
        super().query(b"SELECT 1 FROM information_schema.ENGINES LIMIT 0")  # no warnings
        return super().query(sql, unbuffered)

    def next_result(self, unbuffered: bool = False) -> Any:
        if isinstance(self._result, MySQLResult):
            return super().next_result(unbuffered)
        self._read()
        return self._result.affected_rows

    def _prepare(self, sql: bytes, wanted: int) -> int | None:
        self._execute_command(PREPARE, sql)
        packet = self._read_packet()
        data = packet.get_all_data()
        statement, columns, parameters = struct.unpack_from("<IHH", data, 1)
        told = []
        for count in (parameters, columns):
            told.append(tuple(self._definition() for _ in range(count)))
            if count:
                self._read_packet()
        if parameters != wanted:
            self._execute_command(CLOSE, struct.pack("<I", statement))
            return None
        self.prepared_columns = told[1]
        return int(statement)

    def _definition(self) -> Any:
        return self._read_packet(FieldDescriptorPacket)

    def _execute(self, statement: int, parameters: list[Parameter]) -> None:
        body = b""
        if parameters:
            body = bytes((len(parameters) + 7) // 8) + b"\x01"
            body += b"".join(struct.pack("<H", each.kind) for each in parameters)
            body += b"".join(map(_written, parameters))
        head = struct.pack("<IBI", statement, 0, 1)
        self._execute_command(EXECUTE, head + body)
        self._read()

    def _read(self) -> None:
        self._result = None
        result = PreparedResult()
        packet = self._read_packet()
        if packet.is_ok_packet():
            ok = OKPacketWrapper(packet)
            result.affected_rows, result.insert_id = ok.affected_rows, ok.insert_id
            result.message, result.warning_count = ok.message, ok.warning_count
            result.server_status, result.has_next = ok.server_status, ok.has_next
        else:
            count = packet.read_length_encoded_integer()
            result.fields = [self._definition() for _ in range(count)]
            result.description = result.fields
            self._read_packet()
            rows = []
            while not (packet := self._read_packet()).is_eof_packet():
                rows.append((packet.get_all_data(),))
            end = EOFPacketWrapper(packet)
            result.warning_count, result.has_next = end.warning_count, end.has_next
            self.last_status = int.from_bytes(packet.get_all_data()[3:5], "little")
            result.rows = tuple(rows)
            result.affected_rows = len(rows)
        self._result = result
