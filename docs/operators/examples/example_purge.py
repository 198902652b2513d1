"""Delete archived sources after the grace period, when a person approves."""

from __future__ import annotations

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

from icebridge_provider.operators.tables import PurgeOperator

with DAG("example_icebridge_purge", schedule=None, tags=["icebridge", "example"]):
    approve = ApprovalOperator(task_id="approve", subject="Delete the archived sources?", fail_on_reject=True)
    approve >> PurgeOperator(task_id="purge", plan_id="sales-to-gold", approval=approve.output)
