import pytest
from support.conversations import PROGRESS, error, frame, lenenc, ok, text

from aurora_ml_proxy.errors import MalformedPacket, ProxyError, WrongArgument
from aurora_ml_proxy.evaluate.evaluation import NULL, Question
from aurora_ml_proxy.functions import CONFIDENCE, LABEL, Function, Sentiment
from aurora_ml_proxy.plan.plan import Splice, SplicedCall
from aurora_ml_proxy.protocol.packets import PacketReader
from aurora_ml_proxy.protocol.results import Layout, read_column_definition
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    MAX_PAYLOAD,
    Capabilities,
    MariaDBCapabilities,
)
from aurora_ml_proxy.splice.prepared_columns import Definitions, Prepared
from aurora_ml_proxy.splice.rows import ROW_BYTES, SplicedResult, renumber_expression

NONE = MariaDBCapabilities(0)
OLD = Layout(Capabilities(0), NONE)
NEW = Layout(CLIENT_DEPRECATE_EOF, NONE)

NULL_CELL = b"\xfb"
LONGLONG, VAR_STRING, DOUBLE = 8, 253, 5


def call(
    column: int = 0,
    function: Function = LABEL,
    text: int = 0,
    language: str | int = "en",
    size: int = 25,
    size_column: int | None = None,
) -> SplicedCall:
    return SplicedCall(function, column, text, language, size, size_column)


def plan(*calls: SplicedCall, appended: int = 1, items: int = 1) -> Splice:
    first = tuple(range(1, appended + 1))
    return Splice(b"SELECT", calls, appended, items, first, "digest")


def definition(
    name: bytes = b"c", charset: int = 45, kind: int = VAR_STRING, extended: bytes = b""
) -> bytes:
    fixed = charset.to_bytes(2, "little") + (32).to_bytes(4, "little")
    fixed += bytes((kind,)) + b"\x80\x00" + b"\x1f\0\0"
    return text(b"def") + text(b"") * 3 + text(name) * 2 + extended + b"\x0c" + fixed


def row(*values: bytes | None) -> bytes:
    return b"".join(map(text, values))


class Bench:
    """A result that is spliced, with answers that the test gives."""

    def __init__(
        self,
        made: Splice,
        layout: Layout = OLD,
        *,
        mariadb: bool = False,
        prepared: Prepared | None = None,
    ):
        self.asked: list[tuple[bytes | None, str, int]] = []
        self.questions: dict[bytes, Question] = {}
        self.at_once = True
        self.result = SplicedResult(
            made, layout, self.ask, 1, converts_numbers=mariadb, prepared=prepared
        )
        self.layout = layout
        self._reader = PacketReader()
        self.out: list[bytes] = []
        self.seqs: list[int] = []

    def ask(self, value: bytes | None, language: str, size: int) -> Question:
        self.asked.append((value, language, size))
        if not value:
            return NULL
        if value not in self.questions:
            self.questions[value] = Question(value.decode("latin-1"))
            if self.at_once:
                self.answer(value)
        return self.questions[value]

    def answer(self, value: bytes) -> None:
        question = self.questions[value]
        question.answer = Sentiment("MIXED", 0.25)
        question.is_answered = True

    def head(self, columns: int, appended: int = 1, **kw) -> "Bench":
        self.feed(lenenc(columns + appended))
        self.feed(*[definition(**kw)] * columns, *[definition(b"added")] * appended)
        if self.layout.sends_eof:
            self.feed(b"\xfe\0\0\2\0")
        return self

    def feed(self, *payloads: bytes) -> "Bench":
        self.result.feed(payloads)
        return self

    def end(self, warnings: int = 0) -> "Bench":
        self.feed(b"\xfe\1\0\2\0" if self.layout.sends_eof else ok(2, first=0xFE))
        self.take()
        self._collect(self.result.finish(warnings))
        return self

    def take(self) -> "Bench":
        self._collect(self.result.take_ready())
        return self

    def _collect(self, data: bytes) -> None:
        self._reader.feed(data)
        while packet := self._reader.next_packet():
            self.out.append(packet.payload)
            self.seqs.append(packet.seq)

    @property
    def rows(self) -> list[bytes]:
        """The client's rows: behind the definitions and before the end."""
        skip = 1 + self.out[0][0] + self.layout.sends_eof
        return self.out[skip:-1]


MIXED, QUARTER = text(b"MIXED"), text(b"0.25")


@pytest.mark.parametrize("layout", [OLD, NEW])
def test_the_answer_takes_the_placeholders_place_and_the_argument_goes(layout):
    bench = Bench(plan(call(1)), layout).head(3)
    bench.feed(row(b"1", None, b"x", b"I love it"), row(None, None, b"", b"bad")).end()
    assert bench.rows == [
        text(b"1") + MIXED + text(b"x"),
        NULL_CELL + MIXED + text(b""),
    ]
    assert bench.asked == [(b"I love it", "en", 25), (b"bad", "en", 25)]
    assert bench.out[0] == b"\x03"
    assert bench.seqs == list(range(1, len(bench.out) + 1))
    assert bench.result.rows == 2 and bench.result.has_ended


def test_several_calls_in_any_order():
    made = plan(call(2, CONFIDENCE), call(0), call(3, LABEL, 1, 2), appended=3)
    bench = Bench(made).head(4, 3)
    bench.feed(row(None, b"a", None, None, b"t1", b"t2", b"de")).end()
    assert bench.rows == [MIXED + text(b"a") + QUARTER + MIXED]
    assert bench.asked == [(b"t1", "en", 25), (b"t1", "en", 25), (b"t2", "de", 25)]


def test_behind_a_star_columns_are_counted_from_the_end():
    bench = Bench(plan(call(-2), call(0))).head(5)
    bench.feed(row(None, b"a", b"b", None, b"c", b"text")).end()
    assert bench.rows == [MIXED + row(b"a", b"b") + MIXED + row(b"c")]


@pytest.mark.parametrize("columns", [1, 2, 249, 250, 251, 252, 300])
def test_any_number_of_columns(columns):
    bench = Bench(plan(call(columns - 1)), NEW).head(columns)
    values = [b"%d" % i if i % 3 else None for i in range(columns - 1)]
    bench.feed(row(*values, None, b"text")).end()
    assert bench.out[0] == lenenc(columns)
    assert len(bench.out) == 1 + columns + 2
    assert bench.out[-2] == row(*values) + MIXED
    assert bench.seqs == [i % 256 for i in range(1, len(bench.out) + 1)]


def test_values_of_every_size_of_length():
    sizes = (0, 1, 250, 251, 65_535, 65_536, 70_000)
    values = [b"v" * size for size in sizes]
    bench = Bench(plan(call(3))).head(8)
    bench.feed(row(*values[:3], None, *values[3:], b"t" * 300)).end()
    assert bench.rows == [row(*values[:3]) + MIXED + row(*values[3:])]
    assert bench.asked[0][0] == b"t" * 300


@pytest.mark.parametrize("extra", [-60, 0, 1])
def test_a_row_of_16_mb_is_split_again(extra):
    big = b"b" * (MAX_PAYLOAD - 4 - 6 + extra)
    bench = Bench(plan(call(1))).head(2)
    bench.feed(row(big, None, b"text"), row(b"small", None, b"text")).end()
    assert bench.rows == [row(big) + MIXED, row(b"small") + MIXED]
    assert bench.seqs[-1] - bench.seqs[-2] == 1


def test_a_row_that_starts_like_an_eof_is_a_row():
    big = b"b" * (1 << 24)
    assert row(big)[:1] == b"\xfe"
    for layout in (OLD, NEW):
        bench = Bench(plan(call(1)), layout).head(2)
        bench.feed(row(big, None, b"text")).end()
        assert bench.rows == [row(big) + MIXED]


def test_null_and_empty_texts_are_null():
    made = plan(call(0), call(1, CONFIDENCE, 0, 1), appended=2)
    bench = Bench(made).head(2, 2)
    bench.feed(row(None, None, None, b"en"), row(None, None, b"", b"en"))
    bench.feed(row(None, None, b"x", None)).end()
    assert bench.rows == [NULL_CELL * 2, NULL_CELL * 2, MIXED + NULL_CELL]


def test_null_is_written_as_each_result_writes_it():
    """All results share the question about NULL; text and prepared rows differ."""
    prepared = Prepared(Definitions(), Definitions(), has_columns=True)
    of_both, of_the_first = b"\0\x0c", b"\0\x04"
    for _ in range(2):
        bench = Bench(plan(call(0))).head(1).feed(row(None, None)).end()
        assert bench.rows == [NULL_CELL]
        bench = Bench(plan(call(0)), prepared=prepared).head(1).feed(of_both).end()
        assert bench.rows == [of_the_first]


def test_rows_leave_in_order_and_only_when_they_are_answered():
    bench = Bench(plan(call(0))).head(1).take()
    bench.at_once = False
    bench.feed(row(None, b"a"), row(None, b"b"), row(None, None), row(None, b"a"))
    waiting = sum(len(row(None, x)) + ROW_BYTES for x in (b"a", b"b", None, b"a"))
    assert bench.result.pending_bytes == waiting and bench.result.is_waiting
    before = len(bench.out)
    bench.answer(b"b")
    assert len(bench.take().out) == before
    bench.answer(b"a")
    assert bench.take().out[before:] == [MIXED, MIXED, NULL_CELL, MIXED]
    assert bench.result.pending_bytes == 0 and not bench.result.is_waiting
    assert bench.result.take_ready() == b""


def test_a_row_waits_for_all_of_its_answers():
    bench = Bench(plan(call(0), call(1, LABEL, 1), appended=2)).head(2, 2).take()
    bench.at_once = False
    bench.feed(row(None, None, b"a", b"b"))
    before = len(bench.out)
    bench.answer(b"b")
    assert len(bench.take().out) == before
    bench.answer(b"a")
    assert bench.take().out[before:] == [MIXED + MIXED]


def test_the_languages_and_the_batch_sizes_are_the_rows():
    made = plan(call(0, LABEL, 0, 1, 25, 2), appended=3)
    bench = Bench(made)
    bench.feed(lenenc(4), definition(), definition(), definition())
    bench.feed(definition(kind=LONGLONG), b"\xfe\0\0\2\0")
    bench.feed(row(None, b"a", b"de", b"5"), row(None, b"a", b"zh-TW", b"1")).end()
    assert bench.asked == [(b"a", "de", 5), (b"a", "zh-TW", 1)]


@pytest.mark.parametrize(
    "values", [(b"a", b"tlh", b"5"), (b"a", b"en", b"0"), (b"a", b"en", None)]
)
def test_a_wrong_argument_is_an_error_and_the_rows_before_it_are_out(values):
    made = plan(call(0, LABEL, 0, 1, 25, 2), appended=3)
    bench = Bench(made, NEW)
    bench.feed(lenenc(4), *[definition()] * 3, definition(kind=LONGLONG)).take()
    with pytest.raises(WrongArgument):
        bench.feed(row(None, b"a", b"en", b"5"), row(None, *values), row(None, *values))
    assert bench.take().out[-1] == MIXED
    # From here on it only reads to the end.
    bench.feed(row(None, *values), ok(2, first=0xFE))
    assert bench.result.has_ended and bench.result.take_ready() == b""


@pytest.mark.parametrize("kind", [VAR_STRING, DOUBLE, 246, 12])
def test_a_batch_size_that_is_no_integer_is_an_error_without_any_row(kind):
    made = plan(call(0, LABEL, 0, "en", 25, 1), appended=2)
    with pytest.raises(WrongArgument):
        Bench(made).feed(lenenc(3), definition(), definition(), definition(kind=kind))


def test_definitions_are_those_of_a_stored_functions_result():
    bench = Bench(plan(call(0), call(1, CONFIDENCE))).head(3).end()
    label, score, other = (read_column_definition(d, OLD) for d in bench.out[1:4])
    assert (label.type, label.flags, label.decimals, label.charset) == (253, 0, 0, 45)
    assert (score.type, score.flags, score.decimals, score.charset) == (5, 0, 31, 63)
    assert score.length == 22
    assert bench.out[3] == definition()
    assert other.name == b"\1c"


def test_extended_metadata_is_kept():
    layout = Layout(Capabilities(0), MariaDBCapabilities.EXTENDED_METADATA)
    bench = Bench(plan(call(0)), layout)
    bench.feed(b"\2", definition(extended=text(b"\0\4json")), definition(extended=b"\0"))
    bench.feed(b"\xfe\0\0\2\0").end()
    assert read_column_definition(bench.out[1], layout).extended == text(b"\0\4json")


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("layout", [OLD, NEW])
def test_definitions_may_be_left_out(flag, layout):
    bits = CLIENT_OPTIONAL_RESULTSET_METADATA | layout.capabilities
    bench = Bench(plan(call(0)), Layout(bits, NONE))
    bench.feed(lenenc(2) + bytes((flag,)))
    if flag:
        bench.feed(definition(), definition())
    if layout is OLD:
        bench.feed(b"\xfe\0\0\2\0")
    bench.feed(row(None, b"text")).end()
    assert bench.out[0] == bytes((1, flag))
    assert len(bench.out) == 3 + flag + (layout is OLD)
    assert bench.out[-2] == MIXED


@pytest.mark.parametrize(
    ("charset", "codec"),
    [(35, "utf-16-be"), (54, "utf-16-be"), (56, "utf-16-le"), (60, "utf-32-be")],
)
@pytest.mark.parametrize("mariadb", [True, False])
def test_answers_are_in_the_character_set_of_results(charset, codec, mariadb):
    bench = Bench(plan(call(0), call(1, CONFIDENCE)), mariadb=mariadb)
    bench.head(2, charset=charset).feed(row(None, None, b"text")).end()
    number = "0.25".encode(codec if mariadb else "ascii")
    assert bench.rows == [text("MIXED".encode(codec)) + text(number)]


def test_a_batch_size_in_a_wide_character_set_is_a_number():
    """MariaDB converts numbers to character_set_results as well."""
    made = plan(call(0, LABEL, 0, "en", 25, 1), appended=2)
    for codec in ("utf-16-be", "utf-16-le", "utf-32-be"):
        bench = Bench(made, NEW, mariadb=True)
        bench.feed(lenenc(3), definition(charset=54), definition())
        bench.feed(definition(kind=LONGLONG), row(None, b"a", "12".encode(codec))).end()
        assert bench.asked == [(b"a", "en", 12)]


@pytest.mark.parametrize("layout", [OLD, NEW])
def test_warnings_are_added_to_the_end(layout):
    bench = Bench(plan(call(0)), layout).head(1).end(warnings=3)
    at = 1 if layout is OLD else 5
    assert bench.out[-1][at] == (4 if layout is OLD else 3)


def test_progress_reports_pass():
    layout = Layout(Capabilities(0), MariaDBCapabilities.PROGRESS)
    bench = Bench(plan(call(0)), layout)
    bench.feed(PROGRESS, b"\2", definition(), PROGRESS, definition(), b"\xfe\0\0\2\0")
    bench.feed(row(None, b"a"), PROGRESS).end()
    assert bench.out.count(PROGRESS) == 3


def test_an_error_before_the_rows_is_the_answer():
    bench = Bench(plan(call(0))).feed(error(1146, b"no table"))
    assert bench.result.error == error(1146, b"no table")
    assert bench.result.has_ended and bench.result.take_ready() == b""
    assert bench.result.seq == 1


def test_an_error_among_the_rows_ends_them():
    bench = Bench(plan(call(0))).head(1)
    bench.at_once = False
    bench.feed(row(None, b"a"), error(1317)).take()
    assert bench.result.error == error(1317)
    assert bench.result.has_ended and not bench.result.is_waiting


def test_what_comes_behind_the_end_changes_nothing():
    bench = Bench(plan(call(0))).head(1)
    bench.feed(row(None, b"a"), b"\xfe\0\0\2\0", error(4031), row(b"x"), b"")
    assert bench.result.error is None
    assert bench.take().out[-1] == MIXED


def test_sequence_numbers_wrap():
    bench = Bench(plan(call(0))).head(1)
    for _ in range(600):
        bench.feed(row(None, b"a"))
    bench.end()
    assert bench.seqs == [i % 256 for i in range(1, len(bench.seqs) + 1)]


@pytest.mark.parametrize(
    "payload",
    [row(None), row(b"x"), row(None, b"a", b"b"), b"\xfb\x05abc", b"\xfb\xfc\x01", b""],
)
def test_a_row_of_another_shape_is_malformed(payload):
    bench = Bench(plan(call(0))).head(1)
    with pytest.raises(MalformedPacket):
        bench.feed(payload)


@pytest.mark.parametrize("count", [b"\x00", b"\x01", b"\xfb"])
def test_too_few_columns_are_malformed(count):
    with pytest.raises(MalformedPacket):
        Bench(plan(call(0))).feed(count)


def test_an_error_names_the_users_item_and_not_the_added_one():
    made = Splice(b"", (), 3, 2, (2, 1, 2), "digest")
    for number, wanted in ((1, 1), (2, 2), (3, 2), (4, 1), (5, 2), (6, 6)):
        payload = error(1055, b"Expression #%d of SELECT list" % number)
        expected = error(1055, b"Expression #%d of SELECT list" % wanted)
        assert renumber_expression(payload, made) == expected
    assert renumber_expression(error(1064), made) == error(1064)


def test_errors_are_proxy_errors_whatever_comes():
    for payload in (b"", b"\0", b"\xfe", b"\xfb", frame(b"x")):
        try:
            Bench(plan(call(0))).feed(payload, payload, payload, payload)
        except ProxyError:
            pass
