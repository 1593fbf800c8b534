from hashlib import sha256

from support.playbook import FakeBackend, Spawner

from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import Evaluation, Policy
from aurora_ml_proxy.functions import LABEL, Sentiment
from aurora_ml_proxy.plan.plan import Asked
from aurora_ml_proxy.session.hashes import HashedTexts
from aurora_ml_proxy.splice.lookups import KnownAnswers, hash_of

ASKED = Asked(0, LABEL, 0, "en", 25, None)
NEUTRAL = Sentiment("NEUTRAL", 0.5)


def digest(text: bytes) -> bytes:
    return sha256(text).digest()


async def hashed_after(*texts: bytes) -> tuple[HashedTexts, KnownAnswers]:
    """With a cache that knows these texts."""
    spawn = Spawner()
    engine = Engine(FakeBackend(), 4, Cache(1 << 20, 60))
    evaluation = Evaluation(engine, Policy(), "f", spawn, lambda: None)
    for text in texts:
        evaluation.ask(text, "en", 25)
    evaluation.flush()
    while spawn.tasks:
        for task in list(spawn.tasks):
            await task
    known = KnownAnswers()
    later = Evaluation(engine, Policy(), "f", spawn, lambda: None)
    return HashedTexts(later, [known]), known


async def test_what_the_cache_knows_is_answered_and_the_rest_is_wanted():
    hashed, known = await hashed_after(b"a")
    for text in (b"a", b"b", b"a", b"b"):
        hashed.take(ASKED, digest(text), "en", 25)
    await hashed.look_up()
    assert known.answers == {hash_of(b"a"): NEUTRAL}
    assert hashed.wanted == {digest(b"b")}
    assert hashed.count == 2 and hashed.found == 1


async def test_the_empty_text_is_null_and_no_question():
    hashed, known = await hashed_after()
    hashed.take(ASKED, digest(b""), "en", 25)
    await hashed.look_up()
    assert known.answers == {hash_of(b""): None} and not hashed.wanted


async def test_an_answer_in_another_language_is_none():
    hashed, known = await hashed_after(b"a")
    hashed.take(ASKED, digest(b"a"), "fr", 25)
    await hashed.look_up()
    assert not known.answers and hashed.wanted == {digest(b"a")}


async def test_a_key_of_its_own_finds_the_answer_in_the_statement():
    hashed, known = await hashed_after(b"a")
    hashed.take(ASKED, digest(b"a") + digest(b"en:a"), "en", 25)
    hashed.take(ASKED, digest(b"b") + digest(b"en:b"), "en", 25)
    await hashed.look_up()
    assert known.answers == {hash_of(b"en:a"): NEUTRAL}
    assert hashed.wanted == {digest(b"en:b")}


async def test_what_the_statement_knows_is_not_looked_up():
    hashed, known = await hashed_after(b"a")
    known.answers[hash_of(b"a")] = None
    hashed.take(ASKED, digest(b"a"), "en", 25)
    await hashed.look_up()
    assert known.answers == {hash_of(b"a"): None} and hashed.count == 0
