"""How a password crosses a leg without TLS: xor with the nonce, then RSA.

caching_sha2_password and sha256_password send the bare password inside TLS, and without
TLS encrypt it with a key that the server hands out. Where one leg has TLS and the other
has not, the proxy turns one form into the other. Passwords live in arguments only.
Source: MySQL manual, "Caching_sha2_password information" and "SHA-256 Pluggable
Authentication"; OAEP padding with SHA-1, as the servers use it.
"""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from aurora_ml_proxy.errors import MalformedPacket

_OAEP = padding.OAEP(
    mgf=padding.MGF1(algorithm=hashes.SHA1()), algorithm=hashes.SHA1(), label=None
)


def xor_with_nonce(password: bytes, nonce: bytes) -> bytes:
    """Each byte with the nonce's, which repeats; its own inverse."""
    if not nonce:
        raise MalformedPacket("a password plugin came without a nonce")
    return bytes(byte ^ nonce[i % len(nonce)] for i, byte in enumerate(password))


def encrypt_password(password: bytes, nonce: bytes, public_key_pem: bytes) -> bytes:
    """The password, its NUL included, for a server's public key.

    Raises: MalformedPacket when the server's key is none, or too short for the password.
    """
    try:
        key = serialization.load_pem_public_key(public_key_pem)
    except ValueError:
        raise MalformedPacket("the upstream's public key cannot be read") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise MalformedPacket("the upstream's public key is not RSA")
    try:
        return key.encrypt(xor_with_nonce(password, nonce), _OAEP)
    except ValueError:
        raise MalformedPacket("the password is too long to be encrypted") from None


def decrypt_password(data: bytes, nonce: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The password, its NUL included, that a client encrypted for our public key.

    Raises: MalformedPacket when it was encrypted for another key.
    """
    try:
        return xor_with_nonce(key.decrypt(data, _OAEP), nonce)
    except ValueError:
        raise MalformedPacket(
            "the password was encrypted for another server's public key; "
            "let the client ask for the key"
        ) from None


def public_key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """The public half, as servers hand it out."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
