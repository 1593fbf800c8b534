"""The marker functions: stored functions that a view calls in place of the ML functions.

A marker looks its answer up in user variables that the proxy sets for one statement. It
notes the texts that it does not find, and fails where nobody has set anything. So a view
is the server's own, and only a session behind a proxy gets rows from it.
Tried on MariaDB 10.11 and MySQL 9.7; a call costs 15 to 30 microseconds.
"""

from collections.abc import Iterable, Mapping, Sequence

from aurora_ml_proxy.functions import LABEL, Function, ResultType, Sentiment
from aurora_ml_proxy.protocol.packets import Packet

VERSION = 1
"""Counts up when a marker and an older proxy would not understand each other."""

COMMENT = f"aurora-ml-proxy {VERSION}: for views; answered by the proxy"
"""Tells a marker from a function of somebody's own."""

COMMENT_START = "aurora-ml-proxy "

UNANSWERED = b"connect through aurora-ml-proxy"
"""How every error of a marker ends, and with it the ERR packet."""

_NOT_YET = b"a text is not answered yet"

ER_SIGNAL_EXCEPTION = 1644

_PREFIX = "aurora_ml_proxy_"

_HASH_DIGITS = 15
"""As in `splice.lookups`: so many hex digits of SHA-256 find a text."""

_DIGITS = "0123456789abcdef"

NEW_TEXT = 16
"""What a text that is not known costs of the budget; one that is already noted costs 1,
so that a million rows of a few texts do not all pass before these are asked about."""

_BUFFER_BYTES = 1 << 16
"""Noted texts move to a second variable behind this: appending copies the whole."""

MAX_NOTED_BYTES = 4 << 20
"""Bytes of texts that are noted at once; and never over a quarter of
max_allowed_packet, over which CONCAT() is NULL."""

_HEAD_BYTES = 1 + _HASH_DIGITS + 3 + 10

_CODES = {"POSITIVE": "P", "NEGATIVE": "N", "NEUTRAL": "U", "MIXED": "M"}
_NULL_CODE = "0"


def _variable(name: str) -> str:
    return f"@{_PREFIX}{name}"


_STATEMENT, _LEFT, _LIMIT, _NOTED, _BUFFER = map(
    _variable, ("statement", "left", "limit", "noted", "buffer")
)

_BODY = """BEGIN
  DECLARE hash CHAR(16) CHARSET latin1;
  DECLARE head VARCHAR(40) CHARSET latin1;
  DECLARE shard, bucket LONGBLOB;
  DECLARE width, found INT;
  -- The proxy sets the statement to 0 before each one: the first call takes it. NOW() is
  -- the same all through a statement and another one in the next. CAST, for MySQL takes
  -- the variable for a string where it was NULL at first, and would compare doubles: two
  -- statements within four milliseconds were one.
  IF {statement} = 0 THEN SET {statement} = NOW(6) + 0; END IF;
  IF {statement} IS NULL OR CAST({statement} AS DECIMAL(20,6)) <> NOW(6) + 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{name}: {unanswered}';
  END IF;
  IF language_code IS NULL OR COALESCE(CHAR_LENGTH(input_text), 0) = 0 THEN
    RETURN NULL;
  END IF;
  SET hash = CONCAT('|', LEFT(SHA2(CONCAT(language_code, ':', input_text), 256), 15));
  SET shard = CASE SUBSTR(hash, 2, 1)
    {shards}
  END;
  SET width = LENGTH(shard) DIV 16;
  SET bucket = SUBSTR(shard, 1 + CONV(SUBSTR(hash, 3, 1), 16, 10) * width, width);
  SET found = LOCATE(hash, bucket);
  IF found THEN
    {hit}
  END IF;
  IF LOCATE(hash, {buffer}) = 0 THEN
    SET head = CONCAT(hash, LPAD(LENGTH(language_code), 3, '0'),
      LPAD(LENGTH(input_text), 10, '0'));
    SET {buffer} = CONCAT({buffer}, head, CAST(language_code AS BINARY),
      CAST(input_text AS BINARY));
    SET {left} = {left} - {new_text};
    IF LENGTH({buffer}) > {buffer_bytes} THEN
      SET {noted} = CONCAT({noted}, {buffer});
      SET {buffer} = CAST('' AS BINARY);
      IF LENGTH({noted}) > {limit} THEN SET {left} = 0; END IF;
    END IF;
  ELSE
    SET {left} = {left} - 1;
  END IF;
  IF {left} <= 0 THEN
    SIGNAL SQLSTATE '45000'
      SET MESSAGE_TEXT = '{name}: {not_yet}; {unanswered}';
  END IF;
  RETURN NULL;
END"""

_LABEL_HIT = (
    "RETURN CASE SUBSTR(bucket, found + 16, 1) "
    + " ".join(f"WHEN '{code}' THEN '{label}'" for label, code in _CODES.items())
    + " END;"
)
_SCORE_HIT = (
    f"IF SUBSTR(bucket, found + 16, 1) = '{_NULL_CODE}' THEN RETURN NULL; END IF;\n"
    "    RETURN SUBSTRING_INDEX(SUBSTR(bucket, found + 17, 32), '|', 1) + 0e0;"
)

_RETURNS = {
    ResultType.LABEL: ("VARCHAR(8) CHARSET utf8mb4", _LABEL_HIT),
    ResultType.SCORE: ("DOUBLE", _SCORE_HIT),
}


def create_marker(function: Function, *, if_not_exists: bool) -> bytes:
    """The CREATE FUNCTION of a marker, in the session's current database.

    Declared so that a server with a binary log takes it: DETERMINISTIC. SQL SECURITY
    INVOKER, because a definer's account may be dropped, and the body needs no right.
    """
    result, hit = _RETURNS[function.result]
    body = _BODY.format(
        name=function.name,
        statement=_STATEMENT,
        left=_LEFT,
        limit=_LIMIT,
        noted=_NOTED,
        buffer=_BUFFER,
        shards="\n    ".join(f"WHEN '{d}' THEN {_variable(d)}" for d in _DIGITS),
        hit=hit,
        new_text=NEW_TEXT,
        buffer_bytes=_BUFFER_BYTES,
        not_yet=_NOT_YET.decode(),
        unanswered=UNANSWERED.decode(),
    )
    condition = "IF NOT EXISTS " if if_not_exists else ""
    return (
        f"CREATE FUNCTION {condition}{function.name}"
        "(input_text LONGTEXT CHARSET utf8mb4, language_code VARCHAR(8) CHARSET utf8mb4) "
        f"RETURNS {result} DETERMINISTIC CONTAINS SQL SQL SECURITY INVOKER "
        f"COMMENT '{COMMENT}'\n{body}"
    ).encode()


BEFORE_CREATE = (
    b"SET @aurora_ml_proxy_sql_mode=@@sql_mode,"
    b"@aurora_ml_proxy_collation=@@collation_connection,"
    b"sql_mode=_latin1'STRICT_ALL_TABLES',collation_connection=utf8mb4_bin"
)
"""A stored function keeps the sql_mode and the collation it was created with. Strict,
because a text that is no UTF-8 is to fail and not to be cut; utf8mb4, because SIGNAL in a
session of utf16 does not know its own SQLSTATE (1407)."""

AFTER_CREATE = (
    b"SET sql_mode=@aurora_ml_proxy_sql_mode,"
    b"collation_connection=@aurora_ml_proxy_collation,"
    b"@aurora_ml_proxy_sql_mode=NULL,@aurora_ml_proxy_collation=NULL"
)


def existing_functions(names: Iterable[str]) -> bytes:
    """A query for the functions of these names in the current database, and comments."""
    listed = ",".join(f"_latin1'{name}'" for name in names)
    return (
        "SELECT CAST(LOWER(ROUTINE_NAME) AS BINARY),CAST(ROUTINE_COMMENT AS BINARY) "
        "FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=DATABASE() "
        f"AND ROUTINE_TYPE='FUNCTION' AND ROUTINE_NAME IN ({listed}) LIMIT 1000"
    ).encode()


# The variables.


def start_statement(budget: int) -> bytes:
    """The SET that lets the next statement read the answers.

    Args:
        budget: texts that it may note before a marker stops it; none stops it at the
            first text that is not known.
    """
    return (
        f"SET {_STATEMENT}=CAST(0 AS DECIMAL(20,6)),{_LEFT}={budget * NEW_TEXT},"
        f"{_LIMIT}=LEAST({MAX_NOTED_BYTES},@@max_allowed_packet DIV 4),"
        f"{_NOTED}=_binary'',{_BUFFER}=_binary''"
    ).encode()


END_STATEMENT = f"SET {_STATEMENT}=NULL,{_LEFT}=0".encode()
"""Nothing may take the answers from here on."""

HAS_MET = f"SELECT COALESCE({_STATEMENT}<>0,0) LIMIT 1".encode()
"""Whether a marker was called since the statement was started."""

FORGET = (
    "SET " + ",".join(f"{_variable(d)}=NULL" for d in _DIGITS) + f",{_STATEMENT}=NULL,"
    f"{_NOTED}=NULL,{_BUFFER}=NULL"
).encode()

READ_NOTED = f"SELECT CAST({_NOTED} AS BINARY),CAST({_BUFFER} AS BINARY) LIMIT 1".encode()


def read_noted(values: Sequence[bytes | None]) -> list[tuple[int, bytes, bytes]] | None:
    """The texts of READ_NOTED's row: hash, language, text. None: one was too long."""
    found = []
    for value in values:
        if value is None:
            return None
        pos = 0
        while pos < len(value):
            head = value[pos : pos + _HEAD_BYTES]
            language_end = pos + _HEAD_BYTES + int(head[16:19])
            end = language_end + int(head[19:])
            language = value[pos + _HEAD_BYTES : language_end]
            found.append((int(head[1:16], 16), language, value[language_end:end]))
            pos = end
    return found


def set_answers(answers: Mapping[int, Sentiment | None]) -> list[bytes]:
    """The SETs that hold the answers, by the hash of language and text.

    16 variables by the first hex digit of the hash, since reading one copies it; in each
    16 buckets of one width by the second. A record ends where the next one starts.
    """
    buckets: dict[str, list[str]] = {a + b: [] for a in _DIGITS for b in _DIGITS}
    for number, answer in answers.items():
        digits = f"{number:015x}"
        buckets[digits[:2]].append(f"|{digits}{_value(answer)}")
    assignments = []
    for first in _DIGITS:
        texts = ["".join(buckets[first + second]) for second in _DIGITS]
        width = max(map(len, texts)) + 1  # a bar behind the last record too
        shard = "".join(text.ljust(width, "|") for text in texts)
        assignments.append(f"{_variable(first)}=_binary'{shard}'")
    if sum(map(len, assignments)) < _BUFFER_BYTES:
        return [("SET " + ",".join(assignments)).encode()]
    return [f"SET {assignment}".encode() for assignment in assignments]


def _value(answer: Sentiment | None) -> str:
    if answer is None:
        return _NULL_CODE
    return _CODES[answer.label] + repr(answer.confidence)


# The errors.


def is_unanswered(packet: bytes) -> bool:
    """Whether this ERR packet is a marker's."""
    return packet.endswith(UNANSWERED) and packet[1:3] == _ERRNO


def is_not_yet(packet: bytes) -> bool:
    """Whether a marker has noted a text, and is none that nobody has set anything for."""
    return is_unanswered(packet) and _NOT_YET in packet


_ERRNO = ER_SIGNAL_EXCEPTION.to_bytes(2, "little")
_ERR_HEAD = b"\xff" + _ERRNO + b"#45000"


def split_error(data: bytes) -> tuple[bytes, Packet] | None:
    """What the upstream has sent, up to a marker's ERR packet at its end, and that."""
    at = data.rfind(_ERR_HEAD)
    if at < 4:
        return None
    length = int.from_bytes(data[at - 4 : at - 1], "little")
    if length != len(data) - at or not is_unanswered(data[at:]):
        return None
    return data[: at - 4], Packet(data[at:], data[at - 1])


def function_of(packet: bytes) -> str:
    """The name of the function in a marker's ERR packet."""
    name = packet[9:].partition(b":")[0].decode("latin-1")
    return name if name.isidentifier() else LABEL.name
