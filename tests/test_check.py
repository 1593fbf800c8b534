"""`check` against real servers, the fake Comprehend, and peers that are neither."""

import asyncio
import contextlib
import os
import socket

import pytest
from support.certificates import make_certificates

from aurora_ml_proxy import check
from aurora_ml_proxy.backends.fake import FakeComprehend
from aurora_ml_proxy.check import Login
from aurora_ml_proxy.config import Cache, Comprehend, Listen, Settings, Upstream
from aurora_ml_proxy.evaluate.disk import Disk


@pytest.fixture
def aws_credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("NO_PROXY", "*")


def upstream_of(server, **settings):
    return Upstream(host=server.host, port=server.port, **settings)


def texts(lines):
    return [f"{'ok' if line.ok else 'FAIL'}: {line.text}" for line in lines]


@pytest.mark.mysql
async def test_a_server_without_tls_is_fine_as_the_client_decides(mariadb10_plain):
    version, tls = await check.check_upstream(upstream_of(mariadb10_plain))
    assert version.ok and version.text.startswith("10.11.")
    assert texts([tls]) == ['ok: offers no TLS (upstream.tls = "as_client")']


@pytest.mark.mysql
async def test_a_server_without_tls_fails_where_tls_is_required(mariadb10_plain):
    upstream = upstream_of(mariadb10_plain, tls="required")
    _, tls = await check.check_upstream(upstream)
    assert texts([tls]) == ['FAIL: offers no TLS, and upstream.tls = "required"']


@pytest.mark.mysql
async def test_tls_is_tried_and_its_certificate_verified(mariadb10):
    upstream = upstream_of(mariadb10, tls_ca=mariadb10.tls_ca)
    _, tls = await check.check_upstream(upstream)
    assert tls.ok
    assert "TLSv1.3, its certificate and host name verified" in tls.text


@pytest.mark.mysql
async def test_without_a_ca_the_line_says_that_nothing_is_verified(mariadb10):
    _, tls = await check.check_upstream(upstream_of(mariadb10))
    assert tls.ok and "not verified" in tls.text


@pytest.mark.mysql
async def test_a_certificate_of_another_ca_fails(mariadb10, tmp_path):
    other = make_certificates(tmp_path).authority
    _, tls = await check.check_upstream(upstream_of(mariadb10, tls_ca=other))
    assert not tls.ok and "certificate" in tls.text


@pytest.mark.mysql
async def test_tls_that_is_switched_off_is_not_tried(mariadb10):
    _, tls = await check.check_upstream(upstream_of(mariadb10, tls="disabled"))
    assert texts([tls]) == ['ok: TLS is not used (upstream.tls = "disabled")']


@pytest.mark.mysql
async def test_no_check_counts_as_a_broken_connection(mariadb10):
    aborted = "SHOW GLOBAL STATUS LIKE 'Aborted_connects_preauth'"
    before = mariadb10.run_as_root(aborted)
    await check.check_upstream(upstream_of(mariadb10))
    await check.check_upstream(upstream_of(mariadb10, tls="disabled"))
    assert mariadb10.run_as_root(aborted) == before


@pytest.mark.mysql
async def test_a_login_says_who_the_server_takes_the_user_for(mariadb10):
    account = mariadb10.account()
    login = Login(account.user, account.password)
    line = await check.check_login(upstream_of(mariadb10), login)
    assert line.ok and account.user in line.text


@pytest.mark.mysql
async def test_a_wrong_password_fails_in_the_words_of_the_server(mariadb10):
    login = Login(mariadb10.account().user, "wrong")
    line = await check.check_login(upstream_of(mariadb10), login)
    assert not line.ok and line.text.startswith("Access denied for user")


@pytest.mark.mysql
async def test_all_lines_of_a_good_config(mariadb10, capsys):
    settings = Settings(upstream=upstream_of(mariadb10), listen={"port": 0})
    account = mariadb10.account()
    assert await check.run(settings, Login(account.user, account.password)) == 0
    subjects = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert subjects == ["upstream", "upstream", "login", "sentiment", "listen"]


async def test_one_failure_makes_the_status_1(capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = Settings(upstream={"port": port}, listen={"port": 0})
    assert await check.run(settings, Login("anyone", "")) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAIL  upstream   ")
    assert f"can't connect to its MySQL server on '127.0.0.1:{port}'" in out
    assert "login" not in out


async def speak(data, **settings):
    """Check an upstream that says this and nothing else."""

    gone = asyncio.Event()

    async def greet(reader, writer):
        writer.write(data)
        with contextlib.suppress(OSError):
            await reader.read()
            writer.close()
            await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        lines = await check.check_upstream(Upstream(port=port, **settings))
        await gone.wait()
        return [line.removeprefix(f"FAIL: 127.0.0.1:{port}: ") for line in texts(lines)]


async def test_an_upstream_that_says_nothing_fails_in_time():
    told = await speak(b"", connect_timeout_s=0.05)
    assert told == ["no answer within 0.05 s"]


async def test_an_upstream_that_speaks_another_protocol_fails():
    told = await speak(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert told == ["this is not a MySQL server"]


async def test_an_upstream_that_refuses_the_host_is_quoted():
    message = b"Host '10.0.0.1' is blocked"
    packet = (len(message) + 3).to_bytes(3, "little") + b"\0\xff\x69\x04" + message
    assert await speak(packet) == [message.decode()]


async def test_an_upstream_with_an_odd_greeting_fails():
    assert await speak(b"\x02\0\0\0\x0a8") == ["a string has no end"]


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
async def test_root_does_not_dial_the_unix_socket(tmp_path):
    [line] = await check.check_upstream(Upstream(socket=tmp_path / "m.sock"))
    assert not line.ok and "runs as root" in line.text


async def test_the_local_model_answers():
    [line] = await check.check_sentiment(Settings())
    assert texts([line]) == ['ok: the local model answers; "I like it": POSITIVE']


async def test_comprehend_is_asked_by_each_of_its_calls(aws_credentials):
    async with FakeComprehend() as fake:
        comprehend = Comprehend(region="us-east-1", endpoint_url=fake.url)
        settings = Settings(sentiment={"backend": "comprehend"}, comprehend=comprehend)
        lines = await check.check_sentiment(settings)
        asked = [call.operation for call in fake.calls]
    assert all(line.ok for line in lines)
    assert asked == ["DetectSentiment", "BatchDetectSentiment"]


async def test_a_denied_action_fails(aws_credentials):
    async with FakeComprehend() as fake:
        fake.behaviour.denied_actions = ["BatchDetectSentiment"]
        comprehend = Comprehend(region="us-east-1", endpoint_url=fake.url)
        settings = Settings(sentiment={"backend": "comprehend"}, comprehend=comprehend)
        lines = await check.check_sentiment(settings)
    assert [line.ok for line in lines] == [True, True, False]


def test_an_address_in_use_fails():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = check.check_address("127.0.0.1", port)
    assert texts([line]) == [f"FAIL: 127.0.0.1:{port}: Address already in use"]


def test_a_free_address_is_free_again_afterwards():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert check.check_address("127.0.0.1", port).ok
    assert check.check_address("127.0.0.1", port).ok
    assert check.check_address("127.0.0.1", 0).text == "127.0.0.1, on any free port"


def test_an_address_of_another_machine_fails():
    assert not check.check_address("192.0.2.1", 3307).ok


def test_a_unix_socket_needs_a_folder_and_nobody_listening(tmp_path):
    path = tmp_path / "p.sock"
    assert check.check_socket(path).ok
    assert "no folder" in check.check_socket(tmp_path / "none" / "p.sock").text
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        assert "somebody listens" in check.check_socket(path).text
    assert check.check_socket(path).ok  # a socket that nobody listens on is left over


def test_certificate_and_key_must_belong_together(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = make_certificates(tmp_path / "a"), make_certificates(tmp_path / "b")
    good = Listen(tls_cert=one.certificate, tls_key=one.key)
    assert check.check_certificate(good).ok
    mixed = Listen(tls_cert=one.certificate, tls_key=two.key)
    assert not check.check_certificate(mixed).ok
    missing = Listen(tls_cert=tmp_path / "none.pem", tls_key=one.key)
    assert not check.check_certificate(missing).ok


async def check_cache(**cache):
    settings = Settings(cache=Cache(**cache), upstream=Upstream(connect_timeout_s=2))
    return texts([await check.check_cache(settings)])


async def test_a_file_for_answers_is_looked_at_and_not_made(tmp_path):
    path = tmp_path / "answers"
    assert await check_cache(path=path) == [f"ok: {path} will be made"]
    assert not path.exists()
    await Disk(path, 1 << 20, 60).close()
    assert await check_cache(path=path) == [f"ok: answers are kept in {path}"]
    [line] = await check_cache(path=tmp_path / "missing" / "answers")
    assert line.startswith("FAIL:") and "there is no folder" in line
    (tmp_path / "text").write_text("text" * 1000)
    [line] = await check_cache(path=tmp_path / "text")
    assert line.startswith("FAIL: cache.path:") and "not a database" in line


async def test_a_valkey_that_answers_and_one_that_does_not(valkey):
    assert await check_cache(url=valkey.url) == ["ok: answers are kept in valkey"]
    valkey.freeze()
    assert await check_cache(url=valkey.url) == ["FAIL: valkey: no answer"]
    valkey.stop()
    [line] = await check_cache(url=valkey.url)
    assert line.startswith("FAIL: valkey: ConnectionError")
