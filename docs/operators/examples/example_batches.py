"""One mapped task a table, named after it in the grid."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.plan import BatchTablesOperator
from icebridge_provider.operators.tables import CopyTablesOperator

with DAG("example_icebridge_batches", schedule=None, tags=["icebridge", "example"]):
    batches = BatchTablesOperator(task_id="batches", plan_id="sales-to-gold", wave=0)
    CopyTablesOperator.partial(
        task_id="copy", plan_id="sales-to-gold", map_index_template="{{ task.caption }}"
    ).expand_kwargs(batches.output)
