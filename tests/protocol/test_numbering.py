import pytest
from support.three_ways import WAYS, chunks

from aurora_ml_proxy.protocol.numbering import Numbering
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD


@pytest.mark.parametrize("way", WAYS)
def test_commands_are_0_and_nothing_else_changes(way):
    numbering = Numbering()
    said = b"".join(write_packet(b"x" * size, size) for size in (0, 1, 5))
    found = b"".join(
        numbering.renumber(chunk, is_reply=False)
        for chunk in chunks(said, way, more=b"\x05\0\0")
    )
    awaited = b"".join(write_packet(b"x" * size, 0) for size in (0, 1, 5))
    assert found == awaited + (b"\x05\0\0" if way == WAYS[2] else b"")


@pytest.mark.parametrize("way", WAYS[:2])
def test_replies_go_on_from_the_last_answer(way):
    numbering = Numbering()
    for chunk in chunks(write_packet(b"", 8) + write_packet(b"file?", 255), way):
        numbering.note_answer(chunk)
    said = write_packet(b"1", 7) + write_packet(b"2", 8)
    found = b"".join(
        numbering.renumber(chunk, is_reply=True) for chunk in chunks(said, way)
    )
    assert found == write_packet(b"1", 0) + write_packet(b"2", 1)


def test_the_parts_of_a_long_command_are_counted():
    """MariaDB's C library calls all of them 0; and an earlier command's answer may come
    in between."""
    numbering = Numbering()
    said = write_packet(b"x" * (2 * MAX_PAYLOAD), 0)
    flat = bytearray(said)
    flat[4 + MAX_PAYLOAD + 3] = flat[-1] = 0
    middle = MAX_PAYLOAD // 2
    found = numbering.renumber(bytes(flat[:middle]), is_reply=False)
    numbering.note_answer(write_packet(b"late", 40))
    found += numbering.renumber(bytes(flat[middle:]), is_reply=False)
    assert found == said
