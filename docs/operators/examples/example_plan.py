"""Make a plan, and see in its log and XCom what it would cost."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.plan import PlanOperator

with DAG("example_icebridge_plan", schedule=None, tags=["icebridge", "example"]):
    PlanOperator(
        task_id="plan",
        source_conn_id="lake",
        target_conn_id="managed",
        tables=["sales.*"],
        mapping=["prefix:sales.=gold."],
        max_cost=100,
        plan_id="sales-to-gold",
    )
