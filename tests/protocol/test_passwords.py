import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.errors import MalformedPacket
from aurora_ml_proxy.protocol.passwords import (
    decrypt_password,
    encrypt_password,
    public_key_pem,
    xor_with_nonce,
)

NONCE = bytes(range(1, 21))


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@given(st.binary(max_size=80), st.binary(min_size=1, max_size=20))
def test_xor_is_its_own_inverse(password, nonce):
    assert xor_with_nonce(xor_with_nonce(password, nonce), nonce) == password


def test_xor_as_the_manual_has_it():
    assert xor_with_nonce(b"abc\0", b"\1\2\3") == b"\x60\x60\x60\x01"


def test_without_a_nonce_a_password_does_not_leave():
    with pytest.raises(MalformedPacket):
        xor_with_nonce(b"secret\0", b"")


@pytest.mark.parametrize("password", [b"\0", b"secret\0", b"x" * 100 + b"\0"])
def test_what_is_encrypted_for_us_we_can_read(key, password):
    data = encrypt_password(password, NONCE, public_key_pem(key))
    assert len(data) == 256 and b"secret" not in data
    assert decrypt_password(data, NONCE, key) == password


def test_a_password_for_another_key_is_no_password(key):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    data = encrypt_password(b"secret\0", NONCE, public_key_pem(other))
    with pytest.raises(MalformedPacket, match="another server's public key"):
        decrypt_password(data, NONCE, key)
    with pytest.raises(MalformedPacket):
        decrypt_password(b"short", NONCE, key)


def test_only_an_rsa_key_is_a_key():
    with pytest.raises(MalformedPacket, match="cannot be read"):
        encrypt_password(b"secret\0", NONCE, b"no pem")
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(MalformedPacket, match="not RSA"):
        encrypt_password(b"secret\0", NONCE, pem)
