"""Copy, prove the copies, and let the cluster compare as well."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.databricks import DatabricksValidateOperator
from icebridge_provider.operators.tables import CopyTablesOperator, ValidateTablesOperator

TABLES = ["foreign.sales.orders"]

with DAG("example_icebridge_validate_databricks", schedule=None, tags=["icebridge", "example"]):
    copy = CopyTablesOperator(task_id="copy", plan_id="sales-to-gold", tables=TABLES)
    ValidateTablesOperator(task_id="validate", plan_id="sales-to-gold", tables=TABLES).set_upstream(copy)
    DatabricksValidateOperator(task_id="compare", plan_id="sales-to-gold", tables=TABLES).set_upstream(copy)
