"""COM_STMT_EXECUTE and COM_STMT_BULK_EXECUTE, cut into parameters and written again.

A statement of ours has the parameters of the client's in another order and number; their
types and values stay the bytes that came.
Source: MySQL manual, "COM_STMT_EXECUTE"; MariaDB Knowledge Base, "COM_STMT_BULK_EXECUTE".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.binary import end_of_value, is_null, write_nulls
from aurora_ml_proxy.protocol.packets import (
    read_lenenc,
    read_lenenc_bytes,
    write_lenenc,
)
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_QUERY_ATTRIBUTES,
    COM_STMT_BULK_EXECUTE,
    Capabilities,
    Commands,
)

CURSOR_FLAGS = 0x07
"""CURSOR_TYPE_READ_ONLY, _FOR_UPDATE and _SCROLLABLE."""

_PARAMETER_COUNT_AVAILABLE = 0x08
_SEND_TYPES_TO_SERVER = 0x80
_ITERATIONS = (1).to_bytes(4, "little")
_NO_NAME = b"\x00"
_MAX_PARAMETERS = 0xFFFF


@dataclass(frozen=True, slots=True)
class Parameter:
    """The value of a parameter, or a query attribute."""

    type: bytes
    """Two bytes: the type and whether it is unsigned."""
    value: bytes | None
    """As it came, its length in front; None is NULL, long data is nothing."""
    name: bytes = _NO_NAME
    """With its length in front; only a query attribute has one."""


@dataclass(frozen=True, slots=True)
class Execution:
    """A COM_STMT_EXECUTE without its statement id."""

    flags: int
    parameters: tuple[Parameter, ...]
    attributes: tuple[Parameter, ...]

    def without_extras(self) -> "Execution":
        """The same parameters for a query of ours: no cursor, no attributes."""
        return Execution(0, self.parameters, ())

    @property
    def asks_for_cursor(self) -> bool:
        """Whether the rows are to wait for COM_STMT_FETCH."""
        return bool(self.flags & CURSOR_FLAGS)


def read_statement_id(payload: bytes) -> int:
    """The statement id behind the command byte of any COM_STMT_…"""
    return int.from_bytes(payload[:4], "little")


def read_execution(
    payload: bytes,
    count: int,
    last: Sequence[Parameter],
    long_data: Collection[int],
    capabilities: Capabilities,
) -> Execution:
    """Cut what stands behind COM_STMT_EXECUTE.

    Args:
        count: the statement's parameters.
        last: those of the execution before, whose types count when none are sent.
        long_data: which parameters came by COM_STMT_SEND_LONG_DATA.
    Raises: MalformedPacket.
    """
    try:
        return _read_execution(payload, count, last, long_data, capabilities)
    except IndexError:
        raise MalformedPacket("COM_STMT_EXECUTE is cut off") from None


def _read_execution(
    payload: bytes,
    count: int,
    last: Sequence[Parameter],
    long_data: Collection[int],
    capabilities: Capabilities,
) -> Execution:
    flags, pos, total = payload[4], 9, count
    has_names = bool(capabilities & CLIENT_QUERY_ATTRIBUTES)
    if has_names and (count or flags & _PARAMETER_COUNT_AVAILABLE):
        found, pos = read_lenenc(payload, pos)
        total = found or 0
    if not count <= total <= _MAX_PARAMETERS:
        raise MalformedPacket("COM_STMT_EXECUTE with another number of parameters")
    if not total:
        return Execution(flags, (), ())
    nulls = payload[pos : pos + (total + 7) // 8]
    pos += len(nulls)
    brings_types, pos = payload[pos], pos + 1
    heads = [(each.type, each.name) for each in last]
    if brings_types:
        heads = []
        for _ in range(total):
            kind, name, pos = payload[pos : pos + 2], _NO_NAME, pos + 2
            if has_names:
                start = pos
                _, pos = read_lenenc_bytes(payload, pos)
                name = payload[start:pos]
            heads.append((kind, name))
    if len(heads) < total:
        raise MalformedPacket("COM_STMT_EXECUTE without the types of its parameters")
    parameters = []
    for index, (kind, name) in enumerate(heads[:total]):
        value = b"" if index in long_data else None
        if value is None and not is_null(nulls, index):
            stop = end_of_value(kind[0], payload, pos)
            value, pos = payload[pos:stop], stop
        parameters.append(Parameter(kind, value, name))
    if pos != len(payload):
        raise MalformedPacket("COM_STMT_EXECUTE has another length than its values")
    return Execution(flags, tuple(parameters[:count]), tuple(parameters[count:]))


def write_execution(
    statement_id: int, execution: Execution, capabilities: Capabilities
) -> bytes:
    """The payload of a COM_STMT_EXECUTE."""
    has_names = bool(capabilities & CLIENT_QUERY_ATTRIBUTES)
    parameters = execution.parameters + execution.attributes
    flags = execution.flags & ~_PARAMETER_COUNT_AVAILABLE
    parts = []
    if has_names:
        flags |= _PARAMETER_COUNT_AVAILABLE
        parts.append(write_lenenc(len(parameters)))
    if parameters:
        parts += (write_nulls([each.value for each in parameters]), b"\x01")
        for each in parameters:
            parts.append(each.type + each.name if has_names else each.type)
        parts += (each.value or b"" for each in parameters)
    head = bytes((Commands.COM_STMT_EXECUTE,)) + statement_id.to_bytes(4, "little")
    return b"".join((head, bytes((flags,)), _ITERATIONS, *parts))


@dataclass(frozen=True, slots=True)
class BulkExecution:
    """A COM_STMT_BULK_EXECUTE without its statement id."""

    flags: int
    types: tuple[bytes, ...]
    rows: tuple[tuple[bytes, ...], ...]
    """A value for each parameter: an indicator (0 value, 1 NULL, 2 DEFAULT, 3 IGNORE)
    and the value behind a 0."""


def read_bulk(payload: bytes, count: int, last: Sequence[bytes]) -> BulkExecution:
    """Cut what stands behind COM_STMT_BULK_EXECUTE.

    Args:
        last: the types that count when none are sent.
    Raises: MalformedPacket.
    """
    flags, pos = int.from_bytes(payload[4:6], "little"), 6
    types = tuple(last)
    if flags & _SEND_TYPES_TO_SERVER:
        stop = pos + 2 * count
        types = tuple(payload[at : at + 2] for at in range(pos, stop, 2))
        pos = stop
    if len(types) < count or not count or pos > len(payload):
        raise MalformedPacket("COM_STMT_BULK_EXECUTE without types")
    rows = []
    try:
        while pos < len(payload):
            row = []
            for kind in types[:count]:
                stop = pos + 1
                if payload[pos] == 0:
                    stop = end_of_value(kind[0], payload, stop)
                row.append(payload[pos:stop])
                pos = stop
            rows.append(tuple(row))
    except IndexError:
        raise MalformedPacket("COM_STMT_BULK_EXECUTE is cut off") from None
    if pos != len(payload):
        raise MalformedPacket("COM_STMT_BULK_EXECUTE is cut off")
    return BulkExecution(flags, types[:count], tuple(rows))


def write_bulk(statement_id: int, bulk: BulkExecution) -> bytes:
    """The payload of a COM_STMT_BULK_EXECUTE."""
    flags = bulk.flags | _SEND_TYPES_TO_SERVER
    return b"".join(
        (
            bytes((COM_STMT_BULK_EXECUTE,)),
            statement_id.to_bytes(4, "little"),
            flags.to_bytes(2, "little"),
            *bulk.types,
            *(value for row in bulk.rows for value in row),
        )
    )
