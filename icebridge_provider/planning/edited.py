"""Plans that a person edited: do they still hold together, and what follows from the edit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, TablePlan, Wave
from icebridge_provider.planning import cost, methods, scaffold
from icebridge_provider.planning.build import short_id, staged_name
from icebridge_provider.planning.candidate import folder
from icebridge_provider.planning.consumer_names import refuse_renamed


def check_plan(plan: MigrationPlan) -> None:
    """Make sure that a plan does not contradict itself; how it came about does not matter.

    :raises ConfigurationError: IB-324 naming the key that is wrong, IB-312 a loss that is not accepted, IB-331 zero
        copy that is not allowed.
    :raises LimitExceeded: IB-313, IB-314.
    :raises PreflightFailed: IB-270 a new name in a plan that keeps names.
    """
    if not plan.tables:
        raise _wrong(plan, "tables", "it holds no table")
    for number, table in enumerate(plan.tables):
        _check_table(plan, f"tables[{number}]", table)
    _refuse_twice(plan, "source", lambda table: str(table.source))
    _refuse_twice(plan, "target", lambda table: str(table.target).casefold())
    _refuse_twice(plan, "staged", lambda table: str(table.staged).casefold())
    check_folders(plan)
    refuse_renamed(plan)
    scaffold.refuse_unaccepted(plan.tables, plan.request.accept_losses)
    cost.refuse_impossible(plan.estimate, plan.request, plan.created_at, plan.tables)


def check_folders(plan: MigrationPlan) -> None:
    """Make sure that folders of tables lie apart: maintenance of one would delete the other's files.

    :raises ConfigurationError: IB-324.
    """
    placed = sorted((folder(table.location), number) for number, table in enumerate(plan.tables) if table.location)
    for (outer, _), (inner, number) in pairwise(placed):
        if inner.startswith(outer):
            raise _wrong(
                plan, f"tables[{number}].location", f"{inner} lies within the folder of another table, {outer}"
            )


def settled(plan: MigrationPlan) -> MigrationPlan:
    """Return the plan with waves and estimate that fit its tables, sealed; one that fits already is unchanged."""
    waves = _waves(plan)
    made = plan.estimate
    if made.bytes != _moved(plan.tables):
        speed = made.throughput_mb_s if made.measured else None
        made = cost.estimate(plan.tables, plan.request, made.grace_days, speed, runs=_runs(plan))
    if waves == plan.waves and made == plan.estimate:
        return plan
    return replace(plan, waves=waves, estimate=made).sealed()


def _runs(plan: MigrationPlan) -> int:
    """Return how many runs an edited plan takes: as many tables a run as before."""
    before = plan.estimate.cluster
    old = sum(wave.tables for wave in plan.waves)
    return max(1, round(before.runs * len(plan.tables) / old)) if before is not None and old else 1


def renamed(plan: MigrationPlan, plan_id: str) -> MigrationPlan:
    """Return the plan under another id, with staged names and folders of its own, sealed."""
    old, new = f"-{short_id(plan.plan_id)}", f"-{short_id(plan_id)}"
    tables = tuple(
        replace(
            table,
            staged=staged_name(table.target, plan_id),
            location=table.location.removesuffix(old) + new if table.location.endswith(old) else table.location,
        )
        for table in plan.tables
    )
    return replace(plan, plan_id=plan_id, tables=tables).sealed()


def _check_table(plan: MigrationPlan, key: str, table: TablePlan) -> None:
    if table.source.catalog != plan.request.source_conn_id:
        raise _wrong(plan, f"{key}.source.catalog", f"it is not {plan.request.source_conn_id!r}, the plan's source")
    for name, found in (("target", table.target), ("staged", table.staged)):
        if found.catalog != plan.request.target_conn_id:
            raise _wrong(plan, f"{key}.{name}.catalog", f"it is not {plan.request.target_conn_id!r}, the plan's target")
        if not found.namespace or not found.name or not all(found.namespace):
            raise _wrong(plan, f"{key}.{name}", "a part of the name is empty")
    if table.staged.namespace != table.target.namespace or table.staged == table.target:
        raise _wrong(plan, f"{key}.staged", "it must be another name in the namespace of target")
    if not table.location and not methods.is_copied_by_cluster(table):
        raise _wrong(plan, f"{key}.location", "it is empty")
    if table.wave < 0:
        raise _wrong(plan, f"{key}.wave", "waves count from 0")
    methods.refuse_sharing(table.method, plan.request)
    if table.method.rewrites and table.snapshot_id is not None:
        _refuse_hidden_loss(plan, key, table)


def _refuse_hidden_loss(plan: MigrationPlan, key: str, table: TablePlan) -> None:
    """Changing a table's method by hand must not slip past the acceptance of what it loses."""
    if not scaffold.is_accepted(f"history:{table.source.path}", plan.request.accept_losses):
        raise _wrong(
            plan, f"{key}.method", f'{table.method} loses its history, and request.accept_losses lacks "history"'
        )


def _refuse_twice(plan: MigrationPlan, name: str, value: Callable[[TablePlan], str]) -> None:
    counted = Counter(value(table) for table in plan.tables)
    for number, table in enumerate(plan.tables):
        if counted[value(table)] > 1:
            raise _wrong(plan, f"tables[{number}].{name}", f"two tables have {value(table)}")


def _waves(plan: MigrationPlan) -> tuple[Wave, ...]:
    known = {wave.number: wave for wave in plan.waves}
    numbers = sorted({table.wave for table in plan.tables})
    return tuple(
        Wave(
            number=number,
            tables=len(plan.of_wave(number)),
            bytes=sum(table.bytes for table in plan.of_wave(number)),
            canary=known[number].canary if number in known else False,
        )
        for number in numbers
    )


def _moved(tables: Iterable[TablePlan]) -> int:
    return sum(table.bytes for table in tables if table.method is not CopyMethod.REGISTER)


def _wrong(plan: MigrationPlan, key: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-324",
        f"Plan {plan.plan_id} contradicts itself at $.{key}: {why}.",
        remedy="Correct it in the plan file, reseal it, and apply it again.",
        key=key,
    )
