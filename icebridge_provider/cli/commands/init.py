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
    slots = _pool(arguments.slots)
    done: dict[str, Any] = {"ledger": "migrated", "pool": {"name": runs.POOL, "slots": slots}}
    bundle = bundles.name()
    done["bundle"] = {"configured": bundle is not None, "setting": bundles.line()}
    done["dags"] = _dags(bundle, arguments.keep_paused, output) if bundle else {}
    return Answer(document=done, shown=tuple(_lines(done)), ok=not done["dags"].get("import_errors"))


def _pool(slots: int | None) -> int:
    """Make the pool; one that is there keeps its slots unless new ones are given."""
    from airflow.api.client import get_current_api_client

    present = runs.pool_slots()
    wanted = slots or present or surroundings.settings().max_parallel_writers
    if wanted != present:
        with side_effect("init.pool"):
            get_current_api_client().create_pool(  # type: ignore[no-untyped-call]
                runs.POOL, wanted, "Tables that IceBridge copies at once, over all hosts", include_deferred=True
            )
    return wanted


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
