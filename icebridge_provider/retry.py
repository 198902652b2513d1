"""The one retry policy for calls whose client has none of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from icebridge_provider.exceptions import IceBridgeError

T = TypeVar("T")
ATTEMPTS = 3
BASE_SECONDS = 1.0
CAP_SECONDS = 60.0

_full_jitter = wait_random_exponential(multiplier=BASE_SECONDS, max=CAP_SECONDS)


def is_transient(error: BaseException) -> bool:
    """Say whether the same call may succeed later."""
    if isinstance(error, IceBridgeError):
        return error.retryable
    return isinstance(error, ConnectionError | TimeoutError)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "facts", {}).get("retry_after") if error else None
    if isinstance(asked, int | float) and asked >= 0:
        return min(float(asked), CAP_SECONDS)
    return _full_jitter(state)


def transient(call: Callable[[], T]) -> T:
    """Run ``call`` at most 3 times: 1 s base, 60 s cap, full jitter, or the peer's ``retry_after`` seconds.

    Only for calls that may safely run twice. After an unknown outcome look for the effect first.
    """
    policy = Retrying(
        stop=stop_after_attempt(ATTEMPTS), wait=_wait, retry=retry_if_exception(is_transient), reraise=True
    )
    return policy(call)
