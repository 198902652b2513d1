"""A table's share with Snowflake: its rows exported to files, and the files loaded, each by calls that can be repeated.

Every call does all it can at once and returns :class:`Waiting` as soon as a statement runs that takes long. It goes by
what is durably known (the ledger, the manifest, ``ICEBRIDGE_LOADS``, the statements' tags), so the next call may come
from the same process, from another one, or after a crash.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from icebridge_provider.crash import side_effect
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.running import QueryState, Waiting
from icebridge_provider.model.share import Share, ShareResult
from icebridge_provider.model.snowflake import ShareManifest
from icebridge_provider.ports import SqlRunner
from icebridge_provider.steps.lease import lease_of
from icebridge_provider.steps.share_export import export_under
from icebridge_provider.steps.share_load import load_under
from icebridge_provider.steps.share_site import ShareSite, lease_key
from icebridge_provider.steps.share_tries import NUMBER, last_try, running

_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


def export(site: ShareSite, share: Share) -> ShareManifest | Waiting:
    """Export a table's rows, go on with that, or return what an export that has ended wrote.

    :raises TransientError: when the same call may succeed later: IB-600 while another process works on the target,
        IB-942, IB-945, and what the source and the store say.
    :raises ConfigurationError: IB-913 when the run id was used before for something else, IB-943 when the statement
        failed for good, IB-947.
    :raises ValidationFailed: IB-910 to IB-912, IB-914 when the files are not those of the export.
    :raises LimitExceeded: IB-940 when it took too long.
    """
    with lease_of(site, lease_key(share)) as held:
        return export_under(site, share, held)


def load(site: ShareSite, share: Share) -> ShareResult | Waiting:
    """Load what was exported, go on with that, or say that it was loaded before (``again``): then nothing is written.

    :raises TransientError: when the same call may succeed later: IB-600, IB-922, IB-942, IB-946, and what Snowflake
        says.
    :raises ConfigurationError: IB-913 when the run id was used before for something else, IB-941 before the export,
        IB-905 to IB-907 when the target does not fit any more, IB-943.
    :raises ValidationFailed: IB-911, IB-914, IB-920, IB-921, IB-944: the target is as it was.
    :raises LimitExceeded: IB-940 when it took too long.
    """
    with lease_of(site, lease_key(share)) as held:
        return load_under(site, share, held)


def cancel(site: ShareSite, share: Share) -> list[str]:
    """Cancel what runs of a share and record that it was cancelled; the next call begins a new try.

    It takes no lease: whoever wants to stop does not wait. A transaction that publishes ends with its process.

    :returns: ids of the statements that were cancelled.
    """
    events = list(site.ledger.events(share.run_id, share.name))
    cancelled: list[str] = []
    for step, runner in ((Step.EXPORT, site.source), (Step.LOAD, site.target)):
        last = last_try(events, step)
        ended = any(event.step is step and event.outcome is Outcome.DONE for event in events)
        if last is None or ended:
            continue
        if not last.over:
            _tell_cancelled(site, share, step, last.number)
        for query_id in running(runner, share, step, last):
            with side_effect("share.cancel"):
                runner.cancel(query_id)
            cancelled.append(query_id)
    return cancelled


def _tell_cancelled(site: ShareSite, share: Share, step: Step, number: int) -> None:
    """Record it before anything is cancelled: after a crash in between nobody asks who cancelled the statement."""
    told = {
        NUMBER[step]: number,
        "code": "IB-948",
        "message": f"[IB-948] The {step.value} of {share.name} was cancelled.",
        "remedy": "Clear the task to try again.",
        "retryable": False,
        "cancelled": True,
    }
    site.record(share, step, Outcome.FAILED, told)


def runner_of(site: ShareSite, waiting: Waiting) -> SqlRunner:
    """Return who runs the statement that is waited for."""
    return site.source if waiting.side == "source" else site.target


def followed(site: ShareSite, share: Share, sleep: Callable[[float], None] = time.sleep) -> ShareResult:
    """Export and load a table, waiting for every statement.

    :param sleep: how to wait, in seconds.
    :raises IceBridgeError: as :func:`export` and :func:`load`; nothing is tried again.
    """
    while isinstance(waiting := export(site, share), Waiting):
        _wait(site, waiting, sleep)
    while isinstance(result := load(site, share), Waiting):
        _wait(site, result, sleep)
    return result


def _wait(site: ShareSite, waiting: Waiting, sleep: Callable[[float], None]) -> None:
    """Wait until a statement is over, or has taken too long: the next call decides what that means."""
    runner, pause, until = runner_of(site, waiting), _PAUSE, datetime.fromisoformat(waiting.until)
    while runner.look(waiting.query_id).state is QueryState.RUNNING and site.now() <= until:
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
