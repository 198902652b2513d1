"""Applies events that ask for rows of Databricks to be written into SQL Server, exactly once each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher, Param

from icebridge_provider.hooks.settings import settings
from icebridge_provider.operators.events import ApplyBridgeEventsOperator, BlockedEventsOperator
from icebridge_provider.operators.release import AskForReleaseOperator
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.sensors.events import BridgeEventSensor
from icebridge_provider.triggers.events import BridgeEventTrigger


def _schedule() -> Any:
    """Return what starts a run: by default the triggerer, as soon as it sees an event."""
    options = settings()
    if not options.syncs_file or not options.events_schedule:
        return None
    if options.events_schedule != "watch":
        return options.events_schedule
    watcher = AssetWatcher(name="icebridge_bridge_events", trigger=BridgeEventTrigger())
    return [Asset(name="icebridge_bridge_events", uri="icebridge://bridge_events", watchers=[watcher])]


with DAG(
    "icebridge_databricks_to_mssql",
    description="Apply bridge events: rows of Databricks into SQL Server, exactly once",
    doc_md="""
Looks which syncs of `[icebridge] syncs_file` have events, and applies them until none is left that may run. The
triggerer starts it when an event arrives (`[icebridge] events_schedule`); it may be started by hand at any time too. A
DELETE over its limit is blocked, and a run of `icebridge_release_event` asks a person.
""",
    schedule=_schedule(),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),  # without one Airflow never runs a schedule; nothing is caught up
    catchup=False,
    max_active_runs=1,
    tags=["icebridge", "mssql", "sync"],
    params={
        "sync": Param(
            "", type="string", title="Sync", description="Name of one sync of the file; empty means all of them.",
        ),
    },
    default_args=shared_arguments(),
) as dag:  # fmt: skip
    waiting = BridgeEventSensor(
        task_id="waiting", sync="{{ params.sync }}", wait=settings().events_schedule == "@continuous"
    )
    apply = ApplyBridgeEventsOperator.partial(task_id="apply", map_index_template="{{ task.sync }}").expand(
        sync=waiting.output
    )
    blocked = BlockedEventsOperator(task_id="blocked", sync="{{ params.sync }}", trigger_rule="all_done")
    apply >> [blocked, EmptyOperator(task_id="applied")]  # without it, the run would hide that a sync failed
    AskForReleaseOperator.partial(task_id="ask").expand_kwargs(blocked.output)
