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
    return {"owner": "icebridge", **retrying()}


def retrying() -> dict[str, Any]:
    """Return an operator's arguments: ``[icebridge] task_retries`` times, soon, by the policy.

    Airflow itself asks for a retry too, without the policy: when a worker died, or a scheduler lost sight of a task.
    """
    from icebridge_provider.hooks.settings import settings

    return {"retries": settings().task_retries, "retry_delay": DELAY, "retry_policy": retry_policy()}


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
