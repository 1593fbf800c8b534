from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.plan.template import edit, text_of


@given(st.binary(max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_spans_are_replaced_and_nothing_else(sql, bounds):
    bounds = sorted(min(bound, len(sql)) for bound in bounds)[: len(bounds) // 2 * 2]
    spans = list(zip(bounds[::2], bounds[1::2], strict=True))
    same = [(start, stop, (sql[start:stop],)) for start, stop in spans]
    assert text_of(edit(sql, same)) == sql
    gone = text_of(edit(sql, [(start, stop, ()) for start, stop in spans]))
    assert len(gone) == len(sql) - sum(stop - start for start, stop in spans)
