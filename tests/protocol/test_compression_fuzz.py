import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.conversations import cut
from support.envelopes import envelope, forged, opened

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.compression import Agreed, Algorithm, Compression
from aurora_ml_proxy.protocol.packets import write_packet

AGREED = {"zlib": Agreed(Algorithm.ZLIB), "zstd": Agreed(Algorithm.ZSTD, 1)}
both = pytest.mark.parametrize("algorithm", AGREED)
payloads = st.lists(st.binary(max_size=80), min_size=1, max_size=8)
randoms = st.randoms(use_true_random=False)


@both
@given(payloads, randoms, randoms, st.booleans())
def test_however_commands_are_put_into_envelopes_they_are_the_same(
    algorithm, said, random, other_random, compressed
):
    codec = Compression(AGREED[algorithm])
    stream = b"".join(write_packet(payload, 0) for payload in said)
    wire = b"".join(
        envelope(part, seq, algorithm if compressed else None)
        for seq, part in enumerate(cut(stream, random))
    )
    found = b""
    for chunk in cut(wire, other_random):
        codec.feed(chunk)
        while (piece := codec.next_piece()) is not None:
            found += piece
    assert found == stream


@both
@given(payloads, randoms)
def test_whatever_is_written_the_client_opens(algorithm, said, random):
    codec = Compression(AGREED[algorithm])
    stream = b"".join(write_packet(payload * 20, i) for i, payload in enumerate(said))
    wire = b"".join(codec.wrap(part) for part in cut(stream, random))
    found = list(opened(wire, algorithm))
    assert b"".join(e.stream for e in found) == stream
    assert [e.seq for e in found] == [i % 256 for i in range(len(found))]


@both
@given(st.binary(max_size=300))
def test_random_bytes_are_packets_or_malformed(algorithm, data):
    codec = Compression(AGREED[algorithm])
    codec.feed(data)
    try:
        while codec.next_piece() is not None:
            pass
    except MalformedPacket:
        pass


@both
@given(st.binary(max_size=100), st.integers(0, 255), st.integers(0, 1 << 20), st.data())
def test_damaged_envelopes_give_what_they_say_or_are_malformed(
    algorithm, data, seq, inflated_bytes, drawn
):
    wire = bytearray(envelope(data, seq, algorithm))
    at = drawn.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= drawn.draw(st.integers(1, 255))
    for stream in (bytes(wire), forged(bytes(wire[7:]), seq, inflated_bytes)):
        codec = Compression(AGREED[algorithm])
        codec.feed(stream)
        size = 0
        try:
            while (piece := codec.next_piece()) is not None:
                size += len(piece)
        except MalformedPacket:
            continue
        said = int.from_bytes(stream[4:7], "little")
        is_whole = len(stream) >= 7 + int.from_bytes(stream[:3], "little")
        assert size == said or not said or not is_whole
