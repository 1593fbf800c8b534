"""The markers' SQL, and what comes back from their variables."""

import re
from hashlib import sha256

import pytest

from aurora_ml_proxy.catalog import markers
from aurora_ml_proxy.functions import CONFIDENCE, LABEL, Sentiment
from aurora_ml_proxy.protocol.packets import write_packet
from aurora_ml_proxy.splice.lookups import hash_of

POSITIVE = Sentiment("POSITIVE", 0.9843750000000001)
LATE = b"\xff\x6c\x06#45000f: a text is not answered yet; connect through aurora-ml-proxy"
ALONE = b"\xff\x6c\x06#45000f: connect through aurora-ml-proxy"


def found(statements: list[bytes], number: int) -> str | None:
    """What a marker finds in the variables: its body's steps, in Python."""
    text = b",".join(statements).decode()
    shards = dict(re.findall(r"@aurora_ml_proxy_([0-9a-f])=_binary'([^']*)'", text))
    digits = f"{number:015x}"
    shard = shards[digits[0]]
    width = len(shard) // 16
    start = int(digits[1], 16) * width
    _, is_there, behind = shard[start : start + width].partition("|" + digits)
    return behind.partition("|")[0] if is_there else None


@pytest.mark.parametrize("count", [0, 1, 100, 5000])
def test_every_answer_is_found_and_nothing_else(count):
    answers = {
        hash_of(b"en:%d" % n): Sentiment("MIXED", n / 8192) if n % 3 else None
        for n in range(count)
    }
    statements = markers.set_answers(answers)
    for number, answer in answers.items():
        assert found(statements, number) == (
            "0" if answer is None else f"M{answer.confidence!r}"
        )
    assert found(statements, hash_of(b"fr:0")) is None
    assert len(statements) == (1 if count <= 100 else 16)


def test_a_confidence_stays_the_same_to_the_last_bit():
    number = hash_of(b"en:x")
    text = found(markers.set_answers({number: POSITIVE}), number)
    assert text is not None and text[0] == "P"
    assert float(text[1:]) == POSITIVE.confidence


def noted(language: bytes, text: bytes) -> bytes:
    digits = sha256(language + b":" + text).hexdigest()[:15]
    head = f"|{digits}{len(language):03}{len(text):010}"
    return head.encode() + language + text


def test_noted_texts_are_read_whatever_they_hold():
    texts = [b"a", "— 好 😀".encode(), b"|" * 40, b"\0\n'" * 9000]
    values = [noted(b"en", texts[0]) + noted(b"zh-TW", texts[1])]
    values += [noted(b"en", texts[2]) + noted(b"", texts[3])]
    assert markers.read_noted(values) == [
        (hash_of(language + b":" + text), language, text)
        for language, text in zip((b"en", b"zh-TW", b"en", b""), texts, strict=True)
    ]
    assert markers.read_noted([b"", b""]) == []


def test_a_text_over_max_allowed_packet_has_no_value():
    assert markers.read_noted([noted(b"en", b"a"), None]) is None


def test_the_errors_of_markers_are_told_apart():
    assert markers.is_unanswered(LATE) and markers.is_not_yet(LATE)
    assert markers.is_unanswered(ALONE) and not markers.is_not_yet(ALONE)
    assert not markers.is_unanswered(ALONE.replace(b"\x6c\x06", b"\x6d\x06"))
    assert not markers.is_unanswered(ALONE + b"!")


def test_the_name_of_the_function_is_in_the_error():
    error = ALONE.replace(b"f:", CONFIDENCE.name.encode() + b":")
    assert markers.function_of(error) == CONFIDENCE.name
    assert markers.function_of(b"\xff\x6c\x06#45000 x y: z") == LABEL.name


def test_an_error_is_cut_from_what_came_before():
    front = write_packet(b"\x02", 1) + write_packet(b"definition", 2)
    cut = markers.split_error(front + write_packet(ALONE, 3))
    assert cut is not None
    assert cut[0] == front
    assert (cut[1].payload, cut[1].seq) == (ALONE, 3)


@pytest.mark.parametrize(
    "data",
    [
        ALONE,
        write_packet(b"a row with " + ALONE, 1),
        write_packet(ALONE, 1)[1:],
        b"",
    ],
)
def test_what_only_looks_like_an_error_is_none(data):
    assert markers.split_error(data) is None


@pytest.mark.parametrize("function", [LABEL, CONFIDENCE])
def test_a_marker_is_declared_so_that_a_binary_log_takes_it(function):
    sql = markers.create_marker(function, if_not_exists=True).decode()
    assert sql.startswith(f"CREATE FUNCTION IF NOT EXISTS {function.name}(")
    assert "DETERMINISTIC" in sql and "SQL SECURITY INVOKER" in sql
    assert f"COMMENT '{markers.COMMENT_START}" in sql
    assert sql.isascii() and "{" not in sql
    assert (
        "IF NOT EXISTS"
        not in markers.create_marker(function, if_not_exists=False)
        .decode()
        .partition("BEGIN")[0]
    )


def test_a_budget_is_counted_in_texts():
    sql = markers.start_statement(25).decode()
    assert f"@aurora_ml_proxy_left={25 * markers.NEW_TEXT}" in sql
    assert "@aurora_ml_proxy_left=0" in markers.start_statement(0).decode()
