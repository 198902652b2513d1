"""A plan that is to keep its consumers' names is refused, with the reason, when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.catalogs.iceberg import catalog_from
from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.consumer import ConsumerNames
from icebridge_provider.model.event import Actor
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.consumer_names import refuse_platform
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.plan import adopt_plan, make_plan
from tests.support import tables as shapes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEEP = ConsumerNames.KEEP


class World:
    """Two plain catalogs, two tables to move."""

    def __init__(self, folder: Path) -> None:
        native = shapes.open_catalog(folder / "a")
        shapes.plain(native, "one")
        shapes.plain(native, "two")
        shapes.open_catalog(folder / "b")
        self.source = catalog_from("src", shapes.catalog_properties(folder / "a"))
        self.target = catalog_from("dst", shapes.catalog_properties(folder / "b"))
        self.ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
        self.ledger.migrate()

    def plan(self, **changes: Any) -> MigrationPlan:
        request = MigrationRequest(source_conn_id="src", target_conn_id="dst", **changes)
        return make_plan(self.source, self.target, self.ledger, request, Settings(), Actor(who="ada"), NOW, "p1")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.ledger.close()


def test_a_whole_catalog_under_the_same_names_keeps_them(world: World) -> None:
    plan = world.plan(consumer_names=KEEP)
    assert plan.request.consumer_names is KEEP
    assert len(plan.tables) == 2


def test_a_table_that_stays_behind_refuses_it_and_nothing_is_kept(world: World) -> None:
    with pytest.raises(PreflightFailed) as caught:
        world.plan(consumer_names=KEEP, tables=("lake.one",))
    assert caught.value.code == "IB-270"
    assert "1 would stay behind: lake.two" in caught.value.message
    assert world.ledger.plans() == []
    assert len(world.plan(tables=("lake.one",)).tables) == 1, "with new names it goes"


def test_a_new_name_refuses_it(world: World) -> None:
    with pytest.raises(PreflightFailed) as caught:
        world.plan(consumer_names=KEEP, mapping=("prefix:lake.=house.",))
    assert caught.value.code == "IB-270"
    assert "lake.one becomes house.one, lake.two becomes house.two" in caught.value.message


def test_an_edited_plan_is_held_to_it_too(world: World) -> None:
    from dataclasses import replace

    plan = world.plan(consumer_names=KEEP)
    moved = replace(plan.tables[0], target=plan.tables[0].target.named("other"))
    edited = replace(plan, plan_id="p2", tables=(moved, *plan.tables[1:])).sealed()
    with pytest.raises(PreflightFailed) as caught:
        adopt_plan(edited, world.ledger, Actor(who="ada"))
    assert caught.value.code == "IB-270"


def test_a_platform_that_cannot_says_why_and_what_later(world: World) -> None:
    plan = world.plan(consumer_names=KEEP)
    refuse_platform(plan, "", "")
    with pytest.raises(PreflightFailed) as caught:
        refuse_platform(plan, "lake is foreign", "Ask its owner.")
    assert "lake is foreign" in caught.value.message
    assert caught.value.remedy.endswith("Ask its owner.")
