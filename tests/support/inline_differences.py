"""What differs between the two sides of the inline oracle, field by field.

In: a case and what each side has shown of it. Out: fields and lines of text. What depends
on the plan alone, or shows the SQL that the server got, is not compared; the corpus marks
what a stored function does and a native one would not.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from support.inline_corpus import Case
from support.inline_oracle import Columns, Result, Shown, Step
from support.inline_tables import Rows, State, in_order

COLUMN_FIELDS = (
    *("schema", "table", "org_table", "name", "org_name", "charset", "length"),
    *("type", "flags", "decimals"),
)

_OUT_OF_RANGE = 1690
_SHOWS_SQL = (b"1003", b"1055", b"1140", b"1690")
"""EXPLAIN's note, an item by its number under ONLY_FULL_GROUP_BY, an expression."""

_KEY_FLAGS = 0x2 | 0x4 | 0x8 | 0x200 | 0x4000
"""PRI_KEY, UNIQUE_KEY, MULTIPLE_KEY, AUTO_INCREMENT, PART_KEY: they get lost when rows go
through a temporary table, and MySQL sorts by a stored function in one."""

_INDEX_STATUS = 0x10 | 0x20
"""NO_GOOD_INDEX_USED, NO_INDEX_USED: of the plan."""

_THE_PROXY = "aws_comprehend_detect_sentiment"
"""What the proxy's own errors begin with."""


def differences(case: Case, direct: Shown, proxied: Shown) -> list[tuple[str, str]]:
    """What differs and should not: the field, and how, in a line or a few."""
    if case.proxy_refuses and _is_refused(direct, proxied):
        return []
    ignored = case.may_differ(direct.kind, direct.session)
    found = []
    both_steps = zip(direct.steps, proxied.steps, strict=True)
    for number, (wanted, got) in enumerate(both_steps, 1):
        where = f"step {number} " if len(direct.steps) > 1 else ""
        if case.refused and wanted.error is not None and got.error is not None:
            continue
        for field, text in _step_differences(wanted, got):
            found.append((field, f"{where}{field}: {text}"))
    for title in ("inside", "left_behind"):
        for name, text in _state_differences(
            getattr(direct, title), getattr(proxied, title)
        ):
            found.append((f"tables {title}", f"tables {title}: {name}: {text}"))
    return [(field, text) for field, text in found if field not in ignored]


def _is_refused(direct: Shown, proxied: Shown) -> bool:
    """Whether the first step that differs has an error of the proxy's own."""
    for wanted, got in zip(direct.steps, proxied.steps, strict=True):
        if any(_step_differences(wanted, got)):
            return got.error is not None and str(got.error[1]).startswith(_THE_PROXY)
    return False


def _step_differences(direct: Step, proxied: Step) -> Iterator[tuple[str, str]]:
    if _comparable_error(direct) != _comparable_error(proxied):
        yield "error", _both(direct.error, proxied.error)
        if direct.error is None or proxied.error is None:
            return  # all the rest differs by that
    if len(direct.results) != len(proxied.results):
        yield "results", _both(len(direct.results), len(proxied.results))
    for pair in zip(direct.results, proxied.results, strict=False):
        yield from _result_differences(*pair, is_ordered(direct.statement))
    if _comparable_counts(direct) != _comparable_counts(proxied):
        names = "ROW_COUNT, FOUND_ROWS, LAST_INSERT_ID, warning_count"
        yield "counts", f"({names}) {_both(direct.counts, proxied.counts)}"
    if (wanted := _comparable(direct.warnings)) != (got := _comparable(proxied.warnings)):
        yield "warnings", _rows_difference(wanted, got, ordered=True)


def _result_differences(
    direct: Result, proxied: Result, ordered: bool
) -> Iterator[tuple[str, str]]:
    yield from _column_differences(direct.columns, proxied.columns, "")
    yield from _column_differences(
        direct.prepared_columns, proxied.prepared_columns, "at PREPARE "
    )
    if not ordered:
        direct_rows, proxied_rows = in_order(direct.rows), in_order(proxied.rows)
    else:
        direct_rows, proxied_rows = direct.rows, proxied.rows
    if direct_rows != proxied_rows:
        yield "rows", _rows_difference(direct_rows, proxied_rows, ordered)
    for field in fields(Result)[2:]:
        if field.name == "prepared_columns":
            continue
        wanted, got = getattr(direct, field.name), getattr(proxied, field.name)
        if _comparable_field(field.name, wanted) != _comparable_field(field.name, got):
            yield field.name, _both(wanted, got)


def _column_differences(
    direct: Columns, proxied: Columns, when: str
) -> Iterator[tuple[str, str]]:
    if len(direct) != len(proxied):
        yield "columns", when + _both(len(direct), len(proxied))
        return
    for number, pair in enumerate(zip(direct, proxied, strict=True), 1):
        for name, wanted, got in zip(COLUMN_FIELDS, *pair, strict=True):
            if _comparable_field(name, wanted) != _comparable_field(name, got):
                text = f"{when}of column {number} {_both(wanted, got)}"
                yield f"column {name}", text


def _state_differences(direct: State, proxied: State) -> Iterator[tuple[str, str]]:
    for name in sorted(direct.keys() | proxied.keys()):
        wanted, got = direct.get(name), proxied.get(name)
        if wanted is None or got is None:
            yield name, f"only {'proxied' if wanted is None else 'direct'}"
            continue
        if wanted[0] != got[0]:
            yield name, "as created " + _both(wanted[0], got[0])
        if wanted[1] != got[1]:
            yield name, _rows_difference(wanted[1], got[1], ordered=False)


def _comparable_error(step: Step) -> tuple[Any, ...] | None:
    """Without the expression that is out of range: the call in it is a CASE by then."""
    if step.error is not None and step.error[0] == _OUT_OF_RANGE:
        return (step.error[0], str(step.error[1]).partition(" in '")[0])
    return step.error


def _comparable_counts(step: Step) -> Rows:
    """Without FOUND_ROWS() after an error: it tells of an earlier statement."""
    if step.error is None:
        return step.counts
    return tuple((row[0], *row[2:]) for row in step.counts)


def _comparable_field(name: str, value: Any) -> Any:
    if name == "flags":
        return value & ~_KEY_FLAGS
    if name == "status" and value is not None:
        return value & ~_INDEX_STATUS
    return value


def _comparable(warnings: Rows) -> Rows:
    """Without what shows the statement that the server got."""
    return tuple(
        (*row[:2], None) if _narrow(row[1]) in _SHOWS_SQL else row for row in warnings
    )


def _narrow(value: bytes | None) -> bytes:
    """Digits of any character set: in a wide one NULs stand between them."""
    return (value or b"").replace(b"\0", b"")


def _rows_difference(direct: Any, proxied: Any, ordered: bool) -> str:
    missing, more = list(direct), []
    for row in proxied:
        if row in missing:
            missing.remove(row)
        else:
            more.append(row)
    if ordered and not missing and not more:
        return f"in another order, {_both(direct, proxied)}"
    return (
        f"{len(direct)} direct, {len(proxied)} proxied"
        f"\n      only direct  {_shown(missing)}\n      only proxied {_shown(more)}"
    )


def _both(direct: Any, proxied: Any) -> str:
    return f"direct {_shown(direct)} proxied {_shown(proxied)}"


def _shown(value: Any) -> str:
    """Bytes as the text that they mostly are."""
    if isinstance(value, bytes):
        return repr(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_shown, value))})"
    return repr(value)


_NESTED = re.compile(r"\([^()]*\)")
_NOT_CODE = re.compile(
    r"""/\*(?!!).*?\*/|--[ \t].*?$|'(?:''|\\.|[^'\\])*'|"(?:""|\\.|[^"\\])*"|`[^`]*`""",
    re.DOTALL | re.MULTILINE,
)


def is_ordered(statement: str) -> bool:
    """Whether the order of the rows means something."""
    if re.match(r"\s*(EXPLAIN|SHOW|DESC|ANALYZE)", statement, re.IGNORECASE):
        return True
    text = _NOT_CODE.sub(" ", statement)
    while (flat := _NESTED.sub(" ", text)) != text:
        text = flat
    return re.search(r"\bORDER\s+BY\b", text, re.IGNORECASE) is not None


def report(case: Case, direct: Shown, proxied: Shown) -> str:
    """The case with all its differences; nothing without any."""
    lines = [f"    {text}" for _, text in differences(case, direct, proxied)]
    if not lines:
        return ""
    return "\n".join([f"{case.name} (line {case.line})", ";;\n".join(case.steps), *lines])


def summary(
    cases: Sequence[Case], direct: Sequence[Shown], proxied: Sequence[Shown], lines: int
) -> str:
    """How many cases differ by which field, and a line for each; nothing without any."""
    counts: dict[str, int] = {}
    found = []
    for case, *sides in zip(cases, direct, proxied, strict=True):
        different = differences(case, *sides)
        for field in {field for field, _ in different}:
            counts[field] = counts.get(field, 0) + 1
        if different:
            first = " ".join(different[0][1].split())
            more = f" (+{len(different) - 1})" if len(different) > 1 else ""
            found.append(f"{case.name}{more} {first}"[:200])
    if not found:
        return ""
    by_field = ", ".join(f"{n} {field}" for field, n in sorted(counts.items()))
    left_out = f"… and {len(found) - lines} more" if len(found) > lines > 0 else ""
    head = f"{len(found)} of {len(cases)} cases differ: {by_field}"
    return "\n".join([head, *found[:lines], left_out]).rstrip()
