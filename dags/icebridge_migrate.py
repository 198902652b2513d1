"""Moves Iceberg tables from one catalog to another, and proves it."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task

from icebridge_provider.operators.params import migration_params
from icebridge_provider.operators.plan import PlanOperator
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.wave import wave_tasks

PLAN_ID = "{{ ti.xcom_pull(task_ids='plan')['plan_id'] }}"
LISTS = ("tables", "mapping", "accept_losses")

with DAG(
    "icebridge_migrate",
    description="Inventory, plan, copy, prove, catch up, approve, cut over",
    doc_md="""
Fill in the two connections and the tables and start it. It plans (the log of **plan** shows the plan), copies every
table under a staged name, proves each copy, catches up with writers, and asks for approval (Required Actions) before it
publishes the copies and archives the sources. Run it again with the same plan id after a failure: what is done stays
done. `icebridge_rollback` undoes it.
""",
    schedule=None,
    catchup=False,
    max_active_runs=4,
    tags=["icebridge", "migrate"],
    params=migration_params(),
    default_args=shared_arguments(),
) as dag:
    plan = PlanOperator(
        task_id="plan",
        **{
            name: f"{{{{ params.{name} | tojson }}}}" if name in LISTS else f"{{{{ params.{name} }}}}"
            for name in migration_params()
        },
    )

    @task.branch(task_id="route")
    def route(made: Any) -> list[str]:
        """One wave runs here, more run as ``icebridge_migrate_wave``, the canary first."""
        return ["wave.batches"] if made["waves"] == 1 else ["canary"]

    @task(task_id="waves")
    def waves(made: Any) -> list[dict[str, Any]]:
        """Return the other waves' parameters."""
        return [{"plan_id": made["plan_id"], "wave": number} for number in range(1, made["waves"])]

    canary = TriggerDagRunOperator(
        task_id="canary",
        trigger_dag_id="icebridge_migrate_wave",
        conf={"plan_id": PLAN_ID, "wave": 0},
        wait_for_completion=True,
        deferrable=True,
        poke_interval=15,
    )
    others = waves(plan.output)
    rest = TriggerDagRunOperator.partial(
        task_id="rest",
        trigger_dag_id="icebridge_migrate_wave",
        wait_for_completion=True,
        deferrable=True,
        poke_interval=15,
        map_index_template="wave {{ task.conf['wave'] }}",
    ).expand(conf=others)
    routed = route(plan.output)
    routed >> [wave_tasks(PLAN_ID), canary]
    canary >> others
