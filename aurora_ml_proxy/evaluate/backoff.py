"""How long to wait before a question is asked again.

Source: botocore's standard mode (`botocore.retries.standard`, ExponentialBackoff):
rand(0, 1) * min(scale * 2 ** i, 20 s).
"""

from collections.abc import Iterable

from aurora_ml_proxy.functions import Cause, Failure

SCALE_S = {Cause.THROTTLED: 1.0, Cause.PASSING: 0.05}
"""The first wait at most, by cause."""

MAX_WAIT_S = 20.0

MAX_RETRY_AFTER_S = 60.0
"""What a service may ask for. A longer wait is cut: a date of tomorrow, in a header that
some balancer has made, must not hold every statement until tomorrow."""


def wait_s(failures: Iterable[Failure], attempt: int, chance: float) -> float:
    """Seconds to wait before the next attempt.

    Args:
        failures: why questions are asked again.
        attempt: the number of the one that failed, from 1.
        chance: 0 to 1, by chance: so that not all come at the same moment.
    """
    failures = list(failures)
    scale_s = max(SCALE_S[failure.cause] for failure in failures)
    after_s = max(retry_after_s(failure) for failure in failures)
    return after_s + chance * min(scale_s * 2.0 ** (attempt - 1), MAX_WAIT_S)


def retry_after_s(failure: Failure) -> float:
    """How long the service wants to be left alone."""
    return min(failure.retry_after_s or 0.0, MAX_RETRY_AFTER_S)
