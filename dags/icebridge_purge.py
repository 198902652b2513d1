"""Deletes archived sources after the grace period, approved by a person."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

from icebridge_provider.operators.params import plan_params
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.tables import PurgeOperator

with DAG(
    "icebridge_purge",
    description="Delete archived sources whose grace period is over",
    doc_md="""
Asks for approval, proves that no live table of either catalog uses one of the files, then deletes them. There is no way
back from it.
""",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["icebridge", "purge"],
    params=plan_params(),
    default_args=shared_arguments(),
) as dag:
    approve = ApprovalOperator(
        task_id="approve",
        subject="Delete the archived sources of plan {{ params.plan_id }}?",
        body="Tables: {{ params.tables | join(', ') or 'all of the plan' }}. Their files are deleted for good.",
        fail_on_reject=True,
        response_timeout=timedelta(days=7),
    )
    approve >> PurgeOperator(
        task_id="purge",
        plan_id="{{ params.plan_id }}",
        tables="{{ (params.tables | tojson) if params.tables else '' }}",
        approval=approve.output,
    )
