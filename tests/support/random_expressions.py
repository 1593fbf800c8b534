"""Random expressions with ML calls in them, over the columns that are in scope.

In: `Choices` and a `Scope`. Out: SQL text. Every choice's first option is the simplest,
so that shrinking ends in a column, a literal or a bare call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from support.random_schema import EXACT, READ, TEXTS, Column, Table
from support.shrink import Choices

LABELS = ("'POSITIVE'", "'NEGATIVE'", "'NEUTRAL'", "'MIXED'")
LANGUAGES = ("'en'", "'fr'", "'de'", "'zh-TW'", "'es'")
LITERALS = (
    *("'I love it'", "'good '", "'Good'", "''", "' '", "NULL", "'it''s'", "'好 😀'"),
    *("'aws_comprehend_detect_sentiment(t)'", "_latin1 x'636166e9'", "x'476f6f64'"),
    *("N'wide'", "'a' 'b'", "'%'", "42", "-1.50", "1e3", "DATE'2020-01-02'", "TRUE"),
)
LABEL_NAMES = (
    "aws_comprehend_detect_sentiment",
    "AWS_Comprehend_Detect_Sentiment",
    "aws_comprehend_detect_sentiment ",
    "`aws_comprehend_detect_sentiment`",
    "aws_comprehend_detect_sentiment /* of f(x) */ ",
)
CONFIDENCE_NAMES = tuple(
    name.replace("sentiment", "sentiment_confidence").replace(
        "Sentiment", "Sentiment_CONFIDENCE"
    )
    for name in LABEL_NAMES
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a name can mean: the tables of this FROM, and those of the queries around."""

    tables: tuple[Table, ...] = ()
    outer: "Scope | None" = None
    bare: bool = False
    """A column may stand without its table's name."""
    reads: tuple[Table, ...] = READ
    """What a subquery may read: MySQL refuses the table that a statement changes."""

    def within(self, tables: tuple[Table, ...]) -> "Scope":
        """The scope of a subquery that reads these tables."""
        return Scope(tables, self, reads=self.reads)


class Subqueries(Protocol):
    """What expressions need of queries."""

    def scalar(self, scope: Scope, kind: str) -> str: ...
    def rows(self, scope: Scope, kind: str) -> str: ...


class Expressions:
    """Writes expressions; one for a statement."""

    def __init__(self, choices: Choices, mariadb: bool) -> None:
        self.choices = choices
        self.mariadb = mariadb
        self.subqueries: Subqueries
        self.strict = False
        """A statement that changes something: what SELECT warns of, this refuses."""

    # Columns

    def column(self, scope: Scope, *kinds: str) -> str | None:
        """A column of one of the kinds, now and then of a query around; None: none."""
        found = _columns(scope, kinds)
        outer = scope.outer
        around = _columns(outer, kinds) if outer is not None else []
        if around and (not found or self.choices.chance(30)):
            table, column = self.choices.pick(around)
            return f"{table.name}.{column.name}"
        if not found:
            return None
        table, column = self.choices.pick(found)
        if scope.bare and self.choices.chance(60):
            return column.name
        return f"{table.name}.{column.name}"

    def _column_or(self, scope: Scope, otherwise: str, *kinds: str) -> str:
        return self.column(scope, *kinds) or otherwise

    # Calls

    def label(self, scope: Scope, depth: int) -> str:
        """A call of the function that names the class."""
        name = self.choices.pick(LABEL_NAMES) if self.choices.chance(20) else ""
        return self._call(name or LABEL_NAMES[0], scope, depth)

    def confidence(self, scope: Scope, depth: int) -> str:
        """A call of the function that gives the score."""
        name = self.choices.pick(CONFIDENCE_NAMES) if self.choices.chance(20) else ""
        return self._call(name or CONFIDENCE_NAMES[0], scope, depth)

    def _call(self, name: str, scope: Scope, depth: int) -> str:
        comma = "," if self.choices.chance(50) else ", "
        text, language = self.argument(scope, depth), self.language(scope, depth)
        return f"{name}({text}{comma}{language})"

    def argument(self, scope: Scope, depth: int) -> str:
        """The text of a call: mostly a column, of any type."""
        text = self.column(scope, *TEXTS) if self.choices.chance(50) else None
        if text is not None:
            return text
        if depth <= 0 or self.choices.chance(30):
            other = self.column(scope, *EXACT) if self.choices.chance(60) else None
            return other or self.choices.pick(LITERALS)
        kind = self.choices.weighted(
            *((8, "text"), (2, "utf16"), (2, "bin"), (3, "label"), (2, "confidence")),
            *((2, "number"), (1, "truth"), (2, "scalar"), (1, "variable")),
        )
        match kind:
            case "text":
                return self.text(scope, depth - 1)
            case "utf16":
                column = self._column_or(scope, "_utf16 x'00480069'", "utf16")
                form = self.choices.pick(("{}", "UPPER({})", "LEFT({}, 3)", "TRIM({})"))
                return form.format(column)
            case "bin":
                column = self._column_or(scope, "x'6869'", "bin")
                return self.choices.pick(
                    (column, f"CONCAT({column}, '!')", f"COALESCE({column}, 'none')")
                )
            case "label":
                return self.label(scope, depth - 1)
            case "confidence":
                return self.confidence(scope, depth - 1)
            case "number":
                return self.number(scope, depth - 1)
            case "truth":
                return self.condition(scope, depth - 1)
            case "scalar":
                return self.subqueries.scalar(scope, "text")
            case _:
                return self.choices.pick(("@u0", "@u1", "@u2", "@u3"))

    def language(self, scope: Scope, depth: int) -> str:
        """The language of a call: mostly 'en'."""
        if not self.choices.chance(25):
            return "'en'"
        column = self._column_or(scope, "'fr'", "lang")
        kind = self.choices.weighted(
            *((5, "column"), (4, "literal"), (2, "coalesce"), (1, "NULL"), (1, "if")),
            *((1, "case"), (1, "_latin1'es'")),
        )
        match kind:
            case "column":
                return column
            case "literal":
                return self.choices.pick(LANGUAGES)
            case "coalesce":
                return f"COALESCE({column}, 'en')"
            case "if" if depth > 0:
                return f"IF({self.condition(scope, depth - 1)}, 'en', {column})"
            case "case" if depth > 0:
                return (
                    f"CASE {self.label(scope, depth - 1)} WHEN 'POSITIVE' THEN 'en' "
                    "ELSE 'de' END"
                )
            case "if" | "case":
                return column
            case other:
                return other

    # Values

    def text(self, scope: Scope, depth: int) -> str:
        """An expression of text that can be joined to other text."""
        column = self._column_or(scope, "'Good'", "text", "latin", "name", "label")
        if depth <= 0:
            return self.choices.pick((column, self.choices.pick(LITERALS[:8])))
        match self.choices.below(12):
            case 0:
                return column
            case 1:
                return f"CONCAT({column}, ' ', {self.text(scope, depth - 1)})"
            case 2:
                return f"CONCAT({column}, ' ', {self.label(scope, depth - 1)})"
            case 3:
                test = self.condition(scope, depth - 1)
                return f"IF({test}, {column}, {self.text(scope, depth - 1)})"
            case 4:
                return f"COALESCE({column}, {self.choices.pick(LITERALS[:8])})"
            case 5:
                form = self.choices.pick(
                    ("LOWER({})", "UPPER({})", "TRIM({})", "REVERSE({})", "LEFT({}, 3)")
                )
                return form.format(column)
            case 6:
                return f"REPLACE({column}, 'o', '0')"
            case 7:
                wide = self._column_or(scope, "'w'", "utf16", "bin", "latin")
                return f"CONVERT({wide} USING utf8mb4)"
            case 8:
                return f"NULLIF({column}, {self.label(scope, depth - 1)})"
            case 9:
                number = self._column_or(scope, "7", "int", "id", "dec", "dt", "conf")
                return f"CAST({number} AS CHAR)"
            case 10:
                return (
                    f"CASE {self.label(scope, depth - 1)} WHEN 'POSITIVE' THEN {column} "
                    f"WHEN 'MIXED' THEN {self.text(scope, depth - 1)} ELSE 'other' END"
                )
            case _:
                return f"CONCAT_WS('-', {column}, {self.number(scope, 0)})"

    def number(self, scope: Scope, depth: int) -> str:
        """An expression of a number whose sum does not depend on the order."""
        column = self._column_or(scope, "3", "int", "id")
        if depth <= 0:
            return column
        match self.choices.below(11):
            case 0:
                return column
            case 1:
                return self.confidence(scope, depth - 1)
            case 2:
                return f"({column} + {self.confidence(scope, depth - 1)})"
            case 3:
                return f"(CASE WHEN {self.condition(scope, depth - 1)} THEN 1 ELSE 0 END)"
            case 4:
                return f"LENGTH({self.label(scope, depth - 1)})"
            case 5:
                return f"ROUND({self.confidence(scope, depth - 1)} * 64)"
            case 6:
                labels = ", ".join(LABELS[:3])
                return f"FIELD({self.label(scope, depth - 1)}, {labels})"
            case 7:
                return f"COALESCE({self.confidence(scope, depth - 1)}, 0)"
            case 8:
                return f"-{self.confidence(scope, depth - 1)}"
            case 9:
                a, b = (self.confidence(scope, depth - 1) for _ in range(2))
                return f"GREATEST({a}, {b})"
            case _:
                return self.subqueries.scalar(scope, "number")

    def word(self, scope: Scope, depth: int) -> str:
        """An expression of text whose equal values are the same bytes."""
        if depth <= 0:
            return self.label(scope, 0)
        match self.choices.below(9):
            case 0 | 1:
                return self.label(scope, depth)
            case 2:
                return f"COALESCE({self.label(scope, depth - 1)}, 'NONE')"
            case 3:
                name = self._column_or(scope, "'a'", "name", "lang")
                return f"CONCAT({self.label(scope, depth - 1)}, ':', {name})"
            case 4:
                test = self.condition(scope, depth - 1)
                return f"IF({test}, 'yes', {self.label(scope, depth - 1)})"
            case 5:
                return f"NULLIF({self.label(scope, depth - 1)}, 'MIXED')"
            case 6:
                return f"CONCAT(LOWER({self.label(scope, depth - 1)}), '.')"
            case 7:
                return f"CONCAT({self.bytes(scope)}, {self.label(scope, depth - 1)})"
            case _:
                return self.subqueries.scalar(scope, "label")

    def key(self, scope: Scope, depth: int) -> str:
        """Anything whose equal values are the same bytes: to group by, say."""
        match self.choices.below(10):
            case 0 | 1 | 2:
                return self.label(scope, depth)
            case 3:
                return self.word(scope, depth)
            case 4:
                return self.number(scope, depth)
            case 5:
                return self.bytes(scope)
            case 6:
                return f"({self.condition(scope, depth)})"
            case _:
                kinds = ("name", "lang", "label", "derived", "conf", "int", "truth")
                return self._column_or(scope, self.label(scope, 0), *kinds)

    def bytes(self, scope: Scope) -> str:
        """A text as hexadecimal digits, which no collation folds."""
        # MySQL gives MAX(HEX(u)) as if the digits were UTF-16 themselves.
        kinds = TEXTS if self.mariadb else ("text", "latin", "bin")
        return "HEX({})".format(self._column_or(scope, "'x'", *kinds))

    def value(self, scope: Scope, depth: int) -> str:
        """Any expression of one value, mostly with a call in it."""
        options: tuple[tuple[int, Callable[[Scope, int], str]], ...] = (
            (6, self.label),
            (3, self.confidence),
            (3, self.word),
            (3, self.number),
            (2, self.condition),
            (3, self._any_column),
            (2, self.text),
        )
        return self.choices.weighted(*options)(scope, depth)

    def _any_column(self, scope: Scope, depth: int) -> str:
        return self._column_or(scope, "'no column'", *EXACT, *TEXTS)

    # Conditions

    def condition(self, scope: Scope, depth: int) -> str:
        """A condition, more often than not about an answer."""
        if depth > 0 and self.choices.chance(35):
            return self._composed(scope, depth - 1)
        if self.choices.chance(20):
            return self._plain(scope)
        return self._about_an_answer(scope, depth - 1)

    def _composed(self, scope: Scope, depth: int) -> str:
        first = self.condition(scope, depth)
        match self.choices.weighted((4, 0), (4, 1), (2, 2), (1, 3), (1, 4), (1, 5)):
            case 0:
                return f"({first} AND {self.condition(scope, depth)})"
            case 1:
                return f"({first} OR {self.condition(scope, depth)})"
            case 2:
                return f"NOT ({first})"
            case 3:
                return f"({first} XOR {self.condition(scope, depth)})"
            case 4:
                return f"(({first}) IS NOT TRUE)"
            case _:
                return f"(({first}) = ({self.condition(scope, depth)}))"

    def _plain(self, scope: Scope) -> str:
        number = self._column_or(scope, "2", "int", "id")
        text = self._column_or(scope, "'Good'", "text", "latin", "utf16")
        return self.choices.pick(
            (
                f"{number} > 1",
                f"{number} BETWEEN 1 AND 7",
                f"{number} IN (1, 2, 5, 9)",
                f"{text} LIKE '%o%'",
                f"{text} = 'good'",
                f"{text} IS NULL",
                f"{text} IS NOT NULL",
                f"{number} <=> NULL",
            )
        )

    def _about_an_answer(self, scope: Scope, depth: int) -> str:
        label = self.label(scope, depth)
        a, b = (self.choices.pick(LABELS) for _ in range(2))
        kind = self.choices.weighted(
            *((8, 0), (3, 1), (4, 2), (2, 3), (2, 4), (2, 5), (2, 6), (5, 7), (2, 8)),
            *((2, 9), (2, 10), (1, 11), (2, 12), (2, 13), (1, 14), (2, 15), (1, 16)),
            *((1, 17), (1, 18)),
        )
        match kind:
            case 0:
                return f"{label} = {a}"
            case 1:
                return f"{label} <> {a}"
            case 2:
                return f"{label} {self._not()}IN ({a}, {b})"
            case 3:
                return f"{label} {self._not()}LIKE '{self.choices.pick('NPM')}%'"
            case 4:
                return f"{label} BETWEEN 'MIXED' AND 'NEUTRAL'"
            case 5:
                return f"{label} IS {self._not()}NULL"
            case 6:
                return f"{label} <=> {self.label(scope, depth)}"
            case 7:
                operator = self.choices.pick((">", "<", ">=", "<="))
                bound = self.choices.pick(("0.75", "0.5", "0.9", "7e-1"))
                return f"{self.confidence(scope, depth)} {operator} {bound}"
            case 8:
                return f"{self.confidence(scope, depth)} BETWEEN 0.6 AND 0.9"
            case 9:
                return (
                    f"{label} = {self._column_or(scope, a, 'label', 'derived', 'name')}"
                )
            case 10:
                return f"{label} = {self.label(scope, depth)}"
            case 11:
                number = self._column_or(scope, "1", "int")
                return f"({label}, {number}) IN (({a}, 1), ({b}, 7))"
            case 12:
                inner = self.subqueries.rows(scope, "label")
                return f"{label} {self._not()}IN ({inner})"
            case 13:
                return f"{self._not()}EXISTS ({self.subqueries.rows(scope, 'any')})"
            case 14:
                how = self.choices.pick(("= ANY", "<> ALL", "> SOME"))
                return f"{label} {how} ({self.subqueries.rows(scope, 'label')})"
            case 15:
                number = self._column_or(scope, "1", "id", "int")
                return f"{number} IN ({self.subqueries.rows(scope, 'int')})"
            case 16:
                # Beside a subquery's value MariaDB refuses latin1 that it takes beside a
                # stored function of it (docs/inline.md).
                text = self._column_or(scope, a, "latin", "text")
                return f"{text} <> {self.label(scope, 0)}"
            case 17:
                return f"{label} RLIKE '^[NP]'"
            case _:
                inner = self.subqueries.scalar(scope, "number")
                return f"{self.confidence(scope, depth)} >= {inner}"

    def _not(self) -> str:
        return "NOT " if self.choices.chance(25) else ""


def _columns(scope: Scope, kinds: tuple[str, ...]) -> list[tuple[Table, Column]]:
    return [(table, column) for table in scope.tables for column in table.has(*kinds)]
