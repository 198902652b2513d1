"""Apply the events of all syncs every ten minutes, and ask a person about those that are blocked."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from icebridge_provider.operators.events import ApplyBridgeEventsOperator, BlockedEventsOperator
from icebridge_provider.operators.release import AskForReleaseOperator
from icebridge_provider.sensors.events import BridgeEventSensor

with DAG(
    "example_icebridge_apply_events",
    schedule="*/10 * * * *",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["icebridge", "example"],
):
    waiting = BridgeEventSensor(task_id="waiting")
    apply = ApplyBridgeEventsOperator.partial(task_id="apply").expand(sync=waiting.output)
    blocked = BlockedEventsOperator(task_id="blocked")
    apply >> blocked
    AskForReleaseOperator.partial(task_id="ask").expand_kwargs(blocked.output)
