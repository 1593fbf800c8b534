"""What botocore raises, and the codes AWS sends, to `Failure`: the table at the edge.

A message says what to do. It never repeats the service's own message or botocore's,
which may quote the text that was sent; those are logged, at debug.
"""

import logging
import re

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from aurora_ml_proxy.functions import Failure

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

_CODES: dict[str, tuple[str, bool]] = {
    "throttling": (_THROTTLED, True),
    "throttled": (_THROTTLED, True),
    "requestthrottled": (_THROTTLED, True),
    "requestlimitexceeded": (_THROTTLED, True),
    "limitexceeded": (_THROTTLED, True),
    "toomanyrequests": (_THROTTLED, True),
    "slowdown": (_THROTTLED, True),
    "429": (_THROTTLED, True),
    "internalserver": (_BROKEN, True),
    "internalservererror": (_BROKEN, True),
    "internalfailure": (_BROKEN, True),
    "500": (_BROKEN, True),
    "serviceunavailable": (_UNAVAILABLE, True),
    "503": (_UNAVAILABLE, True),
    "requesttimeout": ("Comprehend gave up waiting for the request", True),
    "accessdenied": (_DENIED, False),
    "unrecognizedclient": (_CREDENTIALS, False),
    "invalidclienttokenid": (_CREDENTIALS, False),
    "invalidsignature": (_CREDENTIALS, False),
    "signaturedoesnotmatch": (
        "AWS refuses the signature: is the secret key right, and this machine's clock?",
        False,
    ),
    "requestexpired": (
        "AWS refuses the request's date: set the machine's clock",
        False,
    ),
    "expiredtoken": (_CREDENTIALS, False),
    "missingauthenticationtoken": (_CREDENTIALS, False),
    "optinrequired": ("the AWS account has no access to Comprehend", False),
    "textsizelimitexceeded": ("a text is over 5,000 bytes of UTF-8", False),
    "batchsizelimitexceeded": ("a batch is over 25 texts", False),
    "unsupportedlanguage": ("Comprehend does not know the language", False),
    "invalidrequest": ("Comprehend refuses the text", False),
    "validation": ("Comprehend refuses the request", False),
    "unknownoperation": (
        "comprehend.endpoint_url is not an endpoint of Comprehend",
        False,
    ),
}
"""Codes as `_normal` writes them: what to say, and whether to ask again.

The retryable ones are those of botocore's standard mode (`botocore.retries.standard`,
ThrottledRetryableChecker and TransientRetryableChecker)."""

_EXCEPTIONS: tuple[tuple[type[Exception], str, bool], ...] = (
    (
        aws.NoCredentialsError,
        "no AWS credentials were found at start: set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, a profile or an instance role, and restart the proxy",
        False,
    ),
    (aws.PartialCredentialsError, "the AWS credentials are incomplete", False),
    (aws.CredentialRetrievalError, "the AWS credentials cannot be renewed", True),
    (aws.TokenRetrievalError, "the AWS login has expired: log in again", False),
    (aws.UnauthorizedSSOTokenError, "the AWS login has expired: log in again", False),
    (aws.SSOTokenLoadError, "the AWS login has expired: log in again", False),
    (
        aws.SSLError,
        "TLS with the endpoint failed: check comprehend.endpoint_url and AWS_CA_BUNDLE",
        False,
    ),
    (
        aws.ProxyConnectionError,
        "the HTTP proxy of HTTPS_PROXY cannot be reached",
        True,
    ),
    (
        aws.EndpointConnectionError,
        "the endpoint cannot be reached: check comprehend.region, "
        "comprehend.endpoint_url and the network",
        True,
    ),
    (aws.ConnectTimeoutError, "the endpoint cannot be reached in time", True),
    (aws.ReadTimeoutError, "no reply within comprehend.timeout_s", True),
    (aws.ConnectionError, "the connection to the endpoint failed", True),
    (aws.HTTPClientError, "the endpoint broke the connection", True),
    (aws.ParamValidationError, "a parameter that Comprehend does not take", False),
    (ResponseParserError, "the service answered nonsense: an unreadable reply", False),
    (aws.BotoCoreError, "the AWS client failed", False),
)
"""The first class that fits: what to say, and whether to ask again."""


def failure_of(error: Exception) -> Failure:
    """The Failure for whatever a call of the AWS client raised."""
    # A reply that cannot be parsed is quoted whole: it may be STS's, with its keys.
    quotes_reply = isinstance(error, ResponseParserError)
    log.debug("the call failed", exc_info=None if quotes_reply else error)
    if isinstance(error, aws.ClientError):
        return _failure_of_reply(error)
    for kind, message, retryable in _EXCEPTIONS:
        if isinstance(error, kind):
            return Failure(type(error).__name__, message, retryable)
    # botocore's parser fails in all sorts of ways on a body of the wrong types.
    return Failure("InvalidReply", "the service answered nonsense: an unreadable reply")


def failure_of_code(code: str) -> Failure:
    """The Failure for an error code, of a call or of one text in ErrorList.

    Calls give ThrottlingException; for one text, THROTTLING and numbers have been seen
    as well (BatchItemError, ErrorCode: "The numeric error code of the error").
    """
    # A code is a word. Anything else could be a text, which must not get out.
    shown = code if re.fullmatch(r"[\w.]{1,64}", code, re.ASCII) else "UnknownError"
    message, retryable = _CODES.get(
        _normal(code), ("Comprehend refuses, for a reason of its own", False)
    )
    return Failure(shown, message, retryable)


def is_throttling(failure: Failure) -> bool:
    """Whether the service asked for fewer calls, not just for another one."""
    return failure.message == _THROTTLED


def _failure_of_reply(error: aws.ClientError) -> Failure:
    code = str(error.response.get("Error", {}).get("Code"))
    failure = failure_of_code(code)
    if error.operation_name == "AssumeRole" and _normal(code) == "accessdenied":
        return Failure(failure.code, _ROLE)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status == 429 and not failure.retryable:
        return Failure(failure.code, _THROTTLED, retryable=True)
    if status >= 500 and not failure.retryable:
        return Failure(failure.code, _BROKEN, retryable=True)
    return failure


def _normal(code: str) -> str:
    return code.replace("_", "").lower().removesuffix("exception")
