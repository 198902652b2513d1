"""One retry policy for all tasks: what may succeed later is tried again, everything else fails at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from icebridge_provider.exceptions import IceBridgeError, TransientError

DELAY = timedelta(seconds=10)
_ANSWERS = "airflow.providers.standard.exceptions"


def shared_arguments() -> Any:
    """Return the ``default_args`` of our DAGs: mapped tasks take retries from there, not from an operator's default."""
    return {"owner": "icebridge", "retries": retries(), "retry_policy": retry_policy()}


def retries() -> int:
    """Return ``[icebridge] task_retries``."""
    from icebridge_provider.hooks.settings import settings

    return settings().task_retries


def retry_policy() -> ExceptionRetryPolicy:
    """Return the policy; errors that are not ours follow Airflow's own rules.

    A rejection, and a question nobody answered in time, are answers: nobody is asked again.
    """
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=TransientError, action=RetryAction.RETRY, retry_delay=DELAY),
            RetryRule(exception=IceBridgeError, action=RetryAction.FAIL, reason="trying again would not help"),
            RetryRule(
                exception=[f"{_ANSWERS}.HITLRejectException", f"{_ANSWERS}.HITLTriggerEventError"],
                action=RetryAction.FAIL,
                reason="a person answered, or did not in time",
            ),
        ]
    )
