"""Statements answered by splicing, against a server that has the functions itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.oracle import RawClient, Seen, read_corpus
from support.proxies import Proxy
from support.servers import Server

pytestmark = pytest.mark.mysql

CORPUS = read_corpus(Path(__file__).parent.parent / "fixtures/sql/splice.sql")

SESSIONS: dict[str, tuple[str, str]] = {
    # name: (statement at the start, encoding of the statements)
    "as it is": ("DO 0", "utf-8"),
    "no sql_mode": ("SET sql_mode=''", "utf-8"),
    "ansi quotes": ("SET sql_mode='ANSI_QUOTES'", "utf-8"),
    "ansi": ("SET sql_mode='ANSI,ONLY_FULL_GROUP_BY'", "utf-8"),
    "no backslash": ("SET sql_mode='NO_BACKSLASH_ESCAPES'", "utf-8"),
    "ignore space": ("SET sql_mode='IGNORE_SPACE,HIGH_NOT_PRECEDENCE'", "utf-8"),
    "latin1": ("SET NAMES latin1", "latin-1"),
    "gbk": ("SET NAMES gbk", "gbk"),
    "sjis": ("SET NAMES sjis", "shift_jis"),
    "utf8mb3": ("SET NAMES utf8mb3", "utf-8"),
    "results utf16": ("SET character_set_results=utf16", "utf-8"),
    "results utf16le": ("SET character_set_results=utf16le", "utf-8"),
    "results utf32": ("SET character_set_results=utf32", "utf-8"),
    "results latin1": ("SET character_set_results=latin1", "utf-8"),
    "results NULL": ("SET character_set_results=NULL", "utf-8"),
    "results binary": ("SET character_set_results=binary", "utf-8"),
    "connection latin1": ("SET character_set_connection=latin1", "utf-8"),
    "read only": ("START TRANSACTION READ ONLY", "utf-8"),
}


def encode(statement: str, session: str, encoding: str) -> bytes:
    """The statement as a client of that character set writes it."""
    if session == "utf8mb3":
        statement = "".join(c if ord(c) < 0x10000 else "?" for c in statement)
    return statement.encode(encoding, "replace")


def comparable(server: Server, session: str, statement: str, seen: Seen) -> Seen:
    """What must be equal; the differences that docs/functions.md lists taken out."""
    if session == "utf8mb3" and not server.is_mariadb:
        # MySQL cuts a generated name one byte later when it need not convert it.
        columns = tuple(
            (*c[:3], *(name[:255] for name in c[3:5]), *c[5:]) for c in seen.columns
        )
        seen = replace(seen, columns=columns)
    if seen.error is not None and "((1,2)" in statement:
        # MariaDB names the function's parameter where it refuses a row; a proxy has none.
        return replace(seen, error=("a row is refused",), warnings=())
    if seen.error is not None and seen.error[0] in (1055, 1140):
        # The error names the user's item by its number; what the server shows later
        # names it by the number in the statement that it was sent.
        return replace(seen, warnings=())
    if server.is_mariadb and "GROUP BY" in statement:
        # With a temporary table MariaDB forgets the org_name of a stored function.
        columns = tuple((*c[:4], None, *c[5:]) for c in seen.columns)
        return replace(seen, columns=columns)
    return seen


@pytest.mark.parametrize("session", SESSIONS)
def test_the_proxy_gives_what_the_server_gives(
    server: Server, oracle_proxy: Callable[[Server], Proxy], session: str
) -> None:
    proxy = oracle_proxy(server)
    start, encoding = SESSIONS[session]
    direct = RawClient(server, server.host, server.port)
    proxied = RawClient(server, proxy.host, proxy.port)
    differences = []
    try:
        for client in (direct, proxied):
            client.see(start.encode())
        for statement in CORPUS:
            raw = encode(statement, session, encoding)
            wanted = comparable(server, session, statement, direct.see(raw))
            got = comparable(server, session, statement, proxied.see(raw))
            if wanted != got:
                differences.append(f"{statement}\n  direct  {wanted}\n  proxied {got}")
    finally:
        direct.close()
        proxied.close()
    assert not differences, "\n".join(differences)
