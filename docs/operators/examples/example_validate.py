"""Copy, then prove the copies."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.tables import CopyTablesOperator, ValidateTablesOperator

with DAG("example_icebridge_validate", schedule=None, tags=["icebridge", "example"]):
    copy = CopyTablesOperator(task_id="copy", plan_id="sales-to-gold", tables=["lake.sales.orders"])
    ValidateTablesOperator(task_id="validate", plan_id="sales-to-gold", tables=["lake.sales.orders"]).set_upstream(copy)
