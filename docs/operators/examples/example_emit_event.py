"""Ask for the rows of a table to be written into SQL Server, and show what that would do."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.events import EmitBridgeEventOperator, PreviewEventsOperator

with DAG("example_icebridge_emit_event", schedule=None, tags=["icebridge", "example"]):
    emit = EmitBridgeEventOperator(
        task_id="emit",
        sync="orders",
        operation="UPDATE",
        source_table="main.sales.orders",
        target_table="dbo.Orders",
        primary_keys=["order_id"],
        filter_conditions={"country": "CO"},
    )
    PreviewEventsOperator(task_id="preview", sync="orders", event_ids=emit.output)
