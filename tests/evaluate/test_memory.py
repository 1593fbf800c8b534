from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.evaluate.memory import ENTRY_BYTES, MAP_SHARE, MAX_MAPS, Memory

NEVER_S = 2**32 - 1


def room_for(count: int) -> int:
    """The limit in which so many one-byte values with three-byte keys fit a map."""
    return MAP_SHARE * count * (ENTRY_BYTES + 3 + 1)


def key(n: int) -> bytes:
    return b"%03d" % n


def fill(memory: Memory, numbers) -> None:
    for n in numbers:
        memory.put(key(n), b"v", NEVER_S)


def known(memory: Memory, numbers) -> list[int]:
    return [n for n in numbers if memory.get(key(n), 0) is not None]


def test_what_was_put_is_got_and_nothing_else():
    memory = Memory(1 << 20)
    memory.put(b"a", b"1", NEVER_S)
    memory.put(b"b", b"", NEVER_S)
    assert memory.get(b"a", 0) == b"1" and memory.get(b"b", 0) == b""
    assert memory.get(b"c", 0) is None and len(memory) == 2


def test_it_expires_to_the_second():
    memory = Memory(1 << 20)
    memory.put(b"a", b"1", 100)
    assert memory.get(b"a", 99.9) == b"1"
    assert memory.get(b"a", 100.0) is None
    memory.put(b"a", b"2", 200)  # the new answer takes its place
    assert memory.get(b"a", 100.0) == b"2" and len(memory) == 1


def test_the_least_recently_used_goes_first():
    memory = Memory(room_for(10))
    fill(memory, range(80))
    assert known(memory, range(80)) == list(range(80))  # and the order is as it was
    assert known(memory, [5]) == [5]
    fill(memory, range(100, 120))
    # A map at a time: the ten that came first, but for one, and two maps more.
    assert known(memory, range(80)) == [5, *range(30, 80)]
    assert memory.evicted == 29


def test_what_is_used_again_and_again_stays_whatever_comes_and_goes():
    memory = Memory(room_for(10))
    fill(memory, range(10))
    for n in range(100, 1_000):
        memory.put(key(n), b"v", NEVER_S)
        assert known(memory, range(10)) == list(range(10))
    assert len(memory._maps) <= MAX_MAPS


def test_the_limit_holds_and_most_of_it_is_used():
    memory = Memory(room_for(10))
    fill(memory, range(1_000))
    assert memory.size_bytes <= room_for(10)
    assert 70 <= len(memory) <= 80
    assert len(known(memory, range(930, 1_000))) == 70


def test_a_value_that_is_put_again_takes_room_once():
    memory = Memory(1 << 20)
    for n in range(100):
        memory.put(b"key", b"v" * n, NEVER_S)
    assert len(memory) == 1 and memory.size_bytes == ENTRY_BYTES + 3 + 99


def test_a_value_over_a_maps_size_is_not_kept():
    memory = Memory(room_for(10))
    fill(memory, range(5))
    memory.put(b"big", b"x" * room_for(10), NEVER_S)
    assert memory.get(b"big", 0) is None and len(memory) == 5


def test_clearing_forgets_everything():
    memory = Memory(room_for(10))
    fill(memory, range(50))
    memory.clear()
    assert len(memory) == memory.size_bytes == 0 and not known(memory, range(50))
    fill(memory, [1])
    assert known(memory, [1]) == [1]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["get", "put"]),
        st.integers(0, 40),
        st.binary(max_size=30),
        st.integers(1, 20),
    ),
    max_size=200,
)


@given(OPERATIONS, st.integers(0, 4_000))
def test_it_is_a_dict_that_forgets_and_its_bytes_add_up(operations, limit):
    memory, model = Memory(limit), {}
    for now_s, (operation, n, value, ttl_s) in enumerate(operations):
        if operation == "put":
            memory.put(key(n), value, now_s + ttl_s)
            model[n] = (value, now_s + ttl_s)
        elif (found := memory.get(key(n), now_s)) is not None:
            assert found == model[n][0] and now_s < model[n][1]
        sizes = [ENTRY_BYTES + 3 + len(e) - 4 for m in memory._maps for e in m.values()]
        assert memory.size_bytes == sum(sizes) <= limit
        assert len(memory) == len({k for m in memory._maps for k in m})
