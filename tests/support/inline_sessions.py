"""The sessions in which the corpus of inline/*.sql is run."""

from dataclasses import replace

from support.inline_oracle import Session
from support.inline_tables import Tables

_CHARSETS = ("charsets", "texts")
_MODES = ("modes",)

_SESSIONS = {
    "as it is": Session(whole=True),
    "prepared": Session(whole=True, prepared=True, in_every_run=False),
    "parameters": Session(whole=True, prepared=True, parameters=True),
    # MySQL has ONLY_FULL_GROUP_BY as it is.
    "only full group by": Session(
        ("SET sql_mode=CONCAT(@@sql_mode,',ONLY_FULL_GROUP_BY')",),
        whole=True,
        counts_first=False,
        kinds=("mariadb",),
    ),
    "no sql_mode": Session(
        ("SET sql_mode=''",), sections=("insert", "modes", "group_by"), counts_first=False
    ),
    "strict": Session(
        ("SET sql_mode='TRADITIONAL'",), sections=("insert", "modes"), counts_first=False
    ),
    "ansi quotes": Session(("SET sql_mode='ANSI_QUOTES'",), sections=_MODES),
    "no backslash": Session(("SET sql_mode='NO_BACKSLASH_ESCAPES'",), sections=_MODES),
    "pipes": Session(("SET sql_mode='PIPES_AS_CONCAT'",), sections=_MODES),
    "ansi": Session(("SET sql_mode='ANSI,ONLY_FULL_GROUP_BY'",), sections=_MODES),
    "high not": Session(
        ("SET sql_mode='HIGH_NOT_PRECEDENCE,IGNORE_SPACE'",), sections=_MODES
    ),
    "latin1": Session(("SET NAMES latin1",), encoding="latin-1", sections=_CHARSETS),
    "gbk": Session(("SET NAMES gbk",), encoding="gbk", sections=(*_CHARSETS, *_MODES)),
    "sjis": Session(("SET NAMES sjis",), encoding="shift_jis", sections=_MODES),
    "utf8mb3": Session(("SET NAMES utf8mb3",), three_bytes=True, sections=_CHARSETS),
    "utf8mb4_bin": Session(
        ("SET NAMES utf8mb4 COLLATE utf8mb4_bin",), sections=_CHARSETS
    ),
    "utf8mb4_unicode_ci": Session(
        ("SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",), sections=_CHARSETS
    ),
    "connection utf16": Session(
        ("SET character_set_connection=utf16",), sections=_CHARSETS
    ),
    "connection latin1": Session(
        ("SET character_set_connection=latin1",), sections=_CHARSETS
    ),
    "results utf16": Session(("SET character_set_results=utf16",)),
    "results NULL": Session(("SET character_set_results=NULL",)),
    "no autocommit": Session(
        ("SET autocommit=0",), sections=("locking",), inside=True, counts_first=False
    ),
    "uncommitted": Session(
        before=(
            "START TRANSACTION",
            "INSERT INTO fb (id, t, lang) VALUES (50,'uncommitted','en')",
            "UPDATE texts SET t='changed' WHERE id IN (1,3)",
            "DELETE FROM items WHERE id=3",
        ),
        inside=True,
        sections=("where", "update", "delete"),
    ),
    "read only": Session(before=("START TRANSACTION READ ONLY",), sections=("where",)),
    "serializable": Session(
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",), sections=("locking",)
    ),
    "shadowed": Session(
        before=(
            *Tables.shadowing("fb"),
            "UPDATE fb SET t=CONCAT(t,' shadow') WHERE id IN (1,2,8)",
            *Tables.shadowing("texts"),
            "DELETE FROM texts WHERE id < 3",
        ),
        inside=True,
        sections=("where",),
    ),
    "safe updates": Session(("SET sql_safe_updates=1",), sections=("update", "delete")),
    "read committed": Session(
        ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",),
        sections=("locking", "concurrent"),
    ),
    "select limit": Session(("SET sql_select_limit=2",), sections=("order_by",)),
    "no schema": Session(no_schema=True, sections=("qualified",)),
}

SESSIONS = {name: replace(session, name=name) for name, session in _SESSIONS.items()}
