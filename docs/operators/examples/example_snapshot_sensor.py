"""Wait until a table is written, without holding a worker."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.sensors.snapshot import SnapshotSensor

with DAG("example_icebridge_snapshot_sensor", schedule=None, tags=["icebridge", "example"]):
    SnapshotSensor(
        task_id="wait",
        conn_id="lake",
        table="sales.orders",
        known_snapshot_id="{{ ti.xcom_pull(task_ids='wait', include_prior_dates=True) }}",
        poke_interval=60,
        timeout=24 * 3600,
    )
