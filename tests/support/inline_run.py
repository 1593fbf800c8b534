"""Runs a part of the inline corpus and shows every difference.

    alias run='PYTHONPATH=tests .venv/bin/python -m support.inline_run'
    run where:12
    run -k mysql9,mariadb10 -s latin1 where joins:3-9
    run "SELECT COUNT(F(t,'en')) FROM fb"
    run --show where:12

-k is the kind of server (or several, with commas), -s the session or "all".
--hashed lets the proxy read texts by their hashes first, with a cache.
--show prints what each side has shown, even where nothing differs. --direct leaves the
proxy out: the direct side is run twice, and errors that no mark announces are named.
"""

import argparse
import os
import tempfile
from pathlib import Path

from support.fakes import AWS_ENVIRONMENT, start_fake, stop_fake
from support.inline_corpus import Case, ad_hoc, choose, read_corpus
from support.inline_differences import report, summary
from support.inline_oracle import Session, Shown, choose_for, run_side
from support.inline_sessions import SESSIONS
from support.inline_tables import Tables
from support.proxies import (
    CLI,
    HASHES_FIRST,
    Proxy,
    start_proxy,
    stop_proxy,
)
from support.servers import KINDS, ServerPool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-k", "--kinds", default=KINDS[0])
    parser.add_argument("-s", "--session", default="as it is", choices=[*SESSIONS, "all"])
    parser.add_argument("--direct", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--hashed", action="store_true")
    parser.add_argument("what", nargs="*", help="sections, section:number, or SQL")
    arguments = parser.parse_args()
    os.environ.update(AWS_ENVIRONMENT)
    fake = start_fake()
    pool = ServerPool()
    try:
        for kind in arguments.kinds.split(","):
            tables = Tables(pool.get(kind))
            proxy = None
            if not arguments.direct:
                directory = Path(tempfile.mkdtemp())
                settings = fake.settings()
                settings["cache"] = {"enabled": arguments.hashed}
                program = HASHES_FIRST if arguments.hashed else CLI
                proxy = start_proxy(tables.server, settings, directory, program)
            try:
                for name, session in SESSIONS.items():
                    if arguments.session == name or (
                        arguments.session == "all" and kind.startswith(session.kinds)
                    ):
                        print(f"== {kind}, {name}", flush=True)
                        _run(tables, proxy, session, arguments)
            finally:
                if proxy is not None:
                    stop_proxy(proxy)
    finally:
        pool.stop()
        stop_fake(fake)


def _run(
    tables: Tables, proxy: Proxy | None, session: Session, arguments: argparse.Namespace
) -> None:
    kind = tables.server.kind
    cases = _wanted(arguments.what, session, kind)
    direct = run_side(tables, tables.server, session, cases, direct=True)
    if proxy is None and session == SESSIONS["as it is"]:
        print("".join(f"{line}\n" for line in unannounced(cases, direct, kind)), end="")
    other = run_side(tables, proxy or tables.server, session, cases, direct=proxy is None)
    for case, *sides in zip(cases, direct, other, strict=True):
        if text := report(case, *sides):
            print(text, end="\n\n")
        elif arguments.show:
            print(case.name)
        if arguments.show:
            for side, shown in zip(("direct", "proxied"), sides, strict=True):
                _print_steps(side, shown)
    print(summary(cases, direct, other, 0) or f"{len(cases)} cases agree")


def _wanted(what: list[str], session: Session, kind: str) -> list[Case]:
    corpus = read_corpus()
    if not what:
        return choose_for(session, kind, corpus)
    names = [word for word in what if " " not in word]
    cases = [case for case in choose(corpus, names) if case.is_for(kind)]
    return cases + [ad_hoc(word) for word in what if " " in word]


def unannounced(cases: list[Case], shown: list[Shown], kind: str) -> list[str]:
    """The cases that fail without a mark, or have a mark and do not fail."""
    wrong = []
    for case, seen in zip(cases, shown, strict=True):
        errors = [step.error for step in seen.steps if step.error is not None]
        if bool(errors) != case.fails_on(kind):
            wrong.append(f"{case.name} (line {case.line}) {errors or 'does not fail'}")
    return wrong


def _print_steps(side: str, shown: Shown) -> None:
    for step in shown.steps:
        print(f"  {side}: {step.error or ''} {step.counts} {step.warnings}")
        for result in step.results:
            print(f"    {result.columns}\n    {result.rows}")


if __name__ == "__main__":
    main()
