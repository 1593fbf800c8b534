from aurora_ml_proxy.evaluate.flights import Flight, Flights


def flight(key, epoch=0):
    return Flight(None, None, "text", key, epoch)


def test_a_text_is_found_from_take_off_to_landing():
    flights, one, other = Flights(), flight(b"a"), flight(b"b")
    assert flights.find(b"a", 0) is None
    flights.take_off(one)
    flights.take_off(other)
    assert flights.find(b"a", 0) is one and flights.find(b"b", 0) is other
    flights.land([one, flight(b"c")])
    assert flights.find(b"a", 0) is None and len(flights) == 1


def test_a_text_without_a_key_is_found_by_nobody():
    flights, alone = Flights(), flight(None)
    flights.take_off(alone)
    assert len(flights) == 0
    flights.land([alone])


def test_what_was_asked_before_everything_was_forgotten_is_not_joined():
    flights, old, new = Flights(), flight(b"a", 0), flight(b"a", 1)
    flights.take_off(old)
    assert flights.find(b"a", 1) is None
    flights.take_off(new)
    flights.land([old])  # the newer one stays
    assert flights.find(b"a", 1) is new
    flights.land([new])
    assert len(flights) == 0
