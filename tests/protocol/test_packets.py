import pytest
from support.three_ways import WAYS, chunks

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.packets import (
    Packet,
    PacketReader,
    packet_count,
    read_lenenc,
    read_lenenc_bytes,
    read_null_terminated,
    write_lenenc,
    write_lenenc_bytes,
    write_packet,
)
from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD

BIG = bytes(MAX_PAYLOAD)


@pytest.mark.parametrize("way", WAYS)
def test_packets_come_out_as_they_went_in(way):
    reader = PacketReader()
    stream = b"\x03\0\0\x00abc" + b"\0\0\0\x01" + b"\x01\0\0\xffz"
    found = []
    for chunk in chunks(stream, way, more=b"\x05\0\0\x00ab"):
        reader.feed(chunk)
        while packet := reader.next_packet():
            found.append(packet)
    assert found == [Packet(b"abc", 0), Packet(b"", 1), Packet(b"z", 255)]
    rest = b"\x05\0\0\x00ab" if way == WAYS[2] else b""
    assert reader.held_bytes == len(rest)
    assert reader.take_rest() == rest
    assert reader.take_rest() == b""


@pytest.mark.parametrize("way", WAYS)
def test_payloads_are_those_of_the_packets(way):
    reader = PacketReader()
    found = []
    for chunk in chunks(write_packet(b"abc", 0) * 3, way, more=b"\x01\0\0"):
        reader.feed(chunk)
        found += reader.payloads()
    assert found == [b"abc"] * 3
    assert not reader.has_packet


def test_payloads_come_in_slices():
    reader = PacketReader()
    reader.feed(write_packet(b"x" * 96, 0) * 10)
    assert len(reader.payloads(300)) == 3
    assert reader.has_packet
    assert len(reader.payloads(50)) == 1  # one, however small the slice
    assert len(reader.payloads(10_000)) == 6
    assert reader.payloads() == []


@pytest.mark.parametrize("tail", [b"", b"x", BIG, BIG + b"y"])
def test_a_payload_of_16_mb_and_more_is_joined(tail):
    payload = BIG + tail
    data = write_packet(payload, 254)
    assert len(data) == len(payload) + 4 * packet_count(len(payload))
    reader = PacketReader()
    for start in range(0, len(data), 1 << 20):
        assert reader.next_packet() is None
        reader.feed(data[start : start + (1 << 20)])
    last_seq = (254 + packet_count(len(payload)) - 1) % 256
    assert reader.next_packet() == Packet(payload, last_seq)
    reader.feed(data + write_packet(b"next", 0))
    assert reader.payloads() == [payload]
    assert reader.payloads() == [b"next"]


def test_a_payload_that_goes_on_is_joined_across_calls():
    data = write_packet(BIG + b"tail", 0)
    reader = PacketReader()
    reader.feed(data[: MAX_PAYLOAD + 4])
    assert reader.payloads() == []
    with pytest.raises(MalformedPacket):
        reader.take_rest()
    reader.feed(data[MAX_PAYLOAD + 4 :])
    assert reader.payloads() == [BIG + b"tail"]


def test_a_packet_over_the_limit_is_refused_by_its_header():
    reader = PacketReader(max_payload_bytes=10)
    reader.feed(write_packet(b"x" * 10, 0))
    assert reader.next_packet() == Packet(b"x" * 10, 0)
    reader.feed(b"\x0b\0\0\0")
    with pytest.raises(MalformedPacket, match="11 bytes"):
        reader.next_packet()


def test_sequence_numbers_wrap():
    assert write_packet(b"a", 256) == b"\x01\0\0\x00a"
    assert write_packet(b"a", 511) == b"\x01\0\0\xffa"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, b"\x00"),
        (250, b"\xfa"),
        (251, b"\xfc\xfb\x00"),
        (0xFFFF, b"\xfc\xff\xff"),
        (0x10000, b"\xfd\x00\x00\x01"),
        (0xFFFFFF, b"\xfd\xff\xff\xff"),
        (0x1000000, b"\xfe\x00\x00\x00\x01\x00\x00\x00\x00"),
    ],
)
def test_length_encoded_integers(value, written):
    assert write_lenenc(value) == written
    assert read_lenenc(b"??" + written + b"more", 2) == (value, 2 + len(written))
    for cut in range(len(written)):
        with pytest.raises(MalformedPacket):
            read_lenenc(written[:cut], 0)


def test_null_and_strings():
    assert read_lenenc(b"\xfb", 0) == (None, 1)
    assert read_lenenc_bytes(b"\xfb", 0) == (None, 1)
    assert write_lenenc_bytes(None) == b"\xfb"
    assert read_lenenc_bytes(write_lenenc_bytes(b"abc") + b"d", 0) == (b"abc", 4)
    assert read_null_terminated(b"xab\0c", 1) == (b"ab", 4)
    for broken in (b"", b"\xff", b"\x02a", b"\xfc\x01"):
        with pytest.raises(MalformedPacket):
            read_lenenc_bytes(broken, 0)
    with pytest.raises(MalformedPacket):
        read_null_terminated(b"abc", 0)
