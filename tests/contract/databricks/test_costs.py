"""Costs and progress on a workspace: runs that really ran, their bill when it comes, and a table of progress."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from databricks.sdk.service.catalog import PermissionsChange, Privilege

from icebridge_provider.engines.databricks.jobs_table import JobsTable
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.event import Actor
from icebridge_provider.model.plan import Approval, ClusterRates, MigrationPlan, MigrationRequest, Rates
from icebridge_provider.steps.cost_report import report_of
from icebridge_provider.steps.costs import fill_actuals, open_plans
from icebridge_provider.steps.jobs_table import mirror
from icebridge_provider.steps.plan import make_plan
from icebridge_provider.steps.site import Site
from tests.support.databricks import Workspace
from tests.support.databricks_estate import LOSSES, Estate, simple_lake

PLAN = "costs1"
RATES = Rates(cluster=ClusterRates(nodes=2, price_per_dbu=0.15, node_per_hour=0.3))


@pytest.fixture(scope="module")
def estate(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    made = Estate(server=databricks, folder=tmp_path_factory.mktemp("costs"), mark="costs")
    simple_lake(made.folder, ["a", "b"])
    made.federate()
    yield made
    databricks.order("PATCH", "/billing", {"delay_seconds": 0})


@pytest.fixture(scope="module")
def plan(estate: Estate) -> MigrationPlan:
    """A plan of two tables that one run has copied."""
    site = estate.site()
    request = MigrationRequest(
        source_conn_id="foreign", target_conn_id="managed", tables=("lake.*",), approval=Approval.NONE,
        accept_losses=LOSSES, rates=RATES,
    )  # fmt: skip
    made = make_plan(
        site.source, site.target, site.ledger, request, site.settings, Actor(), datetime.now(UTC), plan_id=PLAN
    )
    estate.start(made)
    estate.each("copy", made)
    return made


@pytest.fixture(scope="module")
def reader(estate: Estate) -> Estate:
    """A copier that may read the bill."""
    sdk = estate.server.sdk()
    sdk.system_schemas.enable(sdk.metastores.current().metastore_id or "", "billing")
    for kind, name, rights in (
        ("CATALOG", "system", ["USE_CATALOG"]),
        ("SCHEMA", "system.billing", ["USE_SCHEMA", "SELECT"]),
    ):
        change = PermissionsChange(principal=estate.copier, add=[Privilege(right) for right in rights])
        sdk.grants.update(kind, name, changes=[change])
    return estate


def fill(estate: Estate) -> dict[str, Any]:
    """Read the bill, and return what the report makes of it."""
    now, target = datetime.now(UTC), estate.site().target
    fill_actuals(estate.ledger, open_plans(estate.ledger, now), target.statements, now)  # type: ignore[attr-defined]
    return report_of(estate.ledger, PLAN, now)["actual"]


def test_a_cluster_bears_plan_run_wave_and_who_pays(estate: Estate, plan: MigrationPlan) -> None:
    [run] = estate.runs()
    [task] = estate.server.sdk(estate.copier).jobs.get_run(run["run_id"]).tasks or []
    assert task.new_cluster is not None
    tags = task.new_cluster.custom_tags or {}
    assert (tags["icebridge_plan"], tags["icebridge_wave"]) == (PLAN, "0")
    assert tags["icebridge_run"] == run["idempotency_token"]


def test_without_the_right_it_is_told_what_to_grant(estate: Estate, plan: MigrationPlan) -> None:
    with pytest.raises(ConfigurationError) as told:
        fill(estate)
    assert told.value.code == "IB-338"
    assert "system.billing" in told.value.remedy


def test_the_bill_is_what_the_workspace_counted(reader: Estate, plan: MigrationPlan) -> None:
    reader.server.order("PATCH", "/billing", {"delay_seconds": 3600})
    late = fill(reader)
    assert (late["arrived"], late["runs"]) == (0, 1)
    reader.server.order("PATCH", "/billing", {"delay_seconds": 0})
    found = fill(reader)
    [run] = reader.runs()
    admin = reader.server.sdk().jobs.get_run(run["run_id"])
    [task] = admin.tasks or []
    hours = (task.execution_duration or 0) / 3600 / 1000
    assert found["dbus"] == pytest.approx(hours * 2 * 2.9, rel=0.25, abs=0.002)  # i3.xlarge: 1 DBU, 2 nodes, Photon
    kept = reader.ledger.document("costs", PLAN)
    assert kept is not None
    assert kept["runs"][str(run["run_id"])]["photon"] is True
    assert kept["runs"][str(run["run_id"])]["cost"] == pytest.approx(
        kept["runs"][str(run["run_id"])]["dbus"] * 0.15, rel=1e-5
    )


def test_a_correction_is_right_and_asking_again_changes_nothing(reader: Estate, plan: MigrationPlan) -> None:
    def billed() -> dict[str, Any]:
        fill(reader)
        kept = reader.ledger.document("costs", PLAN)
        assert kept is not None
        return dict(next(iter(kept["runs"].values())))

    before, [run] = billed(), reader.runs()
    correction = {"run_id": run["run_id"], "factor": "0.5"}
    reader.server.order("PATCH", "/billing", {"corrections": [correction]})
    after = billed()
    assert after["dbus"] == pytest.approx(before["dbus"] / 2, rel=1e-5)
    assert (after["records"], before["records"]) == (3 * before["records"], before["records"])
    assert billed() == after


def test_prices_hold_for_their_time(reader: Estate, plan: MigrationPlan) -> None:
    sku, then = "PREMIUM_JOBS_COMPUTE_(PHOTON)", "2021-01-01T00:00:00+00:00"
    old = {"sku_name": sku, "price": "9.99", "until": then}
    reader.server.order("PATCH", "/billing", {"prices": [old, {"sku_name": sku, "price": "0.30", "from": then}]})
    fill(reader)
    kept = (reader.ledger.document("costs", PLAN) or {})["runs"]
    [run] = kept.values()
    assert run["cost"] == pytest.approx(run["dbus"] * 0.30, rel=1e-5)
    reader.server.order("PATCH", "/billing", {"prices": [{"sku_name": sku, "price": "1", "currency_code": "EUR"}]})
    fill(reader)
    [run] = (reader.ledger.document("costs", PLAN) or {})["runs"].values()
    assert (run["cost"], run["dbus"] > 0) == (None, True), "a price in another currency is none"


# Progress


def progress(estate: Estate) -> list[list[str]]:
    statement = f"SELECT source_table, state, rows, run_id FROM {estate.main}.lake.migration_iceberg_jobs ORDER BY 1"
    answer = estate.server.sdk(estate.copier).statement_execution.execute_statement(
        statement, "0123456789abcdef", wait_timeout="30s"
    )
    assert answer.result is not None, answer.status
    return [list(row) for row in answer.result.data_array or []]


def with_table(estate: Estate) -> Site:
    site = estate.site()
    name = f"{estate.main}.lake.migration_iceberg_jobs"
    return replace(site, jobs_table=JobsTable(site.target.statements, name))  # type: ignore[attr-defined]


def test_progress_is_a_table_that_is_made_and_merged(estate: Estate, plan: MigrationPlan) -> None:
    site, [run] = with_table(estate), estate.runs()
    assert mirror(site, plan, plan.tables)
    wanted = [[f"foreign.lake.{name}", "copied", "100", str(run["run_id"])] for name in "ab"]
    assert progress(estate) == wanted
    assert mirror(site, plan, plan.tables[:1])
    assert progress(estate) == wanted


def test_what_is_newer_in_the_table_stays(estate: Estate, plan: MigrationPlan) -> None:
    site = with_table(estate)
    assert site.jobs_table is not None
    row = {"plan_id": PLAN, "source_table": "foreign.lake.a", "state": "older, late", "event": 1}
    site.jobs_table.write([row])
    assert progress(estate)[0][1] == "copied"
    odd = {"plan_id": PLAN, "source_table": "x'); DROP TABLE t; --", "state": "`it's`", "event": 5}
    site.jobs_table.write([odd])
    assert [row[:2] for row in progress(estate)][-1] == ["x'); DROP TABLE t; --", "`it's`"]


def test_a_schema_without_the_right_is_an_error_that_stops_nothing(estate: Estate, plan: MigrationPlan) -> None:
    site = estate.site()
    table = JobsTable(site.target.statements, f"{estate.main}.icebridge.jobs")  # type: ignore[attr-defined]
    with pytest.raises(IceBridgeError, match=r"CREATE TABLE|CREATE_TABLE|IB-24"):
        table.write([{"plan_id": PLAN, "source_table": "a", "event": 1}])
    assert mirror(replace(site, jobs_table=table), plan, plan.tables) is False
    assert "IB-465" in (estate.ledger.document("jobs_table", PLAN) or {})["message"]
