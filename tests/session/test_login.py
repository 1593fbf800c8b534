"""Logins, stepped by hand."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from support.conversations import error, ok
from support.handshakes import (
    COMPRESS,
    LONG_PASSWORD,
    MARIADB,
    MYSQL,
    NONCE,
    SSL,
    USUAL,
    ZSTD,
    Hello,
    head,
    response,
)
from support.playbook import Playbook

from aurora_ml_proxy.config import Listen, Upstream
from aurora_ml_proxy.errors import (
    InsecureTransport,
    MalformedPacket,
    UnsupportedClient,
    UpstreamTlsFailed,
    UpstreamUnavailable,
)
from aurora_ml_proxy.protocol.compression import AVAILABLE, Agreed, Algorithm
from aurora_ml_proxy.protocol.login import (
    edit_greeting,
    offer,
    read_greeting,
    write_dummy_login,
)
from aurora_ml_proxy.protocol.passwords import (
    decrypt_password,
    encrypt_password,
    public_key_pem,
)
from aurora_ml_proxy.session.conversation import (
    ClientClosed,
    ReadFromClient,
    ReadFromUpstream,
    SendToClient,
    SendToUpstream,
    StartClientTls,
    StartUpstreamTls,
    UpstreamClosed,
)
from aurora_ml_proxy.session.login import LoginPolicy, LoginRefused, login, login_policy

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SERVER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PLAIN = LoginPolicy(False, "as_client", False, KEY)
TLS = LoginPolicy(True, "as_client", False, KEY)
TO_TLS = LoginPolicy(False, "required", False, KEY)
FROM_TLS = LoginPolicy(True, "off", False, KEY)

SWITCH = b"\xfecaching_sha2_password\0" + b"s" * 20 + b"\0"
FAST, FULL = b"\x01\x03", b"\x01\x04"
PASSWORD = b"secret\0"
BITS = USUAL | LONG_PASSWORD
MFA = 1 << 28
MFA_HELLO = replace(MYSQL, capabilities=MYSQL.capabilities | MFA)


def greeted(policy: LoginPolicy = PLAIN, hello: Hello = MYSQL) -> Playbook:
    """A login at the point where the client answers the greeting."""
    payload = hello.write()
    greeting = read_greeting(payload)
    with_tls = policy.client_tls and (
        policy.upstream_tls != "as_client" or bool(greeting.capabilities & SSL)
    )
    edited = edit_greeting(payload, greeting, *offer(greeting, tls=with_tls))
    return Playbook(login(policy)).upstream_says(payload).sees(SendToClient(edited))


def answered(policy: LoginPolicy = PLAIN, hello: Hello = MYSQL, **made) -> Playbook:
    """A login at the point where the upstream answers the client's login."""
    book = greeted(policy, hello)
    client_tls = policy.client_tls
    bits = made.pop("capabilities", BITS) | (SSL if client_tls else 0)
    if client_tls:
        book.client_says(head(bits)).sees(StartClientTls())
    book.client_says(response(bits, **made))
    upstream_tls = policy.upstream_tls == "required" or (
        policy.upstream_tls == "as_client" and client_tls
    )
    sent = response((bits | SSL) if upstream_tls else (bits & ~SSL), **made)
    if upstream_tls:
        book.sees(SendToUpstream(sent[:32]), StartUpstreamTls())
    return book.sees(SendToUpstream(sent))


def test_a_password_that_fits_at_once():
    book = answered(plugin=b"mysql_native_password")
    book.upstream_says(ok(0x4002)).sees(SendToClient(ok(0x4002)))
    assert book.result.user == "root"
    assert book.result.status == 0x4002
    assert book.result.greeting.connection_id == 77
    assert book.result.layout.capabilities == BITS
    assert not book.result.legs.client_tls and not book.result.legs.upstream_tls


def test_both_legs_in_tls_and_the_layout_knows_nothing_of_it():
    book = answered(TLS).upstream_says(ok()).sees(SendToClient(ok()))
    assert book.result.legs.client_tls and book.result.legs.upstream_tls
    assert not book.result.layout.capabilities & SSL


@pytest.mark.parametrize("policy", [PLAIN, TLS])
def test_an_error_in_place_of_a_greeting_is_the_answer(policy):
    book = Playbook(login(policy)).upstream_says(b"\xff\x10\x04Too many connections")
    book.sees(SendToClient(b"\xff\x10\x04Too many connections"))
    assert isinstance(book.failure, LoginRefused)


@pytest.mark.parametrize("payload", [b"", b"HTTP/1.1 200 OK", b"\x0a5.7\0"])
def test_an_upstream_that_is_no_mysql(payload):
    book = Playbook(login(PLAIN)).upstream_says(payload)
    assert isinstance(book.failure, UpstreamUnavailable)


def test_an_upstream_that_sends_a_packet_too_large():
    book = Playbook(login(PLAIN)).fails(MalformedPacket("too large"))
    assert isinstance(book.failure, UpstreamUnavailable)
    assert "too large" in book.failure.message


def test_an_upstream_that_hangs_up():
    assert isinstance(Playbook(login(PLAIN)).upstream_leaves().failure, UpstreamClosed)
    book = answered().upstream_leaves()
    assert isinstance(book.failure, UpstreamClosed)


def test_a_refused_login():
    book = answered().upstream_says(error(1045)).sees(SendToClient(error(1045)))
    assert isinstance(book.failure, LoginRefused)


DUMMY = write_dummy_login(read_greeting(MYSQL.write()))


@pytest.mark.parametrize(
    ("leave", "failure"),
    [
        (lambda book: book.client_leaves(), ClientClosed),
        (lambda book: book.client_says(b"GET / HTTP/1.1\r\n\r\n"), UnsupportedClient),
        (lambda book: book.client_says(b"\x85\xa6"), MalformedPacket),
        (lambda book: book.client_says(b""), MalformedPacket),
        (lambda book: book.client_says(head(BITS) + b"no end"), MalformedPacket),
        (lambda book: book.client_says(head(BITS | SSL)), UnsupportedClient),
        (lambda book: book.client_says(response(BITS | COMPRESS)), UnsupportedClient),
        (lambda book: book.client_says(response(BITS | ZSTD)), UnsupportedClient),
        (lambda book: book.fails(MalformedPacket("large")), MalformedPacket),
    ],
)
def test_a_client_that_does_not_log_in_is_finished_with_a_dummy(leave, failure):
    """An unfinished handshake counts against max_connect_errors."""
    book = leave(greeted())
    book.sees(SendToUpstream(DUMMY))
    book.upstream_says(SWITCH).sees(SendToUpstream(b""))
    book.upstream_says(error(1045))
    assert isinstance(book.failure, failure)


@pytest.mark.parametrize("end", [UpstreamClosed(), MalformedPacket("nonsense")])
def test_an_upstream_that_does_not_wait_for_the_dummy(end):
    book = greeted().client_leaves().sees(SendToUpstream(DUMMY)).fails(end)
    assert isinstance(book.failure, ClientClosed)


def test_a_client_that_leaves_inside_tls():
    book = greeted(TLS).client_says(head(BITS | SSL))
    assert book.action == StartClientTls()
    book.client_leaves().sees(SendToUpstream(DUMMY)).upstream_says(error(1045))
    assert isinstance(book.failure, ClientClosed)


def test_tls_is_offered_as_client_only_where_the_upstream_has_it():
    no_tls = replace(MYSQL, capabilities=MYSQL.capabilities & ~SSL)
    book = greeted(TLS, no_tls).client_says(response(BITS))
    book.sees(SendToUpstream(response(BITS))).upstream_says(ok())
    book.sees(SendToClient(ok()))
    assert not book.result.legs.upstream_tls


@pytest.mark.parametrize("has_tls", [True, False])
def test_preferred_tls_is_used_where_the_upstream_has_it(has_tls):
    bits = MYSQL.capabilities if has_tls else MYSQL.capabilities & ~SSL
    hello = replace(MYSQL, capabilities=bits)
    policy = LoginPolicy(False, "preferred", False, KEY)
    book = greeted(policy, hello).client_says(response(BITS))
    if has_tls:
        sent = response(BITS | SSL)
        book.sees(SendToUpstream(sent[:32]), StartUpstreamTls(), SendToUpstream(sent))
    else:
        book.sees(SendToUpstream(response(BITS)))
    assert book.action == ReadFromUpstream()


def test_required_tls_that_the_upstream_lacks():
    hello = replace(MYSQL, capabilities=MYSQL.capabilities & ~SSL)
    book = greeted(TO_TLS, hello).client_says(response(BITS))
    book.sees(SendToUpstream(DUMMY_WITHOUT_TLS)).upstream_says(error(1045))
    assert isinstance(book.failure, UpstreamTlsFailed)


DUMMY_WITHOUT_TLS = write_dummy_login(
    read_greeting(replace(MYSQL, capabilities=MYSQL.capabilities & ~SSL).write())
)


def test_a_switch_and_the_answer_to_it_are_relayed():
    book = answered().upstream_says(SWITCH).sees(SendToClient(SWITCH))
    book.client_says(b"y" * 32).sees(SendToUpstream(b"y" * 32))
    book.upstream_says(FAST).sees(SendToClient(FAST))
    # The upstream speaks again: nothing is awaited from the client.
    book.upstream_says(ok()).sees(SendToClient(ok()))
    assert book.result is not None


def test_full_authentication_between_legs_alike_is_relayed():
    book = answered(TLS).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(PASSWORD).sees(SendToUpstream(PASSWORD))
    book.upstream_says(ok()).sees(SendToClient(ok()))
    book = answered().upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(b"\x02").sees(SendToUpstream(b"\x02"))
    book.upstream_says(b"\x01PEM").sees(SendToClient(b"\x01PEM"))
    book.client_says(b"encrypted").sees(SendToUpstream(b"encrypted"))
    book.upstream_says(ok()).sees(SendToClient(ok()))
    assert book.result is not None


@pytest.mark.parametrize(
    "said",
    [
        b"\xfe",  # mysql_old_password
        b"\xfeclient_ed25519\0" + b"n" * 32,
        b"\x02mfa_plugin\0data",
        b"\x04Password: ",  # dialog
        b"\x01anything",
        b"",
    ],
)
def test_any_other_exchange_is_relayed_turn_by_turn(said):
    book = answered(hello=MARIADB, capabilities=USUAL)
    for reply in (b"one", b"two", b""):
        book.upstream_says(said).sees(SendToClient(said))
        book.client_says(reply).sees(SendToUpstream(reply))
    book.upstream_says(ok()).sees(SendToClient(ok()))
    assert book.result is not None


def test_fast_authentication_is_caching_sha2s_only():
    """01 03 of another plugin is that plugin's own, and the client answers it."""
    switch = b"\xfeother_plugin\0" + NONCE
    book = answered().upstream_says(switch).sees(SendToClient(switch)).client_says(b"x")
    book.sees(SendToUpstream(b"x")).upstream_says(FAST).sees(SendToClient(FAST))
    assert book.action == ReadFromClient()


def bridged_from_tls() -> Playbook:
    book = answered(FROM_TLS).upstream_says(SWITCH).sees(SendToClient(SWITCH))
    book.client_says(b"y" * 32).sees(SendToUpstream(b"y" * 32))
    book.upstream_says(FULL).sees(SendToClient(FULL))
    return book.client_says(PASSWORD).sees(SendToUpstream(b"\x02"))


def test_bridge_a_encrypts_for_the_upstream_what_came_in_tls():
    book = bridged_from_tls().upstream_says(b"\x01" + public_key_pem(SERVER_KEY))
    assert isinstance(book.action, SendToUpstream)
    assert decrypt_password(book.action.payload, b"s" * 20, SERVER_KEY) == PASSWORD
    book.sees(book.action).upstream_says(ok()).sees(SendToClient(ok()))
    assert book.result is not None


def test_bridge_a_at_an_upstream_without_a_key():
    book = bridged_from_tls().upstream_says(error(1045)).sees(SendToClient(error(1045)))
    assert isinstance(book.failure, LoginRefused)
    book = bridged_from_tls().upstream_says(b"\x00")
    book.sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, MalformedPacket)
    book = bridged_from_tls().upstream_says(b"\x01no key")
    book.sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, MalformedPacket)


def test_bridge_b_decrypts_for_tls_what_was_encrypted_for_us():
    book = answered(TO_TLS).upstream_says(FULL).sees(SendToClient(FULL))
    pem = public_key_pem(KEY)
    book.client_says(b"\x02").sees(SendToClient(b"\x01" + pem))
    book.client_says(encrypt_password(PASSWORD, NONCE, pem))
    book.sees(SendToUpstream(PASSWORD)).upstream_says(ok()).sees(SendToClient(ok()))
    assert book.result.legs.upstream_tls


def test_bridge_b_with_a_client_that_knows_our_key():
    book = answered(TO_TLS).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(encrypt_password(PASSWORD, NONCE, public_key_pem(KEY)))
    book.sees(SendToUpstream(PASSWORD))
    assert book.action == ReadFromUpstream()


def test_bridge_b_with_a_client_that_knows_the_upstreams_key():
    book = answered(TO_TLS).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(encrypt_password(PASSWORD, NONCE, public_key_pem(SERVER_KEY)))
    book.sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, MalformedPacket)


@pytest.mark.parametrize("reply", [b"", b"\0"])
@pytest.mark.parametrize("policy", [FROM_TLS, TO_TLS])
def test_no_password_crosses_any_bridge(policy, reply):
    book = answered(policy).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(reply).sees(SendToUpstream(reply))
    assert book.action == ReadFromUpstream()


SHA256_SWITCH = b"\xfesha256_password\0" + b"s" * 20 + b"\0"


def test_sha256_between_unlike_legs_starts_over_with_a_switch():
    book = greeted(FROM_TLS).client_says(head(BITS | SSL)).sees(StartClientTls())
    book.client_says(response(BITS | SSL, auth=PASSWORD, plugin=b"sha256_password"))
    nothing = response(BITS, auth=b"", plugin=b"auth_unknown_plugin")
    book.sees(SendToUpstream(nothing))
    book.upstream_says(SHA256_SWITCH).sees(SendToClient(SHA256_SWITCH))
    book.client_says(PASSWORD).sees(SendToUpstream(b"\x01"))
    book.upstream_says(b"\x01" + public_key_pem(SERVER_KEY))
    assert isinstance(book.action, SendToUpstream)
    assert decrypt_password(book.action.payload, b"s" * 20, SERVER_KEY) == PASSWORD


def test_sha256_to_tls():
    book = greeted(TO_TLS)
    book.client_says(response(BITS, auth=b"\x01", plugin=b"sha256_password"))
    nothing = response(BITS | SSL, auth=b"", plugin=b"auth_unknown_plugin")
    book.sees(SendToUpstream(nothing[:32]), StartUpstreamTls(), SendToUpstream(nothing))
    book.upstream_says(SHA256_SWITCH).sees(SendToClient(SHA256_SWITCH))
    pem = public_key_pem(KEY)
    book.client_says(b"\x01").sees(SendToClient(b"\x01" + pem))
    book.client_says(encrypt_password(PASSWORD, b"s" * 20, pem))
    book.sees(SendToUpstream(PASSWORD))


CLEAR = b"\xfemysql_clear_password\0"


def test_a_clear_password_does_not_leave_tls():
    book = answered(FROM_TLS).upstream_says(CLEAR)
    book.sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, InsecureTransport)
    assert "upstream.tls" in book.failure.message


@pytest.mark.parametrize(
    "policy", [replace(FROM_TLS, upstream_is_local=True), TLS, PLAIN]
)
def test_a_clear_password_that_stays_where_it_was_is_relayed(policy):
    book = answered(policy).upstream_says(CLEAR).sees(SendToClient(CLEAR))
    book.client_says(PASSWORD).sees(SendToUpstream(PASSWORD))


CLEAR_PLUGINS = [
    b"mysql_clear_password",
    b"dialog",
    b"authentication_openid_connect_client",
]


@pytest.mark.parametrize("plugin", CLEAR_PLUGINS)
def test_a_clear_password_in_the_login_itself_does_not_leave_tls(plugin):
    book = greeted(FROM_TLS).client_says(head(BITS | SSL)).sees(StartClientTls())
    book.client_says(response(BITS | SSL, auth=PASSWORD, plugin=plugin))
    book.sees(SendToUpstream(DUMMY)).upstream_says(error(1045))
    assert isinstance(book.failure, InsecureTransport)


@pytest.mark.parametrize("plugin", CLEAR_PLUGINS)
def test_a_clear_password_for_the_second_factor_does_not_leave_tls(plugin):
    factor = b"\x02" + plugin + b"\0"
    book = answered(FROM_TLS, MFA_HELLO, capabilities=BITS | MFA).upstream_says(factor)
    book.sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, InsecureTransport)


def test_the_second_factor_has_a_plugin_and_a_nonce_of_its_own():
    factor = b"\x02caching_sha2_password\0" + b"t" * 20 + b"\0"
    book = answered(FROM_TLS, MFA_HELLO, capabilities=BITS | MFA).upstream_says(factor)
    book.sees(SendToClient(factor)).client_says(b"y" * 32)
    book.sees(SendToUpstream(b"y" * 32)).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(PASSWORD).sees(SendToUpstream(b"\x02"))
    book.upstream_says(b"\x01" + public_key_pem(SERVER_KEY))
    assert decrypt_password(book.action.payload, b"t" * 20, SERVER_KEY) == PASSWORD


def test_without_several_factors_a_plugin_may_say_what_it_likes():
    said = b"\x02mysql_clear_password\0"
    book = answered(FROM_TLS).upstream_says(said).sees(SendToClient(said))
    book.client_says(b"x").sees(SendToUpstream(b"x"))


# A unix socket is a secure transport for caching_sha2_password, to clients and servers.
# For sha256_password it is one to PyMySQL only.


def over_socket(
    policy: LoginPolicy, plugin: bytes = b"caching_sha2_password"
) -> Playbook:
    """A login from a unix socket at the point where the upstream answers it."""
    payload = MYSQL.write()
    greeting = read_greeting(payload)
    book = Playbook(login(policy, client_is_socket=True)).upstream_says(payload)
    edited = edit_greeting(payload, greeting, *offer(greeting, tls=policy.client_tls))
    book.sees(SendToClient(edited)).client_says(response(BITS, plugin=plugin))
    if plugin == b"sha256_password":
        plugin, auth = b"auth_unknown_plugin", b""
    else:
        auth = b"x" * 20
    if policy.upstream_tls == "required":
        sent = response(BITS | SSL, auth=auth, plugin=plugin)
        book.sees(SendToUpstream(sent[:32]), StartUpstreamTls())
    else:
        sent = response(BITS, auth=auth, plugin=plugin)
    return book.sees(SendToUpstream(sent))


TO_SOCKET = replace(PLAIN, upstream_is_local=True, upstream_is_socket=True)


def encrypts(book: Playbook, ask_key: bytes, nonce: bytes) -> None:
    """The bare password that was sent last goes on encrypted."""
    book.sees(SendToUpstream(ask_key)).upstream_says(b"\x01" + public_key_pem(SERVER_KEY))
    assert decrypt_password(book.action.payload, nonce, SERVER_KEY) == PASSWORD


def hands_out_our_key(book: Playbook, nonce: bytes) -> None:
    """The client's request for a key is answered with ours."""
    pem = public_key_pem(KEY)
    book.sees(SendToClient(b"\x01" + pem))
    book.client_says(encrypt_password(PASSWORD, nonce, pem)).sees(
        SendToUpstream(PASSWORD)
    )


@pytest.mark.parametrize("policy", [PLAIN, TLS])
def test_a_bare_password_from_a_unix_socket_is_encrypted_for_tcp(policy):
    book = over_socket(policy).upstream_says(FULL).sees(SendToClient(FULL))
    encrypts(book.client_says(PASSWORD), b"\x02", NONCE)


@pytest.mark.parametrize("policy", [TO_TLS, TO_SOCKET])
def test_a_bare_password_from_a_unix_socket_goes_on_bare_where_that_is_secure(policy):
    book = over_socket(policy).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(PASSWORD).sees(SendToUpstream(PASSWORD))


def test_a_client_on_a_unix_socket_that_asks_for_a_key_all_the_same():
    book = over_socket(PLAIN).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(b"\x02").sees(SendToUpstream(b"\x02"))
    book.upstream_says(b"\x01PEM").sees(SendToClient(b"\x01PEM"))
    book.client_says(b"e" * 256).sees(SendToUpstream(b"e" * 256))
    book = over_socket(TO_SOCKET).upstream_says(FULL).sees(SendToClient(FULL))
    hands_out_our_key(book.client_says(b"\x02"), NONCE)
    book = over_socket(PLAIN).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(b"e" * 256).sees(SendToUpstream(b"e" * 256))


def test_an_upstream_on_a_unix_socket_is_sent_the_bare_password():
    book = answered(TO_SOCKET).upstream_says(FULL).sees(SendToClient(FULL))
    hands_out_our_key(book.client_says(b"\x02"), NONCE)
    book = answered(replace(FROM_TLS, upstream_is_socket=True))
    book.upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(PASSWORD).sees(SendToUpstream(PASSWORD))


@pytest.mark.parametrize("policy", [PLAIN, TO_SOCKET, TO_TLS])
def test_sha256_over_a_unix_socket_is_known_by_its_reply(policy):
    def switched() -> Playbook:
        book = over_socket(policy, b"sha256_password").upstream_says(SHA256_SWITCH)
        return book.sees(SendToClient(SHA256_SWITCH))

    bare, asking = switched().client_says(PASSWORD), switched().client_says(b"\x01")
    if policy is TO_TLS:
        bare.sees(SendToUpstream(PASSWORD))
        hands_out_our_key(asking, b"s" * 20)
    else:
        encrypts(bare, b"\x01", b"s" * 20)
        asking.sees(SendToUpstream(b"\x01"))


def test_sha256_to_an_upstream_on_a_unix_socket_is_encrypted():
    book = answered(TO_SOCKET, plugin=b"sha256_password", auth=b"\x01")
    book.upstream_says(b"\x01PEM").sees(SendToClient(b"\x01PEM"))
    book.client_says(b"e" * 256).sees(SendToUpstream(b"e" * 256))


def test_a_clear_password_does_not_leave_a_unix_socket():
    book = over_socket(PLAIN).upstream_says(CLEAR)
    book.sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, InsecureTransport)


def test_a_password_too_long_to_be_encrypted():
    book = answered(FROM_TLS).upstream_says(FULL).sees(SendToClient(FULL))
    book.client_says(b"p" * 300).sees(SendToUpstream(b"\x02"))
    book.upstream_says(b"\x01" + public_key_pem(SERVER_KEY))
    book.sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, MalformedPacket)


def test_whatever_ends_the_exchange_the_upstream_is_answered():
    book = answered().upstream_says(SWITCH).sees(SendToClient(SWITCH))
    book.fails(RuntimeError("a bug")).sees(SendToUpstream(b"")).upstream_says(error(1045))
    assert isinstance(book.failure, RuntimeError)


def test_a_client_that_leaves_during_the_exchange():
    book = answered().upstream_says(SWITCH).sees(SendToClient(SWITCH)).client_leaves()
    book.sees(SendToUpstream(b"")).upstream_says(SWITCH).sees(SendToUpstream(b""))
    book.upstream_says(ok())
    assert isinstance(book.failure, ClientClosed)


@pytest.mark.parametrize(
    ("upstream", "is_local"),
    [
        (Upstream(host="localhost"), True),
        (Upstream(host="127.0.0.5"), True),
        (Upstream(host="::1"), True),
        (Upstream(host="db"), False),
        (Upstream(host="127.example.com"), False),
        (Upstream(host="db", socket="/run/m.sock"), True),
    ],
)
def test_the_policy_that_the_config_means(upstream, is_local):
    policy = login_policy(Listen(), upstream, client_tls=True, key=KEY)
    is_socket = upstream.socket is not None
    assert policy == LoginPolicy(True, upstream.tls, is_local, KEY, is_socket, AVAILABLE)


def test_compression_can_be_turned_off():
    off = Listen(compression="off")
    assert not login_policy(off, Upstream(), client_tls=True, key=KEY).compression


COMPRESSING = replace(PLAIN, compression=AVAILABLE)


def agreed(bits: int, more: bytes = b"", hello: Hello = MYSQL) -> Agreed | None:
    """What a client with these bits gets; its upstream sees nothing of it."""
    payload = hello.write()
    greeting = read_greeting(payload)
    edited = edit_greeting(
        payload, greeting, *offer(greeting, tls=False, compression=AVAILABLE)
    )
    book = Playbook(login(COMPRESSING)).upstream_says(payload).sees(SendToClient(edited))
    book.client_says(response(BITS | bits) + more)
    book.sees(SendToUpstream(response(BITS)))
    book.upstream_says(ok()).sees(SendToClient(ok()))
    assert book.result.layout.capabilities == BITS
    found: Agreed | None = book.result.compression
    return found


def test_a_client_agrees_on_a_compression_that_its_upstream_does_not_see():
    assert agreed(0) is None
    assert agreed(COMPRESS) == Agreed(Algorithm.ZLIB)
    assert agreed(ZSTD, b"\x05") == Agreed(Algorithm.ZSTD, 5)
    assert agreed(COMPRESS | ZSTD, b"\x05") == Agreed(Algorithm.ZLIB)


def test_libmariadb_names_a_level_of_four_bytes_where_zstd_is_offered():
    assert agreed(0, b"\x03\0\0\0") is None


def test_a_level_that_is_missing_is_the_default_and_one_too_high_is_lowered():
    assert agreed(ZSTD) == Agreed(Algorithm.ZSTD, 3)
    assert agreed(ZSTD, b"\x16") == Agreed(Algorithm.ZSTD, 6)
    assert agreed(ZSTD, b"\x00") == Agreed(Algorithm.ZSTD, 1)


@pytest.mark.parametrize("bits", [ZSTD, ZSTD | COMPRESS])
def test_a_compression_that_the_upstream_lacks_is_refused(bits):
    hello = replace(MYSQL, capabilities=MYSQL.capabilities & ~ZSTD)
    payload = hello.write()
    greeting = read_greeting(payload)
    edited = edit_greeting(
        payload, greeting, *offer(greeting, tls=False, compression=AVAILABLE)
    )
    assert read_greeting(edited).capabilities & (COMPRESS | ZSTD) == COMPRESS
    book = Playbook(login(COMPRESSING)).upstream_says(payload).sees(SendToClient(edited))
    book.client_says(response(BITS | bits)).sees(SendToUpstream(DUMMY))
    book.upstream_says(error(1045))
    assert isinstance(book.failure, UnsupportedClient)
