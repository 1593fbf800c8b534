"""The queries that read the texts which the calls of a statement can need.

A harvest may be wrong and the answer still cannot be: a text too many costs a call, a
text too few makes the statement fail in the server, and the next wider query is tried.
So every query here is a good guess, and the list of them ends in simple ones.
"""

from collections.abc import Iterator, Mapping, Sequence

from aurora_ml_proxy.functions import MAX_BATCH_SIZE
from aurora_ml_proxy.plan.arguments import (
    as_utf8,
    is_text_literal,
    literal_batch_size,
    literal_language,
)
from aurora_ml_proxy.plan.blocks import Block, Phase, Span, block_of, mark, word
from aurora_ml_proxy.plan.calls import Call
from aurora_ml_proxy.plan.conditions import free_conjuncts, has_call
from aurora_ml_proxy.plan.dialect import Dialect
from aurora_ml_proxy.plan.inserted import (
    Inserted,
    commas,
    equals_sign,
    read_inserted,
    rows_query,
)
from aurora_ml_proxy.plan.joins import all_conditions, factors
from aurora_ml_proxy.plan.names import alias_of
from aurora_ml_proxy.plan.plan import Asked, Harvest, Query
from aurora_ml_proxy.plan.select import folded
from aurora_ml_proxy.plan.template import (
    Lenient,
    Substitute,
    Template,
    Unknown,
    cut,
    joined,
)
from aurora_ml_proxy.plan.tokens import Kind, Statement, identifier, number

_AGGREGATES = frozenset(
    b"COUNT SUM AVG MIN MAX GROUP_CONCAT JSON_ARRAYAGG JSON_OBJECTAGG BIT_AND BIT_OR "
    b"BIT_XOR STD STDDEV STDDEV_POP STDDEV_SAMP VAR_POP VAR_SAMP VARIANCE "
    b"ST_COLLECT".split()
)

_MAX_CONSTANT_COLUMNS = 500
"""Columns of one query for literals; servers allow 4,096 and parse slower than that."""

_MAX_FACTORS = 8

_GROUP_CONCAT_BYTES = 64 << 20


_BEHIND_ALL_ROWS = 9
"""When ON DUPLICATE KEY UPDATE and RETURNING are evaluated: behind every phase."""


class Harvester:
    """Plans the harvests of one statement."""

    def __init__(
        self,
        statement: Statement,
        calls: Sequence[Call],
        blocks: Sequence[Block],
        known: Sequence[int],
        dialect: Dialect,
    ) -> None:
        self._statement = statement
        self._calls = calls
        self._blocks = list(blocks)
        self._known = known
        self._dialect = dialect
        self._inserted = read_inserted(statement)

    def harvests(self, skipped: Sequence[int] = ()) -> list[Harvest]:
        """Every harvest, in the order in which they depend on each other.

        Args:
            skipped: calls whose texts are read in another way.
        """
        constants: dict[int, dict[tuple[bytes, ...], int]] = {}
        grouped: dict[tuple[object, ...], list[int]] = {}
        for index, call in enumerate(self._calls):
            if index in skipped:
                continue
            if self._is_constant(call):
                sources = tuple(self._statement.source(*a) for a in call.arguments)
                constants.setdefault(self._nesting(call), {}).setdefault(sources, index)
            else:
                grouped.setdefault(self._group(call), []).append(index)
        found = [
            harvest
            for _, level in sorted(constants.items(), key=lambda pair: pair[0])
            for harvest in self._constants(list(level.values()))
        ]
        indexes = [group[0] for group in grouped.values()]
        for index in sorted(indexes, key=lambda i: self._order(self._calls[i])):
            found += self._harvest(index)
        return found

    # Which calls share a harvest, and in which order.

    def _is_constant(self, call: Call) -> bool:
        return all(is_constant(self._statement, *a) for a in call.arguments)

    def _nesting(self, call: Call) -> int:
        """How deep calls are nested in this one."""
        inner = [c for c in self._calls if call.first < c.first < call.last]
        return 1 + max(map(self._nesting, inner), default=-1)

    def _group(self, call: Call) -> tuple[object, ...]:
        block = self._block(call)
        place = block.part_at(call.first) if block else call.first
        sources = tuple(self._statement.source(*a) for a in call.arguments)
        return id(block), place, sources

    def _block(self, call: Call) -> Block | None:
        return block_of(self._blocks, call.first)

    def _order(self, call: Call) -> tuple[object, ...]:
        """Tables of a WITH first; then, from the outside in, what is evaluated first."""
        path: list[tuple[int, int]] = []
        block = self._block(call)
        if block is not None:
            path.append((block.phase(call.first), 1))
            while block.parent is not None:
                path.append((block.place, 0))
                block = block.parent
        else:
            path.append((_BEHIND_ALL_ROWS, 1))
        listed = [
            (first, last)
            for b in self._blocks
            for first, last in b.withs
            if first <= call.first <= last
        ]
        around = sum(c.first < call.first < c.last for c in self._calls)
        start = block.first if block is not None and listed else 0
        return (not listed, start, path[::-1], -around, call.first)

    # What is asked of a row.

    def _columns(
        self, index: int, substitute: Substitute | None = None, first: int = 0
    ) -> tuple[list[Template], Asked]:
        statement, call = self._statement, self._calls[index]

        def bytes_of(argument: Span) -> Template:
            text = cut(statement, *argument, self._calls, substitute)
            return as_utf8(text, is_literal=is_text_literal(statement, *argument))

        columns = [bytes_of(call.arguments[0])]
        language: str | int | None = literal_language(statement, call)
        if language is None:
            language = first + len(columns)
            columns.append(bytes_of(call.arguments[1]))
        size = literal_batch_size(statement, call)
        size_column = None
        if size is None:
            size_column = first + len(columns)
            value = cut(statement, *call.arguments[2], self._calls, substitute)
            columns.append((b"COALESCE(", *value, b")"))
        asked = Asked(
            self._known[index],
            call.function,
            first,
            language,
            size or MAX_BATCH_SIZE,
            size_column,
        )
        return columns, asked

    def _constants(self, indexes: list[int]) -> Iterator[Harvest]:
        """Literals and variables: many in one query, without tables."""
        columns: list[Template] = []
        asked: list[Asked] = []
        for n, index in enumerate(indexes):
            more, one = self._columns(index, first=len(columns))
            columns += more
            asked.append(one)
            if len(columns) >= _MAX_CONSTANT_COLUMNS or n == len(indexes) - 1:
                sql = (b"SELECT ", *joined(b",", columns), b" LIMIT 1")
                yield Harvest(tuple(asked), (Query(sql, len(columns)),))
                columns, asked = [], []

    def _harvest(self, index: int) -> Iterator[Harvest]:
        call = self._calls[index]
        block = self._block(call)
        _, asked = self._columns(index)
        if block is None:
            queries = list(self._without_block(index))
            yield Harvest((asked,), tuple(queries))
            return
        queries = [*self._alone(index, block), *self._correlated(index, block)]
        yield Harvest((asked,), tuple([*queries, *self._wider(index, block)]))
        if is_rolled_up(self._statement, block) and not self._is_aggregated(call, block):
            grouped = self._grouped(index, block, None)
            yield Harvest((asked,), (grouped,))

    # The block by itself.

    def _alone(self, index: int, block: Block) -> Iterator[Query]:
        call = self._calls[index]
        part = block.part_at(call.first)
        names = self._aliases(call, block, part)
        substitutes: list[Substitute | None] = [None]
        if names:
            found = self._renaming(names)
            substitutes = [found, None] if part in (b"ORDER", b"SET") else [None, found]
        if part == b"ORDER" and block.in_union:
            yield from self._of_union(index, block)
        limited = self._limited(index, block, part)
        if limited is not None:
            yield limited
        for substitute in substitutes:
            if self._is_aggregated(call, block):
                yield self._grouped(index, block, substitute)
            else:
                yield self._plain(index, block, substitute)

    def _plain(self, index: int, block: Block, substitute: Substitute | None) -> Query:
        columns, _ = self._columns(index, substitute)
        rows = self._rows(block, block.phase(self._calls[index].first))
        sql = (b"SELECT DISTINCT ", *joined(b",", columns), *rows)
        return Query((*self._with(block), *sql), len(columns))

    def _grouped(self, index: int, block: Block, substitute: Substitute | None) -> Query:
        columns, _ = self._columns(index, substitute)
        sql = (
            b"SELECT ",
            *joined(b",", columns),
            *self._rows(block, Phase.LIST),
            *self._groups(block),
        )
        return Query((*self._with(block), *sql), len(columns))

    def _groups(self, block: Block) -> Template:
        found: Template = ()
        if b"GROUP" in block.parts:
            by = self._group_by(block)
            found += (b" GROUP BY ", *by)
        if b"HAVING" in block.parts:
            free = free_conjuncts(self._statement, block.parts[b"HAVING"], self._calls)
            names = self._item_names(block)
            free = [c for c in free if not self._mentions(c, names)]
            if free:
                found += (b" HAVING ", *self.anded(free))
        if b"WINDOW" in block.parts:
            window = cut(self._statement, *block.parts[b"WINDOW"], self._calls)
            found += (b" WINDOW ", *window)
        return found

    def _group_by(self, block: Block) -> Template:
        """GROUP BY with aliases and positions written out: our list has other items."""
        statement = self._statement
        names = self._item_names(block)
        parts = []
        first, last = block.parts[b"GROUP"]
        for span in commas(statement, first, last):
            i = span[0]
            token = statement.tokens[i]
            if token.kind is Kind.NUMBER and 1 <= number(token) <= len(block.items):
                parts.append(
                    (*self._item(block, number(token) - 1), *self._cut(i + 1, span[1]))
                )
            else:
                parts.append(cut(statement, *span, self._calls, self._renaming(names)))
        return joined(b",", parts)

    def _item(self, block: Block, index: int) -> Template:
        item = block.items[index]
        last = self._end_of_item(item.first, item.last)
        return (b"(", *self._cut(item.first, last), b")")

    def _end_of_item(self, first: int, last: int) -> int:
        alias = alias_of(self._statement, first, last)
        if alias is None:
            return last
        before = alias - 1
        return before - 1 if word(self._statement, before) == b"AS" else before

    def _limited(self, index: int, block: Block, part: bytes) -> Query | None:
        """The statement's own LIMIT, where a call is evaluated on returned rows only."""
        if not self.is_plainly_limited(block) or part not in (b"SELECT", b"SET"):
            return None
        if self._is_aggregated(self._calls[index], block):
            return None
        columns, _ = self._columns(index)
        sql = (
            b"SELECT ",
            *self._user_items(block),
            *joined(b",", columns),
            *self._rows(block, Phase.LIST),
            *self._order_by(block),
            b" LIMIT ",
            *self._cut(*block.parts[b"LIMIT"]),
        )
        return Query((*self._with(block), *sql), len(columns))

    def is_plainly_limited(self, block: Block) -> bool:
        statement = self._statement
        if b"LIMIT" not in block.parts or block.in_union:
            return False
        if {b"GROUP", b"HAVING", b"WINDOW", b"FETCH", b"PROCEDURE"} & block.parts.keys():
            return False
        if any(
            o.startswith(b"DISTINCT") or o == b"SQL_CALC_FOUND_ROWS"
            for o in block.options
        ):
            return False
        return not any(
            word(statement, i) == b"OVER"
            or (word(statement, i) in _AGGREGATES and mark(statement, i + 1) == b"(")
            for item in block.items
            for i in range(item.first, item.last + 1)
        )

    def _user_items(self, block: Block) -> Template:
        """The user's items in front of ours: ORDER BY may mean them."""
        if not block.items or b"ORDER" not in block.parts:
            return ()
        return (*self._cut(block.items[0].first, block.items[-1].last), b",")

    def _order_by(self, block: Block) -> Template:
        if b"ORDER" not in block.parts:
            return ()
        return (b" ORDER BY ", *self._cut(*block.parts[b"ORDER"]))

    def prefix(self, block: Block, indexes: Sequence[int], limit: int) -> Harvest:
        """The rows that WHERE lets through or may let through, in the query's order."""
        columns: list[Template] = []
        asked = []
        for index in indexes:
            more, one = self._columns(index, first=len(columns))
            columns += more
            asked.append(one)
        sql = (
            b"SELECT ",
            *self._user_items(block),
            *joined(b",", columns),
            b" FROM ",
            *self._cut(*block.parts[b"FROM"]),
            b" WHERE ",
            *self.open_condition(block, indexes),
            *self._order_by(block),
        )
        query = Query((*self._with(block), *sql), len(columns), limit=limit)
        return Harvest(tuple(asked), (query,))

    def open_condition(self, block: Block, indexes: Sequence[int]) -> Template:
        """WHERE, true also for rows of which an answer is not known."""
        span = block.parts[b"WHERE"]
        condition: Template = tuple(
            Lenient(piece) if isinstance(piece, int) else piece
            for piece in self._cut(*span)
        )
        unknown = joined(b" OR ", ((Unknown(index),) for index in indexes))
        free = self.guards(span)
        front: Template = (*self.anded(free), b" AND ") if free else ()
        return (*front, b"((", *condition, b") OR ", *unknown, b")")

    def guards(self, span: Span) -> list[Span]:
        """Conditions that are cheap and safe to evaluate twice, first of all."""
        return [
            c
            for c in free_conjuncts(self._statement, span, self._calls)
            if not any(word(self._statement, i) == b"SELECT" for i in range(c[0], c[1]))
        ]

    # Parts.

    def _cut(self, first: int, last: int) -> Template:
        return cut(self._statement, first, last, self._calls)

    def anded(self, spans: Sequence[Span]) -> Template:
        return joined(b" AND ", ((b"(", *self._cut(*s), b")") for s in spans))

    def _with(self, block: Block) -> Template:
        if not block.withs:
            return ()
        word_ = b"WITH RECURSIVE " if block.is_recursive else b"WITH "
        lists = (self._cut(*span) for span in dict.fromkeys(block.withs))
        return (word_, *joined(b", ", lists), b" ")

    def _rows(self, block: Block, phase: Phase) -> Template:
        """FROM and WHERE of a block, as far as they are evaluated before a phase."""
        if b"FROM" not in block.parts:
            return ()
        span = block.parts[b"FROM"]
        if phase is Phase.FROM:
            # What a LATERAL table means are rows of the tables before it, whatever its
            # own conditions make of them.
            conditions = all_conditions(self._statement, self._blocks)
            tables = self._without_calls(span, conditions)
            where = self._free_where(block) if self._is_inner(block) else ()
            return (b" FROM ", *tables, *where)
        rows: Template = (b" FROM ", *self._cut(*span))
        if b"WHERE" not in block.parts:
            return rows
        if phase is Phase.WHERE:
            return (*rows, *self._free_where(block))
        return (*rows, b" WHERE ", *self._cut(*block.parts[b"WHERE"]))

    def _free_where(self, block: Block) -> Template:
        if b"WHERE" not in block.parts:
            return ()
        free = free_conjuncts(self._statement, block.parts[b"WHERE"], self._calls)
        return (b" WHERE ", *self.anded(free)) if free else ()

    def _is_inner(self, block: Block) -> bool:
        first, last = block.parts[b"FROM"]
        return not any(
            word(self._statement, i) in (b"LEFT", b"RIGHT", b"FULL")
            for i in range(first, last + 1)
        )

    def _without_calls(self, span: Span, conditions: Sequence[Span]) -> Template:
        """A text whose conditions are without those that hold a call."""
        by_first = {c[0]: c for c in conditions if has_call(self._calls, c)}

        def substitute(i: int) -> tuple[int, Template] | None:
            if i not in by_first:
                return None
            free = free_conjuncts(self._statement, by_first[i], self._calls)
            return by_first[i][1], self.anded(free) if free else (b"1=1",)

        return self._cut_with(span, substitute)

    def _cut_with(self, span: Span, substitute: Substitute) -> Template:
        """As `cut`, what is substituted having calls in it."""
        pieces: list[Template] = []
        start = i = span[0]
        while i <= span[1]:
            found = substitute(i)
            if found is None:
                i += 1
                continue
            if i > start:
                pieces.append(self._cut(start, i - 1))
            pieces.append(found[1])
            start = i = found[0] + 1
        if start <= span[1]:
            pieces.append(self._cut(start, span[1]))
        return joined(b" ", pieces)

    def _is_aggregated(self, call: Call, block: Block) -> bool:
        """Whether an argument holds an aggregate or a window of the call's own block."""
        statement = self._statement
        for i in range(call.first, call.last + 1):
            text = word(statement, i)
            is_aggregate = text in _AGGREGATES and mark(statement, i + 1) == b"("
            if (is_aggregate or text == b"OVER") and block_of(self._blocks, i) is block:
                return True
        return False

    # Names of items, and of columns that SET has assigned.

    def _item_names(self, block: Block) -> dict[str, Template]:
        names = {}
        for n, item in enumerate(block.items):
            alias = alias_of(self._statement, item.first, item.last)
            if alias is not None:
                names[self._folded(alias)] = self._item(block, n)
        return names

    def _folded(self, token: int) -> str:
        statement = self._statement
        name = identifier(statement.tokens[token], statement.sql)
        if statement.tokens[token].kind is Kind.STRING:
            name = name[1:-1]
        return folded(name, statement.charset)

    def _aliases(self, call: Call, block: Block, part: bytes) -> dict[str, Template]:
        if part == b"SET":
            names = self._assigned_before(call, block.parts[b"SET"])
        elif part in (b"GROUP", b"HAVING", b"ORDER", b"WINDOW"):
            names = self._item_names(block)
        else:
            return {}
        mentioned = self._mentions((call.first, call.last), names)
        return names if mentioned else {}

    def _assigned_before(self, call: Call, span: Span) -> dict[str, Template]:
        names: dict[str, Template] = {}
        for pair in commas(self._statement, *span):
            equals = equals_sign(self._statement, pair)
            if equals is None or pair[1] >= call.first:
                break
            value = self._cut(equals + 1, pair[1])
            names[self._folded(equals - 1)] = (b"(", *value, b")")
        return names

    def _mentions(self, span: Span, names: Mapping[str, Template]) -> bool:
        return any(self._named(i, names) is not None for i in range(*span))

    def _named(self, i: int, names: Mapping[str, Template]) -> Template | None:
        """What a token stands for, if it is one of the names without a qualifier."""
        statement = self._statement
        if not names or statement.tokens[i].kind not in (Kind.WORD, Kind.QUOTED):
            return None
        if mark(statement, i - 1) == b"." or mark(statement, i + 1) in (b".", b"("):
            return None
        return names.get(self._folded(i))

    def _renaming(self, names: Mapping[str, Template]) -> Substitute:
        def substitute(i: int) -> tuple[int, Template] | None:
            found = self._named(i, names)
            return None if found is None else (i, found)

        return substitute

    # UNION.

    def _of_union(self, index: int, block: Block) -> Iterator[Query]:
        """ORDER BY of a UNION: the columns are those of its result."""
        statement = self._statement
        opening = max(
            (i for i in range(block.first) if statement.depth[i] < block.level),
            default=-1,
        )
        start = next(
            i
            for i in range(opening + 1, block.first + 1)
            if statement.depth[i] == block.level
            and b"SELECT" in (word(statement, i), self._behind_parentheses(i))
            and not any(first <= i <= last for first, last in block.withs)
        )
        body = self._cut(start, block.parts[b"ORDER"][0] - 3)
        columns, _ = self._columns(index)
        sql = (b"SELECT DISTINCT ", *joined(b",", columns), b" FROM (", *body)
        yield Query((*self._with(block), *sql, b") aml_union"), len(columns))

    def _behind_parentheses(self, i: int) -> bytes:
        """The word behind the opening parentheses at a token."""
        if mark(self._statement, i) != b"(":
            return b""
        while mark(self._statement, i) == b"(":
            i += 1
        return word(self._statement, i)

    # Blocks that mean columns of the blocks around them.

    def _correlated(self, index: int, block: Block) -> Iterator[Query]:
        inner = self._packed_scalar(index, block)
        around, at = block.parent, block
        while around is not None:
            yield from self._at(index, block, around, at)
            rows = self._rows(around, at.place)
            hint, before = self._long_group_concat()
            sql = (before, *self._with(around), b"SELECT ", hint, b"DISTINCT ", *inner)
            yield Query((*sql, *rows), 1, is_packed=True)
            inner = (b"(SELECT GROUP_CONCAT(DISTINCT ", *inner, b" SEPARATOR '')", *rows)
            inner = (*inner, b")")
            at, around = around, around.parent

    def _at(self, index: int, block: Block, around: Block, at: Block) -> Iterator[Query]:
        """The arguments may be columns of a block around; then its rows are enough."""
        if self._is_aggregated(self._calls[index], block):
            return
        columns, _ = self._columns(index)
        sql = (b"SELECT DISTINCT ", *joined(b",", columns))
        rows = self._rows(around, at.place)
        if at is block and rows:
            phase = block.phase(self._calls[index].first)
            has_where = b" WHERE " in rows
            exists = (b" AND " if has_where else b" WHERE ", b"EXISTS (SELECT 1")
            tail = (*exists, *self._rows(block, phase), b")")
            yield Query((*self._with(around), *sql, *rows, *tail), len(columns))
        yield Query((*self._with(around), *sql, *rows), len(columns))

    def _packed_scalar(self, index: int, block: Block) -> Template:
        columns, asked = self._columns(index)
        nothing: Template = (b"''",)
        language, size = nothing, nothing
        if isinstance(asked.language, int):
            language = (b"HEX(", *columns[asked.language], b")")
        if asked.batch_size_column is not None:
            size = columns[asked.batch_size_column]
        packed: Template = (b"CONCAT(HEX(", *columns[0], b"),':',", *language, b",':',")
        packed = (*packed, *size, b",'.')")
        call = self._calls[index]
        rows = self._rows(block, block.phase(call.first))
        if self._is_aggregated(call, block):
            return (b"(SELECT ", *packed, *rows, *self._groups(block), b")")
        return (
            *(b"(SELECT GROUP_CONCAT(DISTINCT ", *packed, b" SEPARATOR '')"),
            *(*rows, b")"),
        )

    def _long_group_concat(self) -> tuple[bytes, bytes]:
        """What lifts group_concat_max_len: behind SELECT, or before the statement."""
        if self._dialect.is_mariadb:
            return b"", b"SET STATEMENT group_concat_max_len=%d FOR " % (
                _GROUP_CONCAT_BYTES
            )
        return b"/*+ SET_VAR(group_concat_max_len=%d) */ " % _GROUP_CONCAT_BYTES, b""

    # When all else misses.

    def _wider(self, index: int, block: Block) -> Iterator[Query]:
        """Rows before any condition that holds a call, here and in derived tables; then
        the rows of each table alone. The server may evaluate conditions in any order."""
        if b"FROM" not in block.parts or self._is_aggregated(self._calls[index], block):
            return
        columns, _ = self._columns(index)
        span = block.parts[b"FROM"]
        conditions = all_conditions(self._statement, self._blocks)
        lists = [self._without_calls(w, conditions) for w in dict.fromkeys(block.withs)]
        keyword = b"WITH RECURSIVE " if block.is_recursive else b"WITH "
        front = (keyword, *joined(b", ", lists), b" ") if lists else ()
        sql = (*front, b"SELECT DISTINCT ", *joined(b",", columns), b" FROM ")
        if lists or b"WHERE" in block.parts or has_call(self._calls, span):
            yield Query((*sql, *self._without_calls(span, conditions)), len(columns))
        found = factors(self._statement, span)
        if 1 < len(found) <= _MAX_FACTORS:
            for factor in found:
                table = self._without_calls(factor, conditions)
                yield Query((*sql, *table), len(columns))

    # Outside of every block: the rows of an INSERT.

    def _without_block(self, index: int) -> Iterator[Query]:
        columns, _ = self._columns(index)
        width = len(columns)
        if self._inserted is not None:
            yield from self._inserted_rows(index, self._inserted)
        yield Query((b"SELECT ", *joined(b",", columns), b" LIMIT 1"), width)

    def _inserted_rows(self, index: int, inserted: Inserted) -> Iterator[Query]:
        call = self._calls[index]
        for row in inserted.rows:
            if row and row[0][0] <= call.first <= row[-1][1]:
                names = {
                    self._folded(name[1]): (b"(", *self._cut(*value), b")")
                    for name, value in zip(inserted.columns, row, strict=False)
                    if value[1] < call.first
                }
                columns, _ = self._columns(index, self._renaming(names))
                sql = (b"SELECT ", *joined(b",", columns), b" LIMIT 1")
                yield Query(sql, len(columns))
                return
        rows = rows_query(self._statement, inserted, self._calls)
        target = self._cut(*inserted.table)
        columns, _ = self._columns(index, self._new_values(inserted))
        sql = (b"SELECT DISTINCT ", *joined(b",", columns), b" FROM ")
        if rows is not None:
            yield Query((b"WITH ", *rows, b" ", *sql, b"aml_new"), len(columns))
        for block in self._blocks:
            if inserted.query is not None and block.level == 0 and block.parent is None:
                read = (*sql[:-1], *self._rows(block, Phase.LIST))
                yield Query((*self._with(block), *read), len(columns))
        yield Query((*sql, *target), len(columns))
        if rows is not None:
            both = (*sql, *target, b",aml_new")
            yield Query((b"WITH ", *rows, b" ", *both), len(columns))

    def _new_values(self, inserted: Inserted) -> Substitute:
        """VALUES(column), VALUE(column) and alias.column as columns of `aml_new`."""
        statement = self._statement

        def substitute(i: int) -> tuple[int, Template] | None:
            if (
                word(statement, i) in (b"VALUES", b"VALUE")
                and mark(statement, i + 1) == b"("
            ):
                last = statement.closing[i + 1]
                return last, (b"aml_new.", statement.source(last - 1, last - 1))
            token = statement.tokens[i]
            text = statement.sql[token.start : token.end]
            if inserted.alias and text == inserted.alias:
                return i, (b"aml_new",)
            return None

        return substitute


def is_rolled_up(statement: Statement, block: Block) -> bool:
    """Whether GROUP BY makes rows of its own: WITH ROLLUP, GROUPING SETS."""
    if b"GROUP" not in block.parts:
        return False
    first, last = block.parts[b"GROUP"]
    return any(
        word(statement, i) in (b"ROLLUP", b"CUBE", b"GROUPING")
        for i in range(first, last + 1)
    )


_CONSTANTS = frozenset((b"NULL", b"TRUE", b"FALSE"))


def is_constant(statement: Statement, first: int, last: int) -> bool:
    """Whether an expression is of literals and user variables only."""
    return all(_is_constant_token(statement, i) for i in range(first, last + 1))


def _is_constant_token(statement: Statement, i: int) -> bool:
    token = statement.tokens[i]
    if token.kind is Kind.QUOTED:
        return False
    if token.kind is not Kind.WORD or token.text in _CONSTANTS:
        return True
    if mark(statement, i + 1) == b"(":
        no_row = (b"SELECT", b"VALUES", b"VALUE", b"GROUPING")
        return token.text not in no_row and token.text not in _AGGREGATES
    behind = statement.tokens[i + 1].kind if i + 1 < len(statement.tokens) else None
    return behind is Kind.STRING and (
        token.text in (b"N", b"X", b"B") or token.text.startswith(b"_")
    )
