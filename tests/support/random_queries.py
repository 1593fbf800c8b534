"""Random queries: what can stand where SQL wants rows.

A query says whether its order is total, and has a LIMIT only if it is; what a server may
answer in two ways (a representative of a group, say) is never asked for.
"""

from dataclasses import dataclass

from support.random_expressions import LABELS, Expressions, Scope
from support.random_schema import (
    FEEDBACK,
    PRODUCT,
    TEXTS,
    Column,
    Table,
)
from support.shrink import Choices

MOST_SUBQUERIES_DEEP = 2


@dataclass(frozen=True, slots=True)
class Query:
    """A query's text, and whether its rows come in one order only."""

    sql: str
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A FROM clause, what it brings in scope, and what tells its rows apart."""

    sql: str
    scope: Scope
    keys: tuple[str, ...]


class Queries:
    """Writes queries; one for a statement."""

    def __init__(self, choices: Choices, mariadb: bool) -> None:
        self.choices = choices
        self.mariadb = mariadb
        self.write = Expressions(choices, mariadb)
        self.write.subqueries = self
        self._names = 0
        self._deep = 0
        self._ctes: list[str] | None = None

    def name(self, letter: str = "a") -> str:
        self._names += 1
        return f"{letter}{self._names}"

    # Subqueries in expressions

    def scalar(self, scope: Scope, kind: str) -> str:
        """A subquery of one value: a number, a label or a text."""
        if self._deep >= MOST_SUBQUERIES_DEEP:
            return {"number": "2", "label": "'MIXED'"}.get(kind, "'deep'")
        self._deep += 1
        table, inner, place = self._inner(scope)
        match kind:
            case "number":
                what = self.choices.pick(
                    (
                        "COUNT(*)",
                        "MAX({g})",
                        "AVG({g})",
                        "SUM({n})",
                        "COUNT(DISTINCT COALESCE({f}, 'none'))",
                    )
                )
            case "label":
                what = self.choices.pick(("MAX({f})", "MIN({f})"))
            case _:
                text = self.write.column(Scope((table,)), *TEXTS) or f"{table.name}.id"
                joined = f"GROUP_CONCAT({text} ORDER BY {table.name}.id SEPARATOR ' ')"
                if "utf16" in {c.kind for c in table.columns if text.endswith(c.name)}:
                    joined = f"GROUP_CONCAT(HEX({text}) ORDER BY {table.name}.id)"
                what = self.choices.pick((joined, "MAX({f})", f"MAX({table.name}.id)"))
        what = what.format(
            f=self.write.label(inner, 1) if "{f}" in what else "",
            g=self.write.confidence(inner, 1) if "{g}" in what else "",
            n=self.write.number(inner, 1) if "{n}" in what else "",
        )
        self._deep -= 1
        return f"(SELECT {what} {place})"

    def rows(self, scope: Scope, kind: str) -> str:
        """A subquery of one column, without its parentheses."""
        if self._deep >= MOST_SUBQUERIES_DEEP:
            return "SELECT 1" if kind != "label" else "SELECT 'MIXED'"
        self._deep += 1
        table, inner, place = self._inner(scope)
        match kind:
            case "label":
                what = self.write.label(inner, 1)
            case "int":
                what = self.write.column(Scope((table,)), "int") or f"{table.name}.id"
            case _:
                what = "1"
        self._deep -= 1
        return f"SELECT {what} {place}"

    def _inner(self, scope: Scope) -> tuple[Table, Scope, str]:
        """A table for a subquery, its scope, and FROM … WHERE …."""
        base = self.choices.pick(scope.reads)
        table = Table(self.name("s"), base.columns)
        inner = scope.within((table,))
        place = f"FROM {base.name} {table.name}"
        conditions = []
        number = self.write.column(scope, "int", "id")
        if number is not None and self.choices.chance(50):
            own = self.write.column(Scope((table,)), "int", "id")
            conditions.append(f"{own} = {number}")
        if self.choices.chance(60):
            conditions.append(self.write.condition(inner, 1))
        if conditions:
            place += f" WHERE {' AND '.join(conditions)}"
        return table, inner, place

    # FROM

    def source(self, scope: Scope, most: int = 3, plain: bool = False) -> Source:
        """A FROM clause of one to three tables, derived tables or CTEs."""
        sql, first, keys = self._table(scope, plain)
        count = 1 if most == 1 else self.choices.weighted((6, 1), (4, 2), (1, 3))
        if count == 1:
            only = Scope((first,), scope.outer, True, scope.reads)
            return Source(sql, only, keys)
        tables: tuple[Table, ...] = (first,)
        for _ in range(count - 1):
            joined, second, more = self._table(scope, plain)
            sql += self._join(joined, tables, second, scope)
            if count == 3:
                # A comma binds less than JOIN: the third's ON would not see the first.
                sql = sql.replace(f", {joined}", f" CROSS JOIN {joined}")
            tables, keys = (*tables, second), (*keys, *more)
        return Source(sql, Scope(tables, scope.outer, False, scope.reads), keys)

    def _table(self, scope: Scope, plain: bool) -> tuple[str, Table, tuple[str, ...]]:
        kinds = [(9, "table")]
        if not plain and self._deep < MOST_SUBQUERIES_DEEP:
            kinds += [(2, "derived"), (2, "grouped")]
            if self._ctes is not None:
                kinds += [(2, "cte"), (1, "numbers")]
        kind = self.choices.weighted(*kinds)
        name = self.name()
        if kind == "table":
            weighted = [t for t in scope.reads for _ in range(3 if t == FEEDBACK else 1)]
            base = self.choices.pick(weighted or [PRODUCT])
            return f"{base.name} {name}", Table(name, base.columns), (f"{name}.id",)
        if kind == "numbers":
            body = f"SELECT 1 AS id UNION ALL SELECT id + 1 FROM {name} WHERE id < 4"
            assert self._ctes is not None
            self._ctes.append(f"{name} AS ({body})")
            return name, Table(name, (Column("id", "id"),)), (f"{name}.id",)
        hold, self._ctes = self._ctes, None
        self._deep += 1
        inner = Scope(reads=scope.reads)
        body, columns = (
            self._grouped_columns(inner) if kind == "grouped" else self._columns(inner)
        )
        self._deep -= 1
        self._ctes = hold
        table = Table(name, columns)
        keys = (f"{name}.{columns[0].name}",)
        if kind == "cte" or (self._ctes is not None and self.choices.chance(20)):
            assert self._ctes is not None
            self._ctes.append(f"{name} AS ({body})")
            return name, table, keys
        return f"({body}) {name}", table, keys

    def _columns(self, scope: Scope) -> tuple[str, tuple[Column, ...]]:
        """A query for a derived table: its rows have an id."""
        source = self.source(scope, most=1, plain=True)
        items = [f"{source.keys[0]} AS id"]
        columns = [Column("id", "id")]
        text = self.write.column(source.scope, "text")
        if text is not None:
            items.append(f"{text} AS t")
            columns.append(Column("t", "text"))
        items.append(f"{self.write.label(source.scope, 1)} AS s")
        columns.append(Column("s", "derived"))
        if self.choices.chance(50):
            items.append(f"{self.write.number(source.scope, 1)} AS c")
            columns.append(Column("c", "conf"))
        sql = f"SELECT {', '.join(items)} FROM {source.sql}{self.where(source.scope)}"
        if self.choices.chance(20):
            sql += f" ORDER BY {source.keys[0]} LIMIT {self.choices.pick((3, 5, 1))}"
        return sql, tuple(columns)

    def _grouped_columns(self, scope: Scope) -> tuple[str, tuple[Column, ...]]:
        """A query for a derived table: its rows have a key, and how often it came."""
        source = self.source(scope, most=2, plain=True)
        columns = (Column("s", "derived"), Column("n", "int"), Column("c", "conf"))
        label = self.write.label(source.scope, 1)
        most = self.write.confidence(source.scope, 1)
        where = self.where(source.scope)
        if self.choices.chance(30):
            sql = f"SELECT DISTINCT {label} AS s FROM {source.sql}{where}"
            return sql, columns[:1]
        sql = f"SELECT {label} AS s, COUNT(*) AS n, MAX({most}) AS c FROM {source.sql}"
        return f"{sql}{where} GROUP BY {self.choices.pick(('1', 's', label))}", columns

    def _join(
        self,
        sql: str,
        tables: tuple[Table, ...],
        second: Table,
        scope: Scope,
    ) -> str:
        first = tables[0]
        both = Scope((first, second), scope.outer, False, scope.reads)
        third = len(tables) > 1
        common = {c.name for c in first.columns} & {c.name for c in second.columns}
        shared = sorted(common & {"id", "lang", "n"})
        if shared and not third and self.choices.chance(20):
            kind = self.choices.pick(("JOIN", "LEFT JOIN", "RIGHT JOIN"))
            return f" {kind} {sql} USING ({self.choices.pick(shared)})"
        kind = self.choices.weighted(
            *((6, "JOIN"), (4, "LEFT JOIN"), (2, "RIGHT JOIN"), (1, "STRAIGHT_JOIN")),
            *((0, "") if third else (1, ","), (0, "") if third else (1, "CROSS JOIN")),
        )
        if kind == ",":
            return f", {sql}"
        if kind == "CROSS JOIN":
            return f" {kind} {sql}"
        on = self._on(first, second, both, third)
        return f" {kind} {sql} ON {on}"

    def _on(self, first: Table, second: Table, both: Scope, third: bool) -> str:
        one, two = Scope((first,)), Scope((second,))
        a = self.write.column(one, "id") or self.write.column(one, "int") or "1"
        b = self.write.column(two, "id") or self.write.column(two, "int") or "1"
        if not third:
            a, b = self.choices.weighted(
                (4, (a, b)),
                (3, (self.write.column(one, "int") or a, b)),
                (3, (a, self.write.column(two, "int") or b)),
                (3, (self.write.label(one, 1), self.write.label(two, 1))),
                (
                    2,
                    (
                        self.write.label(one, 1),
                        self.write.column(two, "label", "derived") or "''",
                    ),
                ),
            )
        on = f"{a} = {b}"
        if self.choices.chance(30):
            # MySQL has wrong rows for EXISTS and IN in the ON of an outer join.
            self._deep += 0 if self.mariadb else MOST_SUBQUERIES_DEEP
            on += f" AND {self.write.condition(both, 1)}"
            self._deep -= 0 if self.mariadb else MOST_SUBQUERIES_DEEP
        return on

    def where(self, scope: Scope, percent: int = 60) -> str:
        """WHERE …, or nothing."""
        if not self.choices.chance(percent):
            return ""
        return f" WHERE {self.write.condition(scope, 2)}"

    # Whole queries

    def query(self) -> Query:
        """A query to be sent as it is, with its WITH."""
        self._ctes = []
        kinds = (
            *(
                (8, self.select),
                (3, self.distinct),
                (6, self.grouped),
                (3, self.windowed),
            ),
            *((4, self.compound), (1, self.no_table), (1, self.one_row)),
        )
        query = self.choices.weighted(*kinds)(Scope())
        return self.with_ctes(query)

    def with_ctes(self, query: Query) -> Query:
        """The query with the WITH that its tables asked for."""
        ctes, self._ctes = self._ctes, None
        if not ctes:
            return query
        recursive = "RECURSIVE " if any("UNION ALL" in cte for cte in ctes) else ""
        return Query(f"WITH {recursive}{', '.join(ctes)} {query.sql}", query.ordered)

    def select(self, scope: Scope) -> Query:
        """SELECT … FROM … WHERE … ORDER BY … LIMIT …"""
        source = self.source(scope)
        items = self._items(source.scope)
        if self.choices.chance(15):
            items.insert(0, f"{source.scope.tables[0].name}.*")
        sql = f"SELECT {', '.join(items)} FROM {source.sql}{self.where(source.scope)}"
        if not self.choices.chance(70):
            return Query(sql)
        order = [*source.keys]
        if self.choices.chance(40):
            order.insert(0, self.write.key(source.scope, 1) + self._direction())
            if not self.choices.chance(70):
                return Query(f"{sql} ORDER BY {order[0]}")
        return Query(
            f"{sql} ORDER BY {', '.join(order)}{self._limit()}{self._lock()}", True
        )

    def _items(self, scope: Scope) -> list[str]:
        count = self.choices.weighted((3, 1), (4, 2), (2, 3), (1, 4))
        return [self._aliased(self.write.value(scope, 2)) for _ in range(count)]

    def _aliased(self, item: str) -> str:
        if not self.choices.chance(30):
            return item
        how = self.choices.pick(("AS {}", "{}", "AS `{} ü`", "AS '{}'"))
        return f"{item} {how.format(self.name('c'))}"

    def _direction(self) -> str:
        return self.choices.pick(("", " DESC", " ASC"))

    def _limit(self) -> str:
        if not self.choices.chance(40):
            return ""
        return self.choices.pick(
            (" LIMIT 3", " LIMIT 1", " LIMIT 5 OFFSET 2", " LIMIT 1, 4", " LIMIT 0")
        )

    def _lock(self) -> str:
        if not self.choices.chance(4):
            return ""
        return self.choices.pick((" FOR UPDATE", " LOCK IN SHARE MODE"))

    def distinct(self, scope: Scope) -> Query:
        """SELECT DISTINCT …"""
        source = self.source(scope)
        count = self.choices.weighted((3, 1), (3, 2), (1, 3))
        items = [self.write.key(source.scope, 2) for _ in range(count)]
        sql = f"SELECT DISTINCT {', '.join(self._aliased(item) for item in items)}"
        sql += f" FROM {source.sql}{self.where(source.scope)}"
        return self._by_position(sql, count)

    def _by_position(self, sql: str, count: int) -> Query:
        if not self.choices.chance(60):
            return Query(sql)
        order = ", ".join(f"{i + 1}{self._direction()}" for i in range(count))
        return Query(f"{sql} ORDER BY {order}{self._limit()}", True)

    def grouped(self, scope: Scope) -> Query:
        """SELECT … GROUP BY … HAVING … ORDER BY …"""
        source = self.source(scope)
        inner = source.scope
        count = self.choices.weighted((5, 1), (2, 2))
        keys = [self.write.key(inner, 1) for _ in range(count)]
        names = [self.name("k") for _ in keys]
        items = [f"{key} AS {name}" for key, name in zip(keys, names, strict=True)]
        if self.choices.chance(25):
            items = keys[:]
        aliased = items != keys
        rows = self.choices.weighted((3, 1), (4, 2), (2, 3))
        items += [self._aliased(self.aggregate(source)) for _ in range(rows)]
        by = [
            self.choices.pick((key, str(i + 1), names[i] if aliased else key))
            for i, key in enumerate(keys)
        ]
        sql = f"SELECT {', '.join(items)} FROM {source.sql}{self.where(inner, 40)}"
        sql += f" GROUP BY {', '.join(by)}"
        rollup = self.choices.chance(6)
        sql += " WITH ROLLUP" if rollup else ""
        if self.choices.chance(35):
            sql += f" HAVING {self._having(source, names[0] if aliased else None)}"
        if rollup or not self.choices.chance(50):
            return Query(sql)
        order = [
            self.choices.pick((str(i + 1), names[i] if aliased else str(i + 1)))
            + self._direction()
            for i in range(count)
        ]
        if self.choices.chance(30):
            order.insert(0, self.choices.pick(("COUNT(*) DESC", self.aggregate(source))))
        return Query(f"{sql} ORDER BY {', '.join(order)}{self._limit()}", True)

    def aggregate(self, source: Source) -> str:
        """An aggregate, with a call inside, outside, or on both sides."""
        inner, keys = source.scope, ", ".join(source.keys)
        label, confidence = self.write.label(inner, 1), self.write.confidence(inner, 1)
        form = self.choices.weighted(
            *((2, "COUNT(*)"), (3, "COUNT({f})")),
            (3, "COUNT(DISTINCT COALESCE({f}, 'none'))"),
            *((3, "MAX({f})"), (2, "MIN({g})"), (3, "AVG({g})"), (4, "SUM({n})")),
            *((3, "SUM({f} = {l})"), (2, "GROUP_CONCAT({f} ORDER BY {keys})")),
            *((1, "GROUP_CONCAT(DISTINCT {f} ORDER BY {f} DESC SEPARATOR '|')"),),
            *((2, "{call}(GROUP_CONCAT({h} ORDER BY {keys}), 'en')"),),
            *((2, "{call}(MAX({h}), 'en')"), (1, "{call}(COUNT(*), 'fr')")),
            *((2, "{call}(MAX({f}), MIN('en'))"), (1, "SUM({n}) / COUNT(*)")),
            *((1, "MAX({f}) = MIN({f})"), (1, "COALESCE(MAX({g}), COUNT({f}))")),
        )
        text = self.write.bytes(inner)
        call = "aws_comprehend_detect_sentiment"
        return form.format(
            f=label,
            g=confidence,
            h=text,
            n=self.write.number(inner, 1),
            l=self.choices.pick(LABELS),
            keys=keys,
            call=self.choices.pick((call, f"{call}_confidence")),
        )

    def _having(self, source: Source, name: str | None) -> str:
        form = self.choices.pick(
            (
                "COUNT(*) > 1",
                "{a} IS NOT NULL",
                "MAX({g}) > 0.75",
                "MIN({f}) IN ('POSITIVE', 'MIXED')",
                "aws_comprehend_detect_sentiment(COUNT(*), 'en') <> 'NEUTRAL'",
                "{k} IS NOT NULL OR COUNT(*) > 2",
                "{k} IN ('POSITIVE', 'NEGATIVE') AND SUM({g}) < 3",
            )
        )
        return form.format(
            a=self.aggregate(source),
            f=self.write.label(source.scope, 1),
            g=self.write.confidence(source.scope, 1),
            k=name or "COUNT(*)",
        )

    def windowed(self, scope: Scope) -> Query:
        """SELECT … OVER (…)"""
        source = self.source(scope, most=2)
        inner, keys = source.scope, ", ".join(source.keys)
        label, key = self.write.label(inner, 1), self.write.key(inner, 1)
        count = self.choices.weighted((3, 1), (2, 2))
        items = [keys]
        for _ in range(count):
            form = self.choices.pick(
                (
                    "ROW_NUMBER() OVER (PARTITION BY {f} ORDER BY {keys})",
                    "RANK() OVER (ORDER BY {f})",
                    "COUNT(*) OVER (PARTITION BY {k})",
                    "SUM({n}) OVER (PARTITION BY {f} ORDER BY {keys})",
                    "LAG({f}) OVER (ORDER BY {keys})",
                    "MAX({g}) OVER (ORDER BY {keys} ROWS BETWEEN 1 PRECEDING AND "
                    "CURRENT ROW)",
                    "FIRST_VALUE({f}) OVER (PARTITION BY {k} ORDER BY {keys})",
                    "DENSE_RANK() OVER (PARTITION BY {k} ORDER BY {f} DESC)",
                    "aws_comprehend_detect_sentiment(LAG({h}) OVER (ORDER BY {keys}), "
                    "'en')",
                    "AVG({g}) OVER w",
                    "NTILE(3) OVER (ORDER BY {f}, {keys})",
                    "LEAD({g}, 2) OVER (PARTITION BY {f} ORDER BY {keys} DESC)",
                )
            )
            item = form.format(
                f=label,
                g=self.write.confidence(inner, 1),
                h=self.write.bytes(inner),
                n=self.write.number(inner, 1),
                k=key,
                keys=keys,
            )
            items.append(self._aliased(item))
        sql = f"SELECT {', '.join(items)} FROM {source.sql}{self.where(inner, 40)}"
        if any("OVER w" in item for item in items):
            sql += f" WINDOW w AS (PARTITION BY {key})"
        if not self.choices.chance(60):
            return Query(sql)
        return Query(f"{sql} ORDER BY {keys}{self._limit()}", True)

    def compound(self, scope: Scope) -> Query:
        """SELECT … UNION | INTERSECT | EXCEPT SELECT …"""
        kinds = [self.choices.pick(("label", "conf", "word"))]
        if self.choices.chance(50):
            kinds.append(self.choices.pick(("int", "label")))
        parts = self.choices.weighted((5, 2), (1, 3))
        operators = ("UNION ALL", "UNION", "UNION DISTINCT", "INTERSECT", "EXCEPT")
        sql = self._part(scope, kinds)
        for _ in range(parts - 1):
            sql += f" {self.choices.pick(operators)} {self._part(scope, kinds)}"
        return self._by_position(sql, len(kinds))

    def _part(self, scope: Scope, kinds: list[str]) -> str:
        source = self.source(scope, most=2)
        inner = source.scope
        items = []
        for kind in kinds:
            match kind:
                case "label":
                    items.append(self.write.label(inner, 1))
                case "conf":
                    items.append(self.write.confidence(inner, 1))
                case "word":
                    items.append(self.write.word(inner, 1))
                case _:
                    items.append(self.write.column(inner, "int", "id") or "1")
        sql = f"SELECT {', '.join(items)} FROM {source.sql}{self.where(inner)}"
        if self.choices.chance(15):
            return f"({sql} ORDER BY {', '.join(source.keys)} LIMIT 4)"
        return f"({sql})" if self.choices.chance(30) else sql

    def no_table(self, scope: Scope) -> Query:
        """SELECT … without a FROM."""
        sql = f"SELECT {', '.join(self._items(scope))}"
        return Query(sql + (" FROM DUAL" if self.choices.chance(30) else ""), True)

    def one_row(self, scope: Scope) -> Query:
        """SELECT aggregates, without a GROUP BY."""
        source = self.source(scope)
        count = self.choices.weighted((2, 1), (3, 2), (1, 3))
        items = [self._aliased(self.aggregate(source)) for _ in range(count)]
        return Query(
            f"SELECT {', '.join(items)} FROM {source.sql}{self.where(source.scope)}", True
        )
