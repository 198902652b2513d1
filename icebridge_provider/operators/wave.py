"""The tasks of one wave, shared by ``icebridge_migrate`` and ``icebridge_migrate_wave``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, TaskGroup

from icebridge_provider.model.settings import Settings
from icebridge_provider.operators.certify import ApprovalGateOperator, CertifyOperator, ReportOperator, VerdictOperator
from icebridge_provider.operators.plan import BatchTablesOperator
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.tables import (
    CopyTablesOperator,
    CutOverOperator,
    SyncTablesOperator,
    ValidateTablesOperator,
)

POOL = "icebridge_writers"
CAPTION = "{{ task.caption }}"
_BODY = """\
Plan **{{ plan }}**, wave {{ wave }}: {{ c.tables | length }} tables are copied and proven, {{ c.rows }} rows.

* Certificate digest: `{{ c.digest }}` ({{ "signed" if c.signed else "unsigned: no signing key is configured" }})
* Accepted losses: {{ c.losses | join(", ") or "none" }}

| table | last writer |
| --- | --- |
{% for table in c.tables[:50] %}| {{ table }} | {{ (c.writers[table] or ["nobody"])[0] }} |
{% endfor %}{% if c.tables | length > 50 %}| and {{ c.tables | length - 50 }} more | |
{% endif %}
Approving publishes the copies under their final names and archives the sources. Tick *writers_stopped* when nobody
writes to the sources any more. `icebridge_rollback` undoes it.
"""


def wave_tasks(plan_id: Any, wave: Any = 0, days_to_answer: int = Settings().approval_timeout_days) -> TaskGroup:
    """Add the tasks of a wave to the DAG that is being built, and return their group.

    A table that fails stays behind and turns the wave red at its end; the others go on.

    :param plan_id: the plan's id, or a template or XCom of it.
    :param wave: number of the wave, or a template of it.
    :param days_to_answer: days of silence after which the approval, and the run, fail.
    """
    with TaskGroup("wave", prefix_group_id=True, default_args=shared_arguments()) as group:
        batches = BatchTablesOperator(task_id="batches", plan_id=plan_id, wave=wave)
        copy = CopyTablesOperator.partial(
            task_id="copy", plan_id=plan_id, pool=POOL, map_index_template=CAPTION
        ).expand_kwargs(batches.output)
        validate = ValidateTablesOperator.partial(
            task_id="validate", plan_id=plan_id, trigger_rule="all_done", map_index_template=CAPTION
        ).expand_kwargs(batches.output)
        catch_up = SyncTablesOperator.partial(
            task_id="catch_up", plan_id=plan_id, pool=POOL, trigger_rule="all_done", map_index_template=CAPTION
        ).expand_kwargs(batches.output)
        report = ReportOperator(task_id="report", plan_id=plan_id, wave=wave, trigger_rule="all_done")
        certify = CertifyOperator(task_id="certify", plan_id=plan_id, wave=wave, trigger_rule="all_done")
        gate = ApprovalGateOperator(
            task_id="gate",
            plan_id=plan_id,
            certificate=certify.output,
            ask="wave.approve",
            go_on="wave.cut_over",
            end="wave.verdict",
        )
        approve = approval("approve", plan_id, wave, days_to_answer)
        cut_over = CutOverOperator.partial(
            task_id="cut_over",
            plan_id=plan_id,
            certificate=certify.output,
            approval=approve.output,
            trigger_rule="none_failed_min_one_success",
            map_index_template=CAPTION,
        ).expand_kwargs(batches.output)
        verdict = VerdictOperator(task_id="verdict", plan_id=plan_id, wave=wave)
        copy >> validate >> catch_up >> [report, certify]
        certify >> gate >> [approve, cut_over, verdict]
        approve >> cut_over >> verdict
        report >> verdict
    return group


def approval(task_id: str, plan_id: Any, wave: Any, days: int) -> ApprovalOperator:
    """Return the question that a person answers before a cut-over: in the UI under Required Actions, or by REST."""
    head = "{% set c = ti.xcom_pull(task_ids='wave.certify') %}"
    names = f"{{% set plan = {_expression(plan_id)} %}}{{% set wave = {_expression(wave)} %}}"
    return ApprovalOperator(
        task_id=task_id,
        subject=head + "Cut over {{ c.tables | length }} tables? Certificate {{ c.digest[:12] }}",
        body=head + names + _BODY,
        params={
            "writers_stopped": Param(
                False, type="boolean", title="Writers stopped", description="Nobody writes to the sources any more."
            )
        },
        fail_on_reject=True,
        response_timeout=timedelta(days=days),
    )


def _expression(value: Any) -> str:
    """Return what stands in a template for a value that may be a template itself: ``{{ x }}`` becomes ``x``."""
    text = str(value).strip()
    if text.startswith("{{") and text.endswith("}}"):
        return text[2:-2].strip()
    return repr(value)
