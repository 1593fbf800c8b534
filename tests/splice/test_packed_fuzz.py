from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.splice.packed import read_packed
from splice.test_packed import packed

items = st.lists(st.tuples(st.binary(), st.binary(max_size=5), st.sampled_from([b"25"])))


@given(items)
def test_what_was_packed_is_read(made):
    value = b"".join(packed(*item) for item in made)
    assert list(read_packed(value)) == made


@given(items, st.data())
def test_a_cut_value_is_its_first_items(made, data):
    value = b"".join(packed(*item) for item in made)
    found = list(read_packed(value[: data.draw(st.integers(0, len(value)))]))
    assert found == made[: len(found)]


@given(st.binary())
def test_nonsense_is_read_as_something(value):
    list(read_packed(value))
