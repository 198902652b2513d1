"""Decides when somebody must be told that events wait, and keeps how the watching of a sync went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from icebridge_provider.ports import Ledger

KIND = "sync_health"
AGAIN_SECONDS = 300.0
KEPT_SECONDS = 30.0
SILENT_LOOKS = 6
LEAST_SILENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a sync's events table found: how many can be claimed, their mark, or what went wrong."""

    sync: str
    waiting: int = 0
    mark: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return this as an Airflow event carries it."""
        return {"sync": self.sync, "waiting": self.waiting, "mark": self.mark, "problem": self.problem}


class Bell:
    """Rings once for each new mark of a sync, and again after a while for events that nobody took.

    A look that failed rings only when looking has failed for that while: then a task runs and says why, where people
    see it. Nothing is claimed here, so a bell that rings twice, or is lost with its process, costs nothing but a poll.

    :param again_seconds: the while.
    """

    def __init__(self, again_seconds: float = AGAIN_SECONDS) -> None:
        self._again = again_seconds
        self._rung: dict[str, tuple[str, float]] = {}
        self._failing: dict[str, float] = {}

    def rings(self, look: Look, now: float) -> bool:
        """Say whether to tell of this look; ``now`` in seconds of any steady clock."""
        if look.problem:
            return self._rings_for_problem(look, now)
        self._failing.pop(look.sync, None)
        if not look.waiting:
            self._rung.pop(look.sync, None)
            return False
        return self._rings_for(look.sync, look.mark, now)

    def unheard(self, sync: str) -> None:
        """Ring at the next look: what was told did not arrive."""
        self._rung.pop(sync, None)

    def _rings_for_problem(self, look: Look, now: float) -> bool:
        since = self._failing.setdefault(look.sync, now)
        return now - since >= self._again and self._rings_for(look.sync, "problem", now)

    def _rings_for(self, sync: str, mark: str, now: float) -> bool:
        rung = self._rung.get(sync)
        if rung is not None and rung[0] == mark and now - rung[1] < self._again:
            return False
        self._rung[sync] = (mark, now)
        return True


class Journal:
    """Keeps the last look at each sync as a document of the ledger: a changed one at once, others now and then."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: dict[str, tuple[Look, float]] = {}

    def keep(self, look: Look, now: float, at: datetime | None = None) -> None:
        """Keep a look."""
        kept = self._kept.get(look.sync)
        if kept is not None and kept[0] == look and now - kept[1] < KEPT_SECONDS:
            return
        stamp = (at or datetime.now(UTC)).isoformat(timespec="seconds")
        self._ledger.save_document(KIND, look.sync, {**look.to_json(), "looked_at": stamp})
        self._kept[look.sync] = (look, now)


def silent_after(poll_seconds: float) -> float:
    """Seconds without a look after which a sync counts as not watched."""
    return max(LEAST_SILENCE_SECONDS, KEPT_SECONDS + SILENT_LOOKS * poll_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How the watching of one sync goes.

    :param looked: whether its events were ever looked at.
    :param silent: whether the last look is longer ago than :func:`silent_after`.
    :param problem: what went wrong with the last look.
    """

    sync: str
    looked: bool = False
    silent: bool = False
    problem: str = ""

    @property
    def wrong(self) -> str:
        """What is wrong, in words; empty when all is well."""
        if not self.looked:
            return f"{self.sync}: nobody has looked at its events yet"
        if self.silent:
            return f"{self.sync}: nobody has looked at its events for long; is a triggerer running?"
        return f"{self.sync}: {self.problem}" if self.problem else ""


def watching(
    documents: Mapping[str, Mapping[str, Any]], syncs: Iterable[tuple[str, float]], now: datetime
) -> list[Watching]:
    """Return how the watching of syncs goes.

    :param documents: kept looks by name of the sync.
    :param syncs: name and ``poll_seconds`` of each.
    """
    return [_watching(name, documents.get(name), silent_after(seconds), now) for name, seconds in syncs]


def _watching(name: str, kept: Mapping[str, Any] | None, most_seconds: float, now: datetime) -> Watching:
    if kept is None:
        return Watching(sync=name)
    ago = (now - datetime.fromisoformat(str(kept["looked_at"]))).total_seconds()
    return Watching(sync=name, looked=True, silent=ago > most_seconds, problem=str(kept.get("problem", "")))
