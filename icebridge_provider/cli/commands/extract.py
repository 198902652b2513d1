"""``extract``: rows of SQL Server become Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icebridge_provider.cli import runs, surroundings
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.cli.pairs import pairs
from icebridge_provider.exceptions import IceBridgeError

if TYPE_CHECKING:
    from icebridge_provider.model.extraction import Extraction

_DONE = ("job", "rows", "parts", "bytes", "isolation", "problem")


def extract(arguments: Any, output: Output) -> Answer:
    """Start ``icebridge_mssql_to_databricks``; with ``--here`` run the jobs in this process, one after the other."""
    from icebridge_provider.hooks.extraction import folder_of
    from icebridge_provider.steps.extract import plan_jobs

    folder = folder_of(arguments.folder)
    given = pairs("--param", arguments.param)
    if not (arguments.here or arguments.dry_run):
        return _started(arguments, folder, given, output)
    jobs = list(plan_jobs(folder, arguments.queries or (), arguments.countries or (), given))
    return _listed(jobs) if arguments.dry_run else _run(jobs, arguments, output)


def _started(arguments: Any, folder: str, given: dict[str, str], output: Output) -> Answer:
    conf = {
        "source_conn_id": arguments.source,
        "target_conn_id": arguments.target,
        "location": arguments.location,
        "folder": folder,
        "queries": arguments.queries or [],
        "countries": arguments.countries or [],
        "parameters": given,
    }
    run = runs.trigger(runs.EXTRACT, conf)
    output.note(f"Started {run.dag_id}: {run.url}")
    state = run.state
    if arguments.wait:
        state = runs.wait(run, lambda now, _: now not in runs.FINAL, run.run_id)
    document = {"dag": run.dag_id, "run": run.run_id, "state": state, "url": run.url}
    line = f"{run.dag_id} is {state}: {run.url}"
    return Answer(document=document, shown=(line,), ok=state != "failed")


def _listed(jobs: list[Extraction]) -> Answer:
    rows = [{"job": job.name, "digest": job.digest, "parameters": dict(job.parameters)} for job in jobs]
    return Answer(document={"jobs": rows}, shown=(Grid(columns=("job", "parameters"), rows=rows), f"{len(rows)} jobs."))


def _run(jobs: list[Extraction], arguments: Any, output: Output) -> Answer:
    """Run all jobs; one that fails stops no other."""
    from icebridge_provider.hooks.extraction import extraction_site

    site = extraction_site(arguments.source, arguments.target, arguments.location, surroundings.actor())
    rows = []
    for job in jobs:
        output.note(f"Extracting {job.name} …")
        rows.append(_one(site, job))
    failed = [row for row in rows if row["problem"]]
    line = f"{len(rows) - len(failed)} of {len(rows)} jobs are done, below {site.root}."
    return Answer(
        document={"location": site.root, "jobs": rows},
        shown=(Grid(columns=_DONE, rows=rows), line),
        ok=not failed,
    )


def _one(site: Any, job: Extraction) -> dict[str, Any]:
    from icebridge_provider.steps.extract import extract as run

    try:
        made = run(site, job)
    except IceBridgeError as error:
        return {"job": job.name, "rows": None, "parts": None, "bytes": None, "isolation": "", "problem": str(error)}
    return {
        "job": job.name,
        "rows": made.rows,
        "parts": len(made.parts),
        "bytes": sum(part.size for part in made.parts),
        "isolation": made.isolation,
        "problem": "",
    }
