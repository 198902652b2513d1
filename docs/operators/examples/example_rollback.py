"""Give a source its name back."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.tables import RollbackOperator

with DAG("example_icebridge_rollback", schedule=None, tags=["icebridge", "example"]):
    RollbackOperator(task_id="rollback", plan_id="sales-to-gold", tables=["lake.sales.orders"])
