"""The corpus of statements with ML calls in any position: files of inline/*.sql.

In: the files. Out: cases, each of one or more steps. A file is a section, a paragraph
is a case; a line that ends in `;;` ends a step, /*other*/ before a step has another
session run it, and behind /*quiet*/ nothing is asked before the next step. Lines of
`#` are comments, and some of them marks: `# only mysql`, `# only mariadb`, `# error`,
`# error mariadb10 mysql`, `# refused` for an error that each side words by itself,
`# proxy refuses` where the proxy may have an error of its own instead, and
`# may differ: rows` or `# may differ mysql: column length, counts` for fields that are
not compared, all of it in some sessions only with `# may differ in latin1, gbk: error`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.oracle import expand

FOLDER = Path(__file__).parents[1] / "fixtures" / "sql" / "inline"

ELSEWHERE = "/*other*/"
"""What a step begins with that another session runs."""

QUIET = "/*quiet*/"
"""What a step begins with that the next follows directly: nothing is asked in between."""

_MARK = re.compile(
    r"# (only|error|refused|proxy refuses|may differ)((?: (?:mysql|mariadb)\d*)*)"
    r"(?: in (\w[\w, ]+))?(?:: ([a-z_, ]+))?$"
)

_WRITES = re.compile(
    r"\b(INSERT|REPLACE|UPDATE|DELETE|CREATE|ALTER|DROP|CALL|OUTFILE|DUMPFILE|LOAD|TRUNCATE)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Fields that are not compared."""

    kinds: tuple[str, ...]
    """On these kinds of server."""
    sessions: tuple[str, ...]
    """In these sessions; in all without any."""
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """Statements that are run one after the other on the same tables."""

    section: str
    number: int
    """Of the paragraph in its file, from 1."""
    line: int
    steps: tuple[str, ...]
    only: tuple[str, ...] = ()
    """The kinds of server that have it; all without any."""
    errors: tuple[str, ...] = ()
    """The kinds of server that refuse it; the empty string stands for all."""
    refused: bool = False
    """Whether the error need not be the same on both sides."""
    proxy_refuses: bool = False
    """Whether the proxy may have an error of its own."""
    ignored: tuple["Ignored", ...] = ()
    """What is not compared."""

    @property
    def name(self) -> str:
        return f"{self.section}:{self.number}"

    @property
    def writes(self) -> bool:
        """Whether it may change a table, make one or write a file."""
        return any(_WRITES.search(step) for step in self.steps)

    def is_for(self, kind: str) -> bool:
        return not self.only or kind.startswith(self.only)

    def fails_on(self, kind: str) -> bool:
        return kind.startswith(self.errors) if self.errors else False

    def may_differ(self, kind: str, session: str) -> set[str]:
        return {
            field
            for ignored in self.ignored
            if kind.startswith(ignored.kinds)
            and (not ignored.sessions or session in ignored.sessions)
            for field in ignored.fields
        }


def read_section(path: Path) -> list[Case]:
    """The cases of one file."""
    cases: list[Case] = []
    lines = path.read_text("utf-8").split("\n")
    start = 0
    for end in range(len(lines) + 1):
        if end < len(lines) and lines[end].strip():
            continue
        paragraph, first = lines[start:end], start + 1
        start = end + 1
        if any(not line.startswith("#") for line in paragraph):
            cases.append(_read_case(path.stem, len(cases) + 1, first, paragraph))
    return cases


def read_corpus() -> list[Case]:
    """The cases of all files."""
    return [case for path in sorted(FOLDER.glob("*.sql")) for case in read_section(path)]


def choose(cases: Sequence[Case], wanted: Sequence[str]) -> list[Case]:
    """The cases of sections (`where`) or of numbers (`where:12`, `where:3-9`)."""
    return [case for case in cases if any(_is_meant(case, word) for word in wanted)]


def ad_hoc(sql: str) -> Case:
    """A case that is in no file, its steps separated as they are in one."""
    return _read_case("ad hoc", 1, 1, sql.splitlines())


def _is_meant(case: Case, word: str) -> bool:
    section, _, numbers = word.partition(":")
    if section != case.section:
        return False
    first, _, last = numbers.partition("-")
    return not numbers or int(first) <= case.number <= int(last or first)


def _read_case(section: str, number: int, line: int, paragraph: list[str]) -> Case:
    marks: dict[str, tuple[str, ...]] = {}
    ignored = []
    text = []
    for content in paragraph:
        if mark := _MARK.match(content):
            kinds = tuple(mark[2].split()) or ("",)
            marks[mark[1]] = marks.get(mark[1], ()) + kinds
            if mark[4]:
                sessions = tuple(mark[3].split(", ")) if mark[3] else ()
                ignored.append(Ignored(kinds, sessions, tuple(mark[4].split(", "))))
        elif not content.startswith("#"):
            text.append(content)
    steps = re.split(r";;[ \t]*\n", "\n".join([*text, ""]))
    return Case(
        section,
        number,
        line,
        tuple(expand(step.strip("\n")) for step in steps if step.strip()),
        marks.get("only", ()),
        marks.get("error", ()) + marks.get("refused", ()),
        "refused" in marks,
        "proxy refuses" in marks,
        tuple(ignored),
    )
