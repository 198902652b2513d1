"""Fill in what the copy runs of a plan were billed, as far as it has arrived."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.costs import ActualCostsOperator

with DAG("example_icebridge_costs", schedule=None, tags=["icebridge", "example"]):
    ActualCostsOperator(task_id="costs", plan_id="sales-to-gold")
