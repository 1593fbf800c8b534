"""Real clients: the mariadb or mysql command line, or aiomysql where there is none.

A statement goes in; a table as the client prints it comes out.
"""

import asyncio
import os
import subprocess
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import aiomysql

from aurora_ml_proxy.demo import DemoFailed
from aurora_ml_proxy.demo.mariadb import find_program


class Client(Protocol):
    """Someone who can ask a MySQL server."""

    @property
    def name(self) -> str:
        """What to call it in the output."""
        ...

    def query(self, port: int, statement: str) -> str:
        """The result as a table. Raises: DemoFailed with the server's error."""
        ...


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The `mariadb` or `mysql` program, which prints its own tables."""

    name: str
    program: str
    user: str
    password: str
    database: str

    def query(self, port: int, statement: str) -> str:
        done = subprocess.run(
            [
                self.program,
                *("--no-defaults", "--default-character-set=utf8mb4", "--table"),
                *("--protocol=tcp", "--host=127.0.0.1", f"--port={port}"),
                *(f"--user={self.user}", self.database, f"--execute={statement}"),
            ],
            capture_output=True,
            env={**os.environ, "MYSQL_PWD": self.password},
        )
        if done.returncode:
            raise DemoFailed(done.stderr.decode("utf-8", "replace").strip())
        return done.stdout.decode("utf-8").rstrip("\n")


@dataclass(frozen=True, slots=True)
class Library:
    """aiomysql, with tables of our own."""

    name: str
    user: str
    password: str
    database: str

    def query(self, port: int, statement: str) -> str:
        try:
            return asyncio.run(self._query(port, statement))
        except (aiomysql.Error, OSError) as error:
            raise DemoFailed(f"{self.name}: {error}") from None

    async def _query(self, port: int, statement: str) -> str:
        connection = await aiomysql.connect(
            host="127.0.0.1",
            port=port,
            user=self.user,
            password=self.password,
            db=self.database,
            charset="utf8mb4",
        )
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(statement)
                names = [column[0] for column in cursor.description]
                return table(names, await cursor.fetchall())
        finally:
            connection.close()


def pick(user: str, password: str, database: str) -> Client:
    """The first client that this machine has."""
    program = find_program("mariadb", "mysql")
    if program:
        name = os.path.basename(program)
        return CommandLine(name, program, user, password, database)
    return Library("aiomysql", user, password, database)


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows in a frame, as the command line clients draw them."""
    cells = [list(names)] + [["NULL" if c is None else str(c) for c in r] for r in rows]
    numbers = [
        all(isinstance(r[i], int | float | Decimal) for r in rows)
        for i in range(len(names))
    ]
    widths = [max(width(line[i]) for line in cells) for i in range(len(names))]
    rule = "+" + "+".join("-" * (w + 2) for w in widths) + "+"
    lines = [_line(line, widths, numbers) for line in cells]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def _line(cells: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    padded = []
    for cell, size, is_number in zip(cells, widths, numbers, strict=True):
        blanks = " " * (size - width(cell))
        padded.append(blanks + cell if is_number else cell + blanks)
    return "| " + " | ".join(padded) + " |"


def width(text: str) -> int:
    """Columns on a terminal."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )
