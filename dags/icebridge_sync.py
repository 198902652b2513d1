"""Keeps copied tables fresh until they are cut over, and watches sources that were."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.params import plan_params
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.tables import SyncTablesOperator, WatchTablesOperator
from icebridge_provider.operators.wave import POOL

PLAN_ID = "{{ params.plan_id }}"
TABLES = "{{ (params.tables | tojson) if params.tables else '' }}"

with DAG(
    "icebridge_sync",
    description="Bring over what changed in the sources since the copy; watch sources after the cut-over",
    doc_md="""
Run it as often as the copies are to be fresh: trigger it by hand, by REST, or from a scheduled DAG of yours with the
plan's id. It brings over only what changed, and proves it. For sources that were cut over it fails, naming the writer,
when somebody still writes to them.
""",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["icebridge", "sync"],
    params=plan_params(),
    default_args=shared_arguments(),
) as dag:
    SyncTablesOperator(task_id="sync", plan_id=PLAN_ID, tables=TABLES, pool=POOL)
    WatchTablesOperator(task_id="watch", plan_id=PLAN_ID, tables=TABLES)
