"""``init``: everything an installation needs, done as often as you like."""

from __future__ import annotations

from typing import Any

from icebridge_provider.cli import bundles, runs, surroundings
from icebridge_provider.cli.output import Answer, Output
from icebridge_provider.crash import side_effect


def init(arguments: Any, output: Output) -> Answer:
    """Migrate the ledger, make the pool, bring the DAGs in and unpause them, print the bundle setting."""
    output.note("Migrating the ledger …")
    with side_effect("init.ledger"):
        surroundings.raw_ledger().migrate()
    slots = runs.set_pool(arguments.slots, surroundings.settings().max_parallel_writers)
    done: dict[str, Any] = {"ledger": "migrated", "pool": {"name": runs.POOL, "slots": slots}}
    bundle = bundles.name()
    done["bundle"] = {"configured": bundle is not None, "setting": bundles.line()}
    done["dags"] = _dags(bundle, arguments.keep_paused, output) if bundle else {}
    return Answer(document=done, shown=tuple(_lines(done)), ok=not done["dags"].get("import_errors"))


def _dags(bundle: str, keep_paused: bool, output: Output) -> dict[str, Any]:
    output.note("Bringing the DAGs in …")
    with side_effect("init.dags"):
        failed = bundles.bring_in(bundle)
    with side_effect("init.unpause"):
        unpaused = [] if keep_paused else bundles.unpause(runs.DAGS)
    return {"known": sorted(runs.dags()), "unpaused": unpaused, "import_errors": failed}


def _lines(done: dict[str, Any]) -> list[str]:
    lines = [
        "Ledger: migrated.",
        f"Pool: {done['pool']['name']} with {done['pool']['slots']} slots.",
    ]
    if not done["bundle"]["configured"]:
        return [
            *lines,
            "DAGs: not there yet. The setting replaces Airflow's default, so it must name both bundles:",
            f"  {done['bundle']['setting']}",
            "Set it for every Airflow component, restart them, and run this command again.",
        ]
    lines.append(f"DAG bundles: {done['bundle']['setting']}")
    lines.append(f"DAGs: {', '.join(done['dags']['known']) or 'none'}.")
    if done["dags"]["unpaused"]:
        lines.append(f"Unpaused: {', '.join(done['dags']['unpaused'])}.")
    lines.extend(f"Cannot be imported: {file}" for file in done["dags"]["import_errors"])
    return lines
