import datetime as dt
from email.utils import format_datetime

import pytest
from botocore import exceptions as aws
from botocore.parsers import QueryParser, ResponseParserError
from botocore.retries.standard import (
    ThrottledRetryableChecker,
    TransientRetryableChecker,
)

from aurora_ml_proxy.backends.aws_failures import (
    failure_of,
    failure_of_code,
    is_expired,
)
from aurora_ml_proxy.functions import Cause

# Of other services' operations: DynamoDB's tables and transactions, EC2's calls,
# CloudSearch's bandwidth, Route 53's queue.
NOT_COMPREHENDS = {
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "EC2ThrottledException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
}


def client_error(code, status=400, operation="BatchDetectSentiment"):
    return aws.ClientError(
        {
            "Error": {"Code": code, "Message": "the customer's text"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        operation,
    )


@pytest.mark.parametrize(
    "code",
    sorted(
        {
            *ThrottledRetryableChecker._THROTTLED_ERROR_CODES,
            *TransientRetryableChecker._TRANSIENT_ERROR_CODES,
        }
        - NOT_COMPREHENDS
    ),
)
def test_what_botocores_standard_mode_retries_is_retryable(code):
    assert failure_of(client_error(code)).retryable


@pytest.mark.parametrize(
    "status", [*TransientRetryableChecker._TRANSIENT_STATUS_CODES, 429]
)
def test_a_broken_service_is_retryable_whatever_its_code(status):
    assert failure_of(client_error("Odd", status)).retryable


@pytest.mark.parametrize(
    "code",
    ["ThrottlingException", "Throttling", "THROTTLING", "TooManyRequestsException"],
)
def test_throttling_is_known_in_all_its_spellings(code):
    failure = failure_of_code(code)
    assert failure.cause is Cause.THROTTLED
    assert failure.code == code


@pytest.mark.parametrize(
    "code",
    [
        "InternalServerException",
        "INTERNAL_SERVER_ERROR",
        "ServiceUnavailableException",
        "SERVICE_UNAVAILABLE",
        "ServiceUnavailable",
        "500",
    ],
)
def test_a_texts_own_error_is_retryable_in_all_its_spellings(code):
    failure = failure_of_code(code)
    assert failure.cause is Cause.PASSING


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDeniedException", "comprehend:BatchDetectSentiment"),
        ("UnrecognizedClientException", "credential"),
        ("ExpiredTokenException", "expired"),
        ("SignatureDoesNotMatch", "clock"),
        ("UnsupportedLanguageException", "language"),
    ],
)
def test_the_common_refusals_say_what_to_do_and_are_final(code, hint):
    failure = failure_of(client_error(code))
    assert failure.code == code
    assert hint in failure.message
    assert failure.cause is Cause.LASTING


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("TextSizeLimitExceededException", "5,000 bytes"),
        ("BatchSizeLimitExceededException", "25 texts"),
        ("InvalidRequestException", "refuses"),
        ("ValidationException", "refuses"),
    ],
)
def test_what_may_be_one_texts_fault_is_told_apart(code, hint):
    failure = failure_of(client_error(code))
    assert hint in failure.message and failure.cause is Cause.REFUSED


def test_refused_credentials_are_told_from_denied_access():
    assert is_expired(failure_of(client_error("ExpiredTokenException")))
    assert is_expired(failure_of(client_error("UnrecognizedClientException", 403)))
    assert not is_expired(failure_of(client_error("AccessDeniedException")))


def advised(value, code="ThrottlingException", status=400):
    error = client_error(code, status)
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": value}
    return failure_of(error)


def test_a_service_may_say_when_to_come_again():
    assert advised("7").retry_after_s == 7
    assert advised("0", "ServiceUnavailableException", 503).retry_after_s == 0
    assert advised("3", "Odd", 429).retry_after_s == 3
    assert advised("3", "Odd", 502).retry_after_s == 3
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    assert 58 < advised(format_datetime(later, usegmt=True)).retry_after_s <= 60
    assert advised("Wed, 21 Oct 2015 07:28:00 GMT").retry_after_s == 0
    assert advised("Wed, 21 Oct 2015 07:28:00 -0000").retry_after_s == 0


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "٣", "9" * 400])
def test_what_is_no_time_is_none(value):
    assert advised(value).retry_after_s is None


def test_a_failure_that_lasts_is_not_asked_again_whatever_the_service_says():
    assert advised("7", "AccessDeniedException").retry_after_s is None


def test_a_denied_role_is_told_from_a_denied_call():
    failure = failure_of(client_error("AccessDenied", 403, "AssumeRole"))
    assert "comprehend.role_arn" in failure.message


@pytest.mark.parametrize(
    ("error", "hint", "retryable"),
    [
        (aws.NoCredentialsError(), "AWS_ACCESS_KEY_ID", False),
        (aws.EndpointConnectionError(endpoint_url="x"), "comprehend.region", True),
        (aws.ConnectTimeoutError(endpoint_url="x"), "in time", True),
        (aws.ReadTimeoutError(endpoint_url="x"), "comprehend.timeout_s", True),
        (aws.ConnectionClosedError(endpoint_url="x"), "broke", True),
        (aws.SSLError(endpoint_url="x", error="y"), "AWS_CA_BUNDLE", False),
        (aws.ParamValidationError(report="the customer's text"), "parameter", False),
        (KeyError("the customer's text"), "nonsense", False),
    ],
)
def test_exceptions_are_translated_with_a_hint(error, hint, retryable):
    failure = failure_of(error)
    assert hint in failure.message
    assert failure.retryable is retryable
    assert "customer" not in failure.message + failure.code


def test_neither_message_nor_code_can_carry_a_text():
    assert "customer" not in repr(failure_of(client_error("ValidationException")))
    assert failure_of_code("the customer's text").code == "UnknownError"
    assert failure_of_code("").code == "UnknownError"


def test_a_reply_of_sts_that_cannot_be_parsed_is_not_logged(caplog):
    reply = b"<AssumeRoleResponse><SecretAccessKey>very secret</SecretAccessKey>"
    with pytest.raises(ResponseParserError, match="very secret") as caught:
        QueryParser().parse({"body": reply, "headers": {}, "status_code": 200}, None)
    with caplog.at_level("DEBUG"):
        assert "unreadable reply" in failure_of(caught.value).message
    assert "the call failed" in caplog.text and "very secret" not in caplog.text
