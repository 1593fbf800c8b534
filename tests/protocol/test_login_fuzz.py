from hypothesis import example, given
from hypothesis import strategies as st
from support.handshakes import MYSQL, response

from aurora_ml_proxy.errors import MalformedPacket, ProxyError
from aurora_ml_proxy.protocol.login import (
    ask_for_a_switch,
    edit_greeting,
    edit_handshake_response,
    is_ssl_request,
    offer,
    read_auth_switch,
    read_greeting,
    read_handshake_response,
    write_dummy_login,
)
from aurora_ml_proxy.protocol.vocabulary import Capabilities, MariaDBCapabilities


def damaged(payload: bytes) -> st.SearchStrategy[bytes]:
    """Random bytes, or a payload with a few bytes overwritten and its end cut off."""
    edits = st.lists(st.tuples(st.integers(0, len(payload) - 1), st.integers(0, 255)))

    def damage(made: tuple[list[tuple[int, int]], int]) -> bytes:
        out = bytearray(payload)
        for at, byte in made[0]:
            out[at] = byte
        return bytes(out[: made[1]])

    return st.binary(max_size=120) | st.tuples(
        edits, st.integers(0, len(payload) + 1)
    ).map(damage)


@given(damaged(MYSQL.write()), st.booleans())
def test_greetings(payload, tls):
    try:
        greeting = read_greeting(payload)
    except MalformedPacket:
        return
    bits, mariadb = offer(greeting, tls=tls)
    edited = edit_greeting(payload, greeting, bits, mariadb)
    assert len(edited) == len(payload)
    assert write_dummy_login(greeting)


@example(response(0x3C8200 | 1 << 26) + b"\x03", 1 << 26, False)
@example(b"\0\x82" + bytes(31) + b"\1", 0x8000, False)
@given(damaged(response()), st.integers(0, (1 << 32) - 1), st.booleans())
def test_logins(payload, offered, tls):
    is_ssl_request(payload)
    bits = Capabilities(offered)
    try:
        found = read_handshake_response(payload, bits, MariaDBCapabilities(0x3D))
    except ProxyError:
        return
    edited = edit_handshake_response(payload, found, tls=tls)
    assert edited[32:] == payload[32 : found.fields_end]
    start, stop = found.auth_response
    assert 32 < start <= stop <= found.plugin_at[0] <= found.plugin_at[1] <= len(payload)
    assert ask_for_a_switch(payload, found).endswith(payload[found.plugin_at[1] :])


@given(st.binary(min_size=1, max_size=60))
def test_switches(payload):
    read_auth_switch(payload)
