from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.results import (
    add_warnings,
    read_column_count,
    read_column_definition,
    read_status,
    read_text_row,
    write_column_count,
    write_text_row,
)
from protocol.test_results import CACHED, EXTENDED, NEW, OLD, OPTIONAL

layouts = st.sampled_from([OLD, NEW, OPTIONAL, CACHED, EXTENDED])


@given(st.binary(max_size=60), layouts)
def test_readers_answer_or_say_malformed(payload, layout):
    for read in (
        lambda: read_column_definition(payload, layout).write(),
        lambda: write_column_count(read_column_count(payload, layout)[0], payload),
        lambda: read_status(payload, layout),
        lambda: add_warnings(payload, 1, layout),
        lambda: read_text_row(payload),
    ):
        try:
            read()
        except MalformedPacket:
            pass


@given(st.lists(st.none() | st.binary(max_size=300), max_size=300))
def test_text_rows_round_trip(values):
    assert read_text_row(write_text_row(values)) == values
