"""Compares sources and copies by a run on the cluster, beside the proof: what the engine itself sees of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icebridge_provider.engines.databricks.engine import DatabricksEngine
from icebridge_provider.exceptions import ConfigurationError, TransientError, ValidationFailed
from icebridge_provider.model.job import JobRef, JobSpec, token
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.steps.pins import source_of
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.sync import TO_SYNC
from icebridge_provider.strategies import job_for

SAME, LOST = "same", "lost"
SHOWN = 5


def start_comparison(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan], generation: int = 0) -> str:
    """Start one run that compares tables which are copied and not cut over, or find it; its id, empty for no table.

    :param generation: another number is another run of the same comparison.
    :raises ConfigurationError: IB-552 for a type that SQL cannot express, or a target without such an engine.
    """
    jobs = _jobs(site, plan, tables, generation)
    return _engine(site).compare(jobs).run_id if jobs else ""


def comparison_of(
    site: Site, plan: MigrationPlan, tables: Sequence[TablePlan], run_id: str, generation: int = 0
) -> dict[str, Any]:
    """Return what the run found: rows of both sides and who judged, by source.

    :raises TransientError: IB-608 while it runs, IB-554 when it was lost.
    :raises ValidationFailed: IB-553 naming the tables that differ or could not be read.
    """
    jobs = _jobs(site, plan, tables, generation)
    found = _engine(site).compared(JobRef(engine="databricks", token="", run_id=run_id))
    if found is None:
        raise TransientError("IB-608", f"Run {run_id} still compares.", remedy="Run the step again.", run_id=run_id)
    results = {
        str(job.source): found.get(name, {"state": LOST, "problem": "the run said nothing"}) for job, name in jobs
    }
    if any(result["state"] == LOST for result in results.values()):
        raise TransientError(
            "IB-554",
            f"Run {run_id} was lost before it had compared {_named(results, {LOST})}.",
            remedy="The task is retried by itself, with a new run.",
            changed="Nothing changed.",
            run_id=run_id,
        )
    if any(result["state"] != SAME for result in results.values()):
        raise ValidationFailed(
            "IB-553",
            f"On the cluster these are not the same: {_named(results, {'different', 'failed'})}.",
            remedy="Look at the report of the proof, which names rows; a source that moved since is caught up first.",
            changed="The copies stay under their staged names.",
            run_id=run_id,
        )
    return results


def _jobs(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan], generation: int) -> list[tuple[JobSpec, str]]:
    copied = {state.table: state.copy for state in site.ledger.states(plan.plan_id) if state.state in TO_SYNC}
    jobs = []
    for table in tables:
        copy = copied.get(str(table.source))
        if copy:
            job, _ = job_for(plan, table, source_of(site, table), 0)
            step = f"compare {copy['metadata_location']}"
            jobs.append((job, token(plan.digest, table.source, step, generation)))
    return jobs


def _engine(site: Site) -> DatabricksEngine:
    if isinstance(site.remote, DatabricksEngine):
        return site.remote
    raise ConfigurationError(
        "IB-552",
        f"{site.target.name} is no catalog of a Databricks workspace: no cluster compares its tables.",
        remedy="Leave DatabricksValidateOperator out; ValidateTablesOperator proves the copies.",
        changed="Nothing was started.",
    )


def _named(results: Mapping[str, Mapping[str, Any]], states: set[str]) -> str:
    named = [_said(name, result) for name, result in results.items() if result["state"] in states]
    return "; ".join(named[:SHOWN]) + (f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else "")


def _said(name: str, result: Mapping[str, Any]) -> str:
    if result.get("problem"):
        return f"{name} ({result['problem']})"
    return f"{name} ({result.get('source_rows')} rows in the source, {result.get('target_rows')} in the copy)"
