"""Undoes a migration from wherever it stands."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.params import plan_params
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.tables import RollbackOperator

with DAG(
    "icebridge_rollback",
    description="Give sources their names back and take copies away",
    doc_md="""
Works from any point. A copy that was in use is kept under its staged name; one that was not is deleted. After a purge
there is nothing to go back to, and it says so.
""",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["icebridge", "rollback"],
    params=plan_params(),
    default_args=shared_arguments(),
) as dag:
    RollbackOperator(
        task_id="rollback",
        plan_id="{{ params.plan_id }}",
        tables="{{ (params.tables | tojson) if params.tables else '' }}",
    )
