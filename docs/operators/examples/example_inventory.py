"""Read every table of a catalog from metadata alone."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.catalog import InventoryOperator

with DAG("example_icebridge_inventory", schedule=None, tags=["icebridge", "example"]):
    InventoryOperator(task_id="inventory", conn_id="lake", tables=["sales.*", "!sales.tmp_*"], inspect="manifests")
