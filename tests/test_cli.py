"""The command line, as a shell sees it."""

import os
import subprocess
import sys

import pytest

from aurora_ml_proxy.cli import main


def run(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "aurora_ml_proxy.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
    )


def test_help_lists_the_commands():
    done = run("--help")
    assert done.returncode == 0
    assert all(f"    {name} " in done.stdout for name in ("serve", "demo", "check"))


@pytest.mark.parametrize("command", ["serve", "demo", "check"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: aurora-ml-proxy {command}")


def test_the_version_is_the_package_s():
    assert run("--version").stdout.startswith("aurora-ml-proxy 0.")


@pytest.mark.parametrize("arguments", [(), ("explain",), ("serve", "--port", "1")])
def test_wrong_arguments_end_with_status_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: aurora-ml-proxy" in done.stderr


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_wrong_config_gives_one_line_with_the_key_and_status_2(command, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[listen]\nprot = 3307\n")
    done = run(command, "--config", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    told = f"aurora-ml-proxy: {path}: listen.prot: there is no such key\n"
    assert done.stderr == told


def test_a_wrong_variable_gives_one_line_with_its_name():
    done = run("serve", AURORA_ML_PROXY__LISTEN__PORT="99999")
    assert done.returncode == 2
    assert done.stderr.startswith("aurora-ml-proxy: AURORA_ML_PROXY__LISTEN__PORT: ")
    assert done.stderr.count("\n") == 1


def test_a_config_that_is_not_there_gives_one_line():
    done = run("serve", "--config", "/none.toml")
    told = "aurora-ml-proxy: /none.toml: No such file or directory\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_check_ends_with_status_1_when_the_upstream_is_not_there():
    done = run("check", AURORA_ML_PROXY__UPSTREAM__PORT="1")
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL  upstream   ")


def test_a_password_variable_that_is_not_set_is_an_error():
    done = run("check", "--user", "me", "--password-env", "NO_SUCH_VARIABLE")
    told = "aurora-ml-proxy: --password-env: NO_SUCH_VARIABLE is not set\n"
    assert (done.returncode, done.stderr) == (2, told)


@pytest.mark.mysql
def test_check_logs_in_with_the_password_of_a_variable(mariadb10):
    account = mariadb10.account()
    done = run(
        *("check", "--user", account.user, "--password-env", "PASSWORD"),
        PASSWORD=account.password,
        AURORA_ML_PROXY__UPSTREAM__PORT=str(mariadb10.port),
        AURORA_ML_PROXY__LISTEN__PORT="0",
    )
    assert f"ok    login      the upstream knows {account.user} as" in done.stdout
    assert done.returncode == 0
