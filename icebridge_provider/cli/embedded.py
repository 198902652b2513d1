"""``--here``: the steps of a plan in this process, table by table, as the DAGs run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.plan import Approval, MigrationPlan, TablePlan
from icebridge_provider.planning.selection import select
from icebridge_provider.steps.site import Site

_COLUMNS = ("table", "outcome", "code", "message", "remedy")


def chosen(plan: MigrationPlan, globs: Sequence[str] | None) -> tuple[TablePlan, ...]:
    """Return the tables of a plan that the globs select, all without globs.

    :raises ConfigurationError: IB-230 when a glob matches nothing, naming the nearest.
    """
    if not globs:
        return plan.tables
    wanted = set(select([table.source for table in plan.tables], globs))
    return tuple(table for table in plan.tables if table.source in wanted)


def migrate(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan], output: Output) -> Answer:
    """Copy, prove and catch up; certify what passed; cut over only where the plan needs no approval."""
    from icebridge_provider.steps.certify import certify_wave
    from icebridge_provider.steps.copy import copy_table
    from icebridge_provider.steps.sync import catch_up

    def bring(table: TablePlan) -> None:
        copy_table(site, plan, table)
        catch_up(site, plan, table)

    rows = _each(tables, bring, output, "ready")
    ready = [table for table, row in zip(tables, rows, strict=True) if row["outcome"] == "ready"]
    certified = certify_wave(site, plan, ready) if ready else {}
    if ready and plan.request.approval is Approval.NONE and site.settings.allow_unapproved_cutover:
        rows = [row for row in rows if row["outcome"] != "ready"]
        rows += _each(ready, _cut_over(site, plan, certified), output, "cut over")
    return _answer(plan, rows, certificate=certified.get("digest", ""))


def _cut_over(site: Site, plan: MigrationPlan, certified: dict[str, Any]) -> Callable[[TablePlan], Any]:
    from icebridge_provider.steps.cut_over import cut_over_table

    who = site.actor.who
    return lambda table: cut_over_table(site, plan, table, certified["digest"], who, False)


def rollback(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan], output: Output) -> Answer:
    """Undo cut-overs, the last table of the plan first."""
    from icebridge_provider.steps.rollback import rollback_table

    backwards = tuple(tables)[::-1]
    return _answer(plan, _each(backwards, lambda table: rollback_table(site, plan, table), output, "rolled back"))


def purge(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan], output: Output) -> Answer:
    """Delete archived sources whose grace period is over."""
    from icebridge_provider.steps.purge import purge_table

    who = site.actor.who
    return _answer(plan, _each(tables, lambda table: purge_table(site, plan, table, who), output, "purged"))


def _each(
    tables: Sequence[TablePlan], act: Callable[[TablePlan], Any], output: Output, outcome: str
) -> list[dict[str, Any]]:
    """Do it for every table; one table's refusal does not stop the rest."""
    rows: list[dict[str, Any]] = []
    for table in tables:
        output.note(f"{table.source} …")
        try:
            act(table)
            rows.append({"table": str(table.source), "outcome": outcome})
        except IceBridgeError as error:
            rows.append({"table": str(table.source), "outcome": "failed", **error.to_json()})
    return rows


def _answer(plan: MigrationPlan, rows: list[dict[str, Any]], **more: Any) -> Answer:
    if not rows:
        raise ConfigurationError(
            "IB-749",
            f"Plan {plan.plan_id} has no table to do this to.",
            remedy=f"Run `icebridge status {plan.plan_id}`.",
        )
    grid = Grid(columns=_COLUMNS if any("code" in row for row in rows) else _COLUMNS[:2], rows=rows)
    well = all(row["outcome"] != "failed" for row in rows)
    return Answer(document={"plan": plan.plan_id, "tables": rows, **more}, shown=(grid,), ok=well)
