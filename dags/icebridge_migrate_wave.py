"""One wave of a plan of several; started by ``icebridge_migrate``."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from icebridge_provider.operators.params import plan_params
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.wave import wave_tasks

with DAG(
    "icebridge_migrate_wave",
    description="One wave of a migration: copy, prove, catch up, approve, cut over",
    doc_md="Started by **icebridge_migrate** for each wave of a large plan; may be started again by hand.",
    schedule=None,
    catchup=False,
    max_active_runs=4,
    tags=["icebridge", "migrate"],
    params={
        "plan_id": plan_params()["plan_id"],
        "wave": Param(0, type="integer", minimum=0, title="Wave", description="Number of the wave, from 0."),
    },
    default_args=shared_arguments(),
) as dag:
    wave_tasks("{{ params.plan_id }}", "{{ params.wave }}")
