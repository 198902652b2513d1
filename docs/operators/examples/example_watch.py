"""Fail when somebody still writes to a source that was cut over."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.tables import WatchTablesOperator

with DAG("example_icebridge_watch", schedule=None, tags=["icebridge", "example"]):
    WatchTablesOperator(task_id="watch", plan_id="sales-to-gold")
