"""What a preset allows a task of a share: ``poc`` is tried once, and stops when another table has failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import IceBridgeError, LimitExceeded
from icebridge_provider.planning.snowflake.presets import preset_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.share import Share
    from icebridge_provider.ports import Ledger


@contextmanager
def by_preset(preset: str, operator: Any, context: Context) -> Iterator[None]:
    """Let a task fail at once where its preset has no retries, whatever Airflow's own rules are.

    :raises LimitExceeded: IB-957 in a try that Airflow made by itself, because a worker was lost.
    :raises AirflowFailException: in place of an error that would be tried again.
    """
    from airflow.sdk.exceptions import AirflowFailException

    if preset_of(preset).retries:
        yield
        return
    if tries(operator, context) > 1:
        raise LimitExceeded(
            "IB-957",
            f"The preset {preset} makes one try, and the worker of the first one was lost.",
            remedy="Clear the task to try again; what is done is not done twice.",
            changed="What the first try did stays.",
        )
    try:
        yield
    except IceBridgeError as error:
        if not error.retryable:
            raise
        raise AirflowFailException(f"{error} The preset {preset} makes one try.") from error
    except AirflowFailException:
        raise
    except Exception as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}. The preset {preset} makes one try.") from error


def tries(operator: Any, context: Context) -> int:
    """Return which try of Airflow's own this is: a task that a person clears begins at 1 again."""
    task: Any = context["ti"]
    before = getattr(task, "max_tries", operator.retries) - operator.retries
    return int(task.try_number - before)


def refuse_after_failure(ledger: Ledger, share: Share, context: Context) -> None:
    """Make sure that no other table of the run has failed, where the preset fails fast; older failures do not count.

    :raises LimitExceeded: IB-956 naming the table that failed.
    """
    if not preset_of(share.preset).fail_fast:
        return
    start = getattr(context["dag_run"], "start_date", None)
    begun = start.astimezone(UTC).isoformat(timespec="seconds") if start else ""
    for state in ledger.states(share.run_id):
        if state.table and state.table != share.name and state.problem and state.updated_at >= begun:
            raise LimitExceeded(
                "IB-956",
                f"{share.name} is left out: {state.table} failed before, and the preset {share.preset} stops then.",
                remedy=f"Mend that first ({state.problem[:200]}), then clear both.",
            )
