from aurora_ml_proxy.protocol.results import Layout
from aurora_ml_proxy.protocol.vocabulary import Capabilities, MariaDBCapabilities
from aurora_ml_proxy.splice.prepared_columns import Definitions, Prepared

PLAIN = Layout(Capabilities(0), MariaDBCapabilities(0))
CACHING = Layout(Capabilities(0), MariaDBCapabilities.CACHE_METADATA)


def prepared(*, has_columns: bool = True) -> Prepared:
    return Prepared(Definitions([b"a", b"x"]), Definitions([b"A"]), has_columns)


def test_what_is_left_out_is_what_was_received_last():
    assert prepared().left_out(2) == [b"a", b"x"]
    assert prepared().left_out(1) == ()


def test_a_client_is_told_what_it_does_not_know():
    known = prepared()
    assert known.tell([b"b"], [b"B"], b"\2\0", CACHING) == [b"\1\1", b"B"]
    assert known.tell([b"c"], [b"B"], b"\2\1", CACHING) == [b"\1\0"]
    assert known.received.last == [b"c"]


def test_without_a_cache_it_is_told_every_time():
    assert prepared().tell([b"a"], [b"A"], b"\2", PLAIN) == [b"\1", b"A"]


def test_the_columns_of_a_call_are_told_every_time():
    call = prepared(has_columns=False)
    assert call.tell([b"a"], [b"A"], b"\2\1", CACHING) == [b"\1\1", b"A"]
