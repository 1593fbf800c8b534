"""What one config means for new connections: TLS, the login's policy, the engine."""

import ssl
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from aurora_ml_proxy.backends import Backend
from aurora_ml_proxy.config import Settings
from aurora_ml_proxy.evaluate.engine import Engine
from aurora_ml_proxy.evaluate.evaluation import Policy, Spawn
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


def new_service(
    settings: Settings,
    key: rsa.RSAPrivateKey,
    spawn: Spawn,
    answering: set[Session],
) -> Service:
    """Build what new connections need. Raises: ConfigError.

    Args:
        key: for the certificate made at start and for passwords in transit; the same
            for the whole life of the process.
        answering: shared by all services, for KILL reaches every session.
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
            settings.upstream, client_tls=client_tls is not None, key=key
        ),
        context=Context(
            engine=Engine(new_backend(settings), sentiment.concurrency),
            policy=Policy(sentiment.long_text, sentiment.on_error == "null"),
            names=NameFilter(FUNCTIONS),
            spawn=spawn,
            upstream=name_of(settings.upstream),
            answering=answering,
        ),
    )
