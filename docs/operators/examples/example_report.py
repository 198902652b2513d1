"""Build the Data Docs of a wave, and fail unless all of it is cut over."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.certify import ReportOperator, VerdictOperator

with DAG("example_icebridge_report", schedule=None, tags=["icebridge", "example"]):
    report = ReportOperator(task_id="report", plan_id="sales-to-gold", wave=0)
    report >> VerdictOperator(task_id="verdict", plan_id="sales-to-gold", wave=0)
