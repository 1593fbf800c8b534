"""What botocore raises, and the codes AWS sends, to `Failure`: the table at the edge.

A message says what to do. It never repeats the service's own message or botocore's,
which may quote the text that was sent; those are logged, at debug.
"""

import datetime as dt
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from aurora_ml_proxy.functions import Cause, Failure

log = logging.getLogger(__name__)

_THROTTLED = (
    "Comprehend is throttling this account: "
    "lower sentiment.concurrency, or ask AWS for a higher rate"
)
_BROKEN = "Comprehend had an error of its own"
_UNAVAILABLE = "Comprehend is not available at the moment"
_CREDENTIALS = (
    "AWS refuses the credentials as unknown, wrong or expired: "
    "renew what boto3's credential chain finds"
)
_DENIED = (
    "AWS denies access: allow the IAM actions comprehend:DetectSentiment "
    "and comprehend:BatchDetectSentiment"
)
_ROLE = (
    "AWS denies assuming comprehend.role_arn: allow sts:AssumeRole on it, "
    "and name the proxy's own identity in its trust policy"
)

_CODES: dict[str, tuple[str, Cause]] = {
    "throttling": (_THROTTLED, Cause.THROTTLED),
    "throttled": (_THROTTLED, Cause.THROTTLED),
    "requestthrottled": (_THROTTLED, Cause.THROTTLED),
    "requestlimitexceeded": (_THROTTLED, Cause.THROTTLED),
    "limitexceeded": (_THROTTLED, Cause.THROTTLED),
    "toomanyrequests": (_THROTTLED, Cause.THROTTLED),
    "slowdown": (_THROTTLED, Cause.THROTTLED),
    "429": (_THROTTLED, Cause.THROTTLED),
    "internalserver": (_BROKEN, Cause.PASSING),
    "internalservererror": (_BROKEN, Cause.PASSING),
    "internalfailure": (_BROKEN, Cause.PASSING),
    "500": (_BROKEN, Cause.PASSING),
    "serviceunavailable": (_UNAVAILABLE, Cause.PASSING),
    "503": (_UNAVAILABLE, Cause.PASSING),
    "requesttimeout": ("Comprehend gave up waiting for the request", Cause.PASSING),
    "accessdenied": (_DENIED, Cause.LASTING),
    "unrecognizedclient": (_CREDENTIALS, Cause.LASTING),
    "invalidclienttokenid": (_CREDENTIALS, Cause.LASTING),
    "invalidsignature": (_CREDENTIALS, Cause.LASTING),
    "signaturedoesnotmatch": (
        "AWS refuses the signature: is the secret key right, and this machine's clock?",
        Cause.LASTING,
    ),
    "requestexpired": (
        "AWS refuses the request's date: set the machine's clock",
        Cause.LASTING,
    ),
    "expiredtoken": (_CREDENTIALS, Cause.LASTING),
    "missingauthenticationtoken": (_CREDENTIALS, Cause.LASTING),
    "optinrequired": ("the AWS account has no access to Comprehend", Cause.LASTING),
    "textsizelimitexceeded": ("a text is over 5,000 bytes of UTF-8", Cause.REFUSED),
    "batchsizelimitexceeded": ("a batch is over 25 texts", Cause.REFUSED),
    "unsupportedlanguage": ("Comprehend does not know the language", Cause.LASTING),
    "invalidrequest": ("Comprehend refuses the text", Cause.REFUSED),
    "validation": ("Comprehend refuses the request", Cause.REFUSED),
    "unknownoperation": (
        "comprehend.endpoint_url is not an endpoint of Comprehend",
        Cause.LASTING,
    ),
}
"""Codes as `_normal` writes them: what to say, and what it comes from.

The retryable ones are those of botocore's standard mode (`botocore.retries.standard`,
ThrottledRetryableChecker and TransientRetryableChecker)."""

_EXCEPTIONS: tuple[tuple[type[Exception], str, Cause], ...] = (
    (
        aws.NoCredentialsError,
        "no AWS credentials were found at start: set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, a profile or an instance role, and restart the proxy",
        Cause.LASTING,
    ),
    (aws.PartialCredentialsError, "the AWS credentials are incomplete", Cause.LASTING),
    (
        aws.CredentialRetrievalError,
        "the AWS credentials cannot be renewed",
        Cause.PASSING,
    ),
    (aws.TokenRetrievalError, "the AWS login has expired: log in again", Cause.LASTING),
    (
        aws.UnauthorizedSSOTokenError,
        "the AWS login has expired: log in again",
        Cause.LASTING,
    ),
    (aws.SSOTokenLoadError, "the AWS login has expired: log in again", Cause.LASTING),
    (
        aws.SSLError,
        "TLS with the endpoint failed: check comprehend.endpoint_url and AWS_CA_BUNDLE",
        Cause.LASTING,
    ),
    (
        aws.ProxyConnectionError,
        "the HTTP proxy of HTTPS_PROXY cannot be reached",
        Cause.PASSING,
    ),
    (
        aws.EndpointConnectionError,
        "the endpoint cannot be reached: check comprehend.region, "
        "comprehend.endpoint_url and the network",
        Cause.PASSING,
    ),
    (aws.ConnectTimeoutError, "the endpoint cannot be reached in time", Cause.PASSING),
    (aws.ReadTimeoutError, "no reply within comprehend.timeout_s", Cause.PASSING),
    (aws.ConnectionError, "the connection to the endpoint failed", Cause.PASSING),
    (aws.HTTPClientError, "the endpoint broke the connection", Cause.PASSING),
    (
        aws.ParamValidationError,
        "a parameter that Comprehend does not take",
        Cause.LASTING,
    ),
    (
        ResponseParserError,
        "the service answered nonsense: an unreadable reply",
        Cause.LASTING,
    ),
    (aws.BotoCoreError, "the AWS client failed", Cause.LASTING),
)
"""The first class that fits: what to say, and what it comes from."""


def failure_of(error: Exception) -> Failure:
    """The Failure for whatever a call of the AWS client raised."""
    # A reply that cannot be parsed is quoted whole: it may be STS's, with its keys.
    quotes_reply = isinstance(error, ResponseParserError)
    log.debug("the call failed", exc_info=None if quotes_reply else error)
    if isinstance(error, aws.ClientError):
        return _failure_of_reply(error)
    for kind, message, cause in _EXCEPTIONS:
        if isinstance(error, kind):
            return Failure(type(error).__name__, message, cause)
    # botocore's parser fails in all sorts of ways on a body of the wrong types.
    return Failure("InvalidReply", "the service answered nonsense: an unreadable reply")


def failure_of_code(code: str) -> Failure:
    """The Failure for an error code, of a call or of one text in ErrorList.

    Calls give ThrottlingException; for one text, THROTTLING and numbers have been seen
    as well (BatchItemError, ErrorCode: "The numeric error code of the error").
    """
    # A code is a word. Anything else could be a text, which must not get out.
    shown = code if re.fullmatch(r"[\w.]{1,64}", code, re.ASCII) else "UnknownError"
    message, cause = _CODES.get(
        _normal(code), ("Comprehend refuses, for a reason of its own", Cause.LASTING)
    )
    return Failure(shown, message, cause)


def is_expired(failure: Failure) -> bool:
    """Whether other credentials than those that the client holds may help."""
    return failure.message == _CREDENTIALS


def _failure_of_reply(error: aws.ClientError) -> Failure:
    code = str(error.response.get("Error", {}).get("Code"))
    failure = failure_of_code(code)
    if error.operation_name == "AssumeRole" and _normal(code) == "accessdenied":
        return Failure(failure.code, _ROLE)
    metadata = error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    retry_after_s = _retry_after_s(metadata.get("HTTPHeaders", {}))
    if status == 429 and not failure.retryable:
        failure = Failure(failure.code, _THROTTLED, Cause.THROTTLED)
    elif status >= 500 and not failure.retryable:
        failure = Failure(failure.code, _BROKEN, Cause.PASSING)
    if retry_after_s is not None and failure.retryable:
        return replace(failure, retry_after_s=retry_after_s)
    return failure


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """RFC 9110, 10.2.3: "Retry-After = HTTP-date / delay-seconds"."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=dt.UTC)
    return max(0.0, (when - dt.datetime.now(dt.UTC)).total_seconds())


def _normal(code: str) -> str:
    return code.replace("_", "").lower().removesuffix("exception")
