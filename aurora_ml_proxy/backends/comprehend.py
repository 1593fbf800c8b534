"""Amazon Comprehend, through botocore in a pool of threads.

Texts come in, sentiments go out, at most 25 a call. What the service means is
read in `replies`, what goes wrong in `aws_failures`; here are the client and its
credentials.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, NoRegionError
from botocore.session import Session

from aurora_ml_proxy import config
from aurora_ml_proxy.backends.aws_failures import failure_of, is_expired
from aurora_ml_proxy.backends.replies import read_batch_reply, read_single_reply
from aurora_ml_proxy.functions import Answer, Cause, Failure

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
"""A reachable endpoint takes milliseconds; without this, one that drops packets (a
subnet with no way to AWS) would hold a query for all the attempts at 30 s each."""

RENEWAL_S = 5.0
"""Seconds until credentials that were looked for in vain are looked for again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line of `aurora-ml-proxy check`."""

    ok: bool
    text: str


class Comprehend:
    """A `Backend` that asks Amazon Comprehend.

    botocore tries nothing again: `evaluate` does. Its standard mode knows the right
    codes, but it sleeps in the thread, goes on asking (and paying) for a query that was
    cancelled, knows nothing of ErrorList, and stops retrying under steady throttling:
    a call that succeeds after n retries takes 5n from a quota of 500 and gives 5 back.
    Measured, with three throttled tries before each success and six tries allowed: the
    50th call fails, and half of those after it.
    """

    name = "comprehend"
    is_instant = False

    def __init__(
        self,
        settings: config.Comprehend,
        *,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Find credentials and region, and make the client. May take a second or two.

        Raises: ConfigError, when the client cannot be made from what there is.
        """
        self._settings = settings
        self._concurrency = concurrency
        self._clock = clock
        self._renewing = threading.Lock()
        self._renewed_s: float | None = None
        try:
            self._session, self._client = self._connect()
        except NoRegionError:
            raise config.ConfigError(
                "comprehend.region: no AWS region; set it, or AWS_DEFAULT_REGION"
            ) from None
        except (BotoCoreError, ValueError) as error:
            raise config.ConfigError(f"comprehend: {error}") from None
        self.identity = self._identity()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="comprehend")

    def _connect(self) -> tuple[Session, Any]:
        """A session with what the credential chain finds at this time, and its client."""
        settings = self._settings
        session = _session(settings, self._concurrency)
        client = session.create_client(
            "comprehend",
            region_name=settings.region,
            endpoint_url=settings.endpoint_url,
            config=_client_config(settings, self._concurrency),
        )
        return session, client

    def _identity(self) -> tuple[str, ...]:
        """Comprehend names no version of its model."""
        meta = self._client.meta
        return ("comprehend", meta.region_name, meta.endpoint_url)

    async def detect_sentiment(
        self, texts: Sequence[str], language: str, *, single: bool
    ) -> list[Answer] | Failure:
        """See `Backend`."""
        return await self._run(partial(self._call, list(texts), language, single))

    async def check(self) -> list[CheckLine]:
        """Whether credentials are found and may do what the proxy needs.

        It makes one call of each kind about the text "ok": six units, $0.0006 at most.
        """
        credentials = await self._run(self._session.get_credentials)
        lines = [
            CheckLine(True, f"AWS credentials found ({credentials.method})")
            if credentials
            else CheckLine(False, "no AWS credentials found")
        ]
        actions = (("DetectSentiment", True), ("BatchDetectSentiment", False))
        for action, single in actions:
            answers = await self.detect_sentiment(["ok"], "en", single=single)
            answer = answers if isinstance(answers, Failure) else answers[0]
            if isinstance(answer, Failure):
                reason = f"{answer.message} ({answer.code})"
                lines.append(CheckLine(False, f"comprehend:{action}: {reason}"))
            else:
                lines.append(CheckLine(True, f"comprehend:{action} allowed"))
        return lines

    async def close(self) -> None:
        """Close the connections. A call under way ends by itself, in its thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _call(
        self, texts: list[str], language: str, single: bool
    ) -> list[Answer] | Failure:
        """One request. Runs in a thread."""
        client = self._client
        try:
            if single:
                [text] = texts
                reply = client.detect_sentiment(Text=text, LanguageCode=language)
                return [read_single_reply(reply)]
            reply = client.batch_detect_sentiment(TextList=texts, LanguageCode=language)
            return read_batch_reply(reply, len(texts))
        except Exception as error:  # whatever a strange body makes botocore's parser do
            failure = failure_of(error)
        if is_expired(failure) and self._renews(client):
            return replace(failure, cause=Cause.PASSING)
        return failure

    def _renews(self, client: Any) -> bool:
        """Whether there are other credentials than this client's, which AWS refuses.

        botocore renews what it knows to expire. What was revoked, or written anew into
        a file by somebody else, it does not see: the chain is gone through once more.
        """
        with self._renewing:
            if self._client is not client:
                return True  # another thread was here
            now_s = self._clock()
            if self._renewed_s is not None and now_s < self._renewed_s + RENEWAL_S:
                return False
            self._renewed_s = now_s
            try:
                session, renewed = self._connect()
                is_new = _key_of(session) != _key_of(self._session)
            except Exception as error:  # a half-written file, STS away
                log.debug("no other credentials", exc_info=error)
                return False
            if is_new:
                # The old client's connections are closed with its last call.
                self._session, self._client = session, renewed
                log.info("AWS refuses the credentials; others were found")
            return is_new


def _key_of(session: Session) -> tuple[str | None, str | None]:
    credentials = session.get_credentials()
    if credentials is None:
        return None, None
    frozen = credentials.get_frozen_credentials()
    return frozen.access_key, frozen.token


def _client_config(settings: config.Comprehend, concurrency: int) -> Config:
    return Config(
        connect_timeout=min(settings.timeout_s, CONNECT_TIMEOUT_S),
        read_timeout=settings.timeout_s,
        max_pool_connections=concurrency,
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent_extra="aurora-ml-proxy",
    )


def _session(settings: config.Comprehend, concurrency: int) -> Session:
    """A session with the standard chain's credentials, or with those of the role."""
    session = Session()
    source = session.get_credentials() if settings.role_arn else None
    if settings.role_arn is None or source is None:
        return session
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(
            session.create_client,
            region_name=settings.region,
            config=_client_config(settings, concurrency),
        ),
        source_credentials=source,
        role_arn=settings.role_arn,
        extra_args={"RoleSessionName": "aurora-ml-proxy"},
    )
    role_session = Session()
    role_session.register_component(
        "credential_provider", CredentialResolver([_RoleProvider(fetcher)])
    )
    return role_session


class _RoleProvider(CredentialProvider):
    """botocore's form of "these credentials and no other"; it renews them in time."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, fetcher: AssumeRoleCredentialFetcher) -> None:
        super().__init__()
        self._fetcher = fetcher

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(
            refresh_using=self._fetcher.fetch_credentials, method=self.METHOD
        )
