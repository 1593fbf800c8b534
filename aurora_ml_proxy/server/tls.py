"""The TLS contexts of both legs, and the certificate that is made at start."""

import datetime
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from aurora_ml_proxy.config import ConfigError, Listen, Upstream

_VALID_FOR = datetime.timedelta(days=3650)
"""Ten years, as mysqld's own: a reload makes a new one, but nobody has to reload."""


def new_key() -> rsa.RSAPrivateKey:
    """An RSA key: for the certificate made at start, and for passwords in transit."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def client_context(listen: Listen, key: rsa.RSAPrivateKey) -> ssl.SSLContext | None:
    """What clients shake hands with; None when TLS is off.

    Args:
        key: signs a certificate of its own when the config names none.
    Raises: ConfigError.
    """
    if not listen.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # costs the server more than the client
    if listen.tls_cert is not None and listen.tls_key is not None:
        try:
            # Without a password of some kind OpenSSL would ask for one at the terminal.
            context.load_cert_chain(listen.tls_cert, listen.tls_key, password="")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"listen.tls_cert: {listen.tls_cert} and {listen.tls_key} are no "
                f"certificate with its key: {error}"
            ) from None
        return context
    with tempfile.TemporaryDirectory() as folder:  # 0700; ssl reads from files only
        path = Path(folder) / "proxy.pem"
        path.write_bytes(_self_signed(key))
        context.load_cert_chain(path)
    return context


def _self_signed(key: rsa.RSAPrivateKey) -> bytes:
    """A certificate with its key in PEM, like the one that mysqld makes for itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aurora-ml-proxy")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def upstream_context(upstream: Upstream) -> ssl.SSLContext:
    """What the upstream's certificate is checked with. Raises: ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if upstream.tls_ca is None:
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        context.load_verify_locations(upstream.tls_ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"upstream.tls_ca: {upstream.tls_ca} is no CA: {error}"
        ) from None
    context.check_hostname = upstream.tls_verify_identity
    return context
