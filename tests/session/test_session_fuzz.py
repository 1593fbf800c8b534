"""Transparency: with no ML call, bytes out are bytes in, however both streams are cut."""

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.conversations import Exchange, Shape, conversations, cut, shapes
from support.playbook import Stage, settle

from aurora_ml_proxy.protocol.vocabulary import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_OPTIONAL_RESULTSET_METADATA,
    CLIENT_QUERY_ATTRIBUTES,
    CLIENT_SESSION_TRACK,
    Capabilities,
    MariaDBCapabilities,
)


def stage_for(shape: Shape) -> Stage:
    bits, mariadb = Capabilities(0), MariaDBCapabilities(0)
    if shape.deprecate_eof:
        bits |= CLIENT_DEPRECATE_EOF
    if shape.optional_metadata:
        bits |= CLIENT_OPTIONAL_RESULTSET_METADATA
    if shape.query_attributes:
        bits |= CLIENT_QUERY_ATTRIBUTES
    if shape.session_track:
        bits |= CLIENT_SESSION_TRACK
    if shape.cache_metadata:
        mariadb |= MariaDBCapabilities.CACHE_METADATA
    if shape.progress:
        mariadb |= MariaDBCapabilities.PROGRESS
    return Stage(bits, mariadb)


async def act(stage: Stage, groups: list[list[Exchange]], random: Random) -> None:
    said = {"C": b"", "S": b""}

    async def say(who: str, data: bytes) -> None:
        send = stage.client_sends if who == "C" else stage.upstream_sends
        said[who] += data
        for piece in cut(data, random):
            await send(piece)

    for group in groups:
        await say("C", b"".join(exchange.phases[0][1] for exchange in group))
        before = len(said["C"]) - sum(len(exchange.phases[0][1]) for exchange in group)
        for exchange in group:
            # A server answers what it has received, and not before.
            before += len(exchange.phases[0][1])
            await settle()
            assert len(stage.upstream.written) >= before, "a command is held back"
            for who, data in exchange.phases[1:]:
                if not exchange.is_login:
                    assert not stage.session._follower.is_idle
                await say(who, data[:-1])
                if not exchange.is_login and data:
                    assert not stage.session._follower.is_idle
                await say(who, data[-1:])
        assert stage.session._follower.is_idle
        assert not stage.session._follower.is_blind
        assert stage.session._splitter.is_between_commands
        assert stage.upstream.written == said["C"]
        assert stage.client.written == said["S"]
    assert not stage.spawn.failures
    assert not stage.client.is_closed and not stage.upstream.is_closed
    assert not stage.client.is_paused and not stage.upstream.is_paused
    assert not stage.backend.calls


@given(st.data())
def test_without_an_ml_call_bytes_out_are_bytes_in(data: st.DataObject):
    shape = data.draw(shapes)
    groups = data.draw(conversations(shape))
    random = Random(data.draw(st.integers(0, 1 << 32)))

    async def run() -> None:
        await act(stage_for(shape), groups, random)

    asyncio.run(run())


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=12),
    shapes,
)
def test_random_bytes_from_either_side_break_nothing(
    said: list[tuple[bool, bytes]], shape: Shape
):
    async def run() -> None:
        stage = stage_for(shape)
        heard = b""
        for is_client, data in said:
            if is_client:
                await stage.client_sends(data)
            else:
                heard += data
                await stage.upstream_sends(data)
        stage.session.client_ended()
        stage.session.upstream_ended()
        await settle()
        assert not stage.spawn.failures
        assert not stage.spawn.tasks

    asyncio.run(run())
