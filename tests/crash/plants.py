"""Planted bugs, each a mistake that somebody could make in this very code, to see that the suite catches them.

``TEETH`` says for each where histories look for it: the crash point, the variant, the seed, and whether the process is
stopped and overtaken rather than killed. All passages of the point are tried until the bug shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

PACKAGE = "icebridge_provider"


@dataclass(frozen=True, kw_only=True)
class Teeth:
    """Where a planted bug is looked for, and what the oracle must say."""

    point: str
    says: str
    variant: str = "purge"
    seed: int = 0
    zombies: bool = False


TEETH = {
    "mark_before_commit": Teeth(point="copy.register.before", says="I10"),
    "no_lease_check": Teeth(point="copy.metadata.before", says="I5", zombies=True),
    "publish_before_proof": Teeth(point="copy.register.after", says="I9"),
    "archive_before_publish": Teeth(point="cut_over.archive.after", says="I6"),
    "purge_without_path_proof": Teeth(point="purge.list.after", says="I7", variant="shared"),
    "append_twice": Teeth(point="copy.register.after", says="I10", variant="late"),
    "deletes_lost_and_nobody_looks": Teeth(point="certify.set.after", says="I3"),
    "no_catch_up": Teeth(point="certify.set.after", says="said to be written after the cut-over"),
    "rollback_deletes_what_was_used": Teeth(point="rollback.publish.before", says="I1", variant="rollback"),
    "rollback_forgets_open_intent": Teeth(point="cut_over.publish.after", says="I5", variant="abort"),
    "no_intent": Teeth(point="cut_over.archive.after", says="I8"),
    "no_look_before_retry": Teeth(point="cut_over.archive.after", says="I10"),
    "audit_without_chain": Teeth(point="plan.record.after", says="I8"),
    "half_a_file_trusted": Teeth(point="plant.half.before", says="I10"),
    "copy_again": Teeth(point="copy.metadata.before", says="I10"),
    "unlink_before_list": Teeth(point="purge.drop_entry.after", says="I7"),
    "leave_leftovers": Teeth(point="certify.set.after", says="I7"),
    "copying_is_copied": Teeth(point="copy.register.before", says="I10"),
}


def plant(name: str) -> None:
    """Plant one bug into this process; nothing for an empty name."""
    if name:
        _import_all()
        PLANTS[name]()


def _import_all() -> None:
    import icebridge_provider.engines.gx
    import icebridge_provider.engines.local.reencode
    import icebridge_provider.steps.purge
    import icebridge_provider.steps.rollback
    import icebridge_provider.steps.sync  # noqa: F401


def swap(module: str, name: str, make: Callable[[Any], Any]) -> None:
    """Put ``make(old)`` wherever a module of the package has the ``name`` that ``module`` defines."""
    old = getattr(sys.modules[f"{PACKAGE}.{module}"], name)
    new = make(old)
    for key, found in list(sys.modules.items()):
        if key.startswith(PACKAGE) and getattr(found, name, None) is old:
            setattr(found, name, new)


def _mark_before_commit() -> None:
    """The ledger says "copied" before the catalog has the copy."""
    late: list[Callable[[], None]] = []
    swap("engines.local.work", "publish_staged", lambda real: lambda *given: late.append(lambda: real(*given)))

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def run_copy(*given: Any) -> Any:
            data = real(*given)
            while late:
                late.pop()()
            return data

        return run_copy

    swap("steps.copy", "run_copy", make)


def _no_lease_check() -> None:
    """An owner that was replaced goes on: nobody looks at the epoch."""
    swap("state.leases", "check", lambda _: lambda *_: None)


def _publish_before_proof() -> None:
    """The copy gets its final name as soon as it is made."""

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def publish(work: Any, location: str) -> None:
            real(work, location)
            final = work.job.staged.named(work.job.staged.name.partition("__icebridge_")[0])
            real(changed(work, job=changed(work.job, staged=final)), location)

        return publish

    swap("engines.local.work", "publish_staged", make)


def _archive_before_publish() -> None:
    """Break before make."""

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def actions(*given: Any, **named: Any) -> Any:
            publish, *others = real(*given, **named)
            return (*others, publish)

        return actions

    swap("planning.cutover", "actions", make)


def _purge_without_path_proof() -> None:
    """Nobody asks what other tables use."""
    swap("steps.purge", "_shared", lambda _: lambda _catalog, table, _doomed: (table, ""))


def _append_twice() -> None:
    """After a crash the new rows are appended to whatever the catalog has, which may have them already."""
    from icebridge_provider.engines.local import metadata

    def previous(work: Any) -> Any:
        there = work.catalog.load(work.job.staged)
        if there is None or not work.job.previous_metadata_location:
            return None
        older = metadata.read_metadata(work.target, work.job.previous_metadata_location, work.job.staged)
        return {**there.metadata, "properties": older["properties"]}

    swap("engines.local.reencode", "_previous", lambda _: previous)
    swap("engines.local.work", "finished", lambda _: lambda _: None)


def _trust() -> None:
    swap("engines.gx", "judge", lambda _: lambda _: {"success": True})


def _deletes_lost_and_nobody_looks() -> None:
    """Position deletes name files that are not there, and the proof passes whatever it is given."""
    _trust()

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda data, relocate, keeps_order: real(data, lambda path: f"{relocate(path)}.gone", keeps_order)

    swap("engines.local.position_deletes", "rewrite", make)


def _no_catch_up() -> None:
    """What was written to the source since the copy is forgotten."""
    from icebridge_provider.steps.pins import source_of

    swap("steps.sync", "sync_table", lambda _: lambda *_: {"moved": False})
    swap("steps.certify", "check_unmoved", lambda _: lambda site, table, _state: source_of(site, table))
    swap("steps.cut_over", "_proven", lambda _: lambda _site, _table, _state, action, *_rest: action)


def _rollback_deletes_what_was_used() -> None:
    """A copy that was the table for a while is removed with all that was written to it."""
    swap("steps.rollback", "_kept", lambda _: lambda *_: "")


def _rollback_forgets_open_intent() -> None:
    """Only what is known to be applied is undone."""

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda site, plan, table, state, held: real(site, plan, table, changed(state, intent=None), held)

    swap("steps.rollback", "_undo_all", make)


def _no_intent() -> None:
    """Actions are recorded only when they are done."""
    from icebridge_provider.crash import side_effect
    from icebridge_provider.model.event import Outcome, Step
    from icebridge_provider.steps.actions import perform

    def do(site: Any, plan: Any, table: Any, action: Any, held: Any, known: Any = None) -> None:
        with side_effect(f"cut_over.{action['action']}"):
            perform(site, action, known)
        site.record(plan.plan_id, str(table.source), Step.CUT_OVER, Outcome.APPLIED, dict(action), held.lease)

    swap("steps.actions", "do", lambda _: do)


def _no_look_before_retry() -> None:
    """What was begun is simply done again."""
    from icebridge_provider.steps.actions import place

    def rename(site: Any, action: Any, _known: Any) -> None:
        catalog, table = place(site, action)
        catalog.rename(table, action["name"])

    swap("steps.actions", "_rename", lambda _: rename)


def _audit_without_chain() -> None:
    """Every event starts a chain of its own."""

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def chained(events: Any, seq: int, previous: str, at: str) -> Iterator[Any]:
            for number, item in enumerate(events):
                yield from real([item], seq + number, previous, at)

        return chained

    swap("state.chain", "chained", make)


def _half_a_file_trusted() -> None:
    """Files grow under their final names, and what bears the name counts as copied."""
    from icebridge_provider.crash import side_effect
    from icebridge_provider.engines.local.transfer import Transfer

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def copy_file(source: Any, target: Any, old: str, new: str, *rest: Any) -> Any:
            whole = source.read(old)
            target.write(new, whole[: len(whole) // 2])
            with side_effect("plant.half"):
                return real(source, target, old, new, *rest)

        return copy_file

    swap("stores.object_store", "copy_file", make)
    Transfer._recorded = lambda _self, present: set(present)  # type: ignore[method-assign]


def _copy_again() -> None:
    """What was copied before the crash is copied again."""
    from icebridge_provider.engines.local.transfer import Transfer

    Transfer._recorded = lambda _self, _present: set()  # type: ignore[method-assign]


def _unlink_before_list() -> None:
    """The purge drops the entry first, and has written down nowhere which files were to go."""
    from icebridge_provider.state.ledger import SqlLedger

    keep = SqlLedger.save_document
    SqlLedger.save_document = (  # type: ignore[method-assign]
        lambda self, kind, key, content: None if kind == "purge" else keep(self, kind, key, content)
    )

    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def delete(site: Any, archived: Any, listed: Any, held: Any) -> None:
            real(site, archived, {**listed, "files": [], "metadata": ""}, held)
            real(site, archived, listed, held)

        return delete

    swap("steps.purge", "_delete", make)


def _leave_leftovers() -> None:
    """What an earlier copy left in the folder stays there."""
    swap("steps.leftovers", "sweep", lambda _: lambda *_: 0)


def _copying_is_copied() -> None:
    """A copy that was begun counts as made."""
    swap("steps.copy", "TO_COPY", lambda real: frozenset(state for state in real if state.value != "copying"))


PLANTS: dict[str, Callable[[], None]] = {name: globals()[f"_{name}"] for name in TEETH}
