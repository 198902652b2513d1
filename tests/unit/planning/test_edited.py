"""A plan that a person edited holds together, or the message names the key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.build import PlanContext, build_plan
from icebridge_provider.planning.edited import check_plan, renamed, settled
from tests.support.inventories import ident, inventory, many, table

START = "2026-01-01T00:00:00+00:00"


def plan(**changes: Any) -> MigrationPlan:
    found = inventory(table("a.t"), table("b.t"))
    locations = {ident(path, "dst"): f"s3://new/{path}-p1" for path in ("a.t", "b.t")}
    request = MigrationRequest(source_conn_id="src", target_conn_id="dst", **changes)
    return build_plan(found, request, PlanContext(locations=locations), "p1", START, Settings())


def first(made: MigrationPlan, **changes: Any) -> MigrationPlan:
    return replace(made, tables=(replace(made.tables[0], **changes), *made.tables[1:]))


EDITS: dict[str, tuple[Callable[[MigrationPlan], MigrationPlan], str, str]] = {
    "no table": (lambda made: replace(made, tables=()), "IB-324", "$.tables: it holds no table"),
    "source catalog": (lambda made: first(made, source=ident("a.t", "x")), "IB-324", "$.tables[0].source.catalog"),
    "target catalog": (lambda made: first(made, target=ident("a.t", "x")), "IB-324", "$.tables[0].target.catalog"),
    "empty name": (lambda made: first(made, target=ident("a.t", "dst").named("")), "IB-324", "$.tables[0].target"),
    "staged is target": (lambda made: first(made, staged=ident("a.t", "dst")), "IB-324", "$.tables[0].staged"),
    "staged elsewhere": (lambda made: first(made, staged=ident("b.s", "dst")), "IB-324", "$.tables[0].staged"),
    "no folder": (lambda made: first(made, location=""), "IB-324", "$.tables[0].location"),
    "nested folder": (lambda made: first(made, location="s3://new/b.t-p1/x"), "IB-324", "within the folder of another"),
    "same folder": (lambda made: first(made, location="s3a://new/b.t-p1/"), "IB-324", "within the folder of another"),
    "wave": (lambda made: first(made, wave=-1), "IB-324", "$.tables[0].wave"),
    "twice": (lambda made: replace(made, tables=(made.tables[0], *made.tables)), "IB-324", "two tables have src.a.t"),
    "same target": (
        lambda made: first(made, target=ident("b.T", "dst"), staged=ident("b.s", "dst")),
        "IB-324", "$.tables[0].target",
    ),
    "hidden loss": (lambda made: first(made, method=CopyMethod.INSERT_SELECT), "IB-324", '"history"'),
    "shared files": (lambda made: first(made, method=CopyMethod.REGISTER), "IB-331", "shares files"),
    "cost": (lambda made: replace(made, request=replace(made.request, max_cost=0.0)), "IB-313", "max_cost"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_that_contradicts_is_named(name: str) -> None:
    edit, code, says = EDITS[name]
    check_plan(plan())
    with pytest.raises(IceBridgeError) as caught:
        check_plan(edit(plan()))
    assert caught.value.code == code
    assert says in caught.value.message


def test_an_accepted_loss_allows_another_method() -> None:
    check_plan(first(plan(accept_losses=("history:a.*",)), method=CopyMethod.INSERT_SELECT))


def test_a_plan_as_made_is_settled() -> None:
    made = plan()
    assert settled(made) is made


def test_a_table_taken_out_takes_its_share_of_waves_and_price_along() -> None:
    made = build_plan(
        many(450), MigrationRequest(source_conn_id="src", target_conn_id="dst"), PlanContext(), "p1", START, Settings()
    )
    left = settled(replace(made, tables=made.of_wave(0) + made.of_wave(3)))
    assert [(wave.number, wave.tables, wave.canary) for wave in left.waves] == [(0, 5, True), (3, 40, False)]
    assert left.estimate.bytes == 45 * 1_200_000_000
    assert left.estimate.cost < made.estimate.cost
    assert left.digest == left.computed_digest()


def test_an_edited_plan_gets_names_and_folders_of_its_own() -> None:
    made = plan()
    other = renamed(made, "p1_abc")
    assert [item.staged.name for item in other.tables] == ["t__icebridge_p1_abc", "t__icebridge_p1_abc"]
    assert [item.location for item in other.tables] == ["s3://new/a.t-p1_abc", "s3://new/b.t-p1_abc"]
    check_plan(other)
    assert other.digest == other.computed_digest() != made.digest
