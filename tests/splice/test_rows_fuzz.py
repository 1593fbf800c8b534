from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.errors import ProxyError
from splice.test_rows import MIXED, NEW, OLD, Bench, call, plan, row

layouts = st.sampled_from([OLD, NEW])
values = st.none() | st.binary(max_size=300)


@given(layouts, st.lists(st.binary(max_size=40), max_size=8))
def test_random_packets_are_read_or_malformed(layout, payloads):
    bench = Bench(plan(call(0)), layout)
    for payload in payloads:
        try:
            bench.feed(payload)
        except ProxyError:
            pass


@given(layouts, st.lists(st.binary(max_size=40), max_size=8))
def test_random_rows_are_read_or_malformed(layout, payloads):
    bench = Bench(plan(call(-1), call(0)), layout).head(3)
    try:
        bench.feed(*payloads)
    except ProxyError:
        pass
    bench.take()


@given(layouts, st.integers(1, 8), st.data())
def test_all_but_the_answers_passes_unchanged(layout, columns, data):
    filled = data.draw(st.sets(st.integers(0, columns - 1), min_size=1))
    bench = Bench(plan(*map(call, filled)), layout).head(columns)
    rows = data.draw(
        st.lists(st.lists(values, min_size=columns, max_size=columns), max_size=5)
    )
    expected = []
    for made in rows:
        made = [None if i in filled else value for i, value in enumerate(made)]
        bench.feed(row(*made, b"text"))
        expected.append(
            b"".join(MIXED if i in filled else row(value) for i, value in enumerate(made))
        )
    assert bench.end().rows == expected
