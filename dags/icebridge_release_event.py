"""Asks a person whether a blocked DELETE may delete more rows than its limit allows."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from icebridge_provider.operators.release import ReleaseBlockedEventOperator
from icebridge_provider.operators.retry import shared_arguments

with DAG(
    "icebridge_release_event",
    description="Release or reject a blocked event, by a person",
    doc_md="""
Shows the event and how many rows it would delete now, under *Required Actions*. Approving releases it for the number of
rows in the form and no more; rejecting ends it. `icebridge_databricks_to_mssql` starts a run for each blocked event.
""",
    schedule=None,
    catchup=False,
    max_active_runs=64,
    tags=["icebridge", "mssql", "approval"],
    params={
        "sync": Param(
            "", type="string", title="Sync", description="Name of the sync; empty where there is only one.",
        ),
        "event_id": Param(type="string", title="Event", minLength=1, description="Id of the blocked event."),
    },
    default_args=shared_arguments(),
) as dag:  # fmt: skip
    ReleaseBlockedEventOperator(task_id="release", sync="{{ params.sync }}", event_id="{{ params.event_id }}")
