"""Keeps copied tables fresh until they are cut over, and watches sources that were."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from icebridge_provider.hooks.settings import settings
from icebridge_provider.operators.params import plan_params
from icebridge_provider.operators.plan import OpenPlansOperator
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.tables import SyncTablesOperator, WatchTablesOperator
from icebridge_provider.operators.wave import CAPTION, POOL

with DAG(
    "icebridge_sync",
    description="Bring over what changed in the sources since the copy; watch sources after the cut-over",
    doc_md="""
Brings over only what changed, and proves it. For sources that were cut over it fails, naming the writer, when somebody
still writes to them. Set `[icebridge] sync_schedule` to a cron expression and it does so for every plan, for as long as
it takes; or trigger it for one plan.
""",
    schedule=settings().sync_schedule or None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),  # without one Airflow never runs a schedule; nothing is caught up
    catchup=False,
    max_active_runs=1,
    tags=["icebridge", "sync"],
    params=plan_params(required=False),
    default_args=shared_arguments(),
) as dag:
    tables = OpenPlansOperator(
        task_id="tables",
        plan_id="{{ params.plan_id }}",
        tables="{{ (params.tables | tojson) if params.tables else '' }}",
    )
    sync = SyncTablesOperator.partial(task_id="sync", pool=POOL, map_index_template=CAPTION)
    watch = WatchTablesOperator.partial(task_id="watch", map_index_template=CAPTION, trigger_rule="all_done")
    sync.expand_kwargs(tables.output) >> watch.expand_kwargs(tables.output)
