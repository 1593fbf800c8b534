from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.conversations import conversations, cut, shapes

from aurora_ml_proxy.protocol.responses import Response, response_to
from protocol.test_responses import follower

EXPECTED = [response for response in Response if response is not Response.NONE]


@given(st.data())
def test_the_follower_is_idle_exactly_when_the_conversation_is(data):
    shape = data.draw(shapes)
    random = Random(data.draw(st.integers(0, 1 << 32)))
    following = follower(shape)
    for group in data.draw(conversations(shape)):
        for exchange in group:
            if exchange.is_login:
                continue
            command = exchange.phases[0][1][4:5]
            response = response_to(command[0] if command else None)
            following.expect(response)
            assert following.is_idle is (len(exchange.phases) == 1)
            said = b"".join(data for who, data in exchange.phases[1:] if who == "S")
            for chunk in cut(said[:-1], random):
                following.feed(chunk)
                assert not following.is_idle
            following.feed(said[-1:])
            assert following.is_idle and not following.is_blind


@given(
    shapes,
    st.lists(st.sampled_from(EXPECTED), max_size=4),
    st.binary(max_size=400),
    st.randoms(use_true_random=False),
)
def test_random_bytes_are_followed_or_not_but_nothing_is_raised(
    shape, responses, data, random
):
    following = follower(shape)
    for response in responses:
        following.expect(response)
    for chunk in cut(data, random):
        following.feed(chunk)
    assert len(following._partial) <= len(data)
