"""What the server's lexer depends on: sql_mode, character_set_client, version."""

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the upstream reads the statements of this session."""

    charset: str = "utf8mb4"
    """@@character_set_client."""
    ansi_quotes: bool = False
    no_backslash_escapes: bool = False
    is_mariadb: bool = False
    version: int = 80000
    """As in executable comments: 8.0.36 is 80036, 10.11.14 is 101114."""

    def of_session(self, charset: str, sql_mode: str) -> "Dialect":
        """The same server's, under a session's character_set_client and sql_mode."""
        modes = sql_mode.split(",")
        return replace(
            self,
            charset=charset,
            ansi_quotes="ANSI_QUOTES" in modes,
            no_backslash_escapes="NO_BACKSLASH_ESCAPES" in modes,
        )


_CASTS_AS_DOUBLE = 80017
"""The MySQL that has CAST(… AS DOUBLE) first."""


def as_double(number: bytes, dialect: Dialect) -> bytes:
    """A number as an expression of the width of a function's DOUBLE."""
    if dialect.is_mariadb or dialect.version >= _CASTS_AS_DOUBLE:
        return b"CAST(%b AS DOUBLE) " % number
    return b"(%b+0e0) " % number


_MODE_MATTERS = re.compile(rb"[\\\"\x80-\xff]")


def depends_on_session(sql: bytes) -> bool:
    """Whether sql_mode or character_set_client can change how this text is cut.

    Only a backslash, a double quote and bytes outside ASCII are read in several ways.
    """
    return _MODE_MATTERS.search(sql) is not None


def read_version(server_version: str) -> tuple[bool, int]:
    """Whether it is a MariaDB, and its version as executable comments count it."""
    is_mariadb = "mariadb" in server_version.lower()
    text = server_version.removeprefix("5.5.5-") if is_mariadb else server_version
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    if not match:
        return is_mariadb, 80000
    major, minor, patch = map(int, match.groups())
    return is_mariadb, major * 10000 + minor * 100 + patch


_TWO_BYTES = {
    "gbk": rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]",
    "big5": rb"[\xa1-\xf9][\x40-\x7e\xa1-\xfe]",
    "sjis": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "cp932": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "gb18030": rb"[\x81-\xfe][\x30-\x39][\x81-\xfe][\x30-\x39]"
    rb"|[\x81-\xfe][\x40-\x7e\x80-\xfe]",
}
"""The client character sets in which an ASCII byte can be half of a character: the
charset's own file in the servers' strings/ folder (ctype-gbk.c and its neighbours)."""

_SPACES = {
    charset: space
    for space, charsets in {
        b"\xa0": (
            *("latin1", "latin2", "latin5", "latin7", "cp1250"),
            *("dec8", "hebrew", "greek", "armscii8", "geostd8"),
        ),
        b"\xff": ("cp852", "cp866", "keybcs2"),
    }.items()
    for charset in charsets
}
"""What the lexer takes for a space besides ASCII's. Found by asking MariaDB 10.11, 11.8
and MySQL 9.7, which agree, byte by byte in every character set."""

_MULTIBYTE = {name: re.compile(pattern) for name, pattern in _TWO_BYTES.items()}


def mask_multibyte(sql: bytes, charset: str) -> bytes:
    """The statement at the same length with no ASCII byte inside a character.

    In gbk the second byte of 運 is a backslash; cut the masked text, edit the real one.
    """
    if charset in _SPACES:
        return sql.replace(_SPACES[charset], b" ")
    pattern = _MULTIBYTE.get(charset)
    if pattern is None:
        return sql
    return pattern.sub(lambda match: b"\xff" * len(match[0]), sql)
