"""The tasks of one wave, shared by ``icebridge_migrate`` and ``icebridge_migrate_wave``."""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetAlias, TaskGroup

from icebridge_provider.operators.approval import ApprovalGateOperator, ApproveCutOverOperator
from icebridge_provider.operators.certify import CertifyOperator, ReportOperator, VerdictOperator
from icebridge_provider.operators.plan import BatchTablesOperator
from icebridge_provider.operators.retry import shared_arguments
from icebridge_provider.operators.tables import (
    ALIAS,
    CopyTablesOperator,
    CutOverOperator,
    SyncTablesOperator,
    ValidateTablesOperator,
)

POOL = "icebridge_writers"
CAPTION = "{{ task.caption }}"


def wave_tasks(plan_id: Any, wave: Any = 0) -> TaskGroup:
    """Add the tasks of a wave to the DAG that is being built, and return their group.

    A table that fails stays behind and turns the wave red at its end; the others go on.

    :param plan_id: the plan's id, or a template or XCom of it.
    :param wave: number of the wave, or a template of it.
    """
    shared = {"plan_id": plan_id, "map_index_template": CAPTION}
    with TaskGroup("wave", prefix_group_id=True, default_args=shared_arguments()) as group:
        batches = BatchTablesOperator(task_id="batches", plan_id=plan_id, wave=wave)
        copy = CopyTablesOperator.partial(task_id="copy", pool=POOL, **shared).expand_kwargs(batches.output)
        validate = ValidateTablesOperator.partial(task_id="validate", trigger_rule="all_done", **shared).expand_kwargs(
            batches.output
        )
        catch_up = SyncTablesOperator.partial(
            task_id="catch_up", pool=POOL, trigger_rule="all_done", **shared
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
        approve = ApproveCutOverOperator(task_id="approve", plan_id=plan_id, wave=wave, certificate=certify.output)
        cut_over = CutOverOperator.partial(
            task_id="cut_over",
            certificate=certify.output,
            approval=approve.output,
            outlets=[AssetAlias(ALIAS)],
            trigger_rule="none_failed_min_one_success",
            **shared,
        ).expand_kwargs(batches.output)
        verdict = VerdictOperator(task_id="verdict", plan_id=plan_id, wave=wave)
        copy >> validate >> catch_up >> [report, certify]
        certify >> gate >> [approve, cut_over, verdict]
        approve >> cut_over >> verdict
        report >> verdict
    return group
