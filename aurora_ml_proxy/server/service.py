"""What one config means for new connections: TLS, the login's policy, the engine."""

import ssl
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from aurora_ml_proxy.backends import Backend
from aurora_ml_proxy.config import ConfigError, Settings
from aurora_ml_proxy.evaluate.cache import Cache
from aurora_ml_proxy.evaluate.disk import Disk
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import Policy, Spawn
from aurora_ml_proxy.evaluate.store import Store
from aurora_ml_proxy.evaluate.stored import StoredAnswers
from aurora_ml_proxy.functions import FUNCTIONS
from aurora_ml_proxy.intercept.names import NameFilter
from aurora_ml_proxy.server.dial import name_of, refuse_trusted_socket
from aurora_ml_proxy.server.tls import client_context, upstream_context
from aurora_ml_proxy.session.login import LoginPolicy, login_policy
from aurora_ml_proxy.session.session import Context, Session


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that a new connection needs."""

    settings: Settings
    client_tls: ssl.SSLContext | None
    upstream_tls: ssl.SSLContext
    upstream_hostname: str
    """The name that the upstream's certificate must have; '' when it need not."""
    login_policy: LoginPolicy
    context: Context


def new_backend(settings: Settings) -> Backend:
    """The model service that the config names. boto3 is imported only for AWS."""
    if settings.sentiment.backend == "local":
        from aurora_ml_proxy.backends.local import Local

        return Local()
    from aurora_ml_proxy.backends.comprehend import Comprehend

    return Comprehend(settings.comprehend, concurrency=settings.sentiment.concurrency)


def open_cache(settings: Settings, spawn: Spawn) -> Cache | None:
    """What statements share; None when they shall share nothing. Raises: ConfigError."""
    wanted = settings.cache
    if not wanted.enabled:
        return None
    cache = Cache(wanted.memory_bytes, wanted.ttl_s)
    store = open_store(settings)
    if store is not None:
        cache.stored = StoredAnswers(store, spawn, cache.forget_memory)
    return cache


def open_store(settings: Settings) -> Store | None:
    """Where answers outlive the process, if the config says so. Raises: ConfigError."""
    wanted = settings.cache
    if wanted.path is not None:
        return Disk(wanted.path, wanted.path_bytes, wanted.ttl_s)
    if wanted.url is None:
        return None
    try:
        from aurora_ml_proxy.evaluate.valkey import Valkey
    except ImportError:
        raise ConfigError(
            "cache.url: it needs the package redis: pip install 'aurora-ml-proxy[valkey]'"
        ) from None
    return Valkey(wanted.url, wanted.ttl_s)


def new_service(
    settings: Settings,
    key: rsa.RSAPrivateKey,
    spawn: Spawn,
    answering: set[Session],
    cache: Cache | None = None,
) -> Service:
    """Build what new connections need. Raises: ConfigError.

    Args:
        key: for the certificate made at start and for passwords in transit; the same
            for the whole life of the process.
        answering: shared by all services, for KILL reaches every session.
        cache: shared by all services: answers outlive a reload.
    """
    refuse_trusted_socket(settings.upstream)
    client_tls = client_context(settings.listen, key)
    upstream_tls = upstream_context(settings.upstream)
    sentiment = settings.sentiment
    return Service(
        settings=settings,
        client_tls=client_tls,
        upstream_tls=upstream_tls,
        upstream_hostname=settings.upstream.host if upstream_tls.check_hostname else "",
        login_policy=login_policy(
            settings.listen,
            settings.upstream,
            client_tls=client_tls is not None,
            key=key,
        ),
        context=Context(
            engine=Engine(
                new_backend(settings),
                sentiment.concurrency,
                cache,
                max_attempts=settings.comprehend.max_attempts,
            ),
            policy=Policy(
                sentiment.long_text,
                sentiment.on_error == "null",
                timeout_s=sentiment.inference_timeout_ms / 1000,
            ),
            names=NameFilter(FUNCTIONS),
            spawn=spawn,
            upstream=name_of(settings.upstream),
            answering=answering,
        ),
    )
