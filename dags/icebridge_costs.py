"""Fills in what copy runs on Databricks cost, day by day, as the bill arrives."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from icebridge_provider.operators.costs import ActualCostsOperator
from icebridge_provider.operators.params import plan_params
from icebridge_provider.operators.retry import shared_arguments

with DAG(
    "icebridge_costs",
    description="Actual costs of copy runs, from the workspace's billing tables",
    doc_md="""
Reads `system.billing.usage` and `system.billing.list_prices` of every workspace that has copied tables within 30 days,
and keeps DBUs and list price of each run. `airflow icebridge costs PLAN` shows them beside the estimate. Where nothing
was copied by a cluster it does nothing. Late and corrected records are right the next day.
""",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),  # without one Airflow never runs a schedule; nothing is caught up
    catchup=False,
    max_active_runs=1,
    tags=["icebridge", "costs"],
    params={"plan_id": plan_params(required=False)["plan_id"]},
    default_args=shared_arguments(),
) as dag:
    ActualCostsOperator(task_id="costs", plan_id="{{ params.plan_id }}")
