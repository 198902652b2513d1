"""One retry policy for all tasks: what may succeed later is tried again, everything else fails at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model.settings import Settings

RETRIES = Settings().task_retries
DELAY = timedelta(seconds=10)


def shared_arguments() -> Any:
    """Return the ``default_args`` of our DAGs: mapped tasks take retries from there, not from an operator's default."""
    return {"owner": "icebridge", "retries": RETRIES, "retry_policy": retry_policy()}


def retry_policy() -> ExceptionRetryPolicy:
    """Return the policy; errors that are not ours follow Airflow's own rules."""
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=TransientError, action=RetryAction.RETRY, retry_delay=DELAY),
            RetryRule(exception=IceBridgeError, action=RetryAction.FAIL, reason="trying again would not help"),
        ]
    )
