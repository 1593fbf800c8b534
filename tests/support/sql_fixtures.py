"""The data files of planning: statements and what becomes of them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.oracle import expand

from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.plan.calls import find_calls
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.outline import Outline, read_outline
from aurora_ml_proxy.plan.plan import Inline
from aurora_ml_proxy.plan.spans import Span
from aurora_ml_proxy.plan.statement import plan_statement
from aurora_ml_proxy.plan.template import (
    Lenient,
    Piece,
    Renamed,
    Template,
    Text,
    Unknown,
)
from aurora_ml_proxy.plan.tokens import Statement, read_statement

SQL = Path(__file__).parent.parent / "fixtures" / "sql"

MARIADB = Dialect(is_mariadb=True, version=101114)
MYSQL = Dialect(is_mariadb=False, version=90704)


def statement_of(text: str) -> Statement:
    """The tokens of a statement in which F( and G( are the functions."""
    return read_statement(expand(text).encode(), MARIADB)


def outline_of(text: str, dialect: Dialect = MARIADB) -> Outline:
    """All that planning knows of a statement."""
    statement = statement_of(text)
    return read_outline(statement, find_calls(statement, FUNCTIONS), dialect)


def inline_of(text: str, dialect: Dialect = MARIADB) -> Inline:
    """The plan of a statement that is answered inline."""
    plan = plan_statement(expand(text).encode(), dialect)
    assert isinstance(plan, Inline)
    return plan


def spans(statement: Statement, found: Iterable[Span]) -> list[str]:
    """What stands in spans."""
    return [shortened(statement.source(*span).decode()) for span in found]


@dataclass(frozen=True, slots=True)
class Refused:
    """A statement and its error."""

    statement: str
    errno: int
    message: str


@dataclass(frozen=True, slots=True)
class NotSpliced:
    """A SELECT, and why it cannot be spliced."""

    statement: str
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A statement that is answered inline, and its plan as `shown` writes it."""

    is_mysql: bool
    statement: str
    sent: str
    harvests: tuple[str, ...]


def read_refused() -> list[Refused]:
    """The paragraphs of refused.sql."""
    return [
        Refused(expand(statement), int(errno), message)
        for statement, result in _paragraphs("refused.sql")
        for errno, _, message in [result.partition(" ")]
    ]


def read_not_spliced() -> list[NotSpliced]:
    """The paragraphs of not_spliced.sql."""
    return [
        NotSpliced(expand(statement), reason)
        for statement, reason in _paragraphs("not_spliced.sql")
    ]


def read_planned() -> list[Planned]:
    """The paragraphs of planned.sql: a statement, what is sent, and the harvests."""
    found = []
    for statement, result in _paragraphs("planned.sql"):
        sent, *harvests = result.split("\n")
        is_mysql = statement.startswith("mysql: ")
        statement = statement.removeprefix("mysql: ")
        found.append(Planned(is_mysql, statement, sent, tuple(harvests)))
    return found


def _paragraphs(name: str) -> Iterator[tuple[str, str]]:
    """What stands before a `=>` and what behind it, comments left out."""
    for paragraph in re.split(r"\n\s*\n", (SQL / name).read_text("utf-8")):
        lines = [line for line in paragraph.split("\n") if not line.startswith("#")]
        if match := re.search(r"^(.*?)\n=> (.*)\Z", "\n".join(lines).strip(), re.S):
            yield match[1], match[2]


_NAMES = (
    ("aws_comprehend_detect_sentiment_confidence(", "G("),
    ("aws_comprehend_detect_sentiment(", "F("),
)

_AS_BYTES = (
    re.compile(
        r"IF\(CHARSET\((.*?)\)=_utf8mb4'binary',CAST\(\1 AS BINARY\),"
        r"CAST\(CONVERT\(\1 USING utf8mb4\) AS BINARY\)\)"
    ),
    re.compile(r"CAST\(CONVERT\(('[^']*'|\d+) USING utf8mb4\) AS BINARY\)"),
)
"""How an argument is read; written [argument]."""


def text(template: Template) -> str:
    """A template to read: «0» for an answer, «0?» for one that may be unknown, «?0» for
    whether it is, «0 t» for the one of another key, [t] for the bytes of t."""
    shown = "".join(map(_piece, template))
    for pattern in _AS_BYTES:
        shown = pattern.sub(r"[\1]", shown)
    return shortened(shown.rstrip())


def shortened(sql: str) -> str:
    """F( and G( for the functions, as the files have them."""
    for name, short in _NAMES:
        sql = sql.replace(name, short)
    return sql


def _piece(piece: Piece) -> str:
    match piece:
        case bytes():
            return piece.decode()
        case Lenient(call):
            return f"«{call}?»"
        case Text(whole):
            return "".join(map(_piece, whole))
        case Unknown(call):
            return f"«?{call}»"
        case Renamed(call, key):
            return f"«{call} {text(key)}»"
        case _:
            return f"«{piece}»"


def shown_harvests(plan: Inline) -> tuple[str, ...]:
    """The queries of each harvest: `?` before the first, `:` before the wider ones."""
    lines = []
    for harvest in plan.harvests:
        for n, query in enumerate(harvest.queries):
            packed = "packed " if query.is_packed else ""
            limit = f" LIMIT {query.limit} and more" if query.limit else ""
            lines.append(f"{':' if n else '?'} {packed}{text(query.sql)}{limit}")
    return tuple(lines)


def _rewritten(paragraph: str) -> str:
    """A paragraph of planned.sql with the plan as it is today."""
    comments = [line for line in paragraph.split("\n") if line.startswith("#")]
    statements = [line for line in paragraph.split("\n") if line not in comments]
    if not statements:
        return paragraph
    dialect = MYSQL if statements[0].startswith("mysql: ") else MARIADB
    plan = inline_of(statements[0].removeprefix("mysql: "), dialect)
    sent = f"=> {text(plan.statement)}"
    return "\n".join([*comments, statements[0], sent, *shown_harvests(plan)])


def main() -> None:
    """`python -m support.sql_fixtures` writes planned.sql anew; read the difference."""
    path = SQL / "planned.sql"
    paragraphs = path.read_text("utf-8").strip().split("\n\n")
    path.write_text("\n\n".join(map(_rewritten, paragraphs)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
