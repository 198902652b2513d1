"""One mapped task a query and country: rows of SQL Server become Parquet files of a Volume."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.extract import PlanExtractionOperator, SqlServerToVolumeOperator

with DAG("example_icebridge_extract", schedule=None, tags=["icebridge", "example"]):
    plan = PlanExtractionOperator(task_id="plan", folder="/srv/extraction", countries=["colombia", "peru"])
    SqlServerToVolumeOperator.partial(
        task_id="extract",
        source_conn_id="erp",
        target_conn_id="workspace",
        location="/Volumes/main/raw/landing",
        folder="/srv/extraction",
        map_index_template="{{ task.caption }}",
    ).expand_kwargs(plan.output)
