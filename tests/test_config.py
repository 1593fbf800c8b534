"""Settings from a file and from the environment, and what a wrong one is told."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from aurora_ml_proxy.config import ENV_PREFIX, ConfigError, Settings, load

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
COMMENTED_KEY = re.compile(r"^#([a-z_]+) = (.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(name)


def write(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text, "utf-8")
    return path


def every_key():
    return {
        (section, key): field
        for section, outer in Settings.model_fields.items()
        for key, field in outer.annotation.model_fields.items()
    }


def uncommented_example():
    return tomllib.loads(COMMENTED_KEY.sub(r"\1 = \2", EXAMPLE.read_text("utf-8")))


def test_the_example_holds_every_key_and_no_other():
    example = uncommented_example()
    keys = [(section, key) for section, keys in example.items() for key in keys]
    assert keys == list(every_key())


@pytest.mark.parametrize("section, key", every_key())
def test_the_example_shows_the_default(section, key):
    field = every_key()[section, key]
    shown = uncommented_example()[section][key]
    if field.default is None:
        assert shown in field.examples
    else:
        assert shown == field.default


@pytest.mark.parametrize("section, key", every_key())
def test_every_key_has_a_meaning(section, key):
    assert every_key()[section, key].description


def test_the_example_loads_and_changes_nothing():
    assert load(EXAMPLE) == load(None) == Settings()


def test_the_example_loads_with_every_key_set(tmp_path):
    text = COMMENTED_KEY.sub(r"\1 = \2", EXAMPLE.read_text("utf-8"))
    text = re.sub(r"^path = .*$", "", text, flags=re.MULTILINE)  # or url, not both
    settings = load(write(tmp_path, text))
    assert settings.upstream.socket == Path("/run/mysqld/mysqld.sock")
    assert settings.admin.port == 9307


@pytest.mark.parametrize("section, key", every_key())
def test_every_key_can_come_from_the_environment(monkeypatch, section, key):
    field = every_key()[section, key]
    value = field.examples[0] if field.default is None else field.default
    variable = f"{ENV_PREFIX}{section}__{key}".upper()
    monkeypatch.setenv(variable, str(value))
    if key in ("tls_cert", "tls_key"):
        other = {"tls_cert": "TLS_KEY", "tls_key": "TLS_CERT"}[key]
        monkeypatch.setenv(f"{ENV_PREFIX}LISTEN__{other}", "/other.pem")
    found = getattr(getattr(load(None), section), key)
    assert str(found) == str(value)


def test_the_environment_beats_the_file_key_by_key(tmp_path, monkeypatch):
    path = write(tmp_path, '[upstream]\nhost = "file"\nport = 1111\n')
    monkeypatch.setenv("AURORA_ML_PROXY__UPSTREAM__HOST", "db")
    settings = load(path)
    assert (settings.upstream.host, settings.upstream.port) == ("db", 1111)


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("AURORA_ML_PROXY__UPSTREAM__PORT", "")
    assert load(None).upstream.port == 3306


WRONG_FILES = [
    ("[listen]\nprot = 1\n", "listen.prot: there is no such key"),
    ("[listn]\nport = 1\n", "listn: there is no such section"),
    ('_env_file = "/etc/passwd"\n', "_env_file: there is no such section"),
    ("[listen]\nport = 99999\n", "listen.port: Input should be less than or equal"),
    ('[listen]\nport = "x"\n', "listen.port: Input should be a valid integer"),
    ("listen = 3\n", "listen: Input should be a valid dictionary"),
    ('[upstream]\ntls = "maybe"\n', "upstream.tls: Input should be 'as_client'"),
    ('[listen]\ntls_cert = "/a"\n', "listen: tls_cert and tls_key go together"),
    ('[sentiment]\nbackend = "azure"\n', "sentiment.backend: Input should be 'local'"),
    ("[listen\n", "not TOML"),
]


@pytest.mark.parametrize("text, told", WRONG_FILES, ids=[told for _, told in WRONG_FILES])
def test_a_wrong_file_gives_one_line_with_its_name_and_the_key(tmp_path, text, told):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {told}")
    assert "\n" not in message


WRONG_VARIABLES = [
    ("LISTEN__PORT", "x", "LISTEN__PORT: Input should be a valid integer"),
    ("LISTEN__PROT", "1", "LISTEN__PROT: there is no such key"),
    ("LISTN__PORT", "1", "LISTN__PORT: there is no section 'listn'"),
    ("CONFIG", "/a.toml", "CONFIG: there is no section 'config'"),
]


@pytest.mark.parametrize("name, value, told", WRONG_VARIABLES)
def test_a_wrong_variable_gives_one_line_with_its_name(
    tmp_path, monkeypatch, name, value, told
):
    monkeypatch.setenv(ENV_PREFIX + name, value)
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, "[listen]\nport = 5\n"))
    assert str(caught.value).startswith(ENV_PREFIX + told)


def test_a_section_given_as_one_variable_must_be_json(monkeypatch):
    monkeypatch.setenv(f"{ENV_PREFIX}LISTEN", "not json")
    with pytest.raises(ConfigError, match=r"environment: .*listen"):
        load(None)


def test_a_missing_file_gives_one_line_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: No such file or directory"):
        load(tmp_path / "none.toml")


def test_settings_cannot_be_changed_once_loaded():
    with pytest.raises(ValueError, match="frozen"):
        load(None).listen.port = 5
