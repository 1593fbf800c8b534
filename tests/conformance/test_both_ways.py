"""Statements that splicing answers, through a proxy that splices and one that never does.

Both stand before the same server and ask the same service. Whatever either may answer,
both answer alike: rows, definitions, counts, warnings, errors and status. What differs
all the same is listed in docs/inline.md, and in `comparable`.
AURORA_RANDOM_STATEMENTS says how many of the random ones, AURORA_RANDOM_SEED which is
first.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from support.fakes import Fake
from support.inline_corpus import Case, read_corpus
from support.inline_differences import summary
from support.inline_oracle import run_side
from support.inline_sessions import SESSIONS as CORPUS_SESSIONS
from support.inline_tables import Tables
from support.oracle import RawClient, Seen
from support.proxies import CLI, INLINE_ONLY, Proxy, start_proxy, stop_proxy
from support.random_runs import COLUMN_FIELDS, RandomClient, differences
from support.random_schema import create_tables
from support.random_spliced import SIZED, spliced
from support.random_sql import Statement
from support.servers import Server
from support.shrink import shrink
from test_splice_oracle import CORPUS, SESSIONS, encode

from aurora_ml_proxy.errors import ProxyError
from aurora_ml_proxy.plan.dialect import Dialect, read_version
from aurora_ml_proxy.plan.plan import Splice
from aurora_ml_proxy.plan.statement import plan_statement

STATEMENTS = int(os.environ.get("AURORA_RANDOM_STATEMENTS", "150"))
FIRST_SEED = int(os.environ.get("AURORA_RANDOM_SEED", "2000"))
MOST_REPORTED = 10

pytestmark = [pytest.mark.mysql, pytest.mark.timeout(120 + STATEMENTS)]

_NAMES_AN_ITEM = (1055, 1140)
"""Errors of ONLY_FULL_GROUP_BY. They name the first item that is wrong, by its number:
in a spliced statement the arguments are items of their own, at the end of the list."""

_COME_AGAIN = (b"1287", b"1300", b"3720")
"""Warnings of the server about an argument's text: deprecated syntax, and a literal that
character_set_connection has no letters for. One each time that the argument is written.
"""


_ONLY_SPLICED = "by a literal WITH ROLLUP"
"""What inline answering refuses on MySQL, of that which splicing answers."""


@dataclass(frozen=True, slots=True)
class BothWays:
    """A server, the proxy that splices and the one that does not."""

    server: Server
    spliced: Proxy
    inline: Proxy

    def is_spliced(self, sql: str) -> bool:
        """Whether planning answers a statement by splicing, with no sql_mode."""
        is_mariadb, version = read_version(self.server.version)
        try:
            plan = plan_statement(
                sql.encode(), Dialect(is_mariadb=is_mariadb, version=version)
            )
        except ProxyError:
            return False
        return isinstance(plan, Splice)


@pytest.fixture(scope="module")
def both_ways(
    tmp_path_factory: pytest.TempPathFactory,
    fake_service: Fake,
    oracle_proxy: Callable[[Server], Proxy],
) -> Iterator[Callable[[Server], BothWays]]:
    """`both_ways(server)`: the second proxy is started when it is first asked for."""
    made: dict[str, BothWays] = {}

    def get(server: Server) -> BothWays:
        if server.kind not in made:
            usual = oracle_proxy(server)
            never = start_proxy(
                server,
                fake_service.settings(),
                tmp_path_factory.mktemp("proxy"),
                INLINE_ONLY,
            )
            made[server.kind] = BothWays(server, usual, never)
        return made[server.kind]

    yield get
    for both in made.values():
        stop_proxy(both.inline)


def comparable(seen: Seen, *, is_ordered: bool = True) -> Seen:
    """What must be equal; the listed differences taken out."""
    if not is_ordered:
        seen = replace(seen, rows=tuple(sorted(seen.rows, key=repr)))
    if seen.error is not None and seen.error[0] in _NAMES_AN_ITEM:
        return replace(seen, error=seen.error[:1], warnings=())
    again = [row for row in seen.warnings if row[1] in _COME_AGAIN]
    if not again:
        return seen
    rest = tuple(row for row in seen.warnings if row not in again)
    once = tuple(sorted(set(again), key=repr))
    return replace(
        seen, warnings=(*once, *rest), warning_count=seen.warning_count - len(again)
    )


def difference(wanted: Seen, got: Seen) -> list[str]:
    """A line for each field that differs, of what is comparable."""
    lines = []
    for field in (
        "error",
        "rows",
        "affected_rows",
        "warning_count",
        "warnings",
        "status",
    ):
        a, b = getattr(wanted, field), getattr(got, field)
        if a != b:
            lines.append(f"{field}: spliced {a}, inline {b}")
    if len(wanted.columns) != len(got.columns):
        lines.append(f"columns: spliced {len(wanted.columns)}, inline {len(got.columns)}")
        return lines
    for number, both in enumerate(zip(wanted.columns, got.columns, strict=True), 1):
        for name, a, b in zip(COLUMN_FIELDS, *both, strict=True):
            if a != b:
                lines.append(f"column {number}'s {name}: spliced {a!r}, inline {b!r}")
    return lines


@pytest.mark.parametrize("session", SESSIONS)
def test_the_statements_of_the_splice_oracle_are_answered_alike(
    server: Server, both_ways: Callable[[Server], BothWays], session: str
) -> None:
    both = both_ways(server)
    start, encoding = SESSIONS[session]
    clients = [
        RawClient(server, proxy.host, proxy.port) for proxy in (both.spliced, both.inline)
    ]
    lines = []
    try:
        for client in clients:
            client.see(start.encode())
        for statement in CORPUS:
            raw = encode(statement, session, encoding)
            found = difference(*(comparable(client.see(raw)) for client in clients))
            lines += ["\n  ".join([statement, *found])] if found else []
    finally:
        for client in clients:
            client.close()
    assert not lines, "\n".join(lines)


def test_the_two_proxies_answer_in_two_ways(
    mariadb10: Server,
    oracle_proxy: Callable[[Server], Proxy],
    fake: Fake,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    oracle_proxy(mariadb10)  # makes the schema
    plans = []
    for program in (CLI, INLINE_ONLY):
        directory = tmp_path_factory.mktemp("proxy")
        proxy = start_proxy(mariadb10, fake.settings(), directory, program)
        try:
            client = RawClient(mariadb10, proxy.host, proxy.port)
            for statement in CORPUS:
                client.see(statement.encode())
            client.close()
        finally:
            stop_proxy(proxy)  # and reads the log to its end
        plans.append(Counter(re.findall(r"plan=(\w+)", proxy.log)))
    assert set(plans[0]) == {"splice"} and set(plans[1]) == {"inline"}
    assert plans[0]["splice"] == plans[1]["inline"] > 0.9 * len(CORPUS)


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(name, marks=[] if session.whole else pytest.mark.matrix)
        for name, session in CORPUS_SESSIONS.items()
    ],
)
def test_the_corpus_of_inline_statements_is_answered_alike(
    server: Server, both_ways: Callable[[Server], BothWays], session: str
) -> None:
    if not server.kind.startswith(CORPUS_SESSIONS[session].kinds):
        pytest.skip(f"{server.kind} is so as it is")
    both = both_ways(server)
    cases = _spliced_cases(both)
    tables = Tables(server)
    try:
        one, other = (
            run_side(tables, proxy, CORPUS_SESSIONS[session], cases, direct=False)
            for proxy in (both.spliced, both.inline)
        )
    finally:
        tables.close()
    different = summary(cases, one, other, 50)
    if different:
        pytest.fail(different, pytrace=False)


def _spliced_cases(both: BothWays) -> list[Case]:
    """The cases that splicing has a part in: a step is answered by it, or prepared."""
    return [
        case
        for case in read_corpus()
        if case.is_for(both.server.kind)
        and (case.section == "prepare" or any(map(both.is_spliced, case.steps)))
    ]


class Three:
    """Three clients side by side: of the server, and of each proxy."""

    def __init__(self, both: BothWays) -> None:
        self.server = both.server
        self.direct, self.spliced, self.inline = (
            RandomClient(both.server, place.host, place.port)
            for place in (both.server, both.spliced, both.inline)
        )

    def close(self) -> None:
        for client in (self.direct, self.spliced, self.inline):
            client.close()

    def differences(self, made: Statement) -> list[str]:
        """What differs between the two ways, and between splicing and the server."""
        seen = [
            comparable(client.see(made.sql.encode()), is_ordered=made.ordered)
            for client in (self.spliced, self.inline)
        ]
        is_refused = _ONLY_SPLICED in str(seen[1].error)
        found = [] if is_refused else difference(*seen)
        # docs/inline.md says what MySQL passes to a stored function in rows of ROLLUP.
        is_odd = "WITH ROLLUP" in made.sql and not self.server.is_mariadb
        if made.kind != SIZED and not is_odd:
            looks = self.direct.look(made), self.spliced.look(made)
            found += differences(self.server, made, *looks)
        return found


@pytest.fixture
def three(server: Server, both_ways: Callable[[Server], BothWays]) -> Iterator[Three]:
    clients = Three(both_ways(server))
    create_tables(clients.direct.run)
    yield clients
    clients.close()


def test_random_statements_are_answered_alike(
    three: Three, both_ways: Callable[[Server], BothWays]
) -> None:
    both = both_ways(three.server)
    reports = []
    tried = failed = 0
    seed = FIRST_SEED
    while tried < STATEMENTS:
        made = spliced(seed, three.server.is_mariadb)
        seed += 1
        if not both.is_spliced(made.sql):
            continue
        tried += 1
        found = three.differences(made)
        failed += bool(found)
        if found and len(reports) < MOST_REPORTED:
            small = _smaller(three, seed - 1, made, found[0])
            lines = [f"seed {seed - 1}", made.sql, *found]
            lines += ["smaller:", small.sql, *three.differences(small)]
            reports.append("\n  ".join(lines))
    assert tried > 0.8 * (seed - FIRST_SEED)
    assert not failed, "\n".join([f"{failed} of {STATEMENTS}", *reports])


def _smaller(three: Three, seed: int, made: Statement, line: str) -> Statement:
    """A simpler statement that differs in the same field."""
    field = line.partition(":")[0]

    def still_differs(choices: Sequence[int]) -> bool:
        tried = spliced(seed, three.server.is_mariadb, choices)
        return any(one.startswith(field) for one in three.differences(tried))

    return spliced(seed, three.server.is_mariadb, shrink(made.choices, still_differs))
