"""Ask a person whether a blocked DELETE may delete more rows than its limit."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.release import ReleaseBlockedEventOperator

with DAG("example_icebridge_release_event", schedule=None, tags=["icebridge", "example"]):
    ReleaseBlockedEventOperator(task_id="release", sync="orders", event_id="delete-2026-11")
