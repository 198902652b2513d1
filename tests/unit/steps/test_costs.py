"""Costs of copy runs: checked before each, filled in from the bill, and told with what they would be otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, LimitExceeded
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.plan import ClusterRates, Rates
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.cost_report import report_of
from icebridge_provider.steps.costs import fill_actuals, open_plans, priced
from icebridge_provider.steps.jobs_table import mirror
from icebridge_provider.steps.remote_copy import start_copies
from tests.support import tables as shapes
from tests.support.elsewhere import RemoteMigration

CLUSTER = ClusterRates(nodes=2, photon=True, photon_factor=3.0, price_per_dbu=0.10, node_per_hour=0.50)
RATES = Rates(storage_per_gb_month=0.0, compute_per_hour=0.0, cluster=CLUSTER)
COLUMNS = ("plan", "run_id", "photon", "dbus", "cost", "unpriced", "records", "until")


@dataclass(kw_only=True)
class Rows:
    rows: Sequence[Sequence[str | None]]
    columns: Sequence[str] = COLUMNS


@dataclass
class Bill:
    """A warehouse with a billing table: what it holds, and what was asked."""

    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    error: IceBridgeError | None = None
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> Rows:
        self.asked.append(values or {})
        if self.error:
            raise self.error
        return Rows(rows=self.rows)


def row(run_id: str, dbus: float, cost: float, photon: bool = True, plan: str = "p1", **more: str) -> tuple[str, ...]:
    said = {"plan": plan, "run_id": run_id, "photon": str(photon).lower(), "dbus": str(dbus), "cost": str(cost),
            "unpriced": "0", "records": "1", "until": "2099-01-01T00:00:00Z", **more}  # fmt: skip
    return tuple(said[name] for name in COLUMNS)


@pytest.fixture
def migration(tmp_path: Path) -> RemoteMigration:
    return RemoteMigration(tmp_path, rates=RATES)


def copied(migration: RemoteMigration) -> str:
    run_id = start_copies(migration.site, migration.plan, migration.plan.tables)
    migration.elsewhere.work()
    copy_table(migration.site, migration.plan, migration.table)
    return run_id


def filled(migration: RemoteMigration, *rows: tuple[str, ...]) -> dict[str, int]:
    now = datetime.now(UTC)
    return fill_actuals(migration.ledger, open_plans(migration.ledger, now), Bill(list(rows)), now)


# Before a run


def test_a_run_that_costs_more_than_is_left_is_not_started(tmp_path: Path) -> None:
    migration = RemoteMigration(tmp_path, rates=RATES, max_cost=1.0)
    run_id = copied(migration)
    filled(migration, row(run_id, 6.0, 0.999))
    migration.native.load_table("lake.t").append(migration.native.load_table("lake.t").scan().to_arrow())
    with pytest.raises(LimitExceeded) as refused:
        copy_again(migration)
    assert refused.value.code == "IB-337"
    assert "have cost 1.00 so far" in refused.value.message
    assert len(migration.elsewhere.runs) == 1


def copy_again(migration: RemoteMigration) -> None:
    from icebridge_provider.steps.sync import catch_up

    catch_up(migration.site, migration.plan, migration.table)


def test_nothing_is_begun_for_tables_that_cannot_be_paid(tmp_path: Path) -> None:
    dear = replace(RATES, cluster=replace(CLUSTER, node_per_hour=10.0, startup_minutes=60.0))
    migration = RemoteMigration(tmp_path, rates=dear, max_cost=45.0)
    site = replace(migration.site, now=lambda: datetime.now(UTC) + timedelta(hours=9))
    site.record("p1", "src.lake.other", Step.COPY, Outcome.PROGRESS, {"run_id": "77"})  # paid by the hour so far
    with pytest.raises(LimitExceeded, match="IB-337") as refused:
        start_copies(site, migration.plan, migration.plan.tables)
    assert refused.value.facts["spent"] == pytest.approx(9 * (2 * 10 + 2 * 3 * 0.10), abs=0.1)
    assert migration.ledger.state("p1", str(migration.table.source)).state is State.PLANNED, "it was not begun"
    site.record("p1", "src.lake.other", Step.COPY, Outcome.FAILED)  # it was over at once
    assert start_copies(site, migration.plan, migration.plan.tables)


def test_a_run_under_way_counts_with_what_it_is_estimated_at(tmp_path: Path) -> None:
    slow = replace(RATES, cluster=replace(CLUSTER, node_per_hour=10.0, startup_minutes=60.0))  # 20 to start a cluster
    migration = RemoteMigration(tmp_path, rates=slow, max_cost=45.0)
    shapes.plain(migration.native, "u")
    plan = migration.plan
    for outcome in (Outcome.PROGRESS, Outcome.FAILED):  # an earlier one that is paid
        migration.site.record("p1", "src.lake.gone", Step.COPY, outcome, {"run_id": "0"})
    filled(migration, row("0", 1.0, 10.0))
    t, u = (plan.table(f"src.lake.{name}") for name in "tu")
    assert start_copies(migration.site, plan, [t])
    with pytest.raises(LimitExceeded, match="IB-337"):
        start_copies(migration.site, plan, [u])
    migration.elsewhere.work()
    copy_table(migration.site, plan, t)
    assert start_copies(migration.site, plan, [u]), "the first was over in a moment"


def test_a_plan_without_a_limit_or_a_cluster_is_never_refused(tmp_path: Path) -> None:
    assert copied(RemoteMigration(tmp_path / "a", rates=RATES))
    assert copied(RemoteMigration(tmp_path / "b", max_cost=0.01, rates=replace(RATES, cluster=None)))


# Actuals


def test_the_bill_is_asked_once_for_all_plans_and_what_comes_later_replaces_it(migration: RemoteMigration) -> None:
    run_id, bill, now = copied(migration), Bill(), datetime.now(UTC)
    plans = open_plans(migration.ledger, now)
    assert fill_actuals(migration.ledger, plans, bill, now) == {"p1": 0}
    yesterday = (now - timedelta(days=1)).date().isoformat()
    assert bill.asked == [{"plans": "p1", "since": yesterday, "currency": "USD"}]
    bill.rows = [row(run_id, 6.0, 0.6)]
    assert fill_actuals(migration.ledger, plans, bill, now) == {"p1": 1}
    bill.rows = [row(run_id, 5.0, 0.5)]
    for _ in range(2):  # a correction, and the same again
        fill_actuals(migration.ledger, plans, bill, now)
    actual = report_of(migration.ledger, "p1", now)["actual"]
    assert (actual["dbus"], actual["dbu_cost"], actual["arrived"], actual["runs"]) == (5.0, 0.5, 1, 1)


def test_old_plans_are_left_alone_and_local_ones_are_none(tmp_path: Path, migration: RemoteMigration) -> None:
    copied(migration)
    later = datetime.now(UTC) + timedelta(days=31)
    assert open_plans(migration.ledger, later) == []
    assert priced(migration.ledger, "p1") is not None
    local = RemoteMigration(tmp_path / "local")
    copied(local)
    assert priced(local.ledger, "p1") is None
    assert report_of(local.ledger, "p1", later)["baseline"] is None


def test_a_bill_that_may_not_be_read_says_what_lets_it_be(migration: RemoteMigration) -> None:
    copied(migration)
    now, denied = datetime.now(UTC), ConfigurationError("IB-241", "No SELECT on system.billing.", remedy="Ask.")
    with pytest.raises(ConfigurationError) as told:
        fill_actuals(migration.ledger, open_plans(migration.ledger, now), Bill(error=denied), now)
    assert told.value.code == "IB-338"
    assert "GRANT USE SCHEMA, SELECT ON SCHEMA system.billing" in told.value.remedy
    assert migration.ledger.document("costs", "p1") is None


def test_records_without_a_list_price_cost_what_the_plan_says(migration: RemoteMigration) -> None:
    filled(migration, row(copied(migration), 6.0, 0.1, unpriced="1"))
    actual = report_of(migration.ledger, "p1", datetime.now(UTC))["actual"]
    assert (actual["dbus"], actual["dbu_cost"]) == (6.0, 0.6)


# The report


def test_the_report_compares_with_copying_without_photon_at_the_rates(migration: RemoteMigration) -> None:
    filled(migration, row(copied(migration), 6.0, 0.6))
    found = report_of(migration.ledger, "p1", datetime.now(UTC))
    assert found["baseline"]["measured"] is False
    # a third of the DBUs an hour, twice as long
    assert found["baseline"]["cost"] == pytest.approx(0.4, abs=0.01)
    assert found["baseline"]["saved_percent"] < 0
    [table] = found["tables"]
    assert (table["table"], table["dbus"], table["billed"]) == ("src.lake.t", 6.0, True)


def test_both_ways_billed_is_measured(migration: RemoteMigration) -> None:
    first = copied(migration)
    plain = replace(migration.plan, plan_id="p2", request=replace(migration.plan.request, method="auto")).sealed()
    migration.ledger.save_plan(plain)
    for outcome, data in ((Outcome.PROGRESS, {"run_id": "9"}), (Outcome.DONE, {"run_id": "9", "rows": 1})):
        migration.site.record("p2", "src.lake.t", Step.COPY, outcome, data)
    filled(migration, row(first, 6.0, 0.6), row("9", 12.0, 1.2, photon=False, plan="p2"))
    found = report_of(migration.ledger, "p1", datetime.now(UTC))
    assert found["photon"]["tables"] == ["src.lake.t"]
    sides = found["photon"]["with_photon"]["dbus"], found["photon"]["without_photon"]["dbus"]
    assert sides == (6.0, 12.0)
    assert found["baseline"]["measured"] is True
    assert found["baseline"]["saved_percent"] == pytest.approx(50, abs=1)


def test_what_is_stored_twice_is_told(migration: RemoteMigration) -> None:
    copied(migration)
    found = report_of(migration.ledger, "p1", datetime.now(UTC) + timedelta(days=3))
    assert found["duplicate_storage"]["bytes"] == migration.table.bytes
    assert found["duplicate_storage"]["oldest_days"] == pytest.approx(3, abs=0.01)


# The jobs table


@dataclass
class Kept:
    """A jobs table that may be broken."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: IceBridgeError | None = None

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.error:
            raise self.error
        self.rows |= {str(one["source_table"]): dict(one) for one in rows}


def test_progress_goes_into_the_jobs_table_from_the_first_run_on(migration: RemoteMigration) -> None:
    table = Kept()
    site = replace(migration.site, jobs_table=table)
    run_id = start_copies(site, migration.plan, migration.plan.tables)
    [row] = table.rows.values()
    assert (row["state"], row["run_id"], row["rows"], row["copy_ended_at"]) == ("copying", run_id, None, None)
    migration.elsewhere.work()
    copy_table(site, migration.plan, migration.table)
    assert mirror(site, migration.plan, migration.plan.tables)
    [row] = table.rows.values()
    rows = migration.native.load_table("lake.t").scan().to_arrow().num_rows
    assert (row["state"], row["rows"], row["run_id"]) == ("copied", rows, run_id)
    assert row["copy_started_at"] <= row["copy_ended_at"] == row["updated_at"]


def test_a_jobs_table_that_cannot_be_written_stops_nothing_and_is_told_once(migration: RemoteMigration) -> None:
    broken = Kept(error=ConfigurationError("IB-241", "No MODIFY on a.b.c.", remedy="Grant it."))
    site = replace(migration.site, jobs_table=broken)
    assert start_copies(site, migration.plan, migration.plan.tables)
    broken.error = ConfigurationError("IB-241", "Another time.", remedy="Grant it.")
    assert not mirror(site, migration.plan, migration.plan.tables)
    kept = migration.ledger.document("jobs_table", "p1")
    assert kept is not None
    assert kept["code"] == "IB-465"
    assert "No MODIFY on a.b.c." in kept["message"], "the second time is not told"
    broken.error = None
    assert mirror(site, migration.plan, migration.plan.tables)
