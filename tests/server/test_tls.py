"""TLS on both legs: whose certificate is shown, and whose is believed."""

import datetime
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest
from cryptography import x509
from support.certificates import CertificateFiles, make_certificates
from support.command_lines import command_line
from support.servers import Account, Server
from support.watching import connect, connected, rows_of

from aurora_ml_proxy.config import ConfigError, Listen, Upstream
from aurora_ml_proxy.server.tls import (
    _self_signed,
    client_context,
    new_key,
    upstream_context,
)

WHO = "SELECT CURRENT_USER()"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def own(files: CertificateFiles) -> dict[str, str]:
    return {"tls_cert": str(files.certificate), "tls_key": str(files.key)}


def test_no_certificate_is_shown_where_tls_is_off() -> None:
    assert client_context(Listen(tls=False), new_key()) is None


def test_tls_before_1_2_is_not_spoken() -> None:
    context = client_context(Listen(), new_key())
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_a_certificate_that_does_not_fit_its_key(
    certificates: CertificateFiles, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path)
    listen = Listen(tls_cert=certificates.certificate, tls_key=other.key)
    with pytest.raises(ConfigError, match=r"^listen\.tls_cert: .*no certificate"):
        client_context(listen, new_key())


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(
    certificates: CertificateFiles, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
    locked = tmp_path / "key.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    listen = Listen(tls_cert=certificates.certificate, tls_key=locked)
    with pytest.raises(ConfigError, match=r"^listen\.tls_cert"):
        client_context(listen, new_key())


@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_a_ca_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^upstream\.tls_ca: "):
        upstream_context(Upstream(tls_ca=path))


def test_the_upstreams_name_is_checked_with_a_ca_only(
    certificates: CertificateFiles,
) -> None:
    assert not upstream_context(Upstream()).check_hostname
    with_ca = Upstream(tls_ca=certificates.authority)
    assert upstream_context(with_ca).check_hostname
    by_signature = Upstream(tls_ca=certificates.authority, tls_verify_identity=False)
    context = upstream_context(by_signature)
    assert not context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED


def test_the_certificate_that_is_made_outlasts_the_process() -> None:
    """As mysqld's own does: ten years."""
    certificate = x509.load_pem_x509_certificate(_self_signed(new_key()))
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert 3640 < left.days < 3660


@pytest.mark.mysql
def test_clients_verify_a_certificate_of_the_operators(
    mariadb10: Server, proxy, certificates: CertificateFiles, tmp_path: Path
) -> None:
    running = proxy(mariadb10, {"listen": own(certificates)})
    account = mariadb10.account(require_ssl=True)
    context = ssl.create_default_context(cafile=certificates.authority)
    with connected(running.port, account, ssl=context) as connection:
        assert rows_of(connection, WHO) == ((f"{account.user}@%",),)
    stranger = make_certificates(tmp_path).authority
    context = ssl.create_default_context(cafile=stranger)
    with pytest.raises(pymysql.err.OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        connect(running.port, account, ssl=context)
    program = command_line("mariadb10")
    if program is not None:
        verify = f"--ssl-ca={certificates.authority}", "--ssl-verify-server-cert"
        said = program.run(running.port, account, WHO, *verify, tls=False)
        assert said == (f"{account.user}@%\n", "")
        verify = f"--ssl-ca={stranger}", "--ssl-verify-server-cert"
        _, complaint = program.run(running.port, account, WHO, *verify, tls=False)
        assert "2026" in complaint


@pytest.mark.mysql
@pytest.mark.parametrize("kind", ["mariadb11", "mysql9"])
def test_command_line_clients_that_verify(
    get_server: Callable[[str], Server],
    proxy,
    certificates: CertificateFiles,
    kind: str,
) -> None:
    server = get_server(kind)
    program = command_line(kind)
    if program is None:
        pytest.skip("its command-line client is not installed")
    account = server.account(require_ssl=True)
    running = proxy(server, {"listen": own(certificates)})
    ca = f"--ssl-ca={certificates.authority}"
    strictly = ["--ssl-mode=VERIFY_IDENTITY"] if kind == "mysql9" else []
    more = [*strictly, ca, "--host=localhost", "--protocol=tcp"]
    # MariaDB's 11.4 and later verify without being told to.
    said = program.run(running.port, account, WHO, *more, tls=kind == "mysql9")
    if kind == "mariadb11":
        verifies = [ca, "--ssl-verify-server-cert"]
        plain = program.run(running.port, account, WHO, *verifies, tls=True)
        assert plain == (f"{account.user}@%\n", "")
    else:
        assert said == (f"{account.user}@%\n", "")


@pytest.mark.mysql
def test_a_certificate_is_made_where_none_is_given(
    mariadb10: Server, shared_proxy
) -> None:
    account = mariadb10.account(require_ssl=True)
    port = shared_proxy(mariadb10).port
    with connected(port, account) as connection:
        assert connection._secure
        name = dict(connection._sock.getpeercert(binary_form=False) or {})
        assert not name  # unverified certificates are not read by ssl
    context = ssl.create_default_context()
    with pytest.raises(pymysql.err.OperationalError, match="self-signed"):
        connect(port, account, ssl=context)


@pytest.mark.mysql
def test_a_listener_without_tls(mariadb10: Server, proxy) -> None:
    running = proxy(mariadb10, {"listen": {"tls": False}})
    account = mariadb10.account()
    with connected(running.port, account) as connection:
        assert not connection._secure
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(running.port, mariadb10.account(require_ssl=True))
    assert caught.value.args[0] == 1045


@pytest.fixture
def account(mariadb10: Server) -> Account:
    return mariadb10.account(require_ssl=True)


@pytest.mark.mysql
def test_an_upstream_with_the_right_certificate(mariadb10, proxy, account) -> None:
    upstream = {"tls": "required", "tls_ca": str(mariadb10.tls_ca)}
    for host in ("localhost", "127.0.0.1"):
        running = proxy(mariadb10, {"upstream": {**upstream, "host": host}})
        for options in ({}, {"ssl_disabled": True}):
            with connected(running.port, account, **options) as connection:
                assert rows_of(connection, "SELECT 1") == ((1,),)


def told(port: int, account: Account, **options: object) -> tuple[int, str]:
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(port, account, **options)
    return caught.value.args


@pytest.mark.mysql
def test_an_upstream_with_a_strangers_certificate(
    mariadb10, proxy, account, certificates: CertificateFiles
) -> None:
    settings = {"tls": "required", "tls_ca": str(certificates.authority)}
    running = proxy(mariadb10, {"upstream": settings})
    for options in ({}, {"ssl_disabled": True}):
        errno, message = told(running.port, account, **options)
        assert errno == 1429
        assert re.match(r"TLS to the upstream failed: .*(certificate|signature)", message)


@pytest.mark.mysql
def test_an_upstream_whose_certificate_names_another_host(
    mariadb10, proxy, account
) -> None:
    settings = {"tls": "required", "tls_ca": str(mariadb10.tls_ca), "host": "127.1"}
    strict = proxy(mariadb10, {"upstream": settings})
    errno, message = told(strict.port, account)
    assert errno == 1429 and "127.1" in message
    settings["tls_verify_identity"] = False  # type: ignore[assignment]
    lax = proxy(mariadb10, {"upstream": settings})
    with connected(lax.port, account) as connection:
        assert rows_of(connection, "SELECT 1") == ((1,),)
