"""Moves Iceberg tables from one catalog to another, and proves it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from icebridge_provider.operators.params import migration_params, option_params, templates
from icebridge_provider.operators.plan import PlanOperator, max_map_length
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.wave import wave_tasks
from icebridge_provider.operators.waves import TriggerWaveOperator, other_waves

PLAN_ID = "{{ (ti.xcom_pull(task_ids='plan') or {}).get('plan_id', '') }}"

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
    form = migration_params()
    plan = PlanOperator(
        task_id="plan",
        options=templates(option_params()),
        **templates(name for name in form if name not in option_params()),
    )

    @task.short_circuit(task_id="one_wave")
    def one_wave(made: Any) -> bool:
        """A plan of one wave runs in this very run."""
        return bool(made["waves"] == 1)

    @task.short_circuit(task_id="several_waves")
    def several_waves(made: Any) -> bool:
        """Larger plans run as runs of icebridge_migrate_wave: the canary first, then the rest side by side."""
        return bool(made["waves"] > 1)

    @task(task_id="waves")
    def waves(made: Any) -> list[dict[str, int]]:
        """Return the other waves."""
        return other_waves(made["waves"], max_map_length())

    one_wave(plan.output) >> wave_tasks(PLAN_ID)
    canary = TriggerWaveOperator(task_id="canary", plan_id=PLAN_ID, wave=0)
    others = waves(plan.output)
    several_waves(plan.output) >> canary >> others
    TriggerWaveOperator.partial(
        task_id="rest", plan_id=PLAN_ID, map_index_template="wave {{ task.wave }}", retries=0
    ).expand_kwargs(others)
