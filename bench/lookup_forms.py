"""Times the expressions that can stand for a call in a statement, by number of texts.

Makes a table of its own in --database, which is dropped afterwards, and runs each form on
it. One line a form: milliseconds (the best of --runs, parsing included), the statement's
bytes, and how far the memory of a server on this machine grew. docs/lookup-forms.md says
what the numbers mean.
"""

import argparse
import hashlib
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import pymysql

HASH = "CAST(CONV(LEFT(SHA2(CONVERT({x} USING utf8mb4),256),15),16,10) AS SIGNED)"
# MySQL's CONV writes ASCII and calls it utf16 where that is collation_connection's.
HASH_ANY = (
    "CAST(REPLACE(CAST(CONV(CONVERT(LEFT(SHA2(CONVERT({x} USING utf8mb4),256),15)"
    " USING latin1),16,10) AS BINARY),X'00',X'') AS SIGNED)"
)
MISS = "EXP(731997+LENGTH({x}))"
LABELS = ["POSITIVE", "NEGATIVE", "NEUTRAL", "MIXED"]
CHOICES = ",".join(f"_utf8mb4 X'{s.encode().hex().upper()}'" for s in [*LABELS, "é"])

Answers = dict[int, float]  # by hash: a label's number from 1, or a confidence


def text_hash(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)


def number(value: float) -> str:
    shown = repr(value)
    return shown if isinstance(value, int) or "e" in shown else shown + "e0"


def simple_case(answers: Answers, h: str, miss: str) -> str:
    return (
        f"CASE {h}"
        + "".join(f" WHEN {k} THEN {number(v)}" for k, v in answers.items())
        + f" ELSE {miss} END"
    )


def in_lists(answers: Answers, h: str, miss: str) -> str:
    keys: dict[float, list[int]] = {}
    for key, value in answers.items():
        keys.setdefault(value, []).append(key)
    whens = "".join(
        f" WHEN {h} IN ({','.join(map(str, ks))}) THEN {number(v)}"
        for v, ks in keys.items()
    )
    return f"CASE{whens} ELSE {miss} END"


def buckets(answers: Answers, bits: int) -> list[Answers]:
    found: list[Answers] = [{} for _ in range(1 << bits)]
    for key, value in answers.items():
        found[key >> (60 - bits)][key] = value
    return found


def case_of_cases(bits: int | None = None) -> Callable[[Answers, str, str], str]:
    def build(answers: Answers, h: str, miss: str) -> str:
        used = max(round(math.log2(len(answers)) / 2), 1) if bits is None else bits
        whens = "".join(
            f" WHEN {i} THEN {simple_case(part, h, miss)}"
            for i, part in enumerate(buckets(answers, used))
            if part
        )
        return f"CASE {h}>>{60 - used}{whens} ELSE {miss} END"

    return build


def two_levels(answers: Answers, h: str, miss: str) -> str:
    bits = max(round(math.log2(len(answers)) / 3), 1)
    whens = ""
    for i, outer in enumerate(buckets(answers, bits)):
        parts: dict[int, Answers] = {}
        for key, value in outer.items():
            parts.setdefault(key >> (60 - 2 * bits), {})[key] = value
        inner = "".join(
            f" WHEN {j} THEN {simple_case(p, h, miss)}" for j, p in parts.items()
        )
        if inner:
            whens += f" WHEN {i} THEN CASE {h}>>{60 - 2 * bits}{inner} ELSE {miss} END"
    return f"CASE {h}>>{60 - bits}{whens} ELSE {miss} END"


def tree(answers: Answers, h: str, miss: str) -> str:
    def node(part: list[tuple[int, float]]) -> str:
        if len(part) <= 8:
            return simple_case(dict(part), h, miss)
        middle = len(part) // 2
        left, right = node(part[:middle]), node(part[middle:])
        return f"CASE WHEN {h}<{part[middle][0]} THEN {left} ELSE {right} END"

    return node(sorted(answers.items()))


def elt_of_cases(per_bucket: int) -> Callable[[Answers, str, str], str]:
    def build(answers: Answers, h: str, miss: str) -> str:
        bits = max(round(math.log2(len(answers) / per_bucket)), 0)
        if bits == 0:
            return simple_case(answers, h, miss)
        parts = ",".join(
            simple_case(p, h, miss) if p else miss for p in buckets(answers, bits)
        )
        return f"ELT(1+({h}>>{60 - bits}),{parts})"

    return build


def elt_field(answers: Answers, h: str, miss: str) -> str:
    values = ",".join(number(v) for v in answers.values())
    keys = ",".join(map(str, answers))
    return f"ELT(COALESCE(NULLIF(FIELD({h},{keys}),0),{miss}),{values})"


def elt_interval(answers: Answers, h: str, miss: str) -> str:
    """Without the check of the key: too fast, and a miss is not noticed."""
    sorted_keys = sorted(answers)
    values = ",".join(number(answers[k]) for k in sorted_keys)
    return f"ELT(INTERVAL({h},{','.join(map(str, sorted_keys))}),{values})"


FORMS: dict[str, tuple[Callable[[Answers, str, str], str], int]] = {
    # name: how it is built, and the most texts for which it is worth trying
    "in lists": (in_lists, 10**7),
    "case": (simple_case, 1_000),
    "case of cases": (case_of_cases(), 100_000),
    "two levels": (two_levels, 10**6),
    "tree": (tree, 10_000),
    "elt of cases/8": (elt_of_cases(8), 10**7),
    "elt of cases/16": (elt_of_cases(16), 10**7),
    "elt of cases/32": (elt_of_cases(32), 10**7),
    "elt of cases/64": (elt_of_cases(64), 10**7),
    "elt(field)": (elt_field, 1_000),
    "elt(interval)": (elt_interval, 10**7),
}


def peak_memory(pid: int | None, reset: bool = False) -> int:
    """The server's peak in KiB, from the kernel."""
    try:
        if reset:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) if found else 0
    except OSError:
        return 0


def server_pid(cursor: pymysql.cursors.Cursor) -> int | None:
    cursor.execute("SELECT @@pid_file")
    try:
        return int(Path(cursor.fetchone()[0]).read_text())
    except (OSError, ValueError):
        return None


def fill(cursor: pymysql.cursors.Cursor, rows: int, distinct: int) -> list[str]:
    texts = [
        f"Feedback {i}: the parcel came late, the colour is not what I ordered"
        for i in range(distinct)
    ]
    cursor.execute("DROP TABLE IF EXISTS feedback")
    cursor.execute(
        "CREATE TABLE feedback (id INT PRIMARY KEY, x VARCHAR(200) CHARACTER SET utf8mb4)"
    )
    for start in range(0, rows, 10_000):
        part = range(start, min(start + 10_000, rows))
        cursor.execute(
            "INSERT INTO feedback VALUES "
            + ",".join(f"({i},'{texts[i % distinct]}')" for i in part)
        )
    cursor.execute("SELECT COUNT(x) FROM feedback")
    return texts


def timed(cursor: pymysql.cursors.Cursor, sql: str, runs: int) -> tuple[float, object]:
    best = math.inf
    for _ in range(runs):
        start = time.perf_counter()
        cursor.execute(sql)
        answer = cursor.fetchone()[0]
        best = min(best, time.perf_counter() - start)
    return best * 1000, answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3306)
    parser.add_argument("--user", default="root")
    parser.add_argument("--password", default="")
    parser.add_argument(
        "--database", default="lookup_forms_bench", help="made and dropped"
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument(
        "--distinct", type=int, nargs="+", default=[10, 100, 1_000, 10_000, 100_000]
    )
    parser.add_argument("--forms", default="", help="a regular expression")
    parser.add_argument("--columns", nargs="+", default=["label", "confidence"])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument(
        "--any-charset",
        action="store_true",
        help="the hash that works under ucs2 and utf16 as well",
    )
    options = parser.parse_args()

    connection = pymysql.connect(
        host=options.host,
        port=options.port,
        user=options.user,
        password=options.password,
        charset="utf8mb4",
        autocommit=True,
        max_allowed_packet=2**30,
    )
    cursor = connection.cursor()
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {options.database}")
    cursor.execute(f"USE {options.database}")
    pid = server_pid(cursor)
    h = (HASH_ANY if options.any_charset else HASH).format(x="x")
    miss = MISS.format(x="x")
    print(connection.get_server_info(), f"{options.rows:,} rows")
    try:
        for distinct in options.distinct:
            texts = fill(cursor, options.rows, distinct)
            floor, _ = timed(
                cursor, f"SELECT COUNT(*) FROM feedback WHERE {h}=1", options.runs
            )
            print(f"{distinct:>9,} {'':10} {'the hash alone':16} {floor:8.0f} ms")
            for column in options.columns:
                answers: Answers = {
                    text_hash(t): 1 + i % 4
                    if column == "label"
                    else (text_hash(t) % 2**53) / 2**53
                    for i, t in enumerate(texts)
                }
                for name, (build, most) in FORMS.items():
                    if distinct > most or not re.search(options.forms, name):
                        continue
                    if column == "confidence" and name == "in lists" and distinct > 10:
                        continue
                    expression = build(answers, h, miss)
                    if column == "label":
                        wanted = f"ELT({expression},{CHOICES})='NEGATIVE'"
                        sql = f"SELECT COUNT(*) FROM feedback WHERE {wanted}"
                    else:
                        sql = f"SELECT SUM({expression}+0e0) FROM feedback"
                    before = peak_memory(pid, reset=True)
                    try:
                        took, _ = timed(cursor, sql, options.runs)
                        shown = f"{took:8.0f} ms"
                    except pymysql.Error as error:
                        shown = f"error {error.args[0]}"
                        connection.ping(reconnect=True)
                        cursor.execute(f"USE {options.database}")
                    grown = (peak_memory(pid) - before) / 1024
                    line = f"{distinct:>9,} {column:10} {name:16} {shown}"
                    print(f"{line} {len(sql):>12,} bytes {grown:+6.0f} MiB", flush=True)
    finally:
        cursor.execute(f"DROP DATABASE {options.database}")


if __name__ == "__main__":
    main()
