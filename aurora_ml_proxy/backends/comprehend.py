"""Amazon Comprehend, through botocore in a pool of threads.

Texts come in, sentiments go out, at most 25 a call. What the service means is
read in `replies`, what goes wrong in `aws_failures`; here are the client, its
credentials, and the retries.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from aurora_ml_proxy.backends.aws_failures import failure_of, is_throttling
from aurora_ml_proxy.backends.replies import read_batch_reply, read_single_reply
from aurora_ml_proxy.functions import Answer, Failure

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
"""A reachable endpoint takes milliseconds; without this, one that drops packets (a
subnet with no way to AWS) would hold a query for all the attempts at 30 s each."""

THROTTLED_SCALE_S = 1.0
OTHER_SCALE_S = 0.05
MAX_BACK_OFF_S = 20.0
"""Back-off as in botocore's standard mode (`botocore.retries.standard`,
ExponentialBackoff): rand(0, 1) * min(scale * 2 ** i, 20 s)."""


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line of `aurora-ml-proxy check`."""

    ok: bool
    text: str


class Comprehend:
    """A `Backend` that asks Amazon Comprehend.

    Retries are made here and not by botocore. Its standard mode knows the right codes,
    but it sleeps in the thread, goes on asking (and paying) for a query that was
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
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Find credentials and region, and make the client. May take a second or two.

        Raises: ConfigError, when the client cannot be made from what there is.
        """
        self._max_attempts = settings.max_attempts
        self._sleep = sleep
        self._jitter = jitter
        try:
            self._session = _session(settings, concurrency)
            self._client: Any = self._session.create_client(
                "comprehend",
                region_name=settings.region,
                endpoint_url=settings.endpoint_url,
                config=_client_config(settings, concurrency),
            )
        except NoRegionError:
            raise config.ConfigError(
                "comprehend.region: no AWS region; set it, or AWS_DEFAULT_REGION"
            ) from None
        except (BotoCoreError, ValueError) as error:
            raise config.ConfigError(f"comprehend: {error}") from None
        self.identity = self._identity()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="comprehend")

    def _identity(self) -> tuple[str, ...]:
        """Comprehend names no version of its model."""
        meta = self._client.meta
        return ("comprehend", meta.region_name, meta.endpoint_url)

    async def detect_sentiment(
        self, texts: Sequence[str], language: str, *, single: bool
    ) -> list[Answer]:
        """See `Backend`. Texts that failed for the moment are asked again, alone."""
        answers = await self._ask(texts, language, single)
        for attempt in range(1, self._max_attempts):
            again = [i for i, answer in enumerate(answers) if _is_retryable(answer)]
            if not again:
                break
            await self._sleep(self._back_off_s(attempt, [answers[i] for i in again]))
            asked = await self._ask([texts[i] for i in again], language, single)
            for i, answer in zip(again, asked, strict=True):
                answers[i] = answer
        return answers

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
            [answer] = await self.detect_sentiment(["ok"], "en", single=single)
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

    async def _ask(
        self, texts: Sequence[str], language: str, single: bool
    ) -> list[Answer]:
        return await self._run(partial(self._call, list(texts), language, single))

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _call(self, texts: list[str], language: str, single: bool) -> list[Answer]:
        """One request. Runs in a thread."""
        try:
            if single:
                [text] = texts
                reply = self._client.detect_sentiment(Text=text, LanguageCode=language)
                return [read_single_reply(reply)]
            reply = self._client.batch_detect_sentiment(
                TextList=texts, LanguageCode=language
            )
            return read_batch_reply(reply, len(texts))
        except Exception as error:  # whatever a strange body makes botocore's parser do
            return [failure_of(error)] * len(texts)

    def _back_off_s(self, attempt: int, failed: list[Answer]) -> float:
        throttled = any(isinstance(f, Failure) and is_throttling(f) for f in failed)
        scale_s = THROTTLED_SCALE_S if throttled else OTHER_SCALE_S
        return self._jitter() * min(scale_s * 2.0 ** (attempt - 1), MAX_BACK_OFF_S)


def _is_retryable(answer: Answer) -> bool:
    return isinstance(answer, Failure) and answer.retryable


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
