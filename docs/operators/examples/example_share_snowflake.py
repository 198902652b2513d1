"""Two tables of Databricks come to Snowflake: planned together, exported and loaded a pair of tasks a table."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task_group

from icebridge_provider.operators.share import (
    DatabricksExportOperator,
    PlanSharesOperator,
    ReportSharesOperator,
    SnowflakeLoadOperator,
)

ENDS = {"source_conn_id": "databricks", "target_conn_id": "snowflake"}

with DAG("example_icebridge_share_snowflake", schedule=None, tags=["icebridge", "example"]):

    @task_group(group_id="share")
    def share(run_id: Any, document: Any, caption: Any) -> None:
        """Bring one table over."""
        given = {"run_id": run_id, "document": document, "caption": caption, **ENDS}
        label = "{{ task.caption }}"
        export = DatabricksExportOperator(task_id="export", map_index_template=label, **given)
        export >> SnowflakeLoadOperator(task_id="load", map_index_template=label, **given)

    plan = PlanSharesOperator(
        task_id="plan",
        stage="ANALYTICS.PUBLIC.SHARE",
        tables=[
            "main.sales.customers -> ANALYTICS.PUBLIC.CUSTOMERS; mode=replace",
            "main.sales.orders -> ANALYTICS.PUBLIC.ORDERS; mode=upsert; keys=id",
        ],
        **ENDS,
    )
    report = ReportSharesOperator(task_id="report", trigger_rule="all_done")
    share.expand_kwargs(plan.output) >> report
    plan >> report
