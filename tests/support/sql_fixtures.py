"""The data files of planning: statements and what becomes of them."""

import re
from dataclasses import dataclass
from pathlib import Path

from support.oracle import expand

SQL = Path(__file__).parent.parent / "fixtures" / "sql"


@dataclass(frozen=True, slots=True)
class Refused:
    """A statement and its error."""

    statement: str
    errno: int
    message: str


def read_refused() -> list[Refused]:
    """The paragraphs of refused.sql."""
    found = []
    for paragraph in re.split(r"\n\s*\n", (SQL / "refused.sql").read_text("utf-8")):
        if match := re.search(r"^([^#].*)\n=> (\d+) (.*)\Z", paragraph.strip(), re.S):
            found.append(Refused(expand(match[1]), int(match[2]), match[3]))
    return found
