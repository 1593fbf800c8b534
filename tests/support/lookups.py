"""The SQL of lookups, evaluated in Python: as much of it as `splice.lookups` writes.

In: an expression's text. Out: a function of the value of its column `t`. What the server
computes for a row is computed alike, also that only the branch that is taken can fail.
"""

import math
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

Value = Any
"""None, an int, a float, or bytes for a string."""
Node = Callable[[Value], Value]

_TOKEN = re.compile(
    rb"\s*(?:(?P<hex>(?:_utf8mb4 )?X'(?:[0-9A-F]{2})*')|(?P<text>'[^'\\]*')"
    rb"|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    rb"|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<mark>>>|[(),+\-<=]))"
)


class Missing(Exception):
    """Error 1690: EXP of more than a DOUBLE holds."""


def compiled(sql: bytes) -> Node:
    """The expression as a function."""
    parser = _Parser(sql)
    node = parser.expression()
    assert parser.peek() is None, parser.rest()
    return node


class _Parser:
    def __init__(self, sql: bytes) -> None:
        self._tokens: list[tuple[str, bytes]] = []
        at = 0
        sql = sql.rstrip()
        while at < len(sql):
            match = _TOKEN.match(sql, at)
            assert match is not None and match.lastgroup, sql[at : at + 40]
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self._at = 0

    def peek(self, ahead: int = 0) -> bytes | None:
        at = self._at + ahead
        return self._tokens[at][1] if at < len(self._tokens) else None

    def rest(self) -> list[bytes]:
        return [text for _, text in self._tokens[self._at : self._at + 10]]

    def _take(self, *words: bytes) -> bool:
        """Step over these, if they come next."""
        if any(self.peek(n) != word for n, word in enumerate(words)):
            return False
        self._at += len(words)
        return True

    def _must(self, *words: bytes) -> None:
        assert self._take(*words), (words, self.rest())

    def expression(self) -> Node:
        """Operators from left to right: lookups have parentheses around all others."""
        left = self._operand()
        while True:
            if self._take(b"+"):
                left = _of(lambda a, b: a + b, left, self._operand())
            elif self._take(b">>"):
                left = _of(lambda a, b: a >> b, left, self._operand())
            elif self._take(b"IS", b"NULL"):
                left = _is_null(left)
            elif self._take(b"IN"):
                left = _of(lambda a, found: int(a in found), left, self._numbers())
            elif self._take(b"NOT", b"IN"):
                left = _of(lambda a, found: int(a not in found), left, self._numbers())
            else:
                return left

    def _operand(self) -> Node:
        if self._take(b"("):
            node = self.expression()
            self._must(b")")
            return node
        if self._take(b"CASE"):
            return self._case()
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "hex":
            return _constant(bytes.fromhex(text.split(b"'")[1].decode()))
        if kind == "text":
            return _constant(text[1:-1])
        if kind == "number":
            return _constant(float(text) if b"e" in text else int(text))
        assert kind == "word", text
        if self.peek() == b"(":
            return self._call(text)
        if text == b"NULL":
            return _constant(None)
        assert text == b"t", text
        return lambda t: t

    def _numbers(self) -> Node:
        self._must(b"(")
        found = set()
        while not self._take(b")"):
            sign = -1 if self._take(b"-") else 1
            found.add(sign * int(self._tokens[self._at][1]))
            self._at += 1
            self._take(b",")
        return _constant(frozenset(found))

    def _case(self) -> Node:
        subject = None if self.peek() == b"WHEN" else self.expression()
        whens = []
        while self._take(b"WHEN"):
            when = self.expression()
            self._must(b"THEN")
            whens.append((when, self.expression()))
        self._must(b"ELSE")
        otherwise = self.expression()
        self._must(b"END")
        if subject is None:
            return _searched(whens, otherwise)
        # Each WHEN is a number, and no number stands twice.
        by_value = {when(None): then for when, then in whens}
        assert len(by_value) == len(whens)
        return lambda t: by_value.get(subject(t), otherwise)(t)

    def _call(self, name: bytes) -> Node:
        self._must(b"(")
        arguments = [self.expression()]
        if name == b"CONVERT":
            self._must(b"USING")
            self._at += 1
        elif name == b"CAST":
            self._must(b"AS")
            name += b" " + self._tokens[self._at][1]
            self._at += 1
        while self._take(b","):
            arguments.append(self.expression())
        self._must(b")")
        if name == b"ELT":
            return _elt(*arguments)
        if name == b"COALESCE":
            first, second = arguments
            return lambda t: second(t) if (value := first(t)) is None else value
        return _of(_FUNCTIONS[name], *arguments)


def _constant(value: Value) -> Node:
    return lambda t: value


def _of(function: Callable[..., Value], *arguments: Node) -> Node:
    """A function that is NULL when an argument is."""

    def node(t: Value) -> Value:
        values = [argument(t) for argument in arguments]
        return None if None in values else function(*values)

    return node


def _is_null(argument: Node) -> Node:
    return lambda t: int(argument(t) is None)


def _searched(whens: list[tuple[Node, Node]], otherwise: Node) -> Node:
    def node(t: Value) -> Value:
        for when, then in whens:
            if when(t):
                return then(t)
        return otherwise(t)

    return node


def _elt(which: Node, *choices: Node) -> Node:
    def node(t: Value) -> Value:
        number = which(t)
        if number is None or not 1 <= number <= len(choices):
            return None
        return choices[int(number) - 1](t)

    return node


def _exp(value: float) -> float:
    if value > 709:
        raise Missing
    return math.exp(value)


_FUNCTIONS: dict[bytes, Callable[..., Value]] = {
    b"CONVERT": lambda text: text,
    b"SHA2": lambda text, bits: sha256(text).hexdigest().encode(),
    b"LEFT": lambda text, length: text[:length],
    b"CONV": lambda text, base, other: str(int(text, base)).encode(),
    b"REPLACE": lambda text, old, new: text.replace(old, new),
    b"CAST BINARY": lambda text: text,
    b"CAST SIGNED": int,
    b"CAST DOUBLE": float,
    b"LENGTH": len,
    b"EXP": _exp,
    b"CONCAT": lambda *texts: b"".join(texts),
}
