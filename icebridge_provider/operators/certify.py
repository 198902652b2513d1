"""Operators that sum a wave up: its certificates, its Data Docs and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.operators.base import IceBridgeOperator, airflow_folder, site_of_plan
from icebridge_provider.operators.links import ReportLink, report_page

if TYPE_CHECKING:
    from airflow.sdk import Context


class CertifyOperator(IceBridgeOperator):
    """Checks once more that sources and copies are what was proven, and certifies every table of a wave that is ready.

    :param plan_id: the plan.
    :param wave: number of the wave.
    """

    template_fields: Sequence[str] = ("plan_id", "wave")

    def __init__(self, *, plan_id: str, wave: int | str = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.wave = wave

    def execute(self, context: Context) -> dict[str, Any]:
        """Certify the wave.

        :returns: ``digest`` (empty when nothing is ready), ``tables, losses, writers, signed, rows, bytes, moved``.
        """
        from icebridge_provider.steps.certify import certify_wave

        skip_without_plan(self.plan_id)
        site, plan = site_of_plan(self.plan_id, context)
        made = certify_wave(site, plan, plan.of_wave(int(self.wave)))
        for table, reason in made["moved"].items():
            self.log.warning("%s is left out: %s", table, reason)
        return made


class ReportOperator(IceBridgeOperator):
    """Builds the Data Docs of a wave's verdicts once, as pages that load nothing from elsewhere.

    :param plan_id: the plan.
    :param wave: number of the wave.
    :param folder: where; empty for ``$AIRFLOW_HOME/icebridge/data_docs/<plan>/wave-<n>``.
    """

    template_fields: Sequence[str] = ("plan_id", "wave", "folder")
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, plan_id: str, wave: int | str = 0, folder: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.wave = wave
        self.folder = folder
        self.links: dict[str, str] = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Build the pages.

        :returns: ``index`` (path, empty without verdicts), ``tables``.
        """
        from icebridge_provider.crash import side_effect
        from icebridge_provider.engines.gx import build_data_docs
        from icebridge_provider.steps.verdicts import kept, report_key

        skip_without_plan(self.plan_id)
        site, plan = site_of_plan(self.plan_id, context)
        self.links[ReportLink().xcom_key] = report_page(plan.plan_id)
        found = kept(site.ledger, [report_key(plan.plan_id, table.source) for table in plan.of_wave(int(self.wave))])
        if not found:
            return {"index": "", "tables": 0}
        folder = Path(self.folder or airflow_folder() / "data_docs" / plan.plan_id / f"wave-{self.wave}")
        with side_effect("report.data_docs"):
            index = build_data_docs(found, folder)
        return {"index": str(index), "tables": len(found)}


class VerdictOperator(IceBridgeOperator):
    """Ends a wave: fails unless every planned table is cut over; tables refused before do not count.

    :param plan_id: the plan.
    :param wave: number of the wave.
    """

    template_fields: Sequence[str] = ("plan_id", "wave")

    def __init__(self, *, plan_id: str, wave: int | str = 0, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.wave = wave

    def execute(self, context: Context) -> dict[str, Any]:
        """Count the tables by state.

        :returns: ``plan_id`` and ``states`` (tables by state).
        :raises ValidationFailed: IB-705 naming the tables that are not cut over, and why.
        """
        from icebridge_provider.steps.status import status

        skip_without_plan(self.plan_id)
        site, plan = site_of_plan(self.plan_id, context)
        names = {str(table.source) for table in plan.of_wave(int(self.wave))}
        rows = [row for row in status(site.ledger, plan.plan_id) if row["source"] in names]
        left = [row for row in rows if row["state"] not in {"cut over", "purged"}]
        if left:
            shown = "; ".join(f"{row['source']} is {row['state']} {row['problem']}".strip() for row in left[:5])
            raise ValidationFailed(
                "IB-705",
                f"{len(left)} of {len(rows)} tables are not cut over: {shown}.",
                remedy="Mend what is named, then run the migration again with the same plan_id.",
                changed="What is cut over stays so; icebridge_rollback undoes it.",
            )
        states: dict[str, int] = {}
        for row in rows:
            states[row["state"]] = states.get(row["state"], 0) + 1
        return {"plan_id": plan.plan_id, "states": states}


def skip_without_plan(plan_id: str) -> None:
    """Leave a task out that runs whatever happened before it, when what happened is that no plan was made."""
    from airflow.sdk.exceptions import AirflowSkipException

    if not plan_id:
        raise AirflowSkipException("No plan was made: the task plan says why.")
