import pytest
from support.playbook import FakeLeg

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.session.conversation import (
    ClientClosed,
    ReadFromClient,
    ReadFromUpstream,
    SendToClient,
    SendToUpstream,
    StartClientTls,
    StartUpstreamTls,
    UpstreamClosed,
    carry_out,
)


def script(*actions):
    heard = []
    for action in actions:
        heard.append((yield action))
    return heard


async def test_actions_are_carried_out_on_the_legs():
    client, upstream = FakeLeg([b"from client"]), FakeLeg([b"from upstream"])
    heard = await carry_out(
        script(
            SendToClient(b"a"),
            SendToUpstream(b"b"),
            ReadFromClient(),
            ReadFromUpstream(),
            StartClientTls(),
            StartUpstreamTls(),
        ),
        client,
        upstream,
    )
    assert heard == [b"", b"", b"from client", b"from upstream", b"", b""]
    assert (client.heard, upstream.heard) == ([b"a"], [b"b"])


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (ReadFromClient(), ClientClosed),
        (ReadFromUpstream(), UpstreamClosed),
        (StartClientTls(), ClientClosed),
        (StartUpstreamTls(), UpstreamClosed),
    ],
)
async def test_who_hangs_up_is_told_inside_the_conversation(action, error):
    def conversation():
        try:
            yield action
        except error:
            yield SendToClient(b"bye")
            return "told"

    client = FakeLeg([], tls=False)
    assert await carry_out(conversation(), client, FakeLeg([], tls=False)) == "told"
    assert client.heard == [b"bye"]
    with pytest.raises(error):
        await carry_out(script(action), FakeLeg([], tls=False), FakeLeg([], tls=False))


async def test_what_goes_wrong_on_a_leg_is_raised_inside():
    leg = FakeLeg([MalformedPacket("no")])
    with pytest.raises(MalformedPacket):
        await carry_out(script(ReadFromClient()), leg, FakeLeg([]))
