"""TOML and environment to `Settings`. Every default lives here and only here.

`AURORA_ML_PROXY__UPSTREAM__HOST=db` overrides `host` in `[upstream]`.
AWS credentials are never read here: boto3's standard chain finds them.
The strings under the fields are what config.example.toml and the docs say of them.
"""

import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

ENV_PREFIX = "AURORA_ML_PROXY__"


class ConfigError(Exception):
    """A wrong config: one line that names the key."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Listen(_Section):
    """Where clients connect to the proxy."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 for every IPv4 address."""
    port: int = Field(default=3307, ge=0, le=65535)
    """The TCP port; 0 takes a free one and logs it at level info."""
    socket: Path | None = Field(
        default=None, examples=["/run/aurora-ml-proxy/mysql.sock"]
    )
    """The path of a unix socket to listen on besides the TCP port."""
    tls: bool = True
    """Whether clients may use TLS (with upstream.tls = "as_client", only where the
    upstream offers it)."""
    tls_cert: Path | None = Field(
        default=None, examples=["/etc/aurora-ml-proxy/cert.pem"]
    )
    """PEM file of the certificate chain; without it one is made and signed at start."""
    tls_key: Path | None = Field(default=None, examples=["/etc/aurora-ml-proxy/key.pem"])
    """PEM file of the certificate's key."""
    compression: Literal["as_upstream", "off"] = "as_upstream"
    """as_upstream: clients may compress their leg, with zlib or zstd, where the upstream
    would let them. off: none may. The upstream's leg is never compressed."""
    max_connections: int = Field(default=2000, ge=1)
    """Clients at one time; one more is told "Too many connections"."""
    login_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds a client has to log in (MySQL's connect_timeout)."""
    drain_timeout_s: float = Field(default=30.0, ge=0)
    """Seconds that transactions have to end after SIGTERM."""

    @model_validator(mode="after")
    def _cert_and_key_go_together(self) -> "Listen":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        return self


class Upstream(_Section):
    """The MySQL or MariaDB behind the proxy."""

    host: str = "127.0.0.1"
    """The host of the MySQL or MariaDB behind the proxy."""
    port: int = Field(default=3306, ge=1, le=65535)
    """Its port."""
    socket: Path | None = Field(default=None, examples=["/run/mysqld/mysqld.sock"])
    """Its unix socket, instead of host and port. Refused when the proxy runs as root or
    mysql, whom servers trust without a password."""
    tls: Literal["as_client", "disabled", "preferred", "required"] = "as_client"
    """as_client: TLS when the client uses it. preferred: TLS where the upstream offers
    it. required: TLS or an error. disabled: none."""
    tls_ca: Path | None = Field(
        default=None, examples=["/etc/ssl/certs/ca-certificates.crt"]
    )
    """PEM file of the CA that must have signed the upstream's certificate; without it
    the certificate is not verified."""
    tls_verify_identity: bool = True
    """With tls_ca: whether the certificate must also name the upstream's host."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds until an upstream that does not answer counts as dead."""


class Sentiment(_Section):
    """The two functions aws_comprehend_detect_sentiment and …_confidence."""

    backend: Literal["local", "comprehend"] = "local"
    """local: VADER, a word list inside this process; English only, free, instant.
    comprehend: Amazon Comprehend."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Service calls at one time, over all connections; fewer while the service throttles
    or is overloaded."""
    inference_timeout_ms: int = Field(default=30_000, ge=1, le=2**31 - 1)
    """Milliseconds that a statement waits for a call, with its retries (Aurora's
    aurora_ml_inference_timeout). A call that waits for its turn takes none of them."""
    long_text: Literal["error", "truncate", "null"] = "error"
    """What becomes of a text over 5,000 bytes of UTF-8. error: the statement fails.
    truncate: its first 5,000 bytes are asked about, cut between two characters. null:
    the answer is NULL. The last two leave a warning."""
    on_error: Literal["error", "null"] = "error"
    """What becomes of a text that the service does not answer. error: the statement
    fails. null: the answer is NULL, and there is a warning."""


class Comprehend(_Section):
    """Amazon Comprehend; credentials come from boto3's standard chain."""

    region: str | None = Field(default=None, examples=["eu-central-1"])
    """The AWS region; without it, boto3's standard chain."""
    endpoint_url: str | None = Field(default=None, examples=["http://127.0.0.1:4566"])
    """Another endpoint, such as a VPC endpoint or a fake."""
    role_arn: str | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:role/aurora-ml"]
    )
    """A role to assume through STS."""
    timeout_s: float = Field(default=10.0, gt=0)
    """Seconds for one attempt; then it is made again, as long as max_attempts and
    sentiment.inference_timeout_ms allow."""
    max_attempts: int = Field(default=6, ge=1, le=50)
    """Tries for one call, the first one included; with back-off between them."""


class AwsService(_Section):
    """A service that the functions of CREATE FUNCTION … ALIAS ask."""

    region: str | None = Field(default=None, examples=["eu-central-1"])
    """The AWS region. Accepted; no function of this version uses it."""
    endpoint_url: str | None = Field(default=None, examples=["http://127.0.0.1:4566"])
    """Another endpoint. Accepted; no function of this version uses it."""
    role_arn: str | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:role/aurora-ml"]
    )
    """A role to assume. Accepted; no function of this version uses it."""


class Cache(_Section):
    """Answers that are kept for later statements, of all connections.

    Texts never are: they are known by their SHA-256."""

    enabled: bool = True
    """Whether answers are kept, and whether statements that ask about the same text at
    one time share one call."""
    memory_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Memory for answers, about: 220 bytes each."""
    ttl_s: float = Field(default=7 * 86_400.0, gt=0, le=10 * 365 * 86_400)
    """Seconds after which an answer is asked for anew."""
    path: Path | None = Field(
        default=None, examples=["/var/lib/aurora-ml-proxy/answers.sqlite"]
    )
    """A file that keeps answers over a restart, and that all proxies of this machine may
    share. The local model's answers stay in memory: they are free and soon made anew."""
    path_bytes: int = Field(default=1 << 30, ge=1 << 20)
    """Bytes in that file, about: 150 an answer. Beyond them the oldest answers go."""
    url: str | None = Field(default=None, examples=["valkey://cache.internal:6379/0"])
    """Valkey or Redis instead of a file, shared by all proxies that name it: valkey://,
    valkeys:// (TLS), redis://, rediss:// or unix://. It needs the package redis:
    pip install 'aurora-ml-proxy[valkey]'. Whoever may write there can make answers up."""

    @model_validator(mode="after")
    def _one_store(self) -> "Cache":
        if self.path is not None and self.url is not None:
            raise ValueError("path or url, not both")
        return self


class Admin(_Section):
    """/metrics, /healthz and /readyz over HTTP."""

    host: str = "127.0.0.1"
    """The address of the admin endpoint."""
    port: int | None = Field(default=None, ge=0, le=65535, examples=[9307])
    """Its port; without it there is no admin endpoint."""


class Log(_Section):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written: debug, info, warning or error. Texts and statements
    are written at debug only."""


class Settings(BaseSettings):
    """Everything that can be set, section by section."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )

    listen: Listen = Listen()
    upstream: Upstream = Upstream()
    sentiment: Sentiment = Sentiment()
    comprehend: Comprehend = Comprehend()
    sagemaker: AwsService = AwsService()
    bedrock: AwsService = AwsService()
    cache: Cache = Cache()
    admin: Admin = Admin()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment beats the file, which comes in as init arguments."""
        return env_settings, init_settings


def load(path: Path | None) -> Settings:
    """The settings of a TOML file and the environment.

    Raises: ConfigError, one line naming where the key stands, and the key.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8")) if path else {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    _refuse_unknown_sections(values, path)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "there is no such key"
        raise ConfigError(f"{_where(key, path)}: {message}") from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None


def _refuse_unknown_sections(values: dict[str, object], path: Path | None) -> None:
    """Pydantic takes the file's sections as arguments of its own, and passes over
    variables of sections that it does not know."""
    for section in values:
        if section not in Settings.model_fields:
            raise ConfigError(f"{path}: {section}: there is no such section")
    for variable in os.environ:
        if variable.upper().startswith(ENV_PREFIX):
            section = variable[len(ENV_PREFIX) :].lower().partition("__")[0]
            if section not in Settings.model_fields:
                raise ConfigError(f"{variable}: there is no section {section!r}")


def _where(key: str, path: Path | None) -> str:
    """The variable that sets the key where there is one, else the file and the key."""
    variable = ENV_PREFIX + key.replace(".", "__").upper()
    for name in os.environ:
        if name.upper() == variable:
            return name
    return f"{path or 'environment'}: {key}"
