"""The response to COM_STMT_PREPARE: a statement id, parameters and columns.

Source: MySQL manual, "COM_STMT_PREPARE Response"; with CLIENT_OPTIONAL_RESULTSET_METADATA
a byte more says whether definitions follow, and EOFs come all the same.
"""

from dataclasses import dataclass

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.results import Layout
from aurora_ml_proxy.protocol.vocabulary import CLIENT_OPTIONAL_RESULTSET_METADATA


@dataclass(frozen=True, slots=True)
class Preparation:
    """The first packet of the response."""

    statement_id: int
    columns: int
    parameters: int
    has_definitions: bool


def read_preparation(payload: bytes, layout: Layout) -> Preparation:
    """Read the first packet, which is no ERR. Raises: MalformedPacket."""
    if len(payload) < 12 or payload[0] != 0:
        raise MalformedPacket("a response to COM_STMT_PREPARE is cut off")
    is_optional = layout.capabilities & CLIENT_OPTIONAL_RESULTSET_METADATA
    return Preparation(
        int.from_bytes(payload[1:5], "little"),
        int.from_bytes(payload[5:7], "little"),
        int.from_bytes(payload[7:9], "little"),
        not (is_optional and payload[12:13] == b"\0"),
    )
