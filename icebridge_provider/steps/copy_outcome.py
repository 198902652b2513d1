"""How a copy came out: its result, or the failure as the ledger gets it."""

from __future__ import annotations

from icebridge_provider.exceptions import ConfigurationError, FencedOut, IceBridgeError, PreflightFailed, TransientError
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.job import CopyResult, JobSpec, JobState, JobStatus
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.site import Site

LOST, MOVED = "IB-611", "IB-612"


def result_of(job: JobSpec, status: JobStatus, run_id: str = "") -> CopyResult:
    """Return what a copy did.

    :raises TransientError: IB-608 while it runs, IB-611 when the same may succeed later.
    :raises ConfigurationError: IB-609 when it failed.
    """
    if status.state is JobState.SUCCEEDED and status.result is not None:
        return status.result
    if status.state is JobState.RUNNING:
        raise TransientError(
            "IB-608",
            f"The copy of {job.source} is still running.",
            remedy="Run the step again.",
            changed="The run goes on.",
            run_id=run_id,
        )
    if status.facts.get("retryable"):
        raise TransientError(
            LOST,
            f"The run that copied {job.source} was lost: {status.problem or 'the engine does not say why'}.",
            remedy="It is copied again by a new run.",
            changed="The source is untouched.",
            table=str(job.source),
        )
    raise ConfigurationError(
        "IB-609",
        f"The engine could not copy {job.source}: {status.problem or 'it does not say why'}.",
        remedy="Look into the engine's own log, mend the cause and run the migration again.",
        changed="The source is untouched; what was copied is used again.",
        table=str(job.source),
    )


def record_failure(
    site: Site, plan_id: str, key: str, step: Step, error: IceBridgeError, held: HeldLease | None
) -> None:
    """Record a failure, unless the same call may succeed later or somebody else owns the table now.

    What ended a run elsewhere is recorded too, as ``retryable``: the next try is a new run.
    """
    ended = error.code in {LOST, MOVED}
    if isinstance(error, FencedOut | TransientError) and not ended:
        return
    outcome = Outcome.REFUSED if isinstance(error, PreflightFailed) and step is Step.COPY else Outcome.FAILED
    data: dict[str, object] = {"code": error.code, "message": str(error), "remedy": error.remedy}
    if ended:
        data["retryable"] = True
    site.record(plan_id, key, step, outcome, data, held.lease if held else None)
