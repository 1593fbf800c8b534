from dataclasses import replace

import pytest
from support.handshakes import (
    ATTRS,
    COMPRESS,
    CONNECT_WITH_DB,
    EXTENSION,
    LONG_PASSWORD,
    MARIADB,
    MYSQL,
    NONCE,
    PLUGIN_AUTH,
    PROTOCOL_41,
    SECURE,
    SSL,
    USUAL,
    ZSTD,
    head,
    response,
)

from aurora_ml_proxy.errors import MalformedPacket, UnsupportedClient
from aurora_ml_proxy.protocol.login import (
    ask_for_a_switch,
    edit_greeting,
    edit_handshake_response,
    is_ssl_request,
    offer,
    read_auth_switch,
    read_capabilities,
    read_greeting,
    read_handshake_response,
    write_dummy_login,
)
from aurora_ml_proxy.protocol.vocabulary import Capabilities, MariaDBCapabilities

NO_MARIADB = MariaDBCapabilities(0)
EVERYTHING = Capabilities(0xFFFFFFFF)


def test_mysqls_greeting():
    greeting = read_greeting(MYSQL.write())
    assert greeting.server_version == "9.7.0" and not greeting.is_mariadb
    assert greeting.connection_id == 77
    assert greeting.nonce == NONCE
    assert greeting.capabilities == MYSQL.capabilities
    assert greeting.mariadb_capabilities == 0
    assert greeting.plugin == "caching_sha2_password"


def test_mariadbs_greeting():
    greeting = read_greeting(MARIADB.write())
    assert greeting.is_mariadb
    assert greeting.mariadb_capabilities == 0x3F | 1 << 9


def test_mariadbs_bits_are_none_when_the_server_says_it_is_mysql():
    hello = replace(MARIADB, capabilities=MARIADB.capabilities | LONG_PASSWORD)
    assert read_greeting(hello.write()).mariadb_capabilities == 0


def test_a_nonce_of_32_bytes_is_read_whole():
    assert read_greeting(replace(MARIADB, nonce=b"n" * 32).write()).nonce == b"n" * 32


@pytest.mark.parametrize("payload", [b"", b"\x09", b"\x0a5.7", b"\x0a5.7\0" + bytes(20)])
def test_no_greeting_is_malformed(payload):
    with pytest.raises(MalformedPacket):
        read_greeting(payload)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("hello", [MYSQL, MARIADB])
def test_only_capability_bits_of_a_greeting_change(hello, tls):
    payload = hello.write()
    greeting = read_greeting(payload)
    bits, mariadb = offer(greeting, tls=tls)
    edited = edit_greeting(payload, greeting, bits, mariadb)
    again = read_greeting(edited)
    assert bool(again.capabilities & SSL) is tls
    assert not again.capabilities & (COMPRESS | ZSTD | EXTENSION)
    assert again.capabilities & USUAL == USUAL
    assert again.mariadb_capabilities == (0x3D if hello is MARIADB else 0)
    back = edit_greeting(
        edited, again, greeting.capabilities, greeting.mariadb_capabilities
    )
    assert back == payload


def test_nothing_but_tls_is_offered_that_the_upstream_lacks():
    greeting = read_greeting(replace(MYSQL, capabilities=PROTOCOL_41).write())
    assert offer(greeting, tls=True) == (PROTOCOL_41 | SSL, 0)
    assert offer(greeting, tls=False) == (PROTOCOL_41, 0)


LAYOUTS = {
    "lenenc": USUAL,
    "one byte of length": PROTOCOL_41 | SECURE | CONNECT_WITH_DB | PLUGIN_AUTH,
    "NUL at the end": PROTOCOL_41 | CONNECT_WITH_DB | PLUGIN_AUTH,
    "no database": PROTOCOL_41 | SECURE | PLUGIN_AUTH,
    "attributes": USUAL | ATTRS,
}


@pytest.mark.parametrize("bits", LAYOUTS.values(), ids=LAYOUTS)
def test_a_login_is_read_by_the_bits_of_both_peers(bits):
    payload = response(bits | LONG_PASSWORD, auth=b"secret")
    found = read_handshake_response(payload, EVERYTHING, NO_MARIADB)
    assert found.user == "root"
    assert found.plugin == "caching_sha2_password"
    start, stop = found.auth_response
    assert payload[start:stop].strip(b"\x06\0") == b"secret"
    start, stop = found.plugin_at
    assert payload[start:stop] == b"caching_sha2_password\0"
    switched = ask_for_a_switch(payload, found)
    again = read_handshake_response(switched, EVERYTHING, NO_MARIADB)
    assert (again.user, again.plugin) == ("root", "auth_unknown_plugin")
    assert b"secret" not in switched
    assert len(switched) == len(payload) - 6 - 21 + 19


@pytest.mark.parametrize("bits", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("level", [b"\x07", b"\x07\0\0\0"])
def test_a_zstd_level_is_read_and_does_not_go_on(bits, level):
    payload = response(bits | ZSTD) + level
    found = read_handshake_response(payload, EVERYTHING, NO_MARIADB)
    assert found.zstd_level == 7
    assert edit_handshake_response(payload, found, tls=False) == response(bits)


def test_what_stands_behind_a_login_goes_on_where_zstd_was_not_offered():
    payload = response(USUAL) + b"more"
    found = read_handshake_response(payload, Capabilities(USUAL), NO_MARIADB)
    assert edit_handshake_response(payload, found, tls=False) == payload


def test_attributes_that_are_cut_off_go_on_as_they_are():
    payload = response(USUAL | ATTRS)[:-1]
    found = read_handshake_response(payload, EVERYTHING, NO_MARIADB)
    assert edit_handshake_response(payload, found, tls=False) == payload


def test_what_was_not_offered_does_not_count():
    bits = USUAL | LONG_PASSWORD | COMPRESS | ZSTD
    payload = response(bits)
    offered = Capabilities(USUAL | LONG_PASSWORD)
    found = read_handshake_response(payload, offered, NO_MARIADB)
    assert found.capabilities == USUAL | LONG_PASSWORD
    edited = edit_handshake_response(payload, found, tls=False)
    assert edited == response(USUAL | LONG_PASSWORD)
    with_tls = edit_handshake_response(payload, found, tls=True)
    assert read_capabilities(with_tls) == USUAL | LONG_PASSWORD | SSL
    assert with_tls[4:] == payload[4:]


def test_mariadbs_bits_count_when_both_peers_are_mariadbs():
    offered = MariaDBCapabilities(0x3D)
    payload = response(USUAL, extended=0xFF)
    found = read_handshake_response(payload, Capabilities(USUAL), offered)
    assert found.mariadb_capabilities == 0x3D
    assert edit_handshake_response(payload, found, tls=False)[28:32] == b"\x3d\0\0\0"
    mysql = read_handshake_response(payload, Capabilities(USUAL | LONG_PASSWORD), offered)
    assert mysql.mariadb_capabilities == 0
    client = response(USUAL | LONG_PASSWORD, extended=0xFF)
    found = read_handshake_response(client, EVERYTHING, offered)
    assert found.mariadb_capabilities == 0
    assert edit_handshake_response(client, found, tls=False)[28:32] == b"\xff\0\0\0"


@pytest.mark.parametrize("end", range(37, len(response())))
def test_an_odd_tail_is_the_upstreams_to_judge(end):
    found = read_handshake_response(response()[:end], EVERYTHING, NO_MARIADB)
    assert found.user == "root"
    assert 37 <= found.auth_response[0] <= found.auth_response[1] <= end


def test_a_login_without_a_user_is_malformed():
    with pytest.raises(MalformedPacket):
        read_handshake_response(head(USUAL) + b"root", EVERYTHING, NO_MARIADB)


def test_capabilities_of_a_login_that_is_none():
    with pytest.raises(MalformedPacket):
        read_capabilities(b"\1")
    with pytest.raises(MalformedPacket):
        read_capabilities(head(USUAL)[:31])
    with pytest.raises(UnsupportedClient):
        read_capabilities(b"\x05\x00\0\0\0root\0")


def test_an_ssl_request_is_short():
    assert is_ssl_request(head(USUAL | SSL))
    assert not is_ssl_request(head(USUAL))
    assert not is_ssl_request(response(USUAL | SSL))


def test_auth_switches():
    switch = b"\xfemysql_native_password\0" + NONCE + b"\0"
    assert read_auth_switch(switch) == ("mysql_native_password", NONCE)
    assert read_auth_switch(b"\xfe") is None
    assert read_auth_switch(b"\xfedialog") == ("dialog", b"")


@pytest.mark.parametrize("hello", [MYSQL, MARIADB])
def test_a_dummy_login_is_a_login_that_fails(hello):
    payload = write_dummy_login(read_greeting(hello.write()))
    found = read_handshake_response(payload, EVERYTHING, NO_MARIADB)
    assert found.user == "aurora-ml-proxy: client left"
    assert found.plugin == hello.plugin
    start, stop = found.auth_response
    assert payload[start:stop] == b"\0"
