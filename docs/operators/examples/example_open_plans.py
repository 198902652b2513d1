"""Keep every copied table of every plan fresh."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.plan import OpenPlansOperator
from icebridge_provider.operators.tables import SyncTablesOperator

with DAG("example_icebridge_open_plans", schedule=None, tags=["icebridge", "example"]):
    tables = OpenPlansOperator(task_id="tables")
    SyncTablesOperator.partial(task_id="sync", map_index_template="{{ task.caption }}").expand_kwargs(tables.output)
