import pytest
from support.conversations import frame
from support.three_ways import WAYS, chunks

from aurora_ml_proxy.protocol import commands
from aurora_ml_proxy.protocol.commands import CommandSplitter, Piece
from aurora_ml_proxy.protocol.vocabulary import MAX_PAYLOAD

QUERY = frame(b"\x03SELECT 1")
PREPARE = frame(b"\x16SELECT ?")
PING = frame(b"\x0e")


def split(*data: bytes) -> list[Piece]:
    splitter = CommandSplitter()
    found = []
    for chunk in data:
        splitter.feed(chunk)
        while piece := splitter.next_piece():
            found.append(piece)
    return found


def raw_of(pieces: list[Piece]) -> bytes:
    return b"".join(piece.raw for piece in pieces)


def starts(pieces: list[Piece]) -> list[int | None]:
    return [piece.command for piece in pieces if piece.starts_command]


@pytest.mark.parametrize("way", WAYS)
def test_commands_are_told_apart(way):
    stream = QUERY + PING + frame(b"") + PREPARE + frame(b"\x17" + b"x" * 20) + QUERY
    found = split(*chunks(stream, way, more=b"\x02\0\0"))
    assert raw_of(found) == stream
    assert starts(found) == [0x03, 0x0E, None, 0x16, 0x17, 0x03]
    statements = [piece.statement for piece in found if piece.statement is not None]
    assert statements == [b"SELECT 1", b"SELECT ?", b"SELECT 1"]


def test_a_statement_is_awaited_whole_and_nothing_else_is():
    assert split(QUERY[:-1]) == []
    execute = frame(b"\x17" + b"x" * 20)
    [first, second] = split(execute[:7], execute[7:])
    assert first == Piece(execute[:7], True, 0x17)
    assert second == Piece(execute[7:], False, None)


def test_a_header_alone_is_not_enough():
    assert split(QUERY[:4]) == []
    assert split(PING[:3]) == []


def test_change_user_is_awaited_whole():
    change = frame(b"\x11root\0")
    assert split(change[:-1]) == []
    assert split(change) == [Piece(change, True, 0x11)]


@pytest.mark.parametrize("way", ["whole", "in pieces"])
@pytest.mark.parametrize("tail", [b"", b"x", bytes(MAX_PAYLOAD)])
def test_a_command_of_16_mb_goes_on_in_the_next_packet(way, tail):
    payload = b"\x18" + bytes(MAX_PAYLOAD - 1) + tail
    stream = frame(payload) + PING
    size = 1 << 20 if way == "in pieces" else len(stream)
    found = split(*(stream[i : i + size] for i in range(0, len(stream), size)))
    assert raw_of(found) == stream
    assert starts(found) == [0x18, 0x0E]


@pytest.mark.parametrize("tail", [b"", b"x", bytes(MAX_PAYLOAD) + b"x"])
def test_a_statement_of_16_mb_is_joined(tail):
    statement = b"x" * (MAX_PAYLOAD - 1) + tail
    stream = frame(b"\x03" + statement)
    [piece, ping] = split(stream[: 1 << 23], stream[1 << 23 :] + PING)
    assert piece == Piece(stream, True, 0x03, statement)
    assert ping.command == 0x0E


def test_a_statement_too_large_to_hold_passes_unread(monkeypatch):
    monkeypatch.setattr(commands, "MAX_STATEMENT_BYTES", MAX_PAYLOAD)
    stream = frame(b"\x03" + b"x" * (2 * MAX_PAYLOAD)) + PING
    found = split(stream)
    assert raw_of(found) == stream
    assert starts(found) == [0x03, 0x0E]
    assert found[0].statement is None


@pytest.mark.parametrize("way", WAYS)
def test_file_data_is_no_command_until_the_empty_packet(way):
    splitter = CommandSplitter()
    splitter.expect_file_data()
    assert not splitter.is_between_commands
    data = frame(b"\x03SELECT 1", 2) + frame(b"more", 3) + frame(b"", 4)
    found = []
    for chunk in chunks(data + PING, way, more=b""):
        splitter.feed(chunk)
        while piece := splitter.next_piece():
            found.append(piece)
    assert raw_of(found) == data + PING
    assert starts(found) == [0x0E]
    assert splitter.is_between_commands


def test_the_empty_packet_behind_16_mb_of_file_data_does_not_end_it():
    splitter = CommandSplitter()
    splitter.expect_file_data()
    splitter.feed(frame(bytes(MAX_PAYLOAD), 2))
    while splitter.next_piece():
        pass
    assert not splitter.is_between_commands
    splitter.feed(frame(b"", 4))
    assert splitter.next_piece() is not None
    assert splitter.is_between_commands


def test_what_is_held_can_be_taken_back():
    splitter = CommandSplitter()
    splitter.feed(QUERY[:6])
    assert splitter.next_piece() is None
    assert splitter.held_bytes == 6
    assert not splitter.is_between_commands
    assert splitter.take_rest() == QUERY[:6]
    assert splitter.is_between_commands
    execute = frame(b"\x17" + b"x" * 20)
    splitter.feed(execute[:7])
    assert splitter.next_piece() is not None
    assert splitter.next_piece() is None
    assert not splitter.is_between_commands
