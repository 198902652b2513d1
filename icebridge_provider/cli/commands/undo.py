"""``rollback``, ``purge`` and ``sweep``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icebridge_provider.cli import embedded, runs, surroundings
from icebridge_provider.cli.commands.status import LEFT, newest
from icebridge_provider.cli.follow import follow
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import MigrationPlan, TablePlan


def rollback(arguments: Any, output: Output) -> Answer:
    """Undo the cut-over of a plan's tables, from whatever point it reached."""
    plan = surroundings.ledger().plan(arguments.plan)
    tables = embedded.chosen(plan, arguments.tables)
    if arguments.here:
        return embedded.rollback(surroundings.site(plan), plan, tables, output)
    return _start(runs.ROLLBACK, plan, tables, arguments, output)


def purge(arguments: Any, output: Output) -> Answer:
    """Delete archived sources once the grace period is over; a person approves, in Airflow or by ``--confirm``.

    :raises ConfigurationError: IB-747 ``--here`` without the plan's id repeated.
    """
    plan = surroundings.ledger().plan(arguments.plan)
    tables = embedded.chosen(plan, arguments.tables)
    if not arguments.here:
        return _start(runs.PURGE, plan, tables, arguments, output)
    if arguments.confirm != plan.plan_id:
        raise ConfigurationError(
            "IB-747",
            f"Purging plan {plan.plan_id} deletes {len(tables)} archived tables for good.",
            remedy=f"Add --confirm {plan.plan_id} when that is what you want.",
            plan=plan.plan_id,
        )
    return embedded.purge(surroundings.site(plan), plan, tables, output)


def sweep(arguments: Any, output: Output) -> Answer:
    """Take away what a plan left behind, in this process: it is quick, and nothing that anybody can need.

    :raises ConfigurationError: IB-715 for a negative number of days.
    """
    from icebridge_provider.steps.sweep import sweep as take_away

    if arguments.days < 0:
        raise ConfigurationError("IB-715", f"--days is {arguments.days}.", remedy="Give 0 or more days.")
    ledger = surroundings.ledger()
    plan = ledger.plan(arguments.plan or newest(ledger))
    output.note(f"Looking for what plan {plan.plan_id} left behind …")
    rows = take_away(surroundings.site(plan), plan, arguments.days, dry_run=arguments.dry_run)
    shown = (Grid(columns=LEFT, rows=rows),) if rows else ("Nothing was left behind.",)
    well = all(row["outcome"] != "failed" for row in rows)
    return Answer(document={"plan": plan.plan_id, "leftovers": rows}, shown=shown, ok=well)


def _start(dag_id: str, plan: MigrationPlan, tables: Sequence[TablePlan], arguments: Any, output: Output) -> Answer:
    runs.refuse_second(dag_id, plan.plan_id)
    named = [str(table.source) for table in tables] if arguments.tables else []
    run = runs.trigger(dag_id, {"plan_id": plan.plan_id, "tables": named})
    return follow(run, plan.plan_id, surroundings.ledger(), output, vars(arguments))
