"""Shares tables of Databricks with Snowflake: planned, exported, loaded once, and proven, a pair of tasks a table."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task_group

from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.share import (
    DatabricksExportOperator,
    PlanSharesOperator,
    ReportSharesOperator,
    SnowflakeLoadOperator,
)
from icebridge_provider.operators.share_params import CONNECTIONS, RUN_ID, share_params, share_templates

with DAG(
    "icebridge_databricks_to_snowflake",
    description="Share Databricks tables with Snowflake: export, load once, prove",
    doc_md="""
Name the connections, the tables and the stage, and start it. **plan** checks everything before the first byte moves.
Each table is exported by the SQL warehouse to Parquet files and loaded by Snowflake from its stage; its rows become
visible in one transaction, after both engines have counted and summed them and agree. Clear what failed to go on: what
is exported is not exported again, what is loaded is not loaded again. The preset `poc` takes 1,000 rows a table, tries
once and says LIMITED wherever the rows are shown. `docs/snowflake.md` says what both sides need.
""",
    schedule=None,
    catchup=False,
    max_active_runs=4,
    tags=["icebridge", "snowflake", "share"],
    params=share_params(),
    default_args=shared_arguments(),
) as dag:

    @task_group(group_id="share")
    def share(run_id: Any, document: Any, caption: Any) -> None:
        """Bring one table over."""
        given = {"run_id": run_id, "document": document, "caption": caption, **CONNECTIONS}
        label = "{{ task.caption }}"
        export = DatabricksExportOperator(task_id="export", map_index_template=label, **given)
        export >> SnowflakeLoadOperator(task_id="load", map_index_template=label, **given)

    plan = PlanSharesOperator(task_id="plan", **share_templates())
    report = ReportSharesOperator(
        task_id="report", run_id=RUN_ID, zero_copy="{{ params['zero_copy'] }}", trigger_rule="all_done"
    )
    share.expand_kwargs(plan.output) >> report
    plan >> report
