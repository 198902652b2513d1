"""Inventory, then one HTML file to mail."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.catalog import AssessOperator, InventoryOperator

with DAG("example_icebridge_assess", schedule=None, tags=["icebridge", "example"]):
    inventory = InventoryOperator(task_id="inventory", conn_id="lake")
    AssessOperator(
        task_id="assess",
        inventory_id="{{ ti.xcom_pull(task_ids='inventory')['inventory_id'] }}",
        target_conn_id="managed",
    ).set_upstream(inventory)
