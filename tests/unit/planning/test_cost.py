"""Hours and money by the stated model, and the refusal of what cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, LimitExceeded
from icebridge_provider.model.plan import ClusterRates, CopyMethod, MigrationRequest, Rates, TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.cost import estimate, refuse_impossible, runs_of
from tests.unit.planning.test_waves import planned

START = "2026-01-01T00:00:00+00:00"
TERA = 1000**4


def request(**changes: Any) -> MigrationRequest:
    rates = Rates(currency="EUR", storage_per_gb_month=0.02, transfer_per_gb=0.01, compute_per_hour=3.6)
    given = {"source_conn_id": "src", "target_conn_id": "dst", "throughput_mb_s": 100.0, "rates": rates}
    return MigrationRequest(**{**given, **changes})


def table(method: CopyMethod = CopyMethod.COPY_FILES, size: int = TERA) -> TablePlan:
    return replace(planned("t", size), method=method)


def test_a_terabyte_by_hand() -> None:
    made = estimate([table()], request(), grace_days=15)
    assert made.seconds == 20_000  # 1e6 MB at 100 MB/s, copied and proven
    assert (made.transfer, made.compute, made.storage) == (10.0, 20.0, 10.0)
    assert (made.cost, made.rates.currency, made.grace_days, made.measured) == (40.0, "EUR", 15, False)


def test_methods_take_what_they_take() -> None:
    seconds = {method: estimate([table(method)], request(), 30).seconds for method in CopyMethod}
    assert seconds == {
        CopyMethod.COPY_FILES: 20_000,
        CopyMethod.INSERT_SELECT: 60_000,
        CopyMethod.REGISTER: 0,
        CopyMethod.DEEP_CLONE: 60_000,
    }
    assert estimate([table(CopyMethod.REGISTER)], request(), 30).cost == 0


def test_a_measured_speed_goes_before_the_assumed_one() -> None:
    made = estimate([table()], request(), 30, measured_mb_s=200.0)
    assert (made.seconds, made.throughput_mb_s, made.measured) == (10_000, 200.0, True)


def test_no_plan_is_faster_than_its_commits() -> None:
    assert estimate([table(size=1)] * 1000, request(), 30, commits_per_min=100).seconds == 1800


def test_a_plan_that_costs_too_much_is_refused_with_its_parts() -> None:
    made = estimate([table()], request(), grace_days=15)
    refuse_impossible(made, request(max_cost=40.0), START)
    with pytest.raises(LimitExceeded) as caught:
        refuse_impossible(made, request(max_cost=39.99), START)
    assert caught.value.code == "IB-313"
    assert "40.00 EUR, max_cost is 39.99 EUR: transfer 10.00, compute 20.00, 15 days of storing twice 10.00" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("deadline", "speed", "says"),
    [
        ("2026-01-01T02:46:40+00:00", None, "200.0 MB/s are needed, 100.0 MB/s are assumed"),
        ("2026-01-01T03:46:40+01:00", 150.0, "200.0 MB/s are needed, 150.0 MB/s are measured"),
        ("2025-12-31", None, "is over"),
    ],
)
def test_a_deadline_that_cannot_be_met_is_refused_with_the_speed_needed(
    deadline: str, speed: float | None, says: str
) -> None:
    tables = [table()]
    with pytest.raises(LimitExceeded) as caught:
        refuse_impossible(estimate(tables, request(), 30, speed), request(deadline=deadline), START, tables)
    assert caught.value.code == "IB-314"
    assert says in caught.value.message


def test_a_deadline_that_can_be_met_passes() -> None:
    tables = [table()]
    made = estimate(tables, request(), 30)
    refuse_impossible(made, request(deadline="2026-01-01T05:33:20Z"), START, tables)
    refuse_impossible(made, request(deadline="2026-01-01 05:33:20"), START, tables)
    with pytest.raises(LimitExceeded, match="would end at 2026-01-01T05:33:20"):
        refuse_impossible(made, request(deadline="2026-01-01T05:33:19Z"), START, tables)


def test_commits_can_be_what_makes_it_late() -> None:
    tables = [table(size=1)] * 1000
    made = estimate(tables, request(), 30, commits_per_min=100)
    with pytest.raises(LimitExceeded, match="max_commits_per_min does not allow it"):
        refuse_impossible(made, request(deadline="2026-01-01T00:29:00Z"), START, tables)


def test_a_deadline_must_be_an_instant() -> None:
    with pytest.raises(ConfigurationError, match=r"IB-315.*'tomorrow'"):
        refuse_impossible(estimate([], request(), 30), request(deadline="tomorrow"), START)


CLUSTER = ClusterRates(
    nodes=3, photon=True, dbu_per_node_hour=1.0, photon_factor=2.0, photon_speedup=2.5, price_per_dbu=0.20,
    node_per_hour=0.50, startup_minutes=6,
)  # fmt: skip


def test_a_cluster_by_hand() -> None:
    rates = Rates(compute_per_hour=0.0, storage_per_gb_month=0.0, cluster=CLUSTER)
    made = estimate([table(CopyMethod.DEEP_CLONE)], request(rates=rates), 30, runs=10)
    assert made.cluster is not None
    assert made.cluster.hours == round(30_000 / 3600, 4)  # half of 60,000 s: the other half proves
    assert made.cluster.dbus == 50.0  # 3 nodes x 1 DBU x 2 for Photon x 8.33 h
    assert made.cluster.dbu_cost == 10.0
    assert made.cluster.instance_cost == 14.0  # (8.33 h + 10 starts x 0.1 h) x 3 x 0.50
    assert made.cluster.baseline_cost == pytest.approx(62.5 * 0.20 + (25_000 / 1200 + 1) * 1.5)
    assert (made.compute, made.cost) == (24.0, 24.0)


def test_without_photon_the_baseline_is_the_cluster_itself() -> None:
    rates = Rates(cluster=replace(CLUSTER, photon=False))
    made = estimate([table(CopyMethod.DEEP_CLONE)], request(rates=rates), 30).cluster
    assert made is not None
    assert (made.baseline_cost, made.baseline_hours) == (made.cost, made.hours)


def test_max_cost_counts_the_cluster() -> None:
    rates = Rates(compute_per_hour=0.0, storage_per_gb_month=0.0, cluster=CLUSTER)
    made = estimate([table(CopyMethod.DEEP_CLONE)], request(rates=rates), 30, runs=10)
    refuse_impossible(made, request(rates=rates, max_cost=24.0), START)
    with pytest.raises(LimitExceeded, match="IB-313"):
        refuse_impossible(made, request(rates=rates, max_cost=23.99), START)


def test_tables_share_runs_whatever_their_size() -> None:
    settings = Settings(named_tasks=2, batch_tables=3, batch_bytes=100)
    assert [runs_of([table(size=1)] * many, settings) for many in (0, 1, 3, 7)] == [0, 1, 1, 3]
    assert runs_of([table(size=5000)] * 3, settings) == 1
