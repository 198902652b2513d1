"""An inventory is kept whole in the ledger and is read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import Actor, Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.inventory import load_inventory, read_inventory, save_inventory, take_inventory
from tests.support import many_tables
from tests.support import tables as shapes

ACTOR = Actor(who="ada", origin="cli")


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    found = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    found.migrate()
    return found


def lake(folder: Path) -> IcebergCatalog:
    native = shapes.open_catalog(folder / "lake")
    shapes.plain(native)
    shapes.broken_summary(native)
    shapes.missing_file(native)
    lost = shapes.plain(native, "lost")
    Path(lost.metadata_location.removeprefix("file://")).unlink()
    return catalog_from("src", shapes.catalog_properties(folder / "lake"))


def test_what_was_taken_can_be_loaded(tmp_path: Path, ledger: SqlLedger) -> None:
    taken = take_inventory(lake(tmp_path), ledger, ACTOR)
    assert {key: taken[key] for key in ("tables", "problems", "findings")} == {
        "tables": 4,
        "problems": 1,
        "findings": 3,
    }
    found = load_inventory(ledger, taken["inventory_id"])
    assert [table.identifier.name for table in found.tables] == ["broken_summary", "lost", "missing_file", "plain"]
    assert {finding.rule for finding in found.findings} == {"SRC-001", "SRC-002", "SRC-008"}
    assert found.level == "files"
    assert found.findings_of(found.tables[1].identifier)[0].rule == "SRC-001"
    assert set(found.findings_by_table()) == {table.identifier for table in found.tables[:3]}


def test_one_event_says_who_took_it(tmp_path: Path, ledger: SqlLedger) -> None:
    taken = take_inventory(lake(tmp_path), ledger, ACTOR, globs=["lake.plain"])
    events = list(ledger.events(taken["inventory_id"]))
    assert [(event.step, event.outcome, event.actor.who) for event in events] == [(Step.INVENTORY, Outcome.DONE, "ada")]
    assert events[0].data["tables"] == 1


def test_the_same_id_again_reads_nothing(tmp_path: Path, ledger: SqlLedger) -> None:
    catalog = lake(tmp_path)
    first = take_inventory(catalog, ledger, ACTOR, inventory_id="run-1")
    catalog.drop_entry(TableIdentifier(catalog="src", namespace=("lake",), name="plain"))
    assert take_inventory(catalog, ledger, ACTOR, inventory_id="run-1") == first
    assert len(list(ledger.events("run-1"))) == 1
    assert take_inventory(catalog, ledger, ACTOR, inventory_id="run-2")["tables"] == 3


def test_many_pages_come_back_in_order(tmp_path: Path, ledger: SqlLedger) -> None:
    properties = many_tables.build(tmp_path / "many", 600, per_namespace=100, bare=True)
    found = read_inventory(catalog_from("source", properties), inspect="metadata", inventory_id="wide")
    save_inventory(ledger, found)
    assert load_inventory(ledger, "wide") == found
    assert len(found.tables) == 600


def test_nothing_of_the_source_is_changed(tmp_path: Path, ledger: SqlLedger) -> None:
    catalog = lake(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "lake" / "warehouse").rglob("*")}
    rows = _rows(tmp_path)
    take_inventory(catalog, ledger, ACTOR)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "lake" / "warehouse").rglob("*")} == before
    assert _rows(tmp_path) == rows


def _rows(folder: Path) -> list[Any]:
    import sqlite3

    with sqlite3.connect(folder / "lake" / "catalog.db") as connection:
        return connection.execute("SELECT * FROM iceberg_tables ORDER BY 3").fetchall()


def test_mistakes_are_told(tmp_path: Path, ledger: SqlLedger) -> None:
    catalog = lake(tmp_path)
    with pytest.raises(ConfigurationError) as glob:
        take_inventory(catalog, ledger, ACTOR, globs=["lake.plian"])
    with pytest.raises(ConfigurationError) as level:
        take_inventory(catalog, ledger, ACTOR, inspect="deeply")
    with pytest.raises(ConfigurationError) as missing:
        load_inventory(ledger, "nope")
    assert [error.value.code for error in (glob, level, missing)] == ["IB-230", "IB-232", "IB-233"]
    assert "lake.plain" in glob.value.remedy
    assert list(ledger.documents("inventory")) == []


def test_credentials_in_table_properties_never_reach_the_ledger(tmp_path: Path, ledger: SqlLedger) -> None:
    native = shapes.open_catalog(tmp_path / "lake")
    shapes.create(native, "t", shapes.rows(0, 1), properties={"s3.secret-access-key": "canary", "owner": "me"})
    taken = take_inventory(catalog_from("src", shapes.catalog_properties(tmp_path / "lake")), ledger, ACTOR)
    facts = load_inventory(ledger, taken["inventory_id"]).tables[0].facts
    assert facts is not None
    assert facts.properties["owner"] == "me"
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
