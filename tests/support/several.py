"""Every packet of the response to a COM_QUERY, as it comes."""

import struct
from typing import Any

import pymysql
from pymysql.constants import CLIENT, COMMAND
from support.oracle import SCHEMA
from support.servers import Server

DEPRECATE_EOF = 1 << 24
MORE_RESULTS = 8


class PacketClient:
    """A client that shows packets with their numbers.

    Args:
        several: whether it may send several statements in one packet.
    """

    def __init__(
        self,
        server: Server,
        address: Any,
        *,
        several: bool = True,
        deprecates_eof: bool = False,
    ) -> None:
        account = server.account()
        flags = CLIENT.MULTI_STATEMENTS if several else 0
        flags |= DEPRECATE_EOF if deprecates_eof else 0
        self._deprecates_eof = deprecates_eof
        self._connection: Any = pymysql.connect(
            host=address.host,
            port=address.port,
            user=account.user,
            password=account.password,
            database=SCHEMA,
            charset="utf8mb4",
            ssl_disabled=True,
            client_flag=flags,
            autocommit=None,
            read_timeout=30,
        )
        if not several:  # pymysql always asks for it
            self.command(COMMAND.COM_SET_OPTION, b"\1\0")
        self.query("SET autocommit=1")

    def close(self) -> None:
        self._connection.close()

    def query(self, sql: str | bytes) -> list[tuple[int, bytes]]:
        """Numbers and payloads of the response."""
        sql = sql.encode() if isinstance(sql, str) else sql
        return self.command(COMMAND.COM_QUERY, sql)

    def command(self, command: int, text: bytes) -> list[tuple[int, bytes]]:
        payload = bytes((command,)) + text
        header = struct.pack("<I", len(payload))
        self._connection._write_bytes(header + payload)
        found: list[tuple[int, bytes]] = []
        while not self._ends(found):
            header = self._connection._rfile.read(4)
            size = int.from_bytes(header[:3], "little")
            found.append((header[3], self._connection._rfile.read(size)))
        return found

    def _ends(self, packets: list[tuple[int, bytes]]) -> bool:
        at = "first"
        for _, payload in packets:
            if payload[:1] == b"\xff":
                return True
            if at == "first" and payload[:1] in (b"\0", b"\xfe"):
                status = _ok_status(payload) if payload[:1] == b"\0" else 0
                if not status & MORE_RESULTS:
                    return True
            elif at == "first":
                left = payload[0]
                at = "definitions"
            elif at == "definitions":
                left -= 1
                if (left == 0 and self._deprecates_eof) or left < 0:
                    at = "rows"
            elif payload[:1] == b"\xfe":
                eof = int.from_bytes(payload[3:5], "little")
                status = _ok_status(payload) if self._deprecates_eof else eof
                if not status & MORE_RESULTS:
                    return True
                at = "first"
        return False


def _ok_status(payload: bytes) -> int:
    pos = 1
    for _ in range(2):
        pos += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(payload[pos], 1)
    return int.from_bytes(payload[pos : pos + 2], "little")
