"""The tables that random statements are about: small, and full of awkward texts.

'Good', 'good ' and 'GOOD' are one value to most collations and three to a model.
`EXACT` kinds are those whose equal values are the same bytes: only they may be grouped,
made distinct or compared by UNION, or what a server shows would be up to its plan.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, of a derived table or of a common table expression."""

    name: str
    kind: str
    """One of TEXTS, EXACT, or "bin" (bytes that are UTF-8)."""


TEXTS = ("text", "latin", "utf16", "bin")
EXACT = (
    *("id", "int", "dec", "dt", "name", "lang", "label", "derived", "conf", "truth"),
)
"""`derived` is a label that is a call in a derived table."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a FROM can name, or what it is called there."""

    name: str
    columns: tuple[Column, ...]

    def has(self, *kinds: str) -> list[Column]:
        return [column for column in self.columns if column.kind in kinds]


def _table(called: str, /, **kinds: str) -> Table:
    return Table(called, tuple(Column(column, kind) for column, kind in kinds.items()))


FEEDBACK = _table(
    "r_feedback",
    id="id",
    t="text",
    v="latin",
    u="utf16",
    b="bin",
    lang="lang",
    n="int",
    dc="dec",
    dt="dt",
    product_id="int",
    kind="name",
)
PRODUCT = _table(
    "r_product", id="id", name="name", blurb="text", lang="lang", price="dec", n="int"
)
REPLY = _table(
    "r_reply",
    id="id",
    feedback_id="int",
    body="text",
    lang="lang",
    label="label",
    score="conf",
    n="int",
)
LOG = _table("r_log", id="id", k="name", label="label", score="conf", n="int")

READ = (FEEDBACK, PRODUCT, REPLY, LOG)
WRITTEN = (REPLY, LOG)
"""The tables that a random statement may change."""

VARIABLES = "SET @u0 = 'I love it', @u1 = NULL, @u2 = 42, @u3 = 'good '"

_SETUP = (
    "DROP PROCEDURE IF EXISTS r_write",
    "DROP TABLE IF EXISTS r_feedback, r_product, r_reply, r_log",
    """CREATE TABLE r_feedback (
        id INT PRIMARY KEY, t TEXT, v VARCHAR(100) CHARACTER SET latin1,
        u VARCHAR(100) CHARACTER SET utf16, b VARBINARY(100), lang VARCHAR(10), n INT,
        dc DECIMAL(10,3), dt DATETIME, product_id INT, kind VARCHAR(20), KEY (product_id)
    ) ENGINE=InnoDB""",
    """INSERT INTO r_feedback VALUES
    (1, 'I love it', 'café', '你好', 'bytes', 'en', 1, 1.5, '2020-01-02 03:04:05', 1,
     'a'),
    (2, 'I hate it', 'x', 'y', 'zürich', 'fr', 2, 2, '2021-01-01', 1, 'a'),
    (3, NULL, NULL, NULL, NULL, 'en', NULL, NULL, NULL, NULL, 'b'),
    (4, '', '', '', '', 'en', 0, 0, '2000-01-01', 2, NULL),
    (5, 'Good', 'Good', 'good', 'GOOD', NULL, -5, -1.5, '1999-12-31', 2, 'b'),
    (6, 'good ', 'good', 'Good ', 'good', 'en', 7, 99.999, '2024-02-29', 3, 'c'),
    (7, 'GOOD', 'Good ', 'GOOD', 'good ', 'de', 7, 0.125, '2024-02-29', 3, 'c'),
    (8, 'Good', 'Good', 'good', 'GOOD', 'en', 1, 1.5, NULL, 1, 'a'),
    (9, 'It is — 好 😀', 'naïve', '😀', '好', 'zh-TW', 3, 12.5, '2020-01-02', 4, 'd'),
    (10, 'it''s \\\\ 50% _off_', 'a"b', ' ', ' ', 'fr', 2, 1000, '2020-01-02', 9, 'd')""",
    """CREATE TABLE r_product (
        id INT PRIMARY KEY, name VARCHAR(20), blurb TEXT, lang VARCHAR(10),
        price DECIMAL(10,2), n INT
    ) ENGINE=InnoDB""",
    """INSERT INTO r_product VALUES
    (1, 'lamp', 'Good', 'en', 9.99, 1), (2, 'desk', 'good ', 'de', 120, NULL),
    (3, 'chair', NULL, 'fr', 45.5, 7), (4, NULL, 'I love it', NULL, NULL, 3),
    (5, 'shelf', '', 'en', 9.99, 2)""",
    """CREATE TABLE r_reply (
        id INT PRIMARY KEY, feedback_id INT, body TEXT, lang VARCHAR(10),
        label VARCHAR(20), score DOUBLE, n INT, KEY (feedback_id)
    ) ENGINE=InnoDB""",
    """INSERT INTO r_reply VALUES
    (1, 1, 'thanks', 'en', 'POSITIVE', 0.75, 1), (2, 1, 'Thanks', 'en', NULL, NULL, 2),
    (3, 2, 'I hate it', 'fr', 'NEGATIVE', 0.5, 3), (4, 5, NULL, 'de', 'MIXED', 1, NULL),
    (5, 7, '', 'en', NULL, 0.875, 0), (6, 9, 'good ', 'zh-TW', 'NEUTRAL', 0.625, 7),
    (7, NULL, 'Good', NULL, 'POSITIVE', 0.75, 2),
    (8, 10, 'ok', 'en', 'MIXED', NULL, 1)""",
    """CREATE TABLE r_log (
        id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(40) UNIQUE, label VARCHAR(20),
        score DOUBLE, n INT
    ) ENGINE=InnoDB""",
    """INSERT INTO r_log VALUES
    (1, 'POSITIVE', 'POSITIVE', 0.5, 1), (2, 'k2', NULL, NULL, 2),
    (3, 'k3', 'MIXED', 1, NULL), (4, NULL, 'NEUTRAL', 0.75, 4)""",
    """CREATE PROCEDURE r_write(called VARCHAR(40), a VARCHAR(20), b DOUBLE)
    INSERT INTO r_log (k, label, score) VALUES (called, a, b)""",
)

FIRST_FREE_ID = 5
RESET_IDS = f"ALTER TABLE r_log AUTO_INCREMENT = {FIRST_FREE_ID}"
"""A rollback leaves the counter where it was."""


def create_tables(run: Callable[[str], object]) -> None:
    """Makes the tables in the current schema; what was there of them goes."""
    for statement in _SETUP:
        run(statement)
