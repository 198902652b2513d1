"""A plan is the right tables under the right names, and refuses what must not be spent on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, LimitExceeded, PreflightFailed
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import Approval, CopyMethod, MigrationPlan, MigrationRequest
from icebridge_provider.model.report import Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.table import ForeignTable
from icebridge_provider.planning.build import PlanContext, build_plan, chosen, short_id, staged_name
from icebridge_provider.planning.preflight import Occupant, PreflightContext
from icebridge_provider.planning.selection import select
from tests.support.inventories import NOW_MS, ident, inventory, many, source_finding, table

START = "2026-01-01T00:00:00+00:00"


def request(**changes: Any) -> MigrationRequest:
    return MigrationRequest(**{"source_conn_id": "src", "target_conn_id": "dst", **changes})


def build(found: Inventory, asked: MigrationRequest | None = None, **changes: Any) -> MigrationPlan:
    context = PlanContext(preflight=PreflightContext(now_ms=NOW_MS, **changes))
    return build_plan(found, asked or request(), context, "p1", START, Settings())


def refused(code: str, found: Inventory, asked: MigrationRequest, **changes: Any) -> IceBridgeError:
    with pytest.raises(IceBridgeError) as caught:
        build(found, asked, **changes)
    assert caught.value.code == code
    return caught.value


def test_a_table_plan_says_what_the_copy_needs() -> None:
    [made] = build(inventory(table())).tables
    facts = table().facts
    assert facts is not None
    assert (made.source, made.target) == (ident("sales.orders"), ident("sales.orders", "dst"))
    assert made.staged == ident("sales.orders__icebridge_p1", "dst")
    assert (made.method, made.files, made.bytes, made.rows) == (CopyMethod.COPY_FILES, 12, 1_200_000_000, 10_000_000)
    assert (made.table_uuid, made.metadata_location, made.snapshot_id) == (
        facts.table_uuid,
        facts.metadata_location,
        4711,
    )
    assert made.losses == ()


def test_history_counts_only_where_it_moves() -> None:
    asked = request(method="insert_select", accept_losses=("history",))
    [made] = build(inventory(table()), asked).tables
    assert (made.files, made.bytes) == (10, 1_000_000_000)


def test_a_blocking_finding_drops_the_table_not_the_run() -> None:
    broken, fine = table("a.broken"), table("a.fine")
    unread = ForeignTable(identifier=ident("a.unread"), problem="no such file")
    found = inventory(broken, fine, unread, findings=(source_finding(broken, "SRC-002"),))
    plan = build(found)
    assert [made.source.path for made in plan.tables] == ["a.fine"]
    assert {(item.table.path, item.rule) for item in plan.findings} == {
        ("a.broken", "SRC-002"),
        ("a.unread", "SRC-001"),
    }


def test_a_plan_without_tables_says_why_for_each() -> None:
    broken, taken = table("a.broken"), table("a.taken")
    found = inventory(broken, taken, findings=(source_finding(broken, "SRC-002"),))
    error = refused("IB-316", found, request(), occupants={ident("a.taken", "dst"): Occupant()})
    assert isinstance(error, PreflightFailed)
    assert (
        "2 are refused, 0 were migrated already. Seen. Mend it. src.a.taken: dst.a.taken exists already"
        in error.message
    )


def test_a_second_plan_says_that_nothing_is_left_to_do() -> None:
    done = {ident("a.t", "dst"): Occupant(plan_id="p0", source="src.a.t")}
    left = table("a.t__archived_20260101")
    error = refused("IB-316", inventory(table("a.t"), left), request(), occupants=done)
    assert error.message.startswith("Nothing is left to do: 2 tables were migrated already.")


def test_left_overs_are_taken_only_by_name() -> None:
    found = inventory(table("a.t"), table("a.t__archived_20260101"), table("a.t__icebridge_p0"))
    plan = build(found)
    assert [made.source.path for made in plan.tables] == ["a.t"]
    assert [item.rule for item in plan.findings] == ["PRE-021", "PRE-021"]
    named = build(found, request(tables=("a.t__archived_20260101",)))
    assert [made.source.path for made in named.tables] == ["a.t__archived_20260101"]
    assert named.findings == ()


def test_methods_by_rule() -> None:
    asked = request(mapping=("method:a.*=insert_select",), accept_losses=("history:a.*",))
    plan = build(inventory(table("a.t"), table("b.t")), asked)
    assert [made.method.value for made in plan.tables] == ["insert_select", "copy_files"]
    assert [loss.id for made in plan.tables for loss in made.losses] == ["history:a.t"]


def test_a_loss_that_is_not_accepted_fails_the_plan() -> None:
    error = refused("IB-312", inventory(table("a.t"), table("b.t")), request(mapping=("method:a.t=insert_select",)))
    assert '"accept_losses": ["history"]' in error.remedy


def test_losses_of_a_refused_table_need_no_acceptance() -> None:
    asked = request(mapping=("method:a.t=insert_select",))
    found = inventory(table("a.t"), table("b.t"), findings=(source_finding(table("a.t"), "SRC-002"),))
    assert [made.source.path for made in build(found, asked).tables] == ["b.t"]


def test_old_files_that_are_gone_stop_a_copy_of_files_but_not_a_re_encode() -> None:
    found = inventory(table("a.t"), table("b.t"), findings=(source_finding(table("a.t"), "SRC-003"),))
    assert [made.source.path for made in build(found).tables] == ["b.t"]
    asked = request(mapping=("method:a.t=insert_select",), accept_losses=("history",))
    plan = build(found, asked)
    assert [made.source.path for made in plan.tables] == ["a.t", "b.t"]
    assert [item.severity for item in plan.findings] == [Severity.WARNING]


def test_all_tables_together_must_fit() -> None:
    found = inventory(table("a.t"), table("b.t"))
    build(found, free_bytes=2_400_000_000)
    error = refused("IB-319", found, request(), free_bytes=2_399_999_999)
    assert isinstance(error, LimitExceeded)
    assert "needs 2,400,000,000 bytes, 2,399,999,999 are free" in error.message
    assert "at least 1 bytes" in error.remedy


def test_zero_copy_shares_and_needs_no_space() -> None:
    [made] = build(inventory(table()), request(allow_zero_copy=True), free_bytes=0).tables
    assert (made.method, made.bytes, made.properties) == (CopyMethod.REGISTER, 0, {"gc.enabled": "false"})


def test_two_entries_of_one_table_warn_of_each_other() -> None:
    twin = replace(table("a.t"), identifier=ident("b.t"))
    assert [item.rule for item in build(inventory(table("a.t"), twin)).findings] == ["PRE-018", "PRE-018"]


def test_a_rule_about_a_table_that_is_not_there_warns_with_the_nearest() -> None:
    plan = build(inventory(table("flights.trips")), request(mapping=("explicit:flights.tripz=a.b",)))
    [found] = plan.findings
    assert (found.rule, found.table, found.remedy) == ("PRE-019", ident("flights.tripz"), "Nearest: flights.trips.")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": "clone"}, "IB-330"),
        ({"method": "register"}, "IB-331"),
        ({"accept_losses": ("all",)}, "IB-332"),
        ({"approval": Approval.NONE}, "IB-335"),
        ({"wave_tables": 0}, "IB-336"),
        ({"wave_bytes": -1}, "IB-336"),
        ({"throughput_mb_s": 0.0}, "IB-336"),
        ({"throughput_mb_s": float("nan")}, "IB-336"),
        ({"max_cost": -1.0}, "IB-336"),
        ({"deadline": "soon"}, "IB-315"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "IB-314"),
        ({"max_cost": 0.0}, "IB-313"),
        ({"cutover_window": "always"}, "IB-317"),
        ({"mapping": ("x",)}, "IB-311"),
        ({"tables": ("nothing.*",)}, "IB-230"),
        ({"mapping": ("regex:/.*/ => a.b",)}, "IB-310"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(changes: dict[str, Any], code: str) -> None:
    error = refused(code, inventory(table("a.t"), table("b.t")), request(**changes))
    assert error.remedy
    assert error.changed == "Nothing changed."


@pytest.mark.parametrize("plan_id", ["-x", "a b", "a/b", "x" * 65, "a\n"])
def test_a_plan_id_must_fit_into_names(plan_id: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-333"):
        build_plan(inventory(table()), request(), PlanContext(), plan_id, START, Settings())


def test_the_measured_speed_is_in_the_estimate() -> None:
    context = PlanContext(measured_mb_s=50.0)
    made = build_plan(inventory(table()), request(), context, "p1", START, Settings()).estimate
    assert (made.seconds, made.throughput_mb_s, made.measured) == (48.0, 50.0, True)


def test_the_same_input_makes_the_same_plan() -> None:
    found = many(450)
    plan = build(found)
    assert plan == build(replace(found, tables=found.tables[::-1]))
    assert plan.digest == plan.computed_digest()
    assert [(wave.tables, wave.canary) for wave in plan.waves] == [(5, True), (200, False), (200, False), (40, False)]
    assert MigrationPlan.from_json(plan.to_json()) == plan


IDS = st.text(st.sampled_from("aZ09_.:+-"), min_size=1, max_size=64)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@given(NAMES, NAMES, IDS, IDS)
def test_staged_names_are_short_and_never_shared(one: str, two: str, first: str, second: str) -> None:
    names = {
        (name, plan): staged_name(ident("a.b").named(name), plan).name
        for name in (one, two)
        for plan in (first, second)
    }
    assert all(len(name) <= 255 for name in names.values())
    assert len(set(names.values())) == len(names)
    assert all(name.rpartition("__icebridge_")[2].isascii() for name in names.values())


@given(IDS, IDS)
def test_short_ids_are_plain_and_never_shared(one: str, two: str) -> None:
    assert short_id(one).replace("_", "a").isalnum()
    assert len(short_id(one)) <= 32
    assert (short_id(one) == short_id(two)) == (one == two)


def test_thousands_of_full_names_select_what_globs_would() -> None:
    found = many(400)
    paths = [item.identifier.path for item in found.tables]
    for globs in (paths[:150], [*paths[:150], "ns001.*"], [*paths[:150], "!ns000.table_00000"], paths[:3]):
        assert chosen(found, globs) == select([item.identifier for item in found.tables], globs)
    with pytest.raises(ConfigurationError, match="IB-230"):
        chosen(found, [*paths[:150], "ns000.tabel"])
