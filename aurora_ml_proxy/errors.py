"""What can go wrong: whose fault it is, its errno and SQLSTATE, what a client is told.

`ERRORS` is the one table of numbers; the classes below are its rows' names.
Numbers from 2000 to 2999 are the client libraries' own: MariaDB's shows one that comes
from a server as "2027 Received malformed packet", without its message.
A mistake in this program stays an AssertionError or a ValueError.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

Fault = Literal["client", "upstream", "backend", "proxy"]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the table of errors."""

    errno: int
    """The server's own number for the same trouble, where it has one."""
    sqlstate: str
    fault: Fault
    """Whom to ask: the client's author, the upstream's or the backend's keeper, or us."""
    meaning: str
    """One sentence for the docs."""


ERRORS: dict[str, ErrorKind] = {
    "UnsupportedStatement": ErrorKind(
        1235,
        "42000",
        "client",
        "An ML call stands where this version cannot answer it.",
    ),
    "UnsupportedPrepare": ErrorKind(
        1295,
        "HY000",
        "client",
        "A server-side prepared statement that can be answered as text only.",
    ),
    "WrongArgumentCount": ErrorKind(
        1582, "42000", "client", "An ML function with too few or too many arguments."
    ),
    "WrongArgument": ErrorKind(
        1210, "HY000", "client", "A language or a max_batch_size outside its range."
    ),
    "TextTooLong": ErrorKind(
        1406,
        "22001",
        "client",
        "A text over the service's limit, with long_text = error.",
    ),
    "TextNotUtf8": ErrorKind(
        1300, "HY000", "client", "A binary argument that is not UTF-8 text."
    ),
    "BackendFailed": ErrorKind(
        1105, "HY000", "backend", "The model service gave no answer for a text."
    ),
    "TextsChanged": ErrorKind(
        1020,
        "HY000",
        "upstream",
        "The statement met texts that the harvest before it had not read, again and "
        "again: other sessions change the rows, or the texts cannot be read beforehand.",
    ),
    "StatementTooLong": ErrorKind(
        1153,
        "08S01",
        "upstream",
        "With its answers in it the statement is longer than max_allowed_packet.",
    ),
    "QueryInterrupted": ErrorKind(
        1317, "70100", "client", "KILL QUERY met a statement that waited for answers."
    ),
    "UpstreamUnavailable": ErrorKind(
        1429, "HY000", "upstream", "The upstream cannot be reached or does not answer."
    ),
    "UpstreamLost": ErrorKind(
        2013,
        "HY000",
        "upstream",
        "The upstream closed the connection in mid-answer. The client's connection is "
        "closed too, and its library says 2013.",
    ),
    "UpstreamTlsFailed": ErrorKind(
        1429,
        "HY000",
        "upstream",
        "The upstream offers no TLS, or its certificate fails.",
    ),
    "TooManyConnections": ErrorKind(
        1040, "08004", "proxy", "listen.max_connections is reached."
    ),
    "HandshakeTimeout": ErrorKind(
        1159, "08S01", "client", "A client did not finish its login in time."
    ),
    "MalformedPacket": ErrorKind(
        1835, "HY000", "client", "A packet that breaks the MySQL protocol."
    ),
    "UnsupportedClient": ErrorKind(
        1251, "08004", "client", "A client too old or asking for what the proxy masks."
    ),
    "InsecureTransport": ErrorKind(
        3159, "HY000", "proxy", "A password would leave a TLS connection in clear text."
    ),
    "ShuttingDown": ErrorKind(1053, "08S01", "proxy", "The proxy is draining."),
}


class ProxyError(Exception):
    """A trouble with an errno, which the client is told in one sentence."""

    kind: ClassVar[ErrorKind]

    def __init_subclass__(cls) -> None:
        cls.kind = ERRORS[cls.__name__]

    @property
    def message(self) -> str:
        """What the client is told. Never holds a user's text or a secret."""
        return str(self.args[0]) if self.args else self.kind.meaning


class UnsupportedStatement(ProxyError):
    """An ML call stands where this version cannot answer it."""


class UnsupportedPrepare(ProxyError):
    """A server-side prepared statement that can be answered as text only.

    1295 makes Connector/J and PDO fall back to preparing on their own side.
    """


class WrongArgumentCount(ProxyError):
    """An ML function with too few or too many arguments."""


class WrongArgument(ProxyError):
    """A language or a max_batch_size outside its range."""


class TextTooLong(ProxyError):
    """A text over the service's limit, with `long_text = "error"`."""


class TextNotUtf8(ProxyError):
    """A binary argument that is not UTF-8 text."""


class BackendFailed(ProxyError):
    """The model service gave no answer for a text, after its retries."""


class TextsChanged(ProxyError):
    """The statement needs answers to texts that no harvest finds."""


class StatementTooLong(ProxyError):
    """With its answers in it the statement is longer than max_allowed_packet."""


class QueryInterrupted(ProxyError):
    """KILL QUERY met a statement that waited for answers."""


class UpstreamUnavailable(ProxyError):
    """The upstream cannot be reached or does not answer."""


class UpstreamLost(ProxyError):
    """The upstream closed the connection in mid-answer."""


class UpstreamTlsFailed(ProxyError):
    """The upstream offers no TLS where it must, or its certificate fails."""


class TooManyConnections(ProxyError):
    """`listen.max_connections` is reached."""


class HandshakeTimeout(ProxyError):
    """A client did not finish its login in time."""


class MalformedPacket(ProxyError):
    """A packet that breaks the MySQL protocol."""


class UnsupportedClient(ProxyError):
    """A client too old, or asking for what the greeting did not offer."""


class InsecureTransport(ProxyError):
    """A password would leave a TLS connection in clear text."""


class ShuttingDown(ProxyError):
    """The proxy is draining and takes no further commands."""
