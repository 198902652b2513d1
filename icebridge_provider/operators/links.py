"""Links from a task to where a person looks next: the run, the table's page in its catalog, the validation report.

A link is known once its task knows its plan. Airflow reads it when the task ends or gives its worker back, and keeps it
as an XCom under the link's key, from where its UI and its REST interface show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from icebridge_provider.model.identifier import TableIdentifier
    from icebridge_provider.model.plan import MigrationPlan, TablePlan
    from icebridge_provider.steps.site import Site

REPORTS = "/icebridge/reports"
SHARES = "/icebridge/shares"
_LOOKED_AT = 20  # tables of a task asked for the run that copied them: one run copies them all


class _Link(BaseOperatorLink):
    """What the operator found while it ran; one that a task's earlier part found stays."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, empty for a task that leads nowhere."""
        found = getattr(operator, "links", {}).get(self.xcom_key)
        return str(found or _kept(ti_key, self.xcom_key))


class RunLink(_Link):
    """The page of the run that copies."""

    name = "Databricks run"


class CatalogLink(_Link):
    """The page of the table, or of the schema or catalog that holds all tables of the task."""

    name = "Catalog page"


class ReportLink(_Link):
    """The verdicts on the tables of the task."""

    name = "Validation report"


class WarehouseQueryLink(_Link):
    """The statement that exports, in the workspace's query history."""

    name = "Databricks query"


class SnowflakeQueryLink(_Link):
    """The statement that loads, in Snowsight."""

    name = "Snowflake query"


class SharesLink(_Link):
    """The run in the history of shares."""

    name = "Share history"


def _kept(ti_key: Any, key: str) -> str:
    from airflow.sdk.execution_time.xcom import XCom

    try:
        return str(XCom.get_value(ti_key=ti_key, key=key) or "")
    except Exception:  # noqa: BLE001 - without a link the task is as good
        return ""


def run_page(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> str:
    """Return the page of the last run that worked on one of the tables; empty when none did."""
    from icebridge_provider.exceptions import IceBridgeError
    from icebridge_provider.model.job import JobRef
    from icebridge_provider.steps.history import last_run

    if site.remote is None:
        return ""
    found = (last_run(site.ledger.events(plan.plan_id, str(table.source))) for table in tables[:_LOOKED_AT])
    run_id = next((run_id for run_id in found if run_id), "")
    if not run_id:
        return ""
    try:
        status = site.remote.poll(JobRef(engine=site.remote.name, token="", run_id=run_id))
    except IceBridgeError:
        return ""
    return _safe(str(status.facts.get("run_page_url", "")))


def catalog_page(site: Site, names: Sequence[TableIdentifier]) -> str:
    """Return the page in Catalog Explorer of what the names share; empty for another kind of catalog."""
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog

    catalog = site.target
    if not isinstance(catalog, UnityCatalog) or not names:
        return ""
    all_parts = [catalog.parts(name) for name in names]
    shared: list[str] = []
    for level in zip(*all_parts, strict=True):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    path = "/".join(quote(part, safe="") for part in shared)
    return _safe(f"{catalog.workspace.url}/explore/data/{path}")


def report_page(plan_id: str, tables: Sequence[TablePlan] = ()) -> str:
    """Return the page of IceBridge's own with the verdicts of a plan, or of its one table that is named."""
    asked = {"plan": plan_id, **({"table": str(tables[0].source)} if len(tables) == 1 else {})}
    return f"{_base()}{REPORTS}?{urlencode(asked)}"


def shares_page(run_id: str) -> str:
    """Return the page of IceBridge's own with one run of shares."""
    return f"{_base()}{SHARES}?{urlencode({'run': run_id})}"


def _base() -> str:
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")


def _safe(address: str) -> str:
    """Return an address that a browser opens as a page; what a workspace answers is not ours."""
    return address if address.startswith(("https://", "http://")) else ""
