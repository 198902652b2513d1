"""Poll after poll until nothing is left that may run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import TransientError
from icebridge_provider.steps.events import PollReport, SyncSite, poll

COUNTS = ("completed", "failed", "blocked", "rejected", "retried")
_LOGGED = 20


def apply_waiting(
    site: SyncSite,
    polls: int,
    stopped: Callable[[], bool] = lambda: False,
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:
    """Poll a sync until no other event can run, or there were enough polls; the target's inbox is made where it lacks.

    What failed for now waits for the next run: asking a busy database again at once would keep it busy.

    :param polls: most polls.
    :param stopped: whether to end after the poll that is under way.
    :param say: takes lines for people.
    :returns: ``sync, polls``, sums by outcome, ``held`` (events that wait for a blocked one) and ``more``.
    :raises TransientError: IB-893 when a side did not answer; what was applied before stays applied.
    """
    with side_effect("apply.prepare"):
        site.again(site.target.prepare)
    sums: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    done, report = 0, PollReport(more=True)
    while report.more and done < polls and not stopped():
        report = poll(site)
        done += 1
        sums.update({name: len(getattr(report, name)) for name in COUNTS})
        for line in lines(site.options.name, report):
            say(line)
        if report.outage:
            raise _outage(site.options.name, report.outage)
    counts = {name: sums[name] for name in COUNTS}
    return {"sync": site.options.name, "polls": done, **counts, "held": len(report.held), "more": report.more}


def lines(sync: str, report: PollReport) -> list[str]:
    """Return one poll in words: ``orders: 2 completed, 1 blocked: e7``; completed events are only counted."""
    said = []
    if report.completed:
        said.append(f"{sync}: {len(report.completed)} completed")
    for name in COUNTS[1:]:
        ids = getattr(report, name)
        if ids:
            more = f" and {len(ids) - _LOGGED} more" if len(ids) > _LOGGED else ""
            said.append(f"{sync}: {len(ids)} {name}: {', '.join(ids[:_LOGGED])}{more}")
    said += [f"{sync}: {event} waits for {other}" for event, other in list(report.held.items())[:_LOGGED]]
    return said


def _outage(sync: str, said: str) -> TransientError:
    return TransientError(
        "IB-893",
        f"Sync {sync!r} stopped, because a side did not answer: {said}",
        remedy="It is tried again; check that both sides are up and reachable from the workers.",
        changed="Events that were completed before stay so; no event's attempts were counted for this.",
        sync=sync,
    )
