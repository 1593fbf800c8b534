from hashlib import sha256

from aurora_ml_proxy.splice.texts import HASHED, WHOLE, Wanted, text_as

HASH = b"UNHEX(CONVERT(SHA2(%b,256) USING latin1))"


def test_a_text_is_read_whole():
    assert text_as(WHOLE, b"t", b"") == b"t"


def test_a_text_is_read_by_its_hash_and_that_of_its_key():
    assert text_as(HASHED, b"t", b"") == HASH % b"t"
    assert text_as(HASHED, b"t", b"k") == b"CONCAT(%b,%b)" % (HASH % b"t", HASH % b"k")


def test_only_some_texts_are_read():
    hashes = frozenset(sha256(text).digest() for text in (b"a", b"b"))
    sql = text_as(Wanted(hashes), b"t", b"k")
    listed = b",".join(
        b"X'%b'" % start.hex().encode() for start in sorted(h[:8] for h in hashes)
    )
    assert sql == b"IF(LEFT(%b,8) IN (%b),t,NULL)" % (HASH % b"k", listed)
