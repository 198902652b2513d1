"""Bugs to plant into shares with Snowflake, in a process of their own: the suite must catch every one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from icebridge_provider.engines.snowflake import publishing
from icebridge_provider.engines.snowflake.publishing import Publishing
from icebridge_provider.model.running import Waiting
from icebridge_provider.model.snowflake import LoadState, Statement
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.state import leases
from icebridge_provider.steps import share_load, share_staging, share_swap
from icebridge_provider.steps.share_tries import Attempt


@dataclass(frozen=True, kw_only=True)
class Teeth:
    """A bug, what catches it (``killed``, ``zombie``, ``lost``), and where that looks.

    :param point: crash point; with ``middle`` the other worker's.
    :param seeds: stories that are told.
    """

    plant: Callable[[], None]
    caught_by: str = "killed"
    point: str = ""
    middle: str = ""
    slow: str = ""
    seeds: tuple[int, ...] = (0, 2)


def no_transaction() -> None:
    """Let every statement of the publishing transaction commit itself."""
    publishing._BEGIN = Statement(text="SELECT 1")


def claim_alone() -> None:
    """Commit the claim, then write the rows."""
    real = Publishing._write

    def write(self: Publishing) -> Any:
        self._run(Statement(text=sql.COMMIT))
        self._run(Statement(text=sql.BEGIN))
        return real(self)

    Publishing._write = write


def rows_before_claim() -> None:
    """Commit the rows, then say that they are there."""
    real, written = Publishing.commit, Publishing.written

    def write(self: Publishing, judge: Any) -> Any:
        plan = self._plan
        self._plan = replace(plan, claim=sql.look_load(self._control, plan.record.run_key))
        self._refuse_several = lambda claimed: None
        try:
            return written(self, judge)
        finally:
            self._plan = plan

    def commit(self: Publishing) -> None:
        real(self)
        self._run(self._plan.claim)

    Publishing.written, Publishing.commit = write, commit


def any_claim() -> None:
    """Let a try publish whatever the load's row says; and nobody sees that a lease is lost."""
    no_leases()
    real = sql.settle_load

    def settle(control: Any, record: Any, before: LoadState, after: LoadState) -> Statement:
        found = real(control, record, before, after)
        states = 'AND "GENERATION" = %(generation)s AND "MANIFEST" = %(manifest)s AND "STATE" = %(before)s'
        values = {name: value for name, value in found.values.items() if name in {"after", "rows", "run_key"}}
        return Statement(text=found.text.replace(states, ""), values=values)

    sql.settle_load = settle


def no_leases() -> None:
    """Let whoever lost a lease go on, and whoever wants one have it."""
    acquire = leases.acquire
    leases.acquire = lambda connection, key, owner, seconds: acquire(connection, f"{key}{owner}", owner, seconds)
    leases.check = lambda connection, lease: None


def key_of_each_try() -> None:
    """Give every worker's load a key of its own."""
    real = share_staging.run_key
    share_staging.run_key = lambda run_id, target: real(f"{run_id}{os.getpid()}", target)
    new = share_load.new_record

    def new_record(manifest: Any, place: Any, mode: Any) -> Any:
        return replace(new(manifest, place, mode), run_key=share_staging.run_key(manifest.run_id, place.target))

    share_load.new_record = new_record


def swap_without_looking() -> None:
    """Swap whatever lies beside the target."""
    share_swap._is_new = lambda found, record: True
    share_swap.is_marked = lambda text, record: True


def told_before_done() -> None:
    """Let the ledger say that rows are loaded, then load them."""
    real = share_load._publish

    def publish(work: Any, attempt: Attempt, plan: Any) -> None:
        record = replace(plan.record, state=LoadState.LOADED)
        share_load._finished(work, record)
        real(work, attempt, plan)

    cleaned = share_load._cleaned
    share_load._publish = publish
    share_load._cleaned = lambda work, record: [] if record.state is LoadState.LOADED else cleaned(work, record)


def running_is_done() -> None:
    """Take the export's statement as done as soon as it was started."""
    real = Attempt.done

    def done(self: Attempt, name: str, what: str, statement: Statement, *, once: bool = False) -> Any:
        found = real(self, name, what, statement, once=once)
        return found.query_id if name == "export" and isinstance(found, Waiting) else found

    Attempt.done = done


def force() -> None:
    """Have files loaded that were loaded before, and the same statement sent again and again."""
    real = sql.copy_files
    sql.copy_files = lambda *given: f"{real(*given)} FORCE = TRUE"


def same_generation() -> None:
    """Let a new try have the number of the one before."""
    counted = share_load._counted

    def same(work: Any, record: Any) -> int | None:
        return counted(work, record) if record is None else record.generation

    share_load._counted = same


def loads_again() -> None:
    """Forget that a run has been loaded."""
    share_load._ended = lambda event: False


TEETH = {
    "no transaction": Teeth(plant=no_transaction, point="load.write.before", seeds=(0, 1)),
    "the claim alone": Teeth(plant=claim_alone, point="load.write.before", seeds=(0,)),
    "rows before the claim": Teeth(plant=rows_before_claim, point="load.commit.after", seeds=(0,)),
    "any claim is good": Teeth(
        plant=any_claim, caught_by="zombie", point="load.publish.before", middle="load.clean.before", seeds=(0, 4)
    ),
    "a key for every try": Teeth(plant=key_of_each_try, point="load.commit.after", seeds=(0,)),
    "swap without looking": Teeth(plant=swap_without_looking, point="load.swap.after", seeds=(2,)),
    "told before it is done": Teeth(plant=told_before_done, point="load.publish.before", seeds=(0,)),
    "an export that runs is taken as done": Teeth(
        plant=running_is_done, point="load.publish.after", slow="^INSERT", seeds=(0,)
    ),
    "FORCE": Teeth(plant=force, caught_by="lost", seeds=tuple(range(12))),
    "a new try has the old number": Teeth(
        plant=same_generation,
        caught_by="zombie",
        point="load.prepare.before",
        middle="load.publish.before",
        seeds=(0, 4),
    ),
    "loaded again": Teeth(plant=loads_again, point="load.clean.after", seeds=(0,)),
}
