"""Copy the tables of a kept plan under their staged names."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.tables import CopyTablesOperator

with DAG("example_icebridge_copy", schedule=None, tags=["icebridge", "example"]):
    CopyTablesOperator(task_id="copy", plan_id="sales-to-gold", pool="icebridge_writers")
