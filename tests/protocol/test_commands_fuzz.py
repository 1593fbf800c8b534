from hypothesis import given
from hypothesis import strategies as st
from support.conversations import cut, frame

from aurora_ml_proxy.protocol.commands import CommandSplitter

randoms = st.randoms(use_true_random=False)


@given(st.lists(st.binary(max_size=40), max_size=10), randoms)
def test_however_the_stream_is_cut_the_commands_are_the_same(payloads, random):
    stream = b"".join(map(frame, payloads))
    splitter = CommandSplitter()
    raw, found = b"", []
    for chunk in cut(stream, random):
        splitter.feed(chunk)
        while piece := splitter.next_piece():
            raw += piece.raw
            if piece.starts_command:
                found.append((piece.command, piece.statement))
    assert raw == stream
    assert found == [
        (p[0] if p else None, p[1:] if p[:1] in (b"\x03", b"\x16") else None)
        for p in payloads
    ]
    assert splitter.is_between_commands


@given(st.binary(max_size=300), randoms, st.booleans())
def test_random_bytes_come_out_or_are_held(data, random, is_file):
    splitter = CommandSplitter()
    if is_file:
        splitter.expect_file_data()
    raw = b""
    for chunk in cut(data, random):
        splitter.feed(chunk)
        while piece := splitter.next_piece():
            assert piece.raw
            raw += piece.raw
    assert raw + splitter.take_rest() == data
