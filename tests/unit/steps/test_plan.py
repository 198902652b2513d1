"""Plans made out of real catalogs, kept in a real ledger, made once, edited, and handed back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog as Native

from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.exceptions import (
    ConfigurationError,
    FencedOut,
    IceBridgeError,
    PreflightFailed,
    TransientError,
)
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, State, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.candidate import Capabilities
from icebridge_provider.ports import Lease
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.inventory import take_inventory
from icebridge_provider.steps.plan import (
    adopt_plan,
    load_plan_file,
    make_plan,
    new_plan_id,
    read_plan_file,
    reseal_plan_file,
    resume_plan,
    save_plan_file,
)
from icebridge_provider.steps.plan_context import busy_seconds, capabilities_of, measured_mb_s
from tests.support import tables as shapes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class World:
    folder: Path
    native: Native
    source: IcebergCatalog
    target: IcebergCatalog
    ledger: SqlLedger

    def plan(self, plan_id: str = "p1", inventory_id: str = "", **changes: Any) -> MigrationPlan:
        request = MigrationRequest(**{"source_conn_id": "src", "target_conn_id": "dst", **changes})
        return make_plan(
            self.source, self.target, self.ledger, request, Settings(), Actor(who="ada"), NOW, plan_id, inventory_id
        )

    def occupy(self, name: str, properties: dict[str, str] | None = None) -> None:
        self.target.create_namespace(("lake",))
        schema = shapes.rows(0, 1).schema
        self.target.native.create_table(("lake", name), schema, properties=properties or {})

    def refused(self) -> dict[str, str]:
        events = [event for event in self.ledger.events("p1") if event.outcome is Outcome.REFUSED]
        return {event.table: event.data["rule"] for event in events}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    native = shapes.open_catalog(tmp_path / "a")
    shapes.plain(native)
    shapes.history(native)
    shapes.missing_file(native)
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.migrate()
    source = catalog_from("src", shapes.catalog_properties(tmp_path / "a"))
    target = catalog_from("dst", shapes.catalog_properties(tmp_path / "b"))
    yield World(folder=tmp_path, native=native, source=source, target=target, ledger=ledger)


def ident(name: str, catalog: str = "dst") -> TableIdentifier:
    return TableIdentifier(catalog=catalog, namespace=("lake",), name=name)


def test_a_plan_is_kept_with_its_states_and_reasons(world: World) -> None:
    plan = world.plan()
    assert world.ledger.plan("p1") == plan
    assert [table.source.name for table in plan.tables] == ["history", "plain"]
    assert {state.table: state.state for state in world.ledger.states("p1")} == {
        "src.lake.history": State.PLANNED, "src.lake.missing_file": State.REFUSED, "src.lake.plain": State.PLANNED,
    }  # fmt: skip
    [refused] = [state for state in world.ledger.states("p1") if state.state is State.REFUSED]
    assert "is not there" in refused.problem
    whole = [event for event in world.ledger.events("p1") if not event.table]
    assert [(event.step, event.data["digest"], event.data["tables"]) for event in whole] == [
        (Step.PLAN, plan.digest, 2)
    ]
    assert {event.actor.who for event in world.ledger.events("p1")} == {"ada"}
    assert plan.versions["pyiceberg"]


def test_what_a_plan_says_is_what_stands_in_the_source(world: World) -> None:
    table = world.plan().table("src.lake.history")
    loaded = world.source.load(table.source)
    assert loaded is not None
    assert (table.snapshot_id, table.metadata_location) == (loaded.current_snapshot_id, loaded.metadata_location)
    assert table.table_uuid == loaded.metadata["table-uuid"]
    assert table.location.startswith(f"file://{world.folder}/b/")
    assert table.location.endswith("history-p1")


def test_a_plan_is_made_once(world: World) -> None:
    first = world.plan()
    before = list(world.ledger.events())
    assert world.plan(mapping=("prefix:lake.=other.",)) == first
    assert list(world.ledger.events()) == before
    with pytest.raises(ConfigurationError, match="IB-334"):
        world.plan(target_conn_id="other")


def test_a_plan_whose_recording_was_cut_off_is_recorded_by_the_next_try(world: World) -> None:
    plan = world.plan("scratch")
    cut_off = replace(plan, plan_id="p1").sealed()
    world.ledger.save_plan(cut_off)
    assert resume_plan(world.ledger, "p1", Actor()) == cut_off
    assert [state.state for state in world.ledger.states("p1")] == [State.PLANNED, State.REFUSED, State.PLANNED]
    count = len(list(world.ledger.events("p1")))
    world.plan("p1")
    assert len(list(world.ledger.events("p1"))) == count


def test_two_processes_do_not_record_one_plan(world: World) -> None:
    other = replace(world.plan("scratch"), plan_id="p1").sealed()
    world.ledger.save_plan(other)
    lease = world.ledger.acquire("plan p1", "somebody", 60)
    assert lease is not None
    with pytest.raises(TransientError, match="IB-600"):
        resume_plan(world.ledger, "p1", Actor())
    world.ledger.release(lease)
    assert resume_plan(world.ledger, "p1", Actor()) == other


def test_a_planner_that_slept_takes_no_table_back_to_planned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(world.plan("scratch"), plan_id="p1").sealed()
    world.ledger.save_plan(plan)
    further = LedgerEvent(plan_id="p1", table="src.lake.plain", step=Step.COPY, outcome=Outcome.DONE)
    sleeper = SqlLedger(f"sqlite:///{world.folder}/ledger.db")
    monkeypatch.setattr("icebridge_provider.steps.plan.RECORDING_SECONDS", 0.05)

    def slept(events: list[LedgerEvent], lease: Lease) -> None:
        time.sleep(0.1)
        resume_plan(world.ledger, "p1", Actor())
        world.ledger.append(further)
        SqlLedger.append_many(sleeper, events, lease)

    sleeper.append_many = slept  # type: ignore[assignment, method-assign]
    with pytest.raises(FencedOut, match="IB-110"):
        resume_plan(sleeper, "p1", Actor())
    assert world.ledger.state("p1", "src.lake.plain").state is State.COPIED


def test_a_source_that_moved_is_noted_once_and_not_replanned(world: World) -> None:
    plan = world.plan()
    world.native.load_table("lake.plain").append(shapes.rows(500, 3))
    head = world.native.load_table("lake.plain").current_snapshot()
    assert head is not None
    assert world.plan() == plan
    world.plan()
    noted = [event for event in world.ledger.events("p1") if event.outcome is Outcome.PROGRESS]
    assert [(event.table, event.data["snapshot_id"]) for event in noted] == [("src.lake.plain", head.snapshot_id)]
    assert noted[0].data["planned_snapshot_id"] == plan.table("src.lake.plain").snapshot_id
    assert world.ledger.state("p1", "src.lake.plain").state is State.PLANNED


def test_a_kept_inventory_is_planned_on(world: World) -> None:
    taken = take_inventory(world.source, world.ledger, Actor(), ["*"])["inventory_id"]
    world.native.drop_table("lake.history")
    plan = world.plan(inventory_id=taken, tables=("lake.h*",))
    assert [table.source.name for table in plan.tables] == ["history"]


def test_a_plan_without_an_id_is_named_by_time_and_request(world: World) -> None:
    plan = world.plan("")
    assert plan.plan_id == new_plan_id(plan.request, NOW)
    assert plan.plan_id.startswith("p20260102030405")
    assert len(plan.plan_id) == 19
    assert world.plan("") == plan


@pytest.mark.parametrize(
    ("name", "properties", "rule"),
    [
        ("plain", {}, "PRE-003"),
        ("PLAIN", {}, "PRE-003"),
        ("plain", {"icebridge.plan-id": "p0", "icebridge.source": "src.lake.other"}, "PRE-003"),
        ("plain", {"icebridge.plan-id": "p0", "icebridge.source": "src.lake.plain"}, "PRE-006"),
        ("plain__icebridge_p1", {}, "PRE-007"),
        ("plain__icebridge_p1", {"icebridge.plan-id": "p1", "icebridge.source": "src.lake.plain"}, ""),
        ("plain", {"icebridge.plan-id": "p1", "icebridge.source": "src.lake.plain"}, ""),
    ],
)
def test_names_that_are_taken(world: World, name: str, properties: dict[str, str], rule: str) -> None:
    world.occupy(name, properties)
    world.plan(tables=("lake.plain", "lake.history"))
    assert world.refused() == ({"src.lake.plain": rule} if rule else {})


def test_an_entry_without_metadata_still_has_its_name(world: World) -> None:
    world.occupy("plain")
    location = world.target.native.load_table("lake.plain").metadata_location
    Path(location.removeprefix("file://")).unlink()
    world.plan(tables=("lake.plain", "lake.history"))
    assert world.refused() == {"src.lake.plain": "PRE-003"}


def test_a_read_only_target_stops_everything_and_a_read_only_source_nothing(world: World) -> None:
    world.source = catalog_from("src", {**shapes.catalog_properties(world.folder / "a"), "read_only": True})
    plan = world.plan()
    assert len([finding for finding in plan.findings if finding.rule == "PRE-010"]) == len(plan.tables) + 1
    world.target = catalog_from("dst", {**shapes.catalog_properties(world.folder / "b"), "read_only": True})
    with pytest.raises(PreflightFailed, match=r"IB-316.*the target connection dst is read-only"):
        world.plan("p2")


def test_a_refused_plan_leaves_no_plan(world: World) -> None:
    with pytest.raises(ConfigurationError, match="IB-312"):
        world.plan(method="insert_select")
    assert world.ledger.plans() == []
    assert list(world.ledger.events("p1")) == []


def test_requests_are_checked_before_a_catalog_is_read(world: World) -> None:
    class Unread:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    with pytest.raises(ConfigurationError, match="IB-330"):
        make_plan(
            Unread(), Unread(), world.ledger,
            MigrationRequest(source_conn_id="src", target_conn_id="dst", method="clone"), Settings(), Actor(), NOW,
        )  # type: ignore[arg-type]  # fmt: skip


def test_zero_copy_needs_a_target_that_reads_the_source(world: World) -> None:
    plan = world.plan(allow_zero_copy=True, tables=("lake.plain",))
    assert [table.method for table in plan.tables] == [CopyMethod.REGISTER]
    taken = take_inventory(world.source, world.ledger, Actor(), ["lake.plain"])["inventory_id"]
    loaded = world.source.load(ident("plain", "src"))
    assert loaded is not None
    Path(loaded.metadata_location.removeprefix("file://")).rename(world.folder / "elsewhere")
    with pytest.raises(PreflightFailed, match=r"cannot read the files of .*/lake/plain"):
        world.plan("p2", taken, allow_zero_copy=True, tables=("lake.plain",))


def test_space_on_this_host_is_looked_up(world: World) -> None:
    header = {"inventory_id": "big", "catalog": "src", "taken_at": "", "globs": ["*"], "level": "files", "pages": 1}
    world.ledger.save_document("inventory", "big", header)
    taken = take_inventory(world.source, world.ledger, Actor(), ["lake.plain"])["inventory_id"]
    page = world.ledger.document("inventory", f"{taken}/00000")
    assert page is not None
    page["tables"][0]["facts"]["history_bytes"] = 10**18
    world.ledger.save_document("inventory", "big/00000", page)
    with pytest.raises(PreflightFailed, match=r"it needs 1,000,000,000,000,000,000 bytes"):
        world.plan(inventory_id="big")


# Past speed


def test_time_in_which_nothing_ran_does_not_count() -> None:
    assert busy_seconds([(0, 2), (1, 3), (10, 11), (10.2, 10.5)]) == 4
    assert busy_seconds([]) == 0


def test_speed_is_measured_by_earlier_runs(world: World) -> None:
    plan = world.plan()
    for outcome, data in ((Outcome.STARTED, {}), (Outcome.DONE, {"bytes_copied": 5 * 10**8})):
        event = LedgerEvent(plan_id="p1", table="src.lake.plain", step=Step.COPY, outcome=outcome, data=data)
        world.ledger.append(event)
        time.sleep(0.02)  # times are kept to the millisecond
    at = [
        datetime.fromisoformat(event.at).timestamp() for event in world.ledger.events("p1") if event.step is Step.COPY
    ]
    assert measured_mb_s(world.ledger, plan.request) == pytest.approx(500 / (at[1] - at[0]))
    assert measured_mb_s(world.ledger, replace(plan.request, target_conn_id="other")) is None
    world.ledger.append(LedgerEvent(plan_id="p2", table="src.lake.plain", step=Step.COPY, outcome=Outcome.DONE))
    assert world.plan("p2", mapping=("prefix:lake.=second.",)).estimate.measured


def test_a_little_copied_measures_nothing(world: World) -> None:
    plan = world.plan()
    for outcome, data in ((Outcome.STARTED, {}), (Outcome.DONE, {"bytes_copied": 10**6})):
        event = LedgerEvent(plan_id="p1", table="src.lake.plain", step=Step.COPY, outcome=outcome, data=data)
        world.ledger.append(event)
    assert measured_mb_s(world.ledger, plan.request) is None


def test_what_a_kind_of_catalog_takes() -> None:
    hive = catalog_from("h", {"type": "hive", "uri": "thrift://127.0.0.1:1"})
    assert capabilities_of(hive) == Capabilities(plain_names=True, one_level=True, longest_name=128)
    rest = catalog_from("r", {"type": "rest", "uri": "http://127.0.0.1:1"})
    assert capabilities_of(rest) == Capabilities()


# Plan files


def edited(file: Path, *keys: str | int, value: Any) -> None:
    document = json.loads(file.read_text())
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    file.write_text(json.dumps(document, indent=2))


def test_a_plan_file_comes_back_as_it_went(world: World) -> None:
    file = world.folder / "plan.json"
    plan = world.plan()
    save_plan_file(plan, file)
    assert load_plan_file(file) == plan
    assert adopt_plan(load_plan_file(file), world.ledger, Actor()) == plan
    assert [path.name for path in world.folder.iterdir() if "plan.json" in path.name] == ["plan.json"]


def test_an_edit_is_refused_until_resealed_and_then_kept_beside_its_original(world: World) -> None:
    file = world.folder / "plan.json"
    plan = world.plan()
    save_plan_file(plan, file)
    edited(file, "tables", 0, "target", "name", value="renamed")
    with pytest.raises(ConfigurationError) as caught:
        load_plan_file(file)
    assert caught.value.code == "IB-320"
    assert caught.value.remedy.endswith(f"icebridge plan --reseal {file}")
    with pytest.raises(ConfigurationError, match="IB-320"):
        adopt_plan(read_plan_file(file), world.ledger, Actor())
    reseal_plan_file(file)
    kept = adopt_plan(load_plan_file(file), world.ledger, Actor())
    assert kept.plan_id.startswith("p1_")
    assert kept.tables[0].target.name == "renamed"
    assert kept.tables[0].staged.name == f"renamed__icebridge_{kept.plan_id}"
    assert not {table.location for table in kept.tables} & {table.location for table in plan.tables}
    assert world.ledger.plan("p1") == plan
    assert world.ledger.plan(kept.plan_id) == kept
    assert adopt_plan(load_plan_file(file), world.ledger, Actor()) == kept
    assert len(world.ledger.plans()) == 2


def test_a_plan_made_elsewhere_is_taken_in_under_its_own_id(world: World) -> None:
    plan = world.plan()
    other = SqlLedger(f"sqlite:///{world.folder}/other.db")
    other.migrate()
    assert adopt_plan(plan, other, Actor()) == plan
    assert [state.state for state in other.states("p1")] == [State.PLANNED, State.REFUSED, State.PLANNED]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{\n  "plan_id": "x",\n  oops\n}', "line 3, column 3: "),
        ('{"plan_id": "x", "plan_id": "y"}', "the key 'plan_id' stands twice"),
        ('{\n  "plan_id": 7\n}', "line 1, column 1, $: key 'created_at' is missing"),
        ("[]", "line 1, column 1, $: expected an object"),
        ("[" * 100_000, "is not a plan"),
    ],
)
def test_a_file_that_is_no_plan_says_where(world: World, text: str, says: str) -> None:
    file = world.folder / "plan.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_plan_file(file)
    assert caught.value.code == "IB-322"
    assert says in caught.value.message


def test_a_wrong_value_is_named_by_line_column_and_key(world: World) -> None:
    file = world.folder / "plan.json"
    save_plan_file(world.plan(), file)
    edited(file, "tables", 1, "method", value="clone")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if '"clone"' in text)
    with pytest.raises(
        ConfigurationError, match=rf"line {line}, column 17, \$\.tables\[1\]\.method: 'clone' is not one of"
    ):
        load_plan_file(file)


def test_files_that_are_not_there_or_cannot_be_written(world: World) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_plan_file(world.folder / "none.json")
    assert caught.value.code == "IB-321"
    assert "icebridge apply" in caught.value.remedy
    (world.folder / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(IceBridgeError, match=r"IB-322.*byte 0 is not UTF-8"):
        load_plan_file(world.folder / "bytes.json")
    with pytest.raises(IceBridgeError, match="IB-118"):
        save_plan_file(world.plan(), world.folder / "no" / "folder.json")
