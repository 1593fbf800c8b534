from aurora_ml_proxy.evaluate import outlook
from aurora_ml_proxy.evaluate.outlook import Outlook


def seen(count: int = 1_000, mean_bytes: int = 500, new_share: float = 0.0) -> Outlook:
    made = Outlook()
    made.saw_texts("first", count, count * mean_bytes, 1.0)
    made.saw_texts("first", count, count * mean_bytes, new_share)
    return made


def test_a_statement_that_was_never_seen_reads_its_texts():
    assert not Outlook().prefers_hashes("any")


def test_long_texts_that_are_known_are_read_by_their_hashes():
    assert seen().prefers_hashes("first")
    assert not seen().prefers_hashes("another")


def test_what_was_new_the_first_time_is_known_the_next():
    made = Outlook()
    made.saw_texts("first", 1_000, 500_000, 1.0)
    assert made.prefers_hashes("first")


def test_short_texts_few_texts_and_new_texts_are_read_whole():
    assert not seen(mean_bytes=60).prefers_hashes("first")
    assert not seen(count=10).prefers_hashes("first")
    assert not seen(new_share=0.9).prefers_hashes("first")


def test_hashes_that_find_little_are_read_no_more():
    made = seen()
    made.saw_hashes("first", 1_000, 0.9)
    assert not made.prefers_hashes("first")
    made.saw_hashes("never seen", 1_000, 0.0)
    assert not made.prefers_hashes("never seen")


def test_no_texts_say_nothing():
    made = seen()
    made.saw_texts("first", 0, 0, 0.0)
    made.saw_hashes("first", 0, 0.0)
    assert made.prefers_hashes("first")


def test_the_latest_statements_are_remembered(monkeypatch):
    monkeypatch.setattr(outlook, "MAX_STATEMENTS", 2)
    made = seen()
    for name in ("second", "third"):
        made.saw_texts(name, 1_000, 500_000, 0.0)
    assert not made.prefers_hashes("first")
    assert made.prefers_hashes("second") and made.prefers_hashes("third")
