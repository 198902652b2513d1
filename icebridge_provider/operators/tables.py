"""Operators that do one step to each of some tables of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import AssetAlias

from icebridge_provider.operators import lineage
from icebridge_provider.operators.approval import approval_of
from icebridge_provider.operators.base import PlanTablesOperator, listed, site_of_plan, tables_of
from icebridge_provider.operators.links import CatalogLink, ReportLink, RunLink, catalog_page, report_page, run_page

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.event import TableState
    from icebridge_provider.model.identifier import TableIdentifier
    from icebridge_provider.model.plan import MigrationPlan, TablePlan
    from icebridge_provider.steps.site import Site

ALIAS = "icebridge"


class CopyTablesOperator(PlanTablesOperator):
    """Copies tables under their staged names; what is copied already is left as it is.

    A host copies ``parallel_tables`` at once, over all its tasks. When too many tables of the wave failed in this run
    (``failure_limit``, ``failure_percent``) no more are begun.
    """

    step = "copy"
    operator_extra_links = (RunLink(), CatalogLink())
    _begun = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Copy the tables; failures of earlier runs do not count against the limits of this one."""
        start = getattr(context["dag_run"], "start_date", None)
        self._begun = start.astimezone(UTC).isoformat(timespec="seconds") if start else ""
        self._start_run(context)
        return super().execute(context)

    def _start_run(self, context: Context) -> None:
        """Where an engine elsewhere copies, start one run for all tables of this task."""
        from icebridge_provider.steps.remote_copy import start_copies

        site, plan = site_of_plan(self.plan_id, context)
        if site.remote is None:
            return
        tables = tables_of(plan, self.tables)
        for wave in {table.wave for table in tables}:
            self._check_failures(site, plan, wave)
        run_id = start_copies(site, plan, tables)
        if run_id:
            self.log.info("Run %s copies.", run_id)

    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Copy one table."""
        from icebridge_provider.operators.host import host_slot
        from icebridge_provider.steps.copy import copy_table

        if site.remote is not None:
            return copy_table(site, plan, table)
        with host_slot(site.settings.parallel_tables, self.go_on):
            self._check_failures(site, plan, table.wave)
            return copy_table(site, plan, table)

    def _check_failures(self, site: Site, plan: MigrationPlan, wave: int) -> None:
        from icebridge_provider.steps.limits import check_failures

        names = {str(table.source) for table in plan.of_wave(wave)}
        states = site.ledger.states(plan.plan_id, names)
        check_failures([_since(state, self._begun) for state in states], site.settings)

    def threads(self, site: Site) -> int:
        """As many tables at once as the configuration says."""
        return site.settings.parallel_tables

    def lineage(
        self, site: Site, tables: Sequence[TablePlan], done: Mapping[str, Mapping[str, Any]]
    ) -> list[lineage.Moved]:
        """Sources to staged copies."""
        return lineage.copied(site, tables, done)

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Tell OpenLineage's provider, which looks for this name, what was moved."""
        return lineage.facets(self.moved)

    def show_links(self, site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> None:
        """The run, and where the copies stand."""
        self.links[RunLink().xcom_key] = run_page(site, plan, tables)
        self.links[CatalogLink().xcom_key] = catalog_page(site, [table.staged for table in tables])


class ValidateTablesOperator(PlanTablesOperator):
    """Proves copies against the snapshots they were made of; fails when one differs, naming what.

    Tables that are not copied yet, because their copy failed, are left out.
    """

    step = "validate"
    operator_extra_links = (ReportLink(), CatalogLink())

    def show_links(self, site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> None:
        """The verdicts, and where the copies stand."""
        self.links[ReportLink().xcom_key] = report_page(plan.plan_id, tables)
        self.links[CatalogLink().xcom_key] = catalog_page(site, [table.staged for table in tables])

    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Validate one table."""
        from icebridge_provider.model.event import State
        from icebridge_provider.steps.validate import PROVEN, validate_table

        state = site.ledger.state(plan.plan_id, str(table.source)).state
        if state not in {*PROVEN, State.COPIED}:
            return {"skipped": state.value}
        return validate_table(site, plan, table)


class SyncTablesOperator(PlanTablesOperator):
    """Brings over what changed in the sources since, and proves it, until the source's head is the copied one.

    Tables that are not copied yet, or cut over already, are left out.
    """

    step = "sync"
    operator_extra_links = (RunLink(), ReportLink())

    def show_links(self, site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> None:
        """The run that brought over what is new, and the verdicts."""
        self.links[RunLink().xcom_key] = run_page(site, plan, tables)
        self.links[ReportLink().xcom_key] = report_page(plan.plan_id, tables)

    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Catch one table up."""
        from icebridge_provider.steps.sync import catch_up

        return catch_up(site, plan, table)


class WatchTablesOperator(PlanTablesOperator):
    """Looks whether sources that were cut over are still written to, and fails naming the writers."""

    step = "watch"

    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Watch one table."""
        from icebridge_provider.exceptions import ValidationFailed
        from icebridge_provider.steps.watch import watch_table

        found = watch_table(site, plan, table)
        if found["finding"]:
            raise ValidationFailed("IB-704", f"{found['finding']}: {found['message']}", remedy=str(found["remedy"]))
        return found


class CutOverOperator(PlanTablesOperator):
    """Publishes approved copies under their final names and archives the sources, journaled and undone on failure.

    Outside the plan's cut-over window it gives its worker back and waits for the window to open.

    :param certificate: what :class:`icebridge_provider.operators.certify.CertifyOperator` returned.
    :param approval: what ``ApproveCutOverOperator`` returned; None when the plan needs no approval.
    """

    step = "cut_over"
    operator_extra_links = (CatalogLink(), ReportLink())
    template_fields: Sequence[str] = (*PlanTablesOperator.template_fields, "certificate", "approval")

    def __init__(self, *, certificate: Any, approval: Any = None, **kwargs: Any) -> None:
        kwargs.setdefault("outlets", [AssetAlias(ALIAS)])
        super().__init__(**kwargs)
        self.certificate = certificate
        self.approval = approval

    def execute(self, context: Context) -> dict[str, Any]:
        """Cut the certified ones among the tables over, when the window is open."""
        site, plan = site_of_plan(self.plan_id, context)
        self._await_window(plan)
        ready = set((self.certificate or {}).get("tables", ()))
        chosen = [str(table.source) for table in tables_of(plan, self.tables)]
        states = site.ledger.states(plan.plan_id, chosen)
        begun = {state.table for state in states if state.state.value == "cutting over"}
        self.tables = [name for name in chosen if name in ready | begun]
        result = super().execute(context)
        self._tell(site, plan, list(result["done"]), context)
        return result

    def window_opened(self, context: Context, event: Any = None) -> dict[str, Any]:  # noqa: ARG002 - a trigger's event
        """Go on when the window has opened."""
        return self.execute(context)

    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Cut one table over."""
        from icebridge_provider.steps.cut_over import cut_over_table

        who, stopped, shown = approval_of(self.approval)
        return cut_over_table(site, plan, table, shown or str(self.certificate["digest"]), who, stopped)

    def lineage(
        self, site: Site, tables: Sequence[TablePlan], done: Mapping[str, Mapping[str, Any]]
    ) -> list[lineage.Moved]:
        """Sources to published tables."""
        return lineage.published(site, tables, done)

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Tell OpenLineage's provider, which looks for this name, what was moved."""
        return lineage.facets(self.moved)

    def show_links(self, site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> None:
        """Where readers find the tables now, and the verdicts."""
        self.links[CatalogLink().xcom_key] = catalog_page(site, [table.target for table in tables])
        self.links[ReportLink().xcom_key] = report_page(plan.plan_id, tables)

    def _tell(self, site: Site, plan: MigrationPlan, sources: list[str], context: Context) -> None:
        """Emit an asset event a published table: DAGs scheduled on the table or on the alias start."""
        from airflow.sdk import Asset

        events = context["outlet_events"][AssetAlias(ALIAS)]
        for table in tables_of(plan, sources):
            state = site.ledger.state(plan.plan_id, str(table.source))
            extra = {
                "plan_id": plan.plan_id,
                "source": str(table.source),
                "snapshot_id": state.copy.get("target_snapshot_id"),
                "rows": state.validation.get("rows"),
                "sum128": state.validation.get("sum128"),
            }
            events.add(Asset(name=str(table.target), uri=asset_uri(table.target)), extra=extra)

    def _await_window(self, plan: MigrationPlan) -> None:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        from icebridge_provider.planning.window import parse_window

        window, now = parse_window(plan.request.cutover_window), datetime.now(UTC)
        if window is not None and window.opened_at(now) is None:
            opening = window.next_opening(now)
            self.log.info("The cut-over window opens %s; waiting.", opening.isoformat())
            self.defer(trigger=DateTimeTrigger(moment=opening.astimezone(UTC)), method_name="window_opened")


def asset_uri(table: TableIdentifier) -> str:
    """Return the URI of a table as an Airflow asset: ``icebridge://<connection>/<namespace>/<table>``."""
    return "icebridge://" + "/".join(quote(part, safe="") for part in (table.catalog, *table.namespace, table.name))


class RollbackOperator(PlanTablesOperator):
    """Undoes migrations of tables from wherever they stand, the last table of the plan first."""

    step = "rollback"

    def execute(self, context: Context) -> dict[str, Any]:
        """Roll the tables back."""
        _, plan = site_of_plan(self.plan_id, context)
        self.tables = [str(table.source) for table in tables_of(plan, listed(self.tables) or None)][::-1]
        return super().execute(context)

    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Roll one table back."""
        from icebridge_provider.steps.rollback import rollback_table

        return rollback_table(site, plan, table)


class PurgeOperator(PlanTablesOperator):
    """Deletes archived sources whose grace period is over, after proving that no live table uses their files.

    :param approval: what Airflow's ``ApprovalOperator`` returned.
    """

    step = "purge"
    template_fields: Sequence[str] = (*PlanTablesOperator.template_fields, "approval")

    def __init__(self, *, approval: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approval = approval

    def execute(self, context: Context) -> dict[str, Any]:
        """Purge the tables; an empty list means all of the plan. Then sweep what the plan left behind."""
        self.tables = listed(self.tables) or None
        return {**super().execute(context), "swept": self._sweep(context)}

    def _sweep(self, context: Context) -> int:
        """Sweep, and return how much it was; what cannot be swept now is no failure of the purge."""
        from icebridge_provider.exceptions import IceBridgeError
        from icebridge_provider.steps.sweep import sweep

        site, plan = site_of_plan(self.plan_id, context)
        try:
            rows = sweep(site, plan)
        except IceBridgeError as error:
            self.log.warning("What the plan left behind was not swept: %s", error)
            return 0
        for row in rows:
            self.log.info("%s %s: %s. %s", row["kind"], row["name"], row["outcome"], row["why"])
        return sum(row["outcome"] == "swept" for row in rows)

    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Purge one table."""
        from icebridge_provider.steps.purge import purge_table

        return purge_table(site, plan, table, approval_of(self.approval)[0])


def _since(state: TableState, begun: str) -> TableState:
    """Return the state without a failure that is older than this run."""
    return replace(state, problem="") if state.updated_at < begun else state
