"""Operators that only a Databricks workspace has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from icebridge_provider.operators.base import IceBridgeOperator, site_of_plan, tables_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class DatabricksValidateOperator(IceBridgeOperator):
    """Lets the cluster compare sources with their copies, judged by Great Expectations where the cluster has it.

    It stands beside :class:`icebridge_provider.operators.tables.ValidateTablesOperator`, which proves: here one engine
    reads both sides. No worker waits while the run is under way.

    :param plan_id: the plan.
    :param tables: sources as the plan spells them, a list or its JSON text; None or an empty text means all.
    """

    template_fields: Sequence[str] = ("plan_id", "tables")

    def __init__(self, *, plan_id: str, tables: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.tables = tables

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the run and give the worker back.

        :returns: by source ``state, source_rows, target_rows, judge``.
        """
        from icebridge_provider.steps.compare_remotely import start_comparison
        from icebridge_provider.triggers.job import DatabricksRunTrigger

        site, plan = site_of_plan(self.plan_id, context)
        run_id = start_comparison(site, plan, tables_of(plan, self.tables), _try(context))
        if run_id:
            self.log.info("Run %s compares.", run_id)
            trigger = DatabricksRunTrigger(plan.request.target_conn_id, run_id)
            self.defer(trigger=trigger, method_name="compared", kwargs={"generation": _try(context)})
        self.log.info("Nothing is copied yet.")
        return {}

    def compared(self, context: Context, event: dict[str, Any], generation: int = 1) -> dict[str, Any]:
        """Read what the run found."""
        from icebridge_provider.steps.compare_remotely import comparison_of

        site, plan = site_of_plan(self.plan_id, context)
        return comparison_of(site, plan, tables_of(plan, self.tables), str(event["run_id"]), generation)


def _try(context: Context) -> int:
    return int(context["ti"].try_number)
