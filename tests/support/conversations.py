"""Conversations of the command phase, made up from the protocol's tables.

Out: `Exchange`s, each a command and what a server answers to it, byte for byte. Knows
nothing of the code under test: the tables are those of the manual.
"""

from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

WHOLE = 0xFFFFFF
MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 0x08, 0x40, 0x80

Phase = tuple[str, bytes]
"""Who speaks, "C" or "S", and the bytes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What was negotiated."""

    deprecate_eof: bool = False
    optional_metadata: bool = False
    cache_metadata: bool = False
    progress: bool = False
    session_track: bool = False
    query_attributes: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command and its response, in turns; the client begins."""

    phases: tuple[Phase, ...]
    is_login: bool = False
    """COM_CHANGE_USER: its end is in the exchange, not in the response's shape."""
    is_last: bool = False
    """Nothing of the command phase comes after it."""

    @property
    def may_be_pipelined(self) -> bool:
        """Whether a client may send the next command without waiting."""
        return len(self.phases) <= 2 and not self.is_login and not self.is_last


shapes = st.builds(
    Shape,
    deprecate_eof=st.booleans(),
    optional_metadata=st.booleans(),
    cache_metadata=st.booleans(),
    progress=st.booleans(),
    session_track=st.booleans(),
    query_attributes=st.booleans(),
)

small = st.binary(max_size=12)


def frame(payload: bytes, seq: int = 0) -> bytes:
    """The payload in packets, the first with this number."""
    parts = []
    while True:
        part, payload = payload[:WHOLE], payload[WHOLE:]
        parts.append(len(part).to_bytes(3, "little") + bytes((seq % 256,)) + part)
        seq += 1
        if len(part) < WHOLE:
            return b"".join(parts)


def frames(payloads: list[bytes], seq: int) -> bytes:
    """Several payloads, numbered on."""
    parts = []
    for payload in payloads:
        parts.append(frame(payload, seq))
        seq += len(payload) // WHOLE + 1
    return b"".join(parts)


def lenenc(value: int) -> bytes:
    """A length-encoded integer."""
    if value < 0xFB:
        return bytes((value,))
    for first, size in ((0xFC, 2), (0xFD, 3), (0xFE, 8)):
        if value < 1 << 8 * size:
            return bytes((first,)) + value.to_bytes(size, "little")
    raise AssertionError(value)


def text(value: bytes | None) -> bytes:
    """A length-encoded string, or NULL."""
    return b"\xfb" if value is None else lenenc(len(value)) + value


def ok(status: int = 2, *, first: int = 0, affected: int = 0, info: bytes = b"") -> bytes:
    """An OK packet; 0xFE for one that ends rows."""
    return (
        bytes((first,))
        + lenenc(affected)
        + lenenc(0)
        + status.to_bytes(2, "little")
        + b"\0\0"
        + info
    )


def end_of_rows(shape: Shape, status: int = 2, info: bytes = b"") -> bytes:
    """What ends rows: an EOF, or an OK that looks like one."""
    if shape.deprecate_eof:
        return ok(status, first=0xFE, info=info)
    return b"\xfe\0\0" + status.to_bytes(2, "little")


def error(errno: int = 1064, message: bytes = b"no") -> bytes:
    """An ERR packet."""
    return b"\xff" + errno.to_bytes(2, "little") + b"#42000" + message


def definition(name: bytes = b"c", tail: bytes = b"") -> bytes:
    """A column definition, as far as a relay looks into it."""
    return text(b"def") + text(b"") * 3 + text(name) * 2 + b"\x0c" + bytes(12) + tail


PROGRESS = b"\xff\xff\xff\x01\x01\x02" + bytes(3) + text(b"copying")


@st.composite
def _errors(draw: DrawFn) -> bytes:
    return error(draw(st.integers(0, 0xFFFE)), draw(small))


@st.composite
def _definitions(draw: DrawFn, count: int) -> list[bytes]:
    return [definition(draw(small), draw(small)) for _ in range(count)]


@st.composite
def _rows(draw: DrawFn, columns: int) -> list[bytes]:
    values = st.one_of(st.none(), small, st.binary(min_size=250, max_size=260))
    text_row = st.lists(values, min_size=columns, max_size=columns).map(
        lambda row: b"".join(map(text, row))
    )
    binary_row = st.binary(max_size=20).map(lambda row: b"\0\0" + row)
    return draw(st.lists(st.one_of(text_row, binary_row), max_size=4))


def _with_progress(draw: DrawFn, shape: Shape, payloads: list[bytes]) -> list[bytes]:
    if not shape.progress:
        return payloads
    out = []
    for payload in payloads:
        out += [PROGRESS] * draw(st.integers(0, 1)) + [payload]
    return out


@st.composite
def _result(draw: DrawFn, shape: Shape, more: bool) -> tuple[list[bytes], bool]:
    """One result of possibly several, and whether it ended in an ERR."""
    status = draw(st.sampled_from([0, 2, 3, 0x22])) | (MORE_RESULTS if more else 0)
    kind = draw(st.sampled_from(["ok", "error", "rows", "rows", "rows", "broken"]))
    if kind == "ok":
        info = draw(small)
        return [ok(status, affected=draw(st.integers(0, 1 << 33)), info=info)], False
    if kind == "error":
        return [draw(_errors())], True
    columns = draw(st.sampled_from([1, 2, 3, 250, 251, 300]))
    has_flag = shape.optional_metadata or shape.cache_metadata
    follows = not has_flag or draw(st.booleans())
    payloads = [lenenc(columns) + (bytes((follows,)) if has_flag else b"")]
    if follows:
        payloads += [definition()] * (columns - 1) + draw(_definitions(1))
    # The EOF behind the definitions has MORE_RESULTS for a CALL already.
    if not shape.deprecate_eof:
        payloads.append(end_of_rows(shape, status))
    payloads += draw(_rows(min(columns, 4)))
    if kind == "broken":
        return [*payloads, draw(_errors())], True
    return [*payloads, end_of_rows(shape, status, draw(small))], False


@st.composite
def results(draw: DrawFn, shape: Shape) -> list[bytes]:
    payloads: list[bytes] = []
    for left in reversed(range(draw(st.integers(1, 3)))):
        result, failed = draw(_result(shape, more=bool(left)))
        payloads += result
        if failed:
            break
    return _with_progress(draw, shape, payloads)


def _cursor(shape: Shape) -> SearchStrategy[list[bytes]]:
    """COM_STMT_EXECUTE that opens a cursor: definitions, and no rows yet."""
    has_flag = shape.optional_metadata or shape.cache_metadata
    payloads = [lenenc(2) + (b"\x01" if has_flag else b""), definition(), definition()]
    return st.just([*payloads, end_of_rows(shape, 2 | CURSOR_EXISTS)])


@st.composite
def _prepared(draw: DrawFn, shape: Shape) -> list[bytes]:
    if draw(st.booleans()) and draw(st.booleans()):
        return [draw(_errors())]
    columns, parameters = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    head = (
        b"\0\1\0\0\0" + columns.to_bytes(2, "little") + parameters.to_bytes(2, "little")
    )
    head += b"\0\0\0"
    follows = True
    if shape.optional_metadata:
        follows = draw(st.booleans())
        head += bytes((follows,))
    payloads = [head]
    for count in (parameters, columns):
        if count:
            payloads += [definition()] * (count if follows else 0)
            payloads += [] if shape.deprecate_eof else [end_of_rows(shape)]
    return payloads


@st.composite
def _fields(draw: DrawFn, shape: Shape) -> list[bytes]:
    definitions = draw(_definitions(draw(st.integers(0, 3))))
    return [*definitions, draw(st.sampled_from([end_of_rows(shape), error()]))]


@st.composite
def _fetched(draw: DrawFn, shape: Shape) -> list[bytes]:
    status = draw(st.sampled_from([2 | CURSOR_EXISTS, 2 | LAST_ROW_SENT]))
    return [
        *draw(_rows(2)),
        draw(st.sampled_from([end_of_rows(shape, status), error()])),
    ]


@st.composite
def _one(draw: DrawFn, shape: Shape) -> list[bytes]:
    return [
        draw(
            st.one_of(
                st.builds(ok, info=small),
                _errors(),
                st.just(end_of_rows(shape)),
                st.just(b"Uptime: 12  Threads: 3  Questions: 5"),
            )
        )
    ]


ONE_PACKET = (
    *(0x02, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0C, 0x0D, 0x0E, 0x15, 0x1A, 0x1B, 0x1F),
    *(0x00, 0x0B, 0x0F, 0x10, 0x14, 0x1D, 0x30, 0x7F, 0xFE),  # ERR 1047, all of them
)
NO_ANSWER = (0x18, 0x19)
RESULTS = (0x0A, 0x17, 0xFA)

statements = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"SELECT 1",
            b"SELECT * FROM fb WHERE t = 'x'",
            b"KILL QUERY 7",
            b"SHOW WARNINGS",
            # These need a look, and are passed on all the same.
            b"SELECT 1 /* aws_comprehend_detect_sentiment(t,'en') */",
            b"SELECT 'aws_comprehend_detect_sentiment(t)'",
            b"SELECT AWS_COMPREHEND_DETECT_SENTIMENT FROM t",
            b"SELECT aws_comprehend_detect_sentiment(t FROM t",
            b"INSERT INTO aws_comprehend_detect_sentiment (a) VALUES (1)",
        ]
    ),
)


@st.composite
def _asked(
    draw: DrawFn, command: bytes, answers: SearchStrategy[list[bytes]]
) -> Exchange:
    sent = frame(command)
    packets = len(command) // WHOLE + 1
    return Exchange((("C", sent), ("S", frames(draw(answers), packets))))


@st.composite
def _infile(draw: DrawFn, shape: Shape) -> Exchange:
    """LOAD DATA LOCAL: the server asks for a file, the client sends it in packets."""
    command = draw(st.sampled_from([b"\x03LOAD DATA LOCAL INFILE 'x'", b"\x17" * 10]))
    pieces = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=3))
    seq = 2 + len(pieces)
    return Exchange(
        (
            ("C", frame(command)),
            ("S", frame(b"\xfbfile.csv", 1)),
            ("C", frames([*pieces, b""], 2)),
            ("S", frame(draw(st.sampled_from([ok(), error()])), seq + 1)),
        )
    )


@st.composite
def _change_user(draw: DrawFn, shape: Shape) -> Exchange:
    """COM_CHANGE_USER: switches, more data, and the end."""
    phases = [("C", frame(b"\x11root\0\x00test\0" + draw(small)))]
    seq = 1
    for _ in range(draw(st.integers(0, 3))):
        said = draw(
            st.sampled_from(
                [
                    b"\xfemysql_native_password\0" + b"n" * 20 + b"\0",
                    b"\x01\x04",
                    b"\x02x",
                ]
            )
        )
        phases.append(("S", frame(said, seq)))
        phases.append(("C", frame(draw(small), seq + 1)))
        seq += 2
    phases.append(("S", frame(draw(st.sampled_from([ok(), error(1045)])), seq)))
    return Exchange(tuple(phases), is_login=True)


@st.composite
def exchanges(draw: DrawFn, shape: Shape) -> Exchange:
    """Any command with an answer that a server could give."""
    kind = draw(st.integers(0, 13))
    tail = draw(small)
    if kind <= 3:
        attributes = b""
        if shape.query_attributes:
            # None, one named "a" that is NULL, or a broken heap.
            attributes = draw(
                st.sampled_from([b"\0\1", b"\1\1\1\1\6\0\1a", b"\1\1\0\1\x99"])
            )
        command = b"\x03" + attributes + draw(statements)
        return draw(_asked(command, results(shape)))
    if kind == 4:
        command = bytes((draw(st.sampled_from(RESULTS)),)) + b"\1\0\0\0\0" + tail
        return draw(_asked(command, results(shape)))
    if kind == 5:
        return draw(_asked(b"\x17\1\0\0\0\1" + tail, _cursor(shape)))
    if kind == 6:
        return draw(_asked(b"\x16" + draw(statements), _prepared(shape)))
    if kind == 7:
        return draw(_asked(b"\x04" + tail, _fields(shape)))
    if kind == 8:
        return draw(_asked(b"\x1c" + tail, _fetched(shape)))
    if kind == 9:
        command = bytes((draw(st.sampled_from(NO_ANSWER)),)) + b"\1\0\0\0" + tail
        return Exchange((("C", frame(command)),))
    if kind == 10:
        return draw(_infile(shape))
    if kind == 11:
        return draw(_change_user(shape))
    if kind == 12:
        return draw(_asked(b"", st.just([error(1047)])))
    command = bytes((draw(st.sampled_from(ONE_PACKET)),)) + tail
    return draw(_asked(command, _one(shape)))


@st.composite
def conversations(draw: DrawFn, shape: Shape) -> list[list[Exchange]]:
    """Groups of exchanges; the commands of a group are sent without waiting."""
    groups: list[list[Exchange]] = [[]]
    for exchange in draw(st.lists(exchanges(shape), min_size=1, max_size=8)):
        groups[-1].append(exchange)
        if not exchange.may_be_pipelined or draw(st.booleans()):
            groups.append([])
    return [group for group in groups if group]


def cut(data: bytes, random: Random) -> list[bytes]:
    """The bytes in pieces of any size."""
    pieces = []
    biggest = random.choice([1, 3, 5, 64, 1 << 30])
    while data:
        size = random.randint(1, min(biggest, len(data)))
        pieces.append(data[:size])
        data = data[size:]
    return pieces
