"""The private servers: what the other tests rely on."""

import ssl

import pymysql
import pytest
from support.servers import Server

pytestmark = pytest.mark.mysql


def test_the_usual_account_logs_in_over_tcp(server: Server) -> None:
    account = server.account()
    with pymysql.connect(
        host=server.host,
        port=server.port,
        user=account.user,
        password=account.password,
        database="test",
    ) as connection:
        assert connection.get_server_info().endswith(server.version)


def test_accounts_that_require_tls_are_refused_without_it(server: Server) -> None:
    account = server.account(require_ssl=True)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(
            host=server.host,
            port=server.port,
            user=account.user,
            password=account.password,
            ssl_disabled=True,
        )


def test_the_certificate_of_the_tests_own_making_is_verified(mariadb10: Server) -> None:
    account = mariadb10.account(require_ssl=True)
    with pymysql.connect(
        host=mariadb10.host,
        port=mariadb10.port,
        user=account.user,
        password=account.password,
        ssl=ssl.create_default_context(cafile=mariadb10.tls_ca),
    ) as connection:
        assert connection.open


def test_a_server_without_tls_says_so(mariadb10_plain: Server) -> None:
    assert mariadb10_plain.run_as_root("SHOW VARIABLES LIKE 'have_ssl'") == (
        ("have_ssl", "DISABLED"),
    )
