import pytest
from support.conversations import PROGRESS, error, lenenc, ok, text

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.functions import ResultType
from aurora_ml_proxy.plan.plan import Described
from aurora_ml_proxy.protocol.packets import PacketReader
from aurora_ml_proxy.protocol.results import Layout, read_column_definition
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    MAX_PAYLOAD,
    Capabilities,
    MariaDBCapabilities,
)
from aurora_ml_proxy.splice.passed import PassedResult
from splice.test_rows import DOUBLE, NEW, NONE, NULL_CELL, OLD, VAR_STRING, definition

MORE, DONE = 0x0A, 2
LABEL, SCORE = ResultType.LABEL, ResultType.SCORE
BLOB, LONGLONG, TEMPORARY = 252, 8, 0x8000
WITH_FLAG = Layout(CLIENT_OPTIONAL_RESULTSET_METADATA, NONE)
WITH_PROGRESS = Layout(Capabilities(0), MariaDBCapabilities.PROGRESS)

layouts = pytest.mark.parametrize("layout", [OLD, NEW], ids=["eof", "deprecate_eof"])


def end(layout: Layout, status: int = DONE, warnings: int = 0) -> bytes:
    """What ends rows."""
    if layout.sends_eof:
        return b"\xfe" + warnings.to_bytes(2, "little") + status.to_bytes(2, "little")
    return ok(status, first=0xFE)[:-2] + warnings.to_bytes(2, "little")


def result(
    layout: Layout, *rows: bytes, columns: int = 1, status: int = DONE
) -> list[bytes]:
    head = [lenenc(columns), *[definition()] * columns]
    if layout.sends_eof:
        head.append(end(layout))
    return [*head, *rows, end(layout, status)]


class Seen:
    """What the client saw of a response: its packets."""

    def __init__(self, passed: PassedResult, warnings: int = 0) -> None:
        data = passed.take()
        if passed.error is None and passed.has_ended:
            data += passed.finish(warnings)
        reader = PacketReader()
        reader.feed(data)
        self.payloads: list[bytes] = []
        self.seqs: list[int] = []
        while packet := reader.next_packet():
            self.payloads.append(packet.payload)
            self.seqs.append(packet.seq)
        assert reader.take_rest() == b""


def passed_of(
    layout: Layout, payloads: list[bytes], *described: Described, **kw: bool
) -> PassedResult:
    passed = PassedResult(layout, 1, described, **kw)
    passed.feed(payloads)
    return passed


def definitions_of(payloads: list[bytes], *described: Described, **kw: bool):
    seen = Seen(passed_of(OLD, payloads, *described, **kw)).payloads
    count = seen[0][0]
    return [read_column_definition(p, OLD) for p in seen[1 : 1 + count]]


@layouts
def test_an_ok_is_passed_on_when_it_is_finished(layout):
    passed = passed_of(layout, [ok(affected=3)])
    assert passed.has_ended and passed.is_changed and passed.rows == 0
    assert passed.held_bytes == 0
    seen = Seen(passed)
    assert seen.payloads == [ok(affected=3)] and seen.seqs == [1]


@layouts
def test_an_error_in_place_of_a_response_is_left_to_the_caller(layout):
    passed = passed_of(layout, [error(1690)])
    assert passed.has_ended and not passed.is_changed
    assert passed.error == error(1690) and passed.seq == 1
    assert Seen(passed).payloads == []


@layouts
def test_rows_are_held_back_until_they_are_taken(layout):
    payloads = result(layout, text(b"a"), text(b"b"))
    passed = passed_of(layout, payloads)
    assert passed.rows == 2
    assert passed.held_bytes == sum(4 + len(p) for p in payloads[:-1])
    seen = Seen(passed)
    assert seen.payloads == payloads
    assert seen.seqs == list(range(1, 1 + len(payloads)))
    assert passed.held_bytes == 0 and passed.terminator == payloads[-1]


@layouts
def test_an_error_among_the_rows(layout):
    payloads = [*result(layout, text(b"a"))[:-1], error(1317)]
    passed = passed_of(layout, payloads)
    assert passed.has_ended and passed.error == error(1317)
    assert not passed.is_changed
    assert Seen(passed).payloads == payloads[:-1]
    assert passed.seq == len(payloads)


@layouts
def test_several_results(layout):
    payloads = [
        *result(layout, text(b"a"), status=MORE),
        *result(layout, status=MORE),
        ok(MORE),
        ok(affected=1),
    ]
    passed = passed_of(layout, payloads[:-1])
    assert not passed.has_ended and passed.is_changed and passed.terminator is None
    passed.feed(payloads[-1:])
    assert passed.has_ended
    assert Seen(passed).payloads == payloads


@layouts
def test_an_error_behind_a_result(layout):
    """What the first result's statement did cannot be undone any more."""
    passed = passed_of(layout, [ok(MORE), error()])
    assert passed.error == error() and passed.is_changed
    assert Seen(passed).payloads == [ok(MORE)]


@layouts
def test_a_result_without_rows(layout):
    payloads = result(layout)
    assert Seen(passed_of(layout, payloads)).payloads == payloads


def test_the_end_of_the_definitions_may_have_any_status():
    """The EOF behind the definitions tells of more results for a CALL already."""
    payloads = result(OLD, text(b"a"))
    payloads[2] = end(OLD, MORE)
    passed = passed_of(OLD, payloads)
    assert passed.has_ended and Seen(passed).payloads == payloads


@layouts
def test_what_comes_behind_the_end_is_not_passed_on(layout):
    """An upstream that is about to hang up says why."""
    passed = passed_of(layout, [ok(), error(4031)])
    assert passed.error is None and Seen(passed).payloads == [ok()]


@layouts
@pytest.mark.parametrize("first", [b"\xfb", text(b"x" * 300), text(b"x" * 70_000)])
def test_rows_by_their_first_byte(layout, first):
    rows = [first + text(b"b"), text(b"a") + first]
    payloads = result(layout, *rows, columns=2)
    passed = passed_of(layout, payloads)
    assert passed.rows == 2 and Seen(passed).payloads == payloads


@layouts
@pytest.mark.parametrize("has_check", [False, True])
def test_a_row_of_more_than_16_mb(layout, has_check):
    """Its first byte is that of a terminator; it takes two packets."""
    row = text(b"x" * (1 << 24)) + text(b"y")
    assert row[:1] == b"\xfe"
    passed = PassedResult(layout, 250, has_check=has_check)
    sent = row + NULL_CELL if has_check else row
    passed.feed(result(layout, sent, text(b"c") * 2 + NULL_CELL, columns=2 + has_check))
    seen = Seen(passed)
    at = 3 + layout.sends_eof
    assert seen.payloads[at] == row
    assert passed.rows == 2
    # The number of a packet's last part.
    assert seen.seqs[at] == (250 + at + 1) & 0xFF
    assert seen.seqs[at + 1] == (250 + at + 2) & 0xFF


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_a_row_that_just_fits_a_packet_without_our_column(spare):
    row = text(b"x" * (MAX_PAYLOAD - 4 + spare))
    passed = passed_of(NEW, result(NEW, row + NULL_CELL, columns=2), has_check=True)
    seen = Seen(passed)
    assert seen.payloads[2] == row
    assert seen.seqs == [1, 2, 3 + (spare >= 0), 4 + (spare >= 0)]


@layouts
def test_numbers_start_anew_behind_255(layout):
    rows = [text(b"%d" % i) for i in range(600)]
    payloads = result(layout, *rows)
    seen = Seen(passed_of(layout, payloads))
    assert seen.payloads == payloads
    assert seen.seqs == [(1 + i) & 0xFF for i in range(len(payloads))]


@layouts
def test_our_column_is_cut_off_and_no_other(layout):
    payloads = result(
        layout,
        text(b"a") + NULL_CELL + NULL_CELL,
        NULL_CELL * 3,
        columns=3,
        status=MORE,
    )
    after = result(layout, NULL_CELL * 3, columns=3)
    seen = Seen(passed_of(layout, payloads + after, has_check=True)).payloads
    head = 4 + layout.sends_eof
    assert seen[0] == b"\2"
    assert seen[1:3] == [definition()] * 2
    assert seen[head - 1 : head + 1] == [text(b"a") + NULL_CELL, NULL_CELL * 2]
    assert seen[-len(after) :] == after
    assert len(seen) == len(payloads) - 1 + len(after)


def test_our_column_alone_makes_no_result():
    with pytest.raises(MalformedPacket):
        passed_of(OLD, [b"\1"], has_check=True)


def aliased(name: bytes, org_name: bytes) -> bytes:
    """The definition of a column that has another name in its table."""
    return definition(name, kind=BLOB).replace(
        text(name) * 2, text(name) + text(org_name)
    )


@pytest.mark.parametrize("column", [1, -1])
def test_a_column_is_described_by_its_place(column):
    payloads = result(OLD, columns=2)
    payloads[1:3] = aliased(b"a", b"x"), aliased(b"b", b"y")
    other, call = definitions_of(payloads, Described(column, LABEL))
    assert (other.type, other.name, other.org_name) == (BLOB, text(b"a"), text(b"x"))
    assert (call.type, call.name, call.org_name) == (VAR_STRING, text(b"b"), text(b"b"))


def test_columns_are_counted_from_the_end_with_our_own_among_them():
    payloads = result(OLD, columns=3)
    payloads[1:4] = [definition(b"c", kind=BLOB)] * 3
    found = definitions_of(payloads, Described(-2, SCORE), has_check=True)
    assert [d.type for d in found] == [BLOB, DOUBLE]


def test_a_column_of_a_derived_table_keeps_its_own_name():
    payloads = result(OLD)
    payloads[1] = aliased(b"c", b"x")
    [found] = definitions_of(payloads, Described(0, LABEL, is_own=False))
    assert (found.type, found.org_name) == (VAR_STRING, text(b"x"))


def test_columns_are_described_by_their_name():
    payloads = result(OLD, columns=3)
    payloads[1:4] = [definition(name, kind=BLOB) for name in (b"s", b"t", b"s")]
    found = definitions_of(payloads, Described(None, LABEL, b"s", is_own=False))
    assert [d.type for d in found] == [VAR_STRING, BLOB, VAR_STRING]


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le", "utf-32-be"])
def test_a_name_may_come_in_a_wide_character_set(codec):
    payloads = result(OLD, columns=2)
    names = [name.encode(codec) for name in ("score", "other")]
    payloads[1:3] = [definition(name, kind=BLOB) for name in names]
    found = definitions_of(payloads, Described(None, LABEL, b"score", is_own=False))
    assert [d.type for d in found] == [VAR_STRING, BLOB]


def test_a_column_of_another_type_is_another_column():
    payloads = result(OLD, columns=2)
    payloads[1:3] = definition(b"s", kind=BLOB), definition(b"s", kind=LONGLONG)
    for result_type in (LABEL, SCORE):
        named = Described(None, result_type, b"s", is_own=False)
        found = definitions_of(payloads, named)
        assert found[0].type == (VAR_STRING if result_type is LABEL else BLOB)
        assert found[1].type == LONGLONG


def test_a_column_that_is_only_named():
    payloads = result(OLD, columns=2)
    named = Described(0, None, b"longer than before" * 20)
    first, second = definitions_of(payloads, named)
    before = read_column_definition(definition(), OLD)
    assert first.name == text(b"longer than before" * 20)
    assert (first.type, first.org_name) == (before.type, before.org_name)
    assert second == before


def test_a_column_of_a_temporary_table_is_what_the_server_says():
    payloads = result(OLD)
    before = definition(b"c", kind=BLOB)
    flags = (0x80 | TEMPORARY).to_bytes(2, "little")
    payloads[1] = before[:-5] + flags + before[-3:]
    assert payloads[1] != before
    [found] = definitions_of(payloads, Described(0, LABEL))
    assert found.type == BLOB


def test_results_behind_the_first_are_not_described():
    first, second = result(OLD, status=MORE), result(OLD)
    first[1] = second[1] = definition(b"c", kind=BLOB)
    seen = Seen(passed_of(OLD, first + second, Described(0, LABEL))).payloads
    assert read_column_definition(seen[1], OLD).type == VAR_STRING
    assert seen[len(first) :] == second


@pytest.mark.parametrize("has_check", [False, True])
def test_a_result_whose_definitions_are_left_out(has_check):
    row = text(b"a") + NULL_CELL
    payloads = [b"\2\0", end(OLD), row, end(OLD)]
    passed = passed_of(WITH_FLAG, payloads, Described(0, LABEL), has_check=has_check)
    seen = Seen(passed).payloads
    assert seen[0] == (b"\1\0" if has_check else b"\2\0")
    assert seen[2] == (text(b"a") if has_check else row)


def test_definitions_that_are_announced():
    payloads = [b"\1\1", definition(), end(OLD), end(OLD)]
    assert Seen(passed_of(WITH_FLAG, payloads)).payloads == payloads


def test_progress_reports_are_passed_on_wherever_they_come():
    payloads: list[bytes] = []
    for payload in result(WITH_PROGRESS, text(b"a"), text(b"b")):
        payloads += [PROGRESS, payload]
    passed = passed_of(WITH_PROGRESS, payloads)
    seen = Seen(passed)
    assert passed.error is None and passed.rows == 2
    assert seen.payloads == payloads
    assert seen.seqs == list(range(1, 1 + len(payloads)))


@layouts
@pytest.mark.parametrize(
    ("there", "added", "total"), [(0, 2, 2), (7, 0, 7), (3, 4, 7), (1, 0xFFFF, 0xFFFF)]
)
def test_warnings_are_added_to_what_ends_the_last_result(layout, there, added, total):
    payloads = [*result(layout, status=MORE), *result(layout)]
    payloads[-1] = end(layout, warnings=there)
    seen = Seen(passed_of(layout, payloads), added).payloads
    assert seen == [*payloads[:-1], end(layout, warnings=total)]


@layouts
@pytest.mark.parametrize("affected", [0, 0xFA, 0xFB, 70_000])
def test_warnings_are_added_to_an_ok(layout, affected):
    sent = ok(affected=affected, info=b"Rows matched: 1")
    [seen] = Seen(passed_of(layout, [sent]), 3).payloads
    at = len(ok(affected=affected)) - 2
    assert seen == sent[:at] + b"\3\0" + sent[at + 2 :]


@pytest.mark.parametrize(
    "payloads",
    [[b"\xfbfile.csv"], [b""], [b"\xfc\0\0"], [b"\xfc\1"], [b"\xfe\0\0\2\0"], [b"\0"]],
    ids=["infile", "empty", "no columns", "cut off", "an EOF", "half an OK"],
)
def test_what_is_no_response_is_malformed(payloads):
    with pytest.raises(MalformedPacket):
        passed_of(OLD, payloads)


def test_a_definition_that_is_cut_off():
    with pytest.raises(MalformedPacket):
        passed_of(OLD, [b"\1", definition()[:-9]], Described(0, LABEL))
