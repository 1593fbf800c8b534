from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.conversations import (
    Shape,
    cut,
    frames,
    results,
    shapes,
)

from aurora_ml_proxy.errors import ProxyError
from aurora_ml_proxy.functions import ResultType
from aurora_ml_proxy.plan.plan import Described
from aurora_ml_proxy.protocol.packets import PacketReader
from aurora_ml_proxy.protocol.results import Layout
from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    Capabilities,
    MariaDBCapabilities,
)
from aurora_ml_proxy.splice.passed import PassedResult
from splice.test_rows import NEW, OLD

layouts = st.sampled_from([OLD, NEW])
described = st.lists(
    st.builds(
        Described,
        st.none() | st.integers(-3, 3),
        st.none() | st.sampled_from(ResultType),
        st.binary(max_size=5),
        is_own=st.booleans(),
    ),
    max_size=2,
)


def layout_of(shape: Shape) -> Layout:
    capabilities = Capabilities(0)
    if shape.deprecate_eof:
        capabilities |= CLIENT_DEPRECATE_EOF
    if shape.optional_metadata:
        capabilities |= CLIENT_OPTIONAL_RESULTSET_METADATA
    mariadb = MariaDBCapabilities(0)
    if shape.cache_metadata:
        mariadb |= MariaDBCapabilities.CACHE_METADATA
    if shape.progress:
        mariadb |= MariaDBCapabilities.PROGRESS
    return Layout(capabilities, mariadb)


@given(shapes, st.data(), st.integers(0, 255), st.randoms(use_true_random=False))
def test_any_response_is_passed_on_however_it_is_cut(
    shape: Shape, data: st.DataObject, first: int, random: Random
) -> None:
    payloads = data.draw(results(shape))
    sent = frames(payloads, first)
    reader = PacketReader()
    passed = PassedResult(layout_of(shape), first)
    seen = b""
    for piece in cut(sent, random):
        assert not passed.has_ended
        reader.feed(piece)
        while found := reader.payloads(random.choice([1, 100])):
            passed.feed(found)
        if random.random() < 0.3:
            seen += passed.take()
    assert passed.has_ended
    if passed.error is None:
        seen += passed.finish(0)
    else:
        assert passed.error == payloads[-1]
        payloads = payloads[:-1]
        seen += passed.take()
    assert seen == frames(payloads, first)


@given(layouts, st.lists(st.binary(max_size=40), max_size=8), described, st.booleans())
def test_random_packets_are_passed_on_or_malformed(
    layout: Layout, payloads: list[bytes], described: list[Described], has_check: bool
) -> None:
    passed = PassedResult(layout, 1, described, has_check=has_check)
    try:
        passed.feed(payloads)
    except ProxyError:
        pass
    passed.take()
    if passed.terminator is not None:
        passed.finish(1)
