"""Random statements with ML calls anywhere in them; the same seed, the same statement.

    PYTHONPATH=tests .venv/bin/python -m support.random_sql mysql9 1234 [count]

prints the statements of a seed and those after it. Most are valid; one that is not must
fail with the proxy as it fails without.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from support.random_expressions import Scope
from support.random_queries import Queries
from support.random_schema import (
    FEEDBACK,
    LOG,
    PRODUCT,
    READ,
    REPLY,
    RESET_IDS,
    WRITTEN,
    Table,
)
from support.shrink import Choices


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, and what must be looked at after it."""

    sql: str
    kind: str
    """The name of the rule that made it."""
    ordered: bool
    """Its rows come in one order only."""
    before: tuple[str, ...]
    """Run before it, as it should find things."""
    checks: tuple[str, ...]
    """Queries of all that it may have changed."""
    after: tuple[str, ...]
    """What tidies up, besides a ROLLBACK."""
    choices: tuple[int, ...]
    """Shrinking starts from these."""


def statement(seed: int, mariadb: bool, played: Sequence[int] | None = None) -> Statement:
    """The statement of a seed; of a list of choices, if there is one."""
    return _Statements(Choices(seed, played), mariadb).any()


_TABLES = tuple(f"SELECT * FROM {table.name} ORDER BY id" for table in WRITTEN)


class _Statements:
    def __init__(self, choices: Choices, mariadb: bool) -> None:
        self.choices = choices
        self.mariadb = mariadb
        self.queries = Queries(choices, mariadb)
        self.write = self.queries.write

    def any(self) -> Statement:
        """A statement of any kind."""
        rule = self.choices.weighted(
            *((60, self._query), (5, self._insert_values), (2, self._insert_set)),
            *((5, self._insert_select), (3, self._replace), (6, self._update)),
            *((4, self._update_joined), (4, self._delete), (3, self._delete_joined)),
            *((4, self._create), (3, self._select_into), (2, self._set), (1, self._do)),
            (1, self._call),
        )
        return replace(rule(), kind=rule.__name__.strip("_").replace("_", " "))

    def _made(
        self,
        sql: str,
        ordered: bool = True,
        before: tuple[str, ...] = (),
        checks: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
    ) -> Statement:
        remark = "/* aws_comprehend_detect_sentiment(t,'en') */ "
        if self.choices.chance(3):
            sql = remark + sql
        made = tuple(self.choices.made)
        return Statement(sql, "", ordered, before, checks, after, made)

    def _query(self) -> Statement:
        query = self.queries.query()
        return self._made(query.sql, query.ordered)

    # INSERT and REPLACE

    def _new_row(self, scope: Scope) -> list[str]:
        """k, label, score and n of a new row of r_log."""
        names = self.queries.name
        k = self.choices.weighted(
            (6, f"'{names('new')}'"),
            (2, self.write.label(scope, 1)),
            (1, "'k2'"),
            (1, f"CONCAT('c', {self.write.label(scope, 0)})"),
            (1, "NULL"),
        )
        n = self.choices.weighted((3, "5"), (2, f"({self.write.condition(scope, 1)})"))
        return [k, self._label(scope), self._score(scope), n]

    def _label(self, scope: Scope) -> str:
        return self.choices.weighted(
            (5, self.write.label), (2, self.write.word), (1, _null)
        )(scope, 1)

    def _score(self, scope: Scope) -> str:
        return self.choices.weighted(
            (5, self.write.confidence), (2, self.write.number), (1, _null)
        )(scope, 1)

    def _ignore(self) -> str:
        return "IGNORE " if self.choices.chance(25) else ""

    def _insert_values(self) -> Statement:
        scope = Scope(reads=(FEEDBACK, PRODUCT, REPLY))
        count = self.choices.weighted((3, 1), (3, 2), (2, 3))
        rows = [f"({', '.join(self._new_row(scope))})" for _ in range(count)]
        sql = f"INSERT {self._ignore()}INTO r_log (k, label, score, n)"
        sql += f" VALUES {', '.join(rows)}{self._on_duplicate()}{self._returning()}"
        return self._made(sql, False, (RESET_IDS,), _TABLES)

    def _insert_set(self) -> Statement:
        k, label, score, n = self._new_row(Scope(reads=(FEEDBACK, PRODUCT, REPLY)))
        sql = f"INSERT {self._ignore()}INTO r_log SET k = {k}, label = {label}"
        sql += f", score = {score}, n = {n}{self._on_duplicate()}"
        return self._made(sql, True, (RESET_IDS,), _TABLES)

    def _rows(self) -> str:
        """A query of rows for r_log, in one order."""
        self.queries._ctes = None
        source = self.queries.source(Scope(reads=(FEEDBACK, PRODUCT, REPLY)), most=2)
        row = self._new_row(source.scope)
        row[0] = self.choices.weighted(
            (4, f"CONCAT_WS('-', 'k', {', '.join(source.keys)})"),
            (2, self.write.label(source.scope, 1)),
        )
        sql = f"SELECT {', '.join(row)} FROM {source.sql}"
        sql += f"{self.queries.where(source.scope)} ORDER BY {', '.join(source.keys)}"
        return sql + self.choices.pick(("", " LIMIT 4"))

    def _insert_select(self) -> Statement:
        sql = f"INSERT {self._ignore()}INTO r_log (k, label, score, n) {self._rows()}"
        sql += self._on_duplicate(of_values=False)
        return self._made(sql, True, (RESET_IDS,), _TABLES)

    def _replace(self) -> Statement:
        sql = "REPLACE INTO r_log (k, label, score, n) "
        if self.choices.chance(50):
            sql += self._rows()
        else:
            sql += f"VALUES ({', '.join(self._new_row(Scope(reads=(FEEDBACK,))))})"
        return self._made(sql, True, (RESET_IDS,), _TABLES)

    def _on_duplicate(self, of_values: bool = True) -> str:
        if not self.choices.chance(30):
            return ""
        row = Scope((Table("r_log", LOG.columns),), reads=(FEEDBACK, PRODUCT))
        new, alias = "VALUES({})", ""
        if of_values and not self.mariadb and self.choices.chance(60):
            new, alias = "fresh.{}", " AS fresh"
        update = self.choices.pick(
            (
                f"label = {self.write.label(row, 1)}",
                f"n = COALESCE(r_log.n, 0) + 1, score = {self.write.confidence(row, 1)}",
                f"label = aws_comprehend_detect_sentiment({new.format('k')}, 'en')",
                "score = aws_comprehend_detect_sentiment_confidence(CONCAT(r_log.k, "
                f"{new.format('label')}), 'en'), n = 9",
                f"label = {new.format('label')}",
            )
        )
        return f"{alias} ON DUPLICATE KEY UPDATE {update}"

    def _returning(self) -> str:
        if not self.mariadb or not self.choices.chance(15):
            return ""
        # The id is the server's to give: no query can read it before (docs/inline.md).
        columns = tuple(column for column in LOG.columns if column.name != "id")
        row = Scope((Table("r_log", columns),), reads=(FEEDBACK, PRODUCT))
        return f" RETURNING id, {self.write.label(row, 1)}"

    # UPDATE and DELETE

    def _target(self) -> tuple[Table, Scope]:
        base = self.choices.pick(WRITTEN)
        others = tuple(table for table in READ if table != base)
        return base, Scope((base,), bare=True, reads=others)

    def _sets(self, base: Table, scope: Scope) -> str:
        sets = [f"label = {self._label(scope)}"]
        if self.choices.chance(40):
            sets.append(f"score = {self._score(scope)}")
        if self.choices.chance(20):
            # The assignments are made from left to right: the call sees the new text.
            text = base.has("text", "name")[0].name
            sets.insert(0, f"{text} = CONCAT({text}, '!', {base.name}.id)")
        if self.choices.chance(20):
            sets.append(f"n = ({self.write.condition(scope, 1)})")
        return ", ".join(sets)

    def _end(self) -> str:
        if not self.choices.chance(40):
            return ""
        first = self.choices.pick(("", "label, ", "n DESC, "))
        return f" ORDER BY {first}id LIMIT {self.choices.pick((2, 1, 3))}"

    def _ordered_end(self, scope: Scope) -> str:
        if self.choices.chance(20):
            return f" ORDER BY {self.write.label(scope, 1)}, id LIMIT 2"
        return self._end()

    def _update(self) -> Statement:
        base, scope = self._target()
        sql = f"UPDATE {self._ignore()}{base.name} SET {self._sets(base, scope)}"
        sql += self.queries.where(scope, 80) + self._ordered_end(scope)
        return self._made(sql, checks=_TABLES)

    def _joined(self) -> tuple[str, Scope]:
        """r_reply with the one row of another table that belongs to it."""
        other = self.choices.pick((FEEDBACK, PRODUCT))
        a, b = self.queries.name(), self.queries.name()
        left = self.choices.pick(("JOIN", "LEFT JOIN"))
        sql = f"r_reply {a} {left} {other.name} {b} ON {a}.feedback_id = {b}.id"
        tables = (Table(a, REPLY.columns), Table(b, other.columns))
        scope = Scope(tables, reads=(FEEDBACK, PRODUCT, LOG))
        if self.choices.chance(30):
            sql += f" AND {self.write.condition(scope, 1)}"
        return sql, scope

    def _update_joined(self) -> Statement:
        joined, scope = self._joined()
        a = scope.tables[0].name
        sets = f"{a}.label = {self._label(scope)}"
        if self.choices.chance(40):
            sets += f", {a}.score = 0.5"
        sql = f"UPDATE {self._ignore()}{joined} SET {sets}{self.queries.where(scope, 80)}"
        return self._made(sql, checks=_TABLES)

    def _delete(self) -> Statement:
        base, scope = self._target()
        sql = f"DELETE FROM {base.name}{self.queries.where(scope, 100)}"
        sql += self._ordered_end(scope)
        if self.mariadb and self.choices.chance(15):
            sql += f" RETURNING id, {self.write.label(scope, 1)}"
        return self._made(sql, False, checks=_TABLES)

    def _delete_joined(self) -> Statement:
        joined, scope = self._joined()
        a = scope.tables[0].name
        form = self.choices.pick(("DELETE {a} FROM {j}", "DELETE FROM {a} USING {j}"))
        sql = form.format(a=a, j=joined) + self.queries.where(scope, 100)
        return self._made(sql, checks=_TABLES)

    # The rest

    def _create(self) -> Statement:
        scope = Scope()
        source = self.queries.source(scope)
        count = self.choices.weighted((2, 1), (3, 2), (2, 3))
        items = [
            f"{self.write.value(source.scope, 1)} AS c{i}" for i in range(1, count + 1)
        ]
        form = self.choices.pick(
            (
                "CREATE TEMPORARY TABLE r_made AS {}",
                "CREATE TEMPORARY TABLE r_made {}",
                "CREATE TEMPORARY TABLE r_made (extra INT) {}",
                "CREATE TEMPORARY TABLE IF NOT EXISTS r_made (c1 VARCHAR(99)) AS {}",
            )
        )
        select = f"SELECT {', '.join(items)} FROM {source.sql}"
        select += self.queries.where(source.scope)
        return self._made(
            form.format(select),
            before=("DROP TEMPORARY TABLE IF EXISTS r_made",),
            checks=(
                "SHOW CREATE TABLE r_made",
                "SELECT * FROM r_made",
            ),
            after=("DROP TEMPORARY TABLE IF EXISTS r_made",),
        )

    def _select_into(self) -> Statement:
        source = self.queries.source(Scope(), most=2)
        if self.choices.chance(40):
            items = [self.queries.aggregate(source), "COUNT(*)"]
            end = self.queries.where(source.scope)
        else:
            items = [self.write.label(source.scope, 1), self.write.value(source.scope, 1)]
            end = self.queries.where(source.scope)
            end += f" ORDER BY {', '.join(source.keys)} LIMIT 1"
        select, rest = f"SELECT {', '.join(items)}", f" FROM {source.sql}{end}"
        into = " INTO @v, @w"
        sql = select + (into + rest if self.choices.chance(30) else rest + into)
        return self._variables(sql)

    def _variables(self, sql: str) -> Statement:
        before = ("SET @v = 'v', @w = 1",)
        return self._made(sql, before=before, checks=("SELECT @v, @w",))

    def _set(self) -> Statement:
        scope = Scope()
        second = self.choices.weighted(
            (3, self.write.confidence(scope, 1)),
            (2, self.write.number(scope, 2)),
            (2, f"EXISTS ({self.queries.rows(scope, 'any')})"),
        )
        sql = f"SET @v = {self.write.label(scope, 1)}"
        return self._variables(sql + self.choices.pick(("", f", @w := {second}")))

    def _do(self) -> Statement:
        scope = Scope()
        return self._made(
            f"DO {self.write.label(scope, 2)}, {self.write.value(scope, 1)}"
        )

    def _call(self) -> Statement:
        label = self.write.label(Scope(reads=(FEEDBACK, PRODUCT)), 1)
        score = self.write.confidence(Scope(reads=(FEEDBACK, PRODUCT)), 1)
        sql = f"CALL r_write('called', {label}, {score})"
        return self._made(sql, True, (RESET_IDS,), _TABLES)


def _null(scope: Scope, depth: int) -> str:
    return "NULL"


if __name__ == "__main__":
    kind, first, *count = sys.argv[1:]
    for seed in range(int(first), int(first) + int(*count or ("1",))):
        print(f"-- {seed}\n{statement(seed, kind.startswith('mariadb')).sql};")
