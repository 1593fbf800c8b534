import os
import subprocess
import sys
import zlib

import pytest
from backports import zstd
from support.envelopes import DEFLATE, envelope, forged, opened
from support.three_ways import WAYS, chunks

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol import compression
from aurora_ml_proxy.protocol.compression import (
    AVAILABLE,
    PIECE_BYTES,
    Agreed,
    Algorithm,
    Compression,
    agree,
)
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD, Capabilities

AGREED = {"zlib": Agreed(Algorithm.ZLIB), "zstd": Agreed(Algorithm.ZSTD, 3)}
QUERY = write_packet(b"\x03SELECT '" + b"x" * 100 + b"'", 0)
OK = write_packet(b"\0\0\0\2\0\0\0", 1)

both = pytest.mark.parametrize("algorithm", AGREED)


def pieces(codec: Compression, data: bytes = b"") -> bytes:
    """All that comes out when this is fed."""
    codec.feed(data)
    found = b""
    while (piece := codec.next_piece()) is not None:
        assert 0 < len(piece) <= PIECE_BYTES
        found += piece
    return found


@both
@pytest.mark.parametrize("way", WAYS)
def test_envelopes_come_out_as_the_packets_in_them(algorithm, way):
    codec = Compression(AGREED[algorithm])
    ping = write_packet(b"\x0e", 0)
    stream = envelope(QUERY, 0, algorithm) + envelope(ping, 0) + envelope(b"", 0)
    more = envelope(QUERY, 0, algorithm)[:9]
    found = b"".join(pieces(codec, chunk) for chunk in chunks(stream, way, more))
    assert found == QUERY + ping


@both
def test_a_packet_may_be_cut_anywhere_by_envelopes(algorithm):
    codec = Compression(AGREED[algorithm])
    stream = QUERY * 3
    found = b"".join(
        pieces(codec, envelope(stream[at : at + 5], at // 5, algorithm))
        for at in range(0, len(stream), 5)
    )
    assert found == stream


@both
@pytest.mark.parametrize(
    "data", [os.urandom(3000), b"row " * 200_000], ids=["raw", "rows"]
)
def test_what_is_wrapped_is_what_a_client_opens(algorithm, data):
    stream = write_packet(data, 1)
    codec = Compression(AGREED[algorithm])
    pieces(codec, envelope(QUERY, 0))
    wire = codec.wrap(stream)
    envelopes = list(opened(wire, algorithm))
    assert b"".join(found.stream for found in envelopes) == stream
    assert [found.seq for found in envelopes] == list(range(1, 1 + len(envelopes)))
    is_small = data.startswith(b"row")
    assert {found.is_compressed for found in envelopes} == {is_small}
    assert (len(wire) < len(stream) / 10) is is_small


@both
def test_what_is_shorter_than_fifty_bytes_goes_as_it_is(algorithm):
    codec = Compression(AGREED[algorithm])
    for size, is_compressed in ((49, False), (50, True)):
        [found] = opened(codec.wrap(b"a" * size), algorithm)
        assert found.is_compressed is is_compressed
    assert codec.wrap(b"") == b""


@both
def test_packets_over_16_mb_go_through_in_both_directions(algorithm):
    codec = Compression(AGREED[algorithm])
    stream = write_packet(b"\x03" + b"x" * (MAX_PAYLOAD + 10), 0)
    cut = MAX_PAYLOAD  # more than that no envelope can hold
    found = pieces(codec, envelope(stream[:cut], 0, algorithm))
    found += pieces(codec, envelope(stream[cut:], 1, algorithm))
    assert found == stream
    answer = write_packet(b"y" * (MAX_PAYLOAD + 10), 2)
    envelopes = list(opened(codec.wrap(answer), algorithm))
    assert b"".join(e.stream for e in envelopes) == answer
    assert envelopes[0].seq == 2


def test_numbers_go_on_from_the_other_side_and_start_again_with_a_command():
    codec = Compression(AGREED["zlib"])

    def seqs(*answers: bytes) -> list[int]:
        wire = b"".join(codec.wrap(answer) for answer in answers)
        return [found.seq for found in opened(wire, "zlib")]

    pieces(codec, envelope(QUERY[:50], 0) + envelope(QUERY[50:], 1))
    assert seqs(OK, OK) == [2, 3]
    pieces(codec, envelope(write_packet(b"a file", 4), 4))
    assert seqs(*[OK] * 252) == [*range(5, 256), 0]
    pieces(codec, envelope(QUERY, 0))
    assert seqs(OK) == [1]


@both
def test_a_bomb_comes_out_piece_by_piece(algorithm):
    codec = Compression(AGREED[algorithm])
    bomb = envelope(bytes(MAX_PAYLOAD), 0, algorithm)
    assert len(bomb) < MAX_PAYLOAD / 900
    codec.feed(bomb * 100)  # 1.6 GB
    assert [len(codec.next_piece()) for _ in range(3)] == [PIECE_BYTES] * 3


MALFORMED = {
    "longer than it says": lambda pack: forged(pack(b"a" * 200), 0, 199),
    "shorter than it says": lambda pack: forged(pack(b"a" * 200), 0, 201),
    "cut off": lambda pack: forged(pack(os.urandom(200))[:100], 0, 200),
    "not compressed": lambda pack: forged(b"SELECT 1" * 20, 0, 200),
    "nothing in it": lambda pack: forged(b"", 0, 200),
}


@both
@pytest.mark.parametrize("what", MALFORMED)
def test_an_envelope_that_lies_is_malformed(algorithm, what):
    codec = Compression(AGREED[algorithm])
    with pytest.raises(MalformedPacket):
        pieces(codec, MALFORMED[what](DEFLATE[algorithm]))


def test_a_frame_that_asks_for_much_memory_is_refused():
    codec = Compression(AGREED["zstd"])
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    packed = compressor.compress(b"a" * 1000) + compressor.flush()
    with pytest.raises(MalformedPacket):
        pieces(codec, forged(packed, 0, 1000))


def test_what_both_peers_have_is_agreed_on():
    compress, zstd_bit = Capabilities(1 << 5), Capabilities(1 << 26)
    assert compress | zstd_bit == AVAILABLE
    assert agree(Capabilities(0), 3) is None
    assert agree(compress | zstd_bit, 3) == Agreed(Algorithm.ZLIB)
    assert agree(zstd_bit, 22) == Agreed(Algorithm.ZSTD, compression.MAX_ZSTD_LEVEL)


@pytest.mark.parametrize("lead", [b"", b"more "])
def test_any_level_of_a_client_is_read(lead):
    for level in (1, 9, 22):
        packed = zstd.compress(lead + QUERY, level=level)
        stream = forged(packed, 0, len(lead + QUERY))
        assert len(pieces(Compression(AGREED["zstd"]), stream)) == len(lead + QUERY)
    for level in (0, 1, 9):
        packed = zlib.compress(QUERY, level)
        assert pieces(Compression(AGREED["zlib"]), forged(packed, 0, len(QUERY))) == QUERY


# Who sends what, as the packets' numbers tell the upstream.


def numbers(data: bytes) -> list[int]:
    found = []
    while data:
        found.append(data[3])
        data = data[4 + int.from_bytes(data[:3], "little") :]
    return found


def test_a_command_is_0_whatever_its_client_calls_it():
    """MariaDB Connector/J 2.7 calls its first one 1."""
    codec = Compression(AGREED["zlib"])
    assert numbers(pieces(codec, envelope(write_packet(b"\x0e", 1), 0))) == [0]
    codec.wrap(OK)
    two = write_packet(b"\x0e", 0) + write_packet(b"\x0e", 1)
    assert numbers(pieces(codec, envelope(two, 0))) == [0, 0]


def test_a_file_goes_on_from_the_request_for_it():
    """Behind an OK in the same envelope, libmysql counts one too few."""
    codec = Compression(AGREED["zlib"])
    pieces(codec, envelope(QUERY, 0))
    codec.wrap(OK + write_packet(b"\xfbfile", 2))
    file = write_packet(b"1,2", 2) + write_packet(b"3,4", 3)
    assert numbers(pieces(codec, envelope(file, 2))) == [3, 4]
    assert numbers(pieces(codec, envelope(write_packet(b"", 4), 3))) == [5]
    codec.wrap(write_packet(b"\0\0\0", 6))
    assert numbers(pieces(codec, envelope(QUERY, 0))) == [0]


def test_a_long_file_wraps_around():
    codec = Compression(AGREED["zlib"])
    pieces(codec, envelope(QUERY, 0))
    codec.wrap(write_packet(b"\xfbfile", 1))
    found = []
    for seq in range(2, 600):
        found += numbers(pieces(codec, envelope(write_packet(b"row", seq), seq)))
    assert found == [seq % 256 for seq in range(2, 600)]
    codec.wrap(write_packet(b"\0\0\0", 600))
    assert numbers(pieces(codec, envelope(QUERY, 0))) == [0]


def test_commands_that_are_sent_ahead_stay_commands():
    """An answer goes out before the rest of what was sent ahead has come."""
    codec = Compression(AGREED["zlib"])
    ahead = QUERY * 3
    found = pieces(codec, envelope(ahead[:150], 0))
    codec.wrap(OK)
    found += pieces(codec, envelope(ahead[150:], 1))
    assert numbers(found) == [0, 0, 0]


def test_without_a_library_zstd_is_not_offered():
    program = (
        "import sys; sys.modules |= {'backports.zstd': None, 'compression': None}; "
        "from aurora_ml_proxy.protocol import compression; "
        "print(int(compression.AVAILABLE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "32\n", done.stderr
