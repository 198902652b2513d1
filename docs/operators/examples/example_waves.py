"""Run the first wave of a kept plan, then the second, as runs of icebridge_migrate_wave."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.waves import TriggerWaveOperator

with DAG("example_icebridge_waves", schedule=None, tags=["icebridge", "example"]):
    canary = TriggerWaveOperator(task_id="canary", plan_id="sales-to-gold", wave=0)
    canary >> TriggerWaveOperator(task_id="second", plan_id="sales-to-gold", wave=1)
