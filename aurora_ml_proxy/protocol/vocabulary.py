"""The names and numbers of the protocol, and which of them may cross the proxy.

Most come from mysql-mimic; MariaDB's own, and the few that it lacks, stand here.
"""

from enum import IntFlag

from mysql_mimic.charset import Collation
from mysql_mimic.types import Capabilities, ColumnType, Commands, ServerStatus

__all__ = [
    "CLIENT_COMPRESS",
    "CLIENT_DEPRECATE_EOF",
    "CLIENT_MULTI_FACTOR_AUTHENTICATION",
    "CLIENT_MULTI_STATEMENTS",
    "CLIENT_MYSQL",
    "CLIENT_OPTIONAL_RESULTSET_METADATA",
    "CLIENT_PROTOCOL_41",
    "CLIENT_QUERY_ATTRIBUTES",
    "CLIENT_SESSION_TRACK",
    "CLIENT_SSL",
    "CLIENT_ZSTD_COMPRESSION_ALGORITHM",
    "COMPRESSION_CAPABILITIES",
    "COM_STMT_BULK_EXECUTE",
    "MASKED_CAPABILITIES",
    "MAX_PAYLOAD",
    "PASSED_MARIADB_CAPABILITIES",
    "Capabilities",
    "Collation",
    "ColumnType",
    "Commands",
    "MariaDBCapabilities",
    "ServerStatus",
]

MAX_PAYLOAD = 0xFFFFFF
"""Bytes of payload in one packet; a payload of this size goes on in the next one."""

COM_STMT_BULK_EXECUTE = 0xFA
"""MariaDB's COM_STMT_BULK_EXECUTE."""

CLIENT_MYSQL = Capabilities.CLIENT_LONG_PASSWORD
"""MariaDB's name of bit 0: when both peers clear it, MariaDB's own bits count."""

CLIENT_COMPRESS = Capabilities.CLIENT_COMPRESS
CLIENT_DEPRECATE_EOF = Capabilities.CLIENT_DEPRECATE_EOF
CLIENT_MULTI_STATEMENTS = Capabilities.CLIENT_MULTI_STATEMENTS
CLIENT_MULTI_FACTOR_AUTHENTICATION = Capabilities.MULTI_FACTOR_AUTHENTICATION
CLIENT_OPTIONAL_RESULTSET_METADATA = Capabilities.CLIENT_OPTIONAL_RESULTSET_METADATA
CLIENT_PROTOCOL_41 = Capabilities.CLIENT_PROTOCOL_41
CLIENT_QUERY_ATTRIBUTES = Capabilities.CLIENT_QUERY_ATTRIBUTES
CLIENT_SESSION_TRACK = Capabilities.CLIENT_SESSION_TRACK
CLIENT_SSL = Capabilities.CLIENT_SSL
CLIENT_ZSTD_COMPRESSION_ALGORITHM = Capabilities.CLIENT_ZSTD_COMPRESSION_ALGORITHM

COMPRESSION_CAPABILITIES = CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION_ALGORITHM
"""Of the client's leg only: the relay reads packet headers, which compression hides."""

MASKED_CAPABILITIES = Capabilities.CLIENT_CAPABILITY_EXTENSION
"""What the greeting loses on its way: an extension is by its nature unknown."""


class MariaDBCapabilities(IntFlag):
    """MariaDB's extended capabilities, in four bytes that MySQL leaves zero."""

    PROGRESS = 1 << 0
    COM_MULTI = 1 << 1
    STMT_BULK_OPERATIONS = 1 << 2
    EXTENDED_METADATA = 1 << 3
    CACHE_METADATA = 1 << 4
    BULK_UNIT_RESULTS = 1 << 5


PASSED_MARIADB_CAPABILITIES = (
    MariaDBCapabilities.PROGRESS
    | MariaDBCapabilities.STMT_BULK_OPERATIONS
    | MariaDBCapabilities.EXTENDED_METADATA
    | MariaDBCapabilities.CACHE_METADATA
    | MariaDBCapabilities.BULK_UNIT_RESULTS
)
"""Those that the response follower knows; COM_MULTI and later ones are masked."""

INTEGER_TYPES = frozenset(
    (
        ColumnType.TINY,
        ColumnType.SHORT,
        ColumnType.LONG,
        ColumnType.LONGLONG,
        ColumnType.INT24,
        ColumnType.YEAR,
    )
)
