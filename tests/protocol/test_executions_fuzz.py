from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.binary import end_of_value
from aurora_ml_proxy.protocol.executions import (
    Execution,
    Parameter,
    read_bulk,
    read_execution,
    write_execution,
)
from aurora_ml_proxy.protocol.packets import write_lenenc_bytes
from aurora_ml_proxy.protocol.vocabulary import CLIENT_QUERY_ATTRIBUTES, Capabilities

capabilities = st.sampled_from([Capabilities(0), CLIENT_QUERY_ATTRIBUTES])


@given(st.binary(max_size=60), st.integers(0, 5), capabilities)
def test_any_bytes_are_an_execution_or_malformed(payload, count, negotiated):
    for read in (
        lambda: read_execution(payload, count, (), (), negotiated),
        lambda: read_bulk(payload, count, ()),
    ):
        try:
            read()
        except MalformedPacket:
            pass


texts = st.binary(max_size=300).map(
    lambda text: Parameter(b"\xfd\x00", write_lenenc_bytes(text))
)
numbers = st.binary(min_size=8, max_size=8).map(
    lambda value: Parameter(b"\x08\x80", value)
)
nulls = st.just(Parameter(b"\x06\x00", None))
parameters = st.lists(texts | numbers | nulls, max_size=20).map(tuple)


@given(parameters, capabilities)
def test_what_is_written_is_read(values, negotiated):
    execution = Execution(8 if negotiated else 0, values, ())
    written = write_execution(1, execution, negotiated)[1:]
    assert read_execution(written, len(values), (), (), negotiated) == execution
    for value in values:
        if value.value is not None:
            kind = value.type[0]
            assert end_of_value(kind, value.value, 0) == len(value.value)
