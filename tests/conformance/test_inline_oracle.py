"""Statements with calls in any position, against a server that has the functions itself.

One statement or section, with every difference:
PYTHONPATH=tests .venv/bin/python -m support.inline_run -k mysql9 -s "as it is" where:12
"""

from collections.abc import Callable, Iterator

import pytest
from support.inline_corpus import Case, read_corpus
from support.inline_differences import summary
from support.inline_oracle import Shown, choose_for, run_side
from support.inline_run import unannounced
from support.inline_sessions import SESSIONS
from support.inline_tables import Tables
from support.proxies import CLI, HASHES_FIRST, Proxy
from support.servers import Server

pytestmark = pytest.mark.mysql

CORPUS = read_corpus()
LINES = 55


@pytest.fixture(scope="module")
def tables_of() -> Iterator[Callable[[Server], Tables]]:
    """`tables_of(server)`: the schemas of this oracle, made once on each server."""
    made: dict[str, Tables] = {}

    def get(server: Server) -> Tables:
        if server.kind not in made:
            made[server.kind] = Tables(server)
        return made[server.kind]

    yield get
    for tables in made.values():
        tables.close()


def run_direct(tables: Tables, session: str) -> tuple[list[Case], list[Shown]]:
    cases = choose_for(SESSIONS[session], tables.server.kind, CORPUS)
    return cases, run_side(tables, tables.server, SESSIONS[session], cases, direct=True)


@pytest.mark.timeout(300)
def test_the_corpus_shows_the_same_when_it_is_run_twice(
    server: Server, tables_of: Callable[[Server], Tables]
) -> None:
    tables = tables_of(server)
    cases, first = run_direct(tables, "as it is")
    wrong = unannounced(cases, first, server.kind)
    assert not wrong, "\n".join(wrong)
    _, second = run_direct(tables, "as it is")
    different = summary(cases, first, second, LINES)
    assert not different, different


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "session",
    [
        pytest.param(
            name,
            marks=[] if session.whole and session.in_every_run else pytest.mark.matrix,
        )
        for name, session in SESSIONS.items()
    ],
)
@pytest.mark.parametrize("program", [CLI, HASHES_FIRST])
def test_the_proxy_gives_what_the_server_gives(
    server: Server,
    oracle_proxy: Callable[..., Proxy],
    tables_of: Callable[[Server], Tables],
    session: str,
    program: tuple[str, ...],
) -> None:
    if not server.kind.startswith(SESSIONS[session].kinds):
        pytest.skip(f"{server.kind} is so as it is")
    proxy, tables = oracle_proxy(server, program), tables_of(server)
    cases, direct = run_direct(tables, session)
    proxied = run_side(tables, proxy, SESSIONS[session], cases, direct=False)
    different = summary(cases, direct, proxied, LINES)
    if different:
        pytest.fail(different, pytrace=False)
