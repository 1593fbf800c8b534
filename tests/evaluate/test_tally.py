from aurora_ml_proxy import metrics
from aurora_ml_proxy.evaluate.tally import STATUS, Tally


def value(outcome: str) -> float:
    return metrics.LOGICAL.labels(outcome)._value.get()


def test_a_sessions_counts_are_everybodys_too():
    everybody = Tally()
    one, other = Tally(everybody), Tally(everybody)
    one.add("cache_hits", 3)
    other.add("cache_hits")
    other.add("retries")
    assert (one["cache_hits"], other["cache_hits"], everybody["cache_hits"]) == (3, 1, 4)
    assert one["retries"] == 0 and everybody["retries"] == 1


def test_the_rows_are_the_seven_of_aurora():
    tally = Tally()
    tally.add("singles", 2)
    rows = tally.rows()
    assert list(rows) == sorted(STATUS) and len(rows) == 7
    assert rows.pop("Aurora_ml_single_request_cnt") == 2 and not any(rows.values())


def test_flushing_is_one_sessions_own():
    everybody = Tally()
    session = Tally(everybody)
    session.add("actual_requests", 5)
    session.reset()
    assert not any(session.rows().values()) and everybody["actual_requests"] == 5
    session.add("actual_requests")
    everybody.reset()
    assert session["actual_requests"] == 1 and everybody["actual_requests"] == 0


def test_the_metrics_count_everything_once_and_only_grow():
    before = value("hit")
    everybody = Tally()
    session = Tally(everybody)
    session.add("cache_hits", 2)
    everybody.reset()
    assert value("hit") == before + 2
