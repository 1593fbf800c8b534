from hypothesis import given
from hypothesis import strategies as st
from support.conversations import cut

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.packets import (
    PacketReader,
    read_lenenc,
    read_lenenc_bytes,
    read_null_terminated,
    write_lenenc,
    write_lenenc_bytes,
    write_packet,
)

payloads = st.lists(st.binary(max_size=300), max_size=12)


@given(payloads, st.randoms(use_true_random=False), st.integers(1, 2_000))
def test_however_the_stream_is_cut_the_packets_are_the_same(said, random, max_bytes):
    stream = b"".join(write_packet(p, i) for i, p in enumerate(said))
    one_by_one, sliced = PacketReader(), PacketReader()
    found, found_sliced = [], []
    for chunk in cut(stream, random):
        one_by_one.feed(chunk)
        sliced.feed(chunk)
        while packet := one_by_one.next_packet():
            found.append((packet.payload, packet.seq))
        while more := sliced.payloads(max_bytes):
            found_sliced += more
        assert not sliced.has_packet
    assert found == [(payload, i) for i, payload in enumerate(said)]
    assert found_sliced == said


@given(st.binary(max_size=200))
def test_random_bytes_give_packets_or_nothing(data):
    reader = PacketReader()
    reader.feed(data)
    size = 0
    for payload in reader.payloads():
        size += 4 + len(payload)
    assert size + reader.held_bytes == len(data)


@given(st.binary(max_size=40), st.integers(0, 50))
def test_readers_answer_or_say_malformed(data, pos):
    for read in (read_lenenc, read_lenenc_bytes, read_null_terminated):
        try:
            _, end = read(data, pos)
        except MalformedPacket:
            continue
        assert pos < end <= len(data)


@given(st.integers(0, (1 << 64) - 1))
def test_integers_round_trip(value):
    written = write_lenenc(value)
    assert read_lenenc(written, 0) == (value, len(written))


@given(st.none() | st.binary(max_size=300))
def test_strings_round_trip(value):
    written = write_lenenc_bytes(value)
    assert read_lenenc_bytes(written, 0) == (value, len(written))
