"""What must always hold, checked from outside: catalogs, files and the ledger's rows, never by the code under test."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.crash import lake, reader, scenario
from tests.crash.scenario import Case

Event = dict[str, Any]
SOURCE_KEYS = {name: f"foreign.{lake.NAMESPACE}.{name}" for name in lake.TABLES}
ALLOWED = {
    # visible state: the finished steps that may follow, and the state each leads to
    "": {"plan": "planned"},
    "planned": {"copy": "copied", "rollback": "rolled back"},
    "copied": {"validate": "validated", "sync": "copied", "rollback": "rolled back"},
    "validated": {"certify": "awaiting", "sync": "copied", "rollback": "rolled back"},
    "awaiting": {"certify": "awaiting", "sync": "copied", "approve": "approved", "rollback": "rolled back"},
    "approved": {"cut_over": "cut over", "rollback": "rolled back"},
    "cut over": {"rollback": "rolled back", "purge": "purged"},
    "rolled back": {"copy": "copied"},
    "purged": {},
}
MOST_EVENTS = 60  # of one table in one history, crashes and all


class World:
    """A history's folder as it stands now."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.home = case.home
        self.truth = {
            name: [reader.expected(rows) for rows in versions] for name, versions in lake.truth(case.seed).items()
        }
        self.source = reader.entries(case.home / "source")
        self.target = reader.entries(case.home / "target")
        self.events = reader.events(case.home)
        self.snapshots: dict[str, dict[str, int]] = json.loads((case.home / "snapshots.json").read_text())

    def of(self, name: str) -> list[Event]:
        """Events of one table, oldest first."""
        return [event for event in self.events if event["table_name"] == SOURCE_KEYS[name]]

    def has(self, name: str, step: str, outcome: str, action: str = "") -> bool:
        """Whether the ledger has such an event of the table."""
        return any(
            event["step"] == step and event["outcome"] == outcome and event["data"].get("action", "") == action
            for event in self.of(name)
        )

    def version(self, name: str) -> int:
        """Which version of the table its foreign writer has made so far."""
        return max(self.snapshots.get(name, {"": 0}).values())

    def holds(self, location: str | None, name: str, version: int | None = None) -> str:
        """Return what is wrong with the rows behind a metadata file, nothing when they are the table's."""
        if location is None:
            return "is not there"
        try:
            found = reader.content(reader.metadata_at(location))
        except (reader.UnreadableError, OSError) as error:
            return f"cannot be read: {error}"
        wanted = self.truth[name][self.version(name) if version is None else version]
        lost, extra = wanted - found, found - wanted
        if not lost and not extra:
            return ""
        return f"lacks {sum(lost.values())} rows and has {sum(extra.values())} that it must not have"

    def entry(self, side: str, name: str) -> str | None:
        """Metadata location behind a table name of the lake's namespace."""
        return getattr(self, side).get(f"{lake.NAMESPACE}.{name}")

    def archived(self, name: str) -> str | None:
        """Metadata location of the archived source."""
        found = [place for key, place in self.source.items() if key.startswith(f"{lake.NAMESPACE}.{name}__archived_")]
        return found[0] if found else None

    def staged(self, name: str) -> str | None:
        """Metadata location of the copy under its staged name."""
        return self.entry("target", f"{name}__icebridge_{plan_of(name)}")


def plan_of(name: str) -> str:
    """Return the id of the plan that moves a table."""
    return "rows" if name == "parted" else "clones"


def at_every_instant(case: Case) -> list[str]:
    """Return what is violated now, wherever the history stands."""
    world = World(case)
    return [found for check in INSTANT for found in check(world)]


def at_the_end(case: Case) -> list[str]:
    """Return what is violated when the history has ended."""
    world = World(case)
    return [found for check in (*INSTANT, *END) for found in check(world)]


# I6, I3: somebody who reads the table always finds one, and never a wrong one


def access(world: World) -> Iterator[str]:
    """Under its old or its new name, every table can be read whole, as it is now."""
    for name in lake.TABLES:
        wrong = [world.holds(world.entry(side, name), name) for side in ("source", "target")]
        if all(wrong):
            yield f"I6 {name}: nobody can read it: in the source it {wrong[0]}, in the target it {wrong[1]}"
        published = world.entry("target", name)
        if published and (problem := world.holds(published, name)):
            yield f"I3 {name}: what is published {problem}"


def untouched(world: World) -> Iterator[str]:
    """The source's rows stay until somebody approved the purge, and tables that nobody moves stay for good."""
    for name in lake.TABLES:
        if world.has(name, "purge", "started"):
            continue
        place = world.entry("source", name) or world.archived(name)
        if problem := world.holds(place, name):
            yield f"I1 {name}: the source {problem} before anybody approved its purge"
    if problem := world.holds(world.entry("source", lake.NEIGHBOUR), lake.NEIGHBOUR):
        yield f"I1 {lake.NEIGHBOUR}: a table of nobody's plan {problem}"
    if world.case.kind.shared and (problem := world.holds(world.entry("source", "twin"), "evolved")):
        yield f"I7 twin: a live table that shares files {problem}"


def whole(world: World) -> Iterator[str]:
    """What a catalog names can be read: an entry never comes before its files, nor stays behind them."""
    for name in lake.TABLES:
        location = world.staged(name)
        if location is None:
            continue
        version = 1 if world.holds(location, name, 1) == "" else 0
        if problem := world.holds(location, name, version):
            yield f"I3 {name}: the staged copy {problem}"


# I8: the ledger knew of it beforehand


def recorded(world: World) -> Iterator[str]:
    """Whatever is seen in a catalog, the ledger announced it."""
    for name in lake.TABLES:
        if world.staged(name) and not world.has(name, "copy", "started"):
            yield f"I8 {name}: staged, and the ledger does not know"
        if world.entry("target", name):
            if not world.has(name, "cut_over", "intent", "publish"):
                yield f"I8 {name}: published, and the ledger does not know"
            if not world.has(name, "validate", "done"):
                yield f"I9 {name}: published before it was proven"
            if not world.has(name, "approve", "done"):
                yield f"I8 {name}: published, and nobody approved"
        if world.archived(name) and not world.has(name, "cut_over", "intent", "archive"):
            yield f"I8 {name}: archived, and the ledger does not know"
        gone = not world.archived(name) and not world.entry("source", name)
        if gone and not world.has(name, "purge", "started"):
            yield f"I8 {name}: gone from the source, and the ledger does not know"


def chain(world: World) -> Iterator[str]:
    """Every event follows the one before it, and the head is the last one (recomputed here)."""
    previous, seq = "0" * 64, 0
    for event in world.events:
        content = {
            key: event[key] for key in ("seq", "at", "plan_id", "step", "outcome", "who", "origin", "epoch", "data")
        } | {"table": event["table_name"]}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if event["hash"] != hashlib.sha256((previous + text).encode()).hexdigest() or event["previous"] != previous:
            yield f"I8 event {event['seq']} breaks the chain"
        previous, seq = event["hash"], event["seq"]
    for head in reader.ledger_rows(world.home, "SELECT seq, hash FROM icebridge_head"):
        if (head["seq"], head["hash"]) != (seq, previous):
            yield "I8 the chain's head is not its last event"


def journal(world: World) -> Iterator[str]:
    """Every applied action of a cut-over stood in the ledger before, with its inverse."""
    for name in lake.TABLES:
        opened: dict[str, Event] = {}
        for event in world.of(name):
            action = event["data"].get("action", "")
            if event["outcome"] == "intent":
                opened[action] = event["data"]
            if event["outcome"] == "applied" and opened.get(action) != event["data"]:
                yield f"I8 {name}: {action} was applied without having been announced"


# I5, I10: states move along the graph, and nothing is tried for ever


def states(world: World) -> Iterator[str]:
    """Finished steps follow each other as the graph allows."""
    for name in lake.TABLES:
        at = ""
        for event in world.of(name):
            if event["outcome"] != "done" or event["step"] in {"preflight", "watch"}:
                continue
            if event["step"] == "sync" and not event["data"].get("moved", True):
                continue
            if event["step"] == "certify" and at == "approved":
                at = "awaiting"  # an approval that a changed source made void
            if event["step"] == "sync" and at == "approved":
                at = "validated"
            if event["step"] not in ALLOWED[at]:
                yield f"I5 {name}: {event['step']} was done while {at or 'not planned'}"
                break
            at = ALLOWED[at][event["step"]]


def bounded(world: World) -> Iterator[str]:
    """No table is tried without end."""
    for name in lake.TABLES:
        if len(world.of(name)) > MOST_EVENTS:
            yield f"I10 {name}: {len(world.of(name))} events"


def verdicts(world: World) -> Iterator[str]:
    """Whatever was declared proven is, as of the source snapshot that the verdict names."""
    for name in lake.TABLES:
        given_up = max((event["seq"] for event in world.of(name) if event["step"] == "rollback"), default=0)
        for event in world.of(name):
            if event["step"] != "validate" or event["outcome"] != "done" or event["seq"] < given_up:
                continue
            version = world.snapshots[name].get(str(event["data"]["source_snapshot_id"]))
            if version is None:
                yield f"I9 {name}: proven against a snapshot that was never the source's head"
            elif reader.path_of(event["data"]["metadata_location"]).exists() and (
                problem := world.holds(event["data"]["metadata_location"], name, version)
            ):
                yield f"I9 {name}: what was proven {problem}"


# The end


def outcome(world: World) -> Iterator[str]:
    """The history ended where its variant says."""
    ending = world.case.kind.then[-1] if world.case.kind.then else world.case.kind.first[-1]
    for name in lake.TABLES:
        yield from {"rollback": _rolled_back, "purge": _purged, "cut_over": _cut_over}[ending](world, name)


def _cut_over(world: World, name: str) -> Iterator[str]:
    if problem := world.holds(world.entry("target", name), name):
        yield f"I1 {name}: after the cut-over the new table {problem}"
    if world.staged(name):
        yield f"I7 {name}: a staged entry was left behind"
    if world.case.kind.read_only:
        if world.archived(name) or world.entry("source", name) is None:
            yield f"I6 {name}: a read-only source was changed"
    elif world.entry("source", name) or not world.archived(name):
        yield f"I5 {name}: the source was not archived"
    elif reader.metadata_at(world.archived(name) or "")["properties"].get("icebridge.moved-to") is None:
        yield f"I5 {name}: the archived source does not say where the table went"
    if problem := _certificate(world, name):
        yield f"I8 {name}: {problem}"


def _purged(world: World, name: str) -> Iterator[str]:
    if problem := world.holds(world.entry("target", name), name):
        yield f"I1 {name}: after the purge the new table {problem}"
    if world.case.kind.shared and name == "evolved":
        if problem := world.holds(world.archived(name), name):
            yield f"I7 {name}: the archived source that shares files {problem}"
        return
    if world.entry("source", name) or world.archived(name):
        yield f"I5 {name}: the source was not purged"
    left = list((world.home / "source" / "warehouse" / lake.NAMESPACE / name).rglob("*.parquet"))
    if left:
        yield f"I7 {name}: {len(left)} data files of the purged source are left"


def _rolled_back(world: World, name: str) -> Iterator[str]:
    if problem := world.holds(world.entry("source", name), name):
        yield f"I1 {name}: after the rollback the source {problem}"
    if world.entry("target", name) or world.archived(name):
        yield f"I5 {name}: the rollback is not complete"
    was_used = any(
        event["outcome"] == "applied" and event["data"].get("action") == "publish" for event in world.of(name)
    )
    if was_used and (problem := world.holds(world.staged(name), name)):
        yield f"I1 {name}: the copy that was in use {problem}"


def _certificate(world: World, name: str) -> str:
    key = f"{plan_of(name)}/{SOURCE_KEYS[name]}"
    query = "SELECT key, content FROM icebridge_documents WHERE kind = 'certificate'"
    kept = {row["key"]: json.loads(row["content"]) for row in reader.ledger_rows(world.home, query)}
    if key not in kept:
        return "it has no certificate"
    document = kept[key]
    text = json.dumps(document["certificate"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if hashlib.sha256(text.encode()).hexdigest() != document["digest"]:
        return "its certificate was changed"
    if document["certificate"]["approval"]["who"] != scenario.APPROVER:
        return "its certificate does not say who approved"
    signer: Any = load_pem_private_key(scenario.PEM.encode(), password=None)
    if base64.b64encode(signer.sign(text.encode())).decode() != document["signature"]:
        return "its certificate is not signed by the key"
    return ""


def finished(world: World) -> Iterator[str]:
    """No action is left open, no lease is held."""
    for name in lake.TABLES:
        opened = ""
        for event in world.of(name):
            if event["outcome"] in {"intent", "applied", "undone"}:
                opened = event["data"]["action"] if event["outcome"] == "intent" else ""
        if opened:
            yield f"I8 {name}: {opened} was announced, and the ledger does not say what became of it"


def leftovers(world: World) -> Iterator[str]:
    """No file of the new lake is one that no table needs."""
    known: set[str] = set()
    for location in world.target.values():
        metadata = reader.metadata_at(location)
        known |= reader.files_of(metadata, None).reached | {location}
    there = {f"file://{path}" for path in (world.home / "target" / "warehouse").rglob("*") if path.is_file()}
    unknown = sorted(there - known)
    if unknown:
        yield f"I7 {len(unknown)} files of the new lake belong to nothing, such as {Path(unknown[0]).name}"


INSTANT: tuple[Callable[[World], Iterator[str]], ...] = (
    access, untouched, whole, recorded, chain, journal, states, bounded, verdicts,
)  # fmt: skip
END: tuple[Callable[[World], Iterator[str]], ...] = (outcome, finished, leftovers)
