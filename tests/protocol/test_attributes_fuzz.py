from hypothesis import example, given
from hypothesis import strategies as st

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.attributes import split_attributes
from aurora_ml_proxy.protocol.vocabulary import CLIENT_QUERY_ATTRIBUTES


@given(st.binary(max_size=80))
@example(b"\x01\x01\x00\x01\x99\x00\x01a\x03abc")
def test_random_bytes_are_split_or_malformed(payload):
    try:
        attributes, statement = split_attributes(payload, CLIENT_QUERY_ATTRIBUTES)
    except MalformedPacket:
        return
    assert attributes + statement == payload
