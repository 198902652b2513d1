"""``apply`` and ``retry``: start the migration of a plan, or go on with it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from icebridge_provider.cli import embedded, runs, surroundings
from icebridge_provider.cli.follow import follow
from icebridge_provider.cli.output import Answer, Output
from icebridge_provider.model import codec
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest
from icebridge_provider.steps.plan import adopt_plan, load_plan_file


def apply(arguments: Any, output: Output) -> Answer:
    """Start ``icebridge_migrate`` with a plan of the ledger, or with a plan file that is taken in first."""
    ledger = surroundings.ledger()
    if not _is_file(arguments.plan):
        return _start(ledger.plan(arguments.plan), arguments, output)
    plan = load_plan_file(arguments.plan)
    runs.require_dag(runs.MIGRATE)  # first what refuses, then what changes
    runs.require_pool()
    runs.refuse_second(runs.MIGRATE, plan.plan_id)
    return _start(adopt_plan(plan, ledger, surroundings.actor()), arguments, output)


def retry(arguments: Any, output: Output) -> Answer:
    """Start ``icebridge_migrate`` again: what is done stays done, what failed is tried anew."""
    plan = surroundings.ledger().plan(arguments.plan)
    if arguments.here:
        return embedded.migrate(surroundings.site(plan), plan, plan.tables, output)
    return _start(plan, arguments, output)


def _start(plan: MigrationPlan, arguments: Any, output: Output) -> Answer:
    runs.refuse_second(runs.MIGRATE, plan.plan_id)
    run = runs.trigger(runs.MIGRATE, parameters(plan))
    return follow(run, plan.plan_id, surroundings.ledger(), output, vars(arguments))


def parameters(plan: MigrationPlan) -> dict[str, Any]:
    """Return the form's values of a plan: its id and what the request changed from the form's defaults."""
    request = codec.to_json(plan.request)
    plain = codec.to_json(MigrationRequest(source_conn_id="", target_conn_id=""))
    names = [field.name for field in fields(MigrationRequest) if request[field.name] != plain[field.name]]
    return {**{name: request[name] for name in names}, "plan_id": plan.plan_id}


def _is_file(text: str) -> bool:
    return text.endswith(".json") or "/" in text or Path(text).is_file()
