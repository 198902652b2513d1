"""``rollback`` and ``purge``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icebridge_provider.cli import embedded, runs, surroundings
from icebridge_provider.cli.follow import follow
from icebridge_provider.cli.output import Answer, Output
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


def _start(dag_id: str, plan: MigrationPlan, tables: Sequence[TablePlan], arguments: Any, output: Output) -> Answer:
    runs.refuse_second(dag_id, plan.plan_id)
    named = [str(table.source) for table in tables] if arguments.tables else []
    run = runs.trigger(dag_id, {"plan_id": plan.plan_id, "tables": named})
    return follow(run, plan.plan_id, surroundings.ledger(), output, vars(arguments))
