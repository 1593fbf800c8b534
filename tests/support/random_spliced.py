"""Random SELECTs whose calls are plain items of the outermost list, as splicing wants it.

In: a seed. Out: a `Statement` of `random_sql`'s kind. Everything but those items is made
by the same grammar, with columns and literals where it would write a call. Some of the
statements depend on a call all the same, by its alias or its position: whoever wants
spliced ones only asks the planner.
"""

from collections.abc import Sequence

from support.random_expressions import (
    CONFIDENCE_NAMES,
    LABEL_NAMES,
    LABELS,
    Expressions,
    Scope,
)
from support.random_queries import Queries, Source
from support.random_schema import TEXTS
from support.random_sql import Statement
from support.shrink import Choices


def spliced(seed: int, mariadb: bool, played: Sequence[int] | None = None) -> Statement:
    """The statement of a seed; of a list of choices, if there is one."""
    choices = Choices(seed, played)
    maker = _Spliced(choices, mariadb)
    sql, ordered = maker.query()
    kind = SIZED if maker.is_sized else "spliced"
    return Statement(sql, kind, ordered, (), (), (), tuple(choices.made))


SIZED = "spliced, with a batch size"
"""The kind of a statement with a third argument, which no stored function takes."""


class _WithoutCalls(Expressions):
    """Expressions in which a column or a literal stands for every call."""

    def label(self, scope: Scope, depth: int) -> str:
        return self.column(_own(scope), "label") or self.choices.pick(LABELS)

    def confidence(self, scope: Scope, depth: int) -> str:
        column = self.column(_own(scope), "conf")
        return column or self.choices.pick(("75e-2", "5e-1", "1e0"))


def _own(scope: Scope) -> Scope:
    """Without the queries around: an aggregate of their columns would be theirs, and
    what servers make of that depends on what else is in the list."""
    return Scope(scope.tables, bare=scope.bare, reads=scope.reads)


class _Spliced(Queries):
    def __init__(self, choices: Choices, mariadb: bool) -> None:
        super().__init__(choices, mariadb)
        self.write = _WithoutCalls(choices, mariadb)
        self.write.subqueries = self
        self.is_sized = False

    def query(self) -> tuple[str, bool]:  # type: ignore[override]
        """A query with its WITH, and whether its rows come in one order only."""
        self._ctes = []
        form = self.choices.weighted(
            *(
                (8, self._rows),
                (3, self._groups),
                (1, self._one_group),
                (1, self._no_rows),
            )
        )
        body, ordered = form()
        ctes, self._ctes = self._ctes, None
        recursive = "RECURSIVE " if any("UNION ALL" in cte for cte in ctes) else ""
        front = f"WITH {recursive}{', '.join(ctes)} " if ctes else ""
        return f"{front}{body}", ordered

    def _rows(self) -> tuple[str, bool]:
        source = self.source(Scope())
        items = [self._item(source) for _ in range(self._count())]
        items.insert(self.choices.below(len(items) + 1), self._spliced_item(source))
        if self.choices.chance(20):
            star = self.choices.pick((f"{source.scope.tables[0].name}.*", "*"))
            items.insert(0 if star == "*" else self.choices.below(len(items) + 1), star)
        sql = f"SELECT {self._option()}{', '.join(items)} FROM {source.sql}"
        sql += self.where(source.scope)
        if not self.choices.chance(70):
            return sql, False
        order = [*source.keys]
        if self.choices.chance(40):
            order.insert(0, self._sort_key(source) + self._direction())
        sql += f" ORDER BY {', '.join(order)}{self._limit()}{self._lock()}"
        return sql, True

    def _groups(self) -> tuple[str, bool]:
        source = self.source(Scope())
        inner = source.scope
        key = self.write.key(inner, 1)
        items = [f"{key} AS k1"]
        items += [self.aggregate(source) for _ in range(self._count())]
        texts = (key, *(self._aggregate_text(source) for _ in range(2)))
        for _ in range(1 + self._count() // 2):
            call = self._call(self.choices.pick(texts), self._aggregate_language(source))
            items.insert(self.choices.below(len(items) + 1), self._named(call))
        by = self.choices.pick((key, "k1"))
        sql = f"SELECT {', '.join(items)} FROM {source.sql}{self.where(inner, 40)}"
        sql += f" GROUP BY {by}"
        if self.choices.chance(15):
            return f"{sql} WITH ROLLUP", False
        if self.choices.chance(25):
            sql += f" HAVING {self._having(source, 'k1')}"
        if not self.choices.chance(50):
            return sql, False
        return f"{sql} ORDER BY k1{self._direction()}{self._limit()}", True

    def _one_group(self) -> tuple[str, bool]:
        source = self.source(Scope())
        items = [self.aggregate(source) for _ in range(self._count())]
        call = self._call(self._aggregate_text(source), self._aggregate_language(source))
        items.insert(self.choices.below(len(items) + 1), self._named(call))
        where = self.where(source.scope)
        return f"SELECT {', '.join(items)} FROM {source.sql}{where}", True

    def _no_rows(self) -> tuple[str, bool]:
        source = Source("", Scope(), ())
        items = [self._spliced_item(source), *(self._item(source),) * self._count()]
        return f"SELECT {', '.join(items)}", True

    def _count(self) -> int:
        return self.choices.weighted((2, 0), (4, 1), (3, 2), (1, 3))

    def _option(self) -> str:
        options = (
            "SQL_CALC_FOUND_ROWS ",
            "ALL ",
            "SQL_BIG_RESULT ",
            "SQL_BUFFER_RESULT ",
        )
        return self.choices.pick(options) if self.choices.chance(15) else ""

    def _item(self, source: Source) -> str:
        if self.choices.chance(40):
            return self._spliced_item(source)
        return self._named(self.write.value(source.scope, 2))

    def _spliced_item(self, source: Source) -> str:
        scope, keys = source.scope, ", ".join(source.keys)
        text = self.write.argument(scope, 2)
        if keys and self.choices.chance(15):
            column = self.write.column(scope, *TEXTS) or "'none'"
            form = self.choices.pick(
                (
                    "LAG({}) OVER (ORDER BY {keys})",
                    "FIRST_VALUE({}) OVER (ORDER BY {keys} DESC)",
                    "COUNT({}) OVER ()",
                )
            )
            text = form.format(column, keys=keys)
        return self._named(self._call(text, self.write.language(scope, 1)))

    def _call(self, text: str, language: str) -> str:
        names = self.choices.pick((LABEL_NAMES, CONFIDENCE_NAMES))
        name = self.choices.pick(names) if self.choices.chance(20) else names[0]
        size = ""
        if self.choices.chance(4):
            self.is_sized = True
            size = self.choices.pick((", 1", ", 25", ", 7", ", 2+3"))
        return f"{name}({text}, {language}{size})"

    def _aggregate_text(self, source: Source) -> str:
        text = self.write.bytes(source.scope)
        keys = ", ".join(source.keys)
        form = self.choices.pick(
            (
                f"GROUP_CONCAT({text} ORDER BY {keys})",
                *(f"MAX({text})", "COUNT(*)", f"CONCAT('n', COUNT({text}))", "NULL"),
                f"MIN({self.write.number(source.scope, 1)})",
            )
        )
        return form

    def _aggregate_language(self, source: Source) -> str:
        if not self.choices.chance(20):
            return "'en'"
        return self.choices.pick(("MIN('en')", "IF(COUNT(*)>1,'en','fr')", "'zh-TW'"))

    def aggregate(self, source: Source) -> str:
        """An aggregate without a call."""
        number = self.write.number(source.scope, 1)
        text = self.write.bytes(source.scope)
        return self.choices.pick(
            ("COUNT(*)", f"SUM({number})", f"MAX({text})", f"COUNT(DISTINCT {text})")
        )

    def _having(self, source: Source, name: str | None) -> str:
        return self.choices.pick(
            ("COUNT(*) > 1", f"{name} IS NOT NULL", f"{self.aggregate(source)} <> '1'")
        )

    def _sort_key(self, source: Source) -> str:
        return self.choices.pick((self.write.key(source.scope, 1), "c1", "2", "-1"))

    def _named(self, item: str) -> str:
        if not self.choices.chance(35):
            return item
        name = self.choices.pick((self.name("c"), "n", "t", "id"))
        form = self.choices.pick(("AS {}", "{}", "AS `{} ü`", "AS '{}'"))
        return f"{item} {form.format(name)}"
