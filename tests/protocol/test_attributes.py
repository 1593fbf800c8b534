import pytest

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.attributes import NO_ATTRIBUTES, split_attributes
from aurora_ml_proxy.protocol.vocabulary import CLIENT_QUERY_ATTRIBUTES, Capabilities

SQL = b"SELECT 1"
NAME = b"\x01a"

CASES = {
    "none": NO_ATTRIBUTES,
    "null": b"\x01\x01\x01\x01\x06\x00" + NAME,
    "tiny": b"\x01\x01\x00\x01\x01\x00" + NAME + b"\x07",
    "short": b"\x01\x01\x00\x01\x02\x00" + NAME + b"\x07\x00",
    "long": b"\x01\x01\x00\x01\x03\x80" + NAME + bytes(4),
    "longlong": b"\x01\x01\x00\x01\x08\x00" + NAME + bytes(8),
    "float": b"\x01\x01\x00\x01\x04\x00" + NAME + bytes(4),
    "double": b"\x01\x01\x00\x01\x05\x00" + NAME + bytes(8),
    "datetime": b"\x01\x01\x00\x01\x0c\x00" + NAME + b"\x04" + bytes(4),
    "no time at all": b"\x01\x01\x00\x01\x0b\x00" + NAME + b"\x00",
    "string": b"\x01\x01\x00\x01\xfd\x00" + NAME + b"\x03abc",
    "blob": b"\x01\x01\x00\x01\xfc\x00" + NAME + b"\xfc\x03\x00abc",
    "no name": b"\x01\x01\x00\x01\xfd\x00\x00\x03abc",
    "two": b"\x02\x01\x01\x01\xfd\x00" + NAME + b"\x03\x00" + NAME + bytes(4),
    "nine": b"\x09\x01\xff\x01\x01" + (b"\x06\x00" + NAME) * 9,
}


@pytest.mark.parametrize("attributes", CASES.values(), ids=CASES)
def test_attributes_are_split_off(attributes):
    found = split_attributes(attributes + SQL, CLIENT_QUERY_ATTRIBUTES)
    assert found == (attributes, SQL)


@pytest.mark.parametrize("attributes", CASES.values(), ids=CASES)
def test_attributes_cut_off_anywhere_are_malformed(attributes):
    for end in range(len(attributes)):
        with pytest.raises(MalformedPacket):
            split_attributes(attributes[:end], CLIENT_QUERY_ATTRIBUTES)


def test_without_the_capability_there_are_none():
    payload = CASES["string"] + SQL
    assert split_attributes(payload, Capabilities(0)) == (b"", payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xfe" + b"\xff" * 8 + b"\x01" + SQL,  # 2^64 - 1 attributes
    ],
)
def test_nonsense_is_malformed(payload):
    with pytest.raises(MalformedPacket):
        split_attributes(payload, CLIENT_QUERY_ATTRIBUTES)
