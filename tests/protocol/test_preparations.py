import pytest

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.preparations import Preparation, read_preparation
from aurora_ml_proxy.protocol.results import Layout
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    Capabilities,
    MariaDBCapabilities,
)

NONE = MariaDBCapabilities(0)
OLD = Layout(Capabilities(0), NONE)
OPTIONAL = Layout(CLIENT_OPTIONAL_RESULTSET_METADATA, NONE)
FIRST = b"\0" + b"\7\0\0\0" + b"\2\0" + b"\3\0" + b"\0" + b"\0\0"


def test_a_statement_has_an_id_columns_and_parameters():
    assert read_preparation(FIRST, OLD) == Preparation(7, 2, 3, True)


def test_definitions_may_be_left_out_where_that_was_negotiated():
    assert not read_preparation(FIRST + b"\0", OPTIONAL).has_definitions
    assert read_preparation(FIRST + b"\1", OPTIONAL).has_definitions
    assert read_preparation(FIRST + b"\0", OLD).has_definitions


@pytest.mark.parametrize("payload", [b"", FIRST[:11], b"\1" + FIRST[1:]])
def test_anything_else_is_malformed(payload: bytes):
    with pytest.raises(MalformedPacket):
        read_preparation(payload, OLD)
