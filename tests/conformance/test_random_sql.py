"""Random statements with calls anywhere, straight to the server and through the proxy.

The server has stored functions of the ML functions' names: all that a client sees of a
statement, and all that the statement leaves behind, must be equal.
AURORA_RANDOM_STATEMENTS says how many on each server, AURORA_RANDOM_SEED which is first;
Of each kind of difference the first is reported, and shrunk to a simpler statement;
AURORA_RANDOM_SHRINK=0 leaves it as it was, which is faster.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pymysql
import pytest
from support.oracle import create_oracle
from support.proxies import Proxy
from support.random_runs import (
    RandomClient,
    differences,
    is_own_error,
    numbered_alike,
)
from support.random_schema import create_tables
from support.random_sql import Statement, statement
from support.servers import Server
from support.shrink import shrink

STATEMENTS = int(os.environ.get("AURORA_RANDOM_STATEMENTS", "150"))
FIRST_SEED = int(os.environ.get("AURORA_RANDOM_SEED", "2000"))
MOST_REFUSED = 0.02
"""Statements that the proxy may refuse with an error of its own, of all."""

MOST_RENUMBERED = 0.02
"""Statements that may leave AUTO_INCREMENT numbers out, of all: they were sent twice."""

SHRINKS = os.environ.get("AURORA_RANDOM_SHRINK", "1") != "0"
MOST_REPORTED = int(os.environ.get("AURORA_RANDOM_REPORTED", "10"))

pytestmark = [pytest.mark.mysql, pytest.mark.timeout(120 + STATEMENTS)]


class Pair:
    """A client of the server and a client of the proxy, side by side."""

    def __init__(self, server: Server, proxy: Proxy) -> None:
        self.server = server
        self.direct = RandomClient(server, server.host, server.port)
        if server.is_mariadb:
            # MariaDB's cache takes the answer to 'Good' for that to 'good '.
            self.direct.run("SET optimizer_switch='subquery_cache=off'")
        self._proxy = proxy
        self.proxied = RandomClient(server, proxy.host, proxy.port)
        self.is_refused = False
        """Whether the proxy had an error of its own for the last statement."""
        self.is_renumbered = False
        """Whether the last statement has left AUTO_INCREMENT numbers out."""

    def close(self) -> None:
        for client in (self.direct, self.proxied):
            try:
                client.close()
            except pymysql.MySQLError:
                pass

    def differences(self, made: Statement) -> list[str]:
        """What differs; a proxy that does not answer, or hangs up, is a difference."""
        wanted = self.direct.look(made)
        self.is_refused = False
        try:
            got = self.proxied.look(made)
        except (pymysql.MySQLError, OSError) as failure:
            self.proxied.abandon()
            self.proxied = RandomClient(self.server, self._proxy.host, self._proxy.port)
            return [f"no answer: direct {wanted.error}, proxied {failure!r}"]
        self.is_refused = wanted.error is None and is_own_error(got)
        found = list(differences(self.server, made, wanted, got))
        alike = numbered_alike(made, wanted, got)
        self.is_renumbered = bool(
            found and not list(differences(self.server, made, wanted, alike))
        )
        return [] if self.is_renumbered else found


@pytest.fixture
def pair(server: Server, oracle_proxy: Callable[[Server], Proxy]) -> Iterator[Pair]:
    both = Pair(server, oracle_proxy(server))
    create_tables(both.direct.run)
    yield both
    both.close()


def _field(line: str) -> str:
    """What a line of `differences` is about: "rows", "column's flags", "error 0 or 1"."""
    return re.sub(r"^column \d+", "column", line.partition(":")[0])


def _smaller(pair: Pair, seed: int, made: Statement, field: str) -> Statement:
    """A simpler statement that differs in the same field."""

    def still_differs(choices: Sequence[int]) -> bool:
        tried = statement(seed, pair.server.is_mariadb, choices)
        return any(_field(line) == field for line in pair.differences(tried))

    choices = shrink(made.choices, still_differs)
    return statement(seed, pair.server.is_mariadb, choices)


def test_random_statements_give_what_the_server_gives(pair: Pair) -> None:
    reports: dict[str, str] = {}
    fields: Counter[str] = Counter()
    failed = refused = renumbered = 0
    for seed in range(FIRST_SEED, FIRST_SEED + STATEMENTS):
        made = statement(seed, pair.server.is_mariadb)
        found = pair.differences(made)
        refused += pair.is_refused
        renumbered += pair.is_renumbered
        if not found:
            continue
        failed += 1
        fields.update({_field(line) for line in found})
        field = _field(found[0])
        if field in reports or len(reports) == MOST_REPORTED:
            continue
        lines = [f"seed {seed} ({made.kind})", made.sql, *found]
        if SHRINKS:
            small = _smaller(pair, seed, made, field)
            lines += ["smaller:", small.sql, *pair.differences(small)]
        reports[field] = "\n  ".join(lines)
    assert refused <= MOST_REFUSED * STATEMENTS, f"{refused} of {STATEMENTS} refused"
    assert renumbered <= MOST_RENUMBERED * STATEMENTS, f"{renumbered} of {STATEMENTS}"
    counts = ", ".join(f"{field} {count}" for field, count in fields.most_common())
    assert not failed, "\n".join(
        [
            f"{failed} of {STATEMENTS} on {pair.server.version}: {counts}",
            *reports.values(),
        ]
    )


def test_the_random_statements_are_mostly_valid_and_have_one_answer(
    server: Server,
) -> None:
    create_oracle(server)
    one, two = (RandomClient(server, server.host, server.port) for _ in range(2))
    try:
        create_tables(one.run)
        valid = 0
        for seed in range(FIRST_SEED, FIRST_SEED + min(STATEMENTS, 500)):
            made = statement(seed, server.is_mariadb)
            first = one.look(made)
            assert not list(differences(server, made, first, two.look(made))), made.sql
            valid += first.error is None
    finally:
        one.close()
        two.close()
    assert valid >= 0.85 * min(STATEMENTS, 500)


@pytest.mark.parametrize("mariadb", [True, False])
def test_a_seed_and_its_choices_give_the_same_statement(mariadb: bool) -> None:
    for seed in range(50):
        made = statement(seed, mariadb)
        assert statement(seed, mariadb) == made
        assert statement(0, mariadb, made.choices) == made


def test_a_statement_shrinks_to_what_it_fails_for() -> None:
    def has_union(choices: Sequence[int]) -> bool:
        return " UNION " in statement(0, True, choices).sql

    seed = next(seed for seed in range(999) if " UNION " in statement(seed, True).sql)
    made = statement(seed, True)
    small = statement(0, True, shrink(made.choices, has_union))
    assert " UNION " in small.sql
    assert len(small.sql) < len(made.sql)
