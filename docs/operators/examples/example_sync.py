"""Bring over what changed in the sources since the copy, every hour."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.tables import SyncTablesOperator

with DAG("example_icebridge_sync", schedule="@hourly", catchup=False, max_active_runs=1, tags=["icebridge", "example"]):
    SyncTablesOperator(task_id="sync", plan_id="sales-to-gold")
