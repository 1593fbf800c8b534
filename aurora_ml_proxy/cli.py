"""The command line: serve, demo, check. Settings are read here and handed on.

What a command needs is imported when it runs: --help and a wrong config answer at once.
Exit status: 0 done, 1 it did not work, 2 wrong arguments or settings.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from aurora_ml_proxy.config import ENV_PREFIX, ConfigError, load

CONFIG_HELP = f"TOML file; without it, defaults and {ENV_PREFIX}SECTION__KEY variables"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except ConfigError as error:
        print(f"aurora-ml-proxy: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = argparse.ArgumentParser(
        prog="aurora-ml-proxy",
        description="Aurora MySQL's machine learning functions "
        "for every MySQL and MariaDB, as a proxy.",
    )
    release = f"%(prog)s {version('aurora-ml-proxy')}"
    top.add_argument("--version", action="version", version=release)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    one = commands.add_parser(
        "serve",
        help="run the proxy in the foreground",
        description="Run the proxy in the foreground. "
        "SIGTERM drains, SIGHUP reads the config again.",
    )
    one.add_argument("--config", type=Path, metavar="FILE", help=CONFIG_HELP)
    one.set_defaults(command=serve)

    one = commands.add_parser(
        "demo",
        help="show it on this machine",
        description="Start a private MariaDB with sample feedback, and the proxy with "
        "the local model; run the article's queries; then keep serving.",
    )
    one.add_argument("--once", action="store_true", help="end after the results")
    one.set_defaults(command=demo)

    one = commands.add_parser(
        "check",
        help="try all that serve will need",
        description="Try the upstream, its TLS, the sentiment backend and the "
        "listening addresses, one line each. Comprehend is asked about one short text "
        "by each of its two calls: less than a tenth of a cent.",
    )
    one.add_argument("--config", type=Path, metavar="FILE", help=CONFIG_HELP)
    one.add_argument("--user", help="also log in to the upstream as this user")
    one.add_argument(
        "--password-env",
        metavar="NAME",
        help="the environment variable that holds the user's password",
    )
    one.set_defaults(command=check)
    return top


def serve(options: argparse.Namespace) -> int:
    load_settings = partial(load, options.config)
    load_settings()  # a wrong config answers before the imports, which take a second

    from aurora_ml_proxy.server.run import run

    return run(load_settings)


def demo(options: argparse.Namespace) -> int:
    from aurora_ml_proxy.demo.show import run

    return run(once=options.once)


def check(options: argparse.Namespace) -> int:
    settings = load(options.config)
    password = ""
    if options.password_env:
        if options.password_env not in os.environ:
            raise ConfigError(f"--password-env: {options.password_env} is not set")
        password = os.environ[options.password_env]

    from aurora_ml_proxy.check import Login, run

    login = Login(options.user, password) if options.user is not None else None
    return asyncio.run(run(settings, login))


if __name__ == "__main__":
    sys.exit(main())
