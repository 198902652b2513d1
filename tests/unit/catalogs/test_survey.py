"""Broken sources are found, each by its rule and with its fix; healthy ones are left in peace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.catalogs.manifests import read_table
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.table import FileTotals, ForeignTable
from icebridge_provider.planning.inspection import RULES
from icebridge_provider.steps.inventory import look_at
from icebridge_provider.stores.object_store import ObjectStore
from tests.support import tables as shapes

Lake = tuple[IcebergCatalog, Any]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    native = shapes.open_catalog(tmp_path)
    return catalog_from("src", shapes.catalog_properties(tmp_path)), native


def seen(lake: Lake, name: str, level: str = "files") -> tuple[ForeignTable, tuple[Finding, ...]]:
    found = look_at(lake[0], TableIdentifier(catalog="src", namespace=("lake",), name=name), level)
    assert found is not None
    return found


def local(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def data_files(table: Table) -> list[Path]:
    return [local(task.file.file_path) for task in table.scan().plan_files()]


def edit(table: Table, change: Callable[[dict[str, Any]], None]) -> None:
    path = local(table.metadata_location)
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


QUIET = sorted(set(shapes.HEALTHY) - {"broken_summary", "dangling"})


@pytest.mark.parametrize("name", QUIET)
def test_healthy_tables_have_no_findings_and_right_totals(lake: Lake, name: str) -> None:
    table = shapes.HEALTHY[name](lake[1])
    foreign, findings = seen(lake, name)
    assert findings == ()
    assert foreign.facts is not None
    tasks = list(table.scan().plan_files())
    totals = foreign.facts.totals
    assert totals.data_files == len(tasks)
    assert totals.data_bytes == sum(task.file.file_size_in_bytes for task in tasks)
    assert totals.rows == sum(task.file.record_count for task in tasks)
    deletes = {item.file_path for task in tasks for item in task.delete_files}
    assert totals.position_delete_files == len(deletes)
    assert foreign.facts.metadata_location == table.metadata_location


def test_history_counts_every_file_that_some_snapshot_needs_once(lake: Lake) -> None:
    table = shapes.history(lake[1])
    foreign, _ = seen(lake, "history")
    assert foreign.facts is not None
    reachable: dict[str, int] = {}
    for snapshot in table.metadata.snapshots:
        for task in table.scan(snapshot_id=snapshot.snapshot_id).plan_files():
            reachable[task.file.file_path] = task.file.file_size_in_bytes
    assert foreign.facts.history_files == len(reachable) > foreign.facts.totals.data_files
    assert foreign.facts.history_bytes == sum(reachable.values())


def lose_data(table: Table) -> None:
    data_files(table)[0].unlink()


def cut_data(table: Table) -> None:
    path = data_files(table)[0]
    path.write_bytes(path.read_bytes()[:-7])


def grow_data(table: Table) -> None:
    path = data_files(table)[0]
    path.write_bytes(path.read_bytes() + b"x")


def lose_old_data(table: Table) -> None:
    old = data_files(table)[0]
    table.overwrite(shapes.rows(0, 3))
    old.unlink()


def current_manifest(table: Table) -> Path:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return local(snapshot.manifests(table.io)[0].manifest_path)


def lose_manifest(table: Table) -> None:
    current_manifest(table).unlink()


def lose_manifest_list(table: Table) -> None:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    local(snapshot.manifest_list).unlink()


def tear_manifest(table: Table) -> None:
    path = current_manifest(table)
    path.write_bytes(path.read_bytes()[:40])


def pad_manifest(table: Table) -> None:
    """Another length, still readable: the entry in the manifest list is what is wrong."""
    import fastavro

    snapshot = table.current_snapshot()
    assert snapshot is not None
    path = local(snapshot.manifest_list)
    with path.open("rb") as source:
        reader = fastavro.reader(source)
        records, schema = list(reader), reader.writer_schema
    records[0]["manifest_length"] -= 5
    with path.open("wb") as target:
        fastavro.writer(target, schema, records)


def dangle_tag(table: Table) -> None:
    edit(table, lambda metadata: metadata["refs"].update({"old tag": {"snapshot-id": 1, "type": "tag"}}))


def lose_head(table: Table) -> None:
    edit(table, lambda metadata: metadata.update({"current-snapshot-id": 1, "refs": {"a": {
        "snapshot-id": metadata["snapshots"][0]["snapshot-id"], "type": "tag"}}}))  # fmt: skip


def future_format(table: Table) -> None:
    edit(table, lambda metadata: metadata.update({"format-version": 9}))


def odd_type(table: Table) -> None:
    edit(table, lambda metadata: metadata["schemas"][0]["fields"][0].update({"type": "hyperint"}))


def no_schema(table: Table) -> None:
    edit(table, lambda metadata: metadata.update({"current-schema-id": 7}))


def double_ids(table: Table) -> None:
    edit(table, lambda metadata: metadata["schemas"][0]["fields"][1].update({"id": 1}))


def move_home(table: Table) -> None:
    edit(table, lambda metadata: metadata.update({"location": "file:///somewhere/else"}))


def lose_statistics(table: Table) -> None:
    gone = {"statistics-path": "file:///nowhere.puffin", "file-size-in-bytes": 9, "snapshot-id": 1}
    edit(table, lambda metadata: metadata.update({"statistics": [gone]}))


BROKEN: dict[str, tuple[Callable[[Table], None], set[str]]] = {
    "data file lost": (lose_data, {"SRC-002"}),
    "old data file lost": (lose_old_data, {"SRC-003"}),
    "data file cut": (cut_data, {"SRC-004"}),
    "data file grown": (grow_data, {"SRC-004"}),
    "manifest lost": (lose_manifest, {"SRC-005"}),
    "manifest list lost": (lose_manifest_list, {"SRC-005"}),
    "manifest torn": (tear_manifest, {"SRC-006"}),
    "manifest length wrong": (pad_manifest, {"SRC-007"}),
    "tag on an expired snapshot": (dangle_tag, {"SRC-012"}),
    "head expired": (lose_head, {"SRC-013"}),
    "format of the future": (future_format, {"SRC-014"}),
    "type unknown": (odd_type, {"SRC-015"}),
    "schema missing": (no_schema, {"SRC-018"}),
    "field ids twice": (double_ids, {"SRC-018"}),
    "files elsewhere": (move_home, {"SRC-010", "SRC-011"}),
    "statistics lost": (lose_statistics, {"SRC-019"}),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_table_is_found_by_its_rule(lake: Lake, case: str) -> None:
    breaking, expected = BROKEN[case]
    table = shapes.plain(lake[1])
    breaking(table)
    _, findings = seen(lake, "plain")
    assert {finding.rule for finding in findings} == expected
    severity = {rule.id: rule.severity for rule in RULES}
    for finding in findings:
        assert finding.severity is severity[finding.rule]
        assert len(finding.remedy) > 20
        assert str(finding.table) == "src.lake.plain"


def test_summary_that_lies_is_shown_with_both_numbers(lake: Lake) -> None:
    shapes.broken_summary(lake[1])
    foreign, findings = seen(lake, "broken_summary", "manifests")
    assert [finding.rule for finding in findings] == ["SRC-008"]
    assert findings[0].facts["totals"]["total-records"] == {"summary": 0, "manifests": 100}
    assert "CALL <catalog>.system.rewrite_manifests('lake.broken_summary');" in findings[0].remedy
    assert foreign.facts is not None
    assert (foreign.facts.summary.rows, foreign.facts.totals.rows) == (0, 100)


def test_totals_that_the_summary_does_not_state_are_no_mismatch(lake: Lake) -> None:
    table = shapes.plain(lake[1])
    edit(table, lambda metadata: metadata["snapshots"][0].update({"summary": {"operation": "append"}}))
    assert seen(lake, "plain")[1] == ()


def test_dangling_deletes_are_found_with_and_without_reading_them(lake: Lake) -> None:
    shapes.dangling_deletes(lake[1])
    for level in ("manifests", "files"):
        _, findings = seen(lake, "dangling", level)
        assert [finding.rule for finding in findings] == ["SRC-009"]
        assert len(findings[0].facts["files"]) == 2


def test_a_delete_file_over_many_data_files_is_read_to_judge_it(lake: Lake, tmp_path: Path) -> None:
    """Several paths in one file: the bounds of file_path do not name one data file, only reading it tells."""
    from icebridge_provider.catalogs import survey
    from icebridge_provider.catalogs.manifests import LiveFile, Reading

    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"file_path": ["gone-1", "gone-2"], "pos": [0, 0]}), path)
    delete = LiveFile(path=str(path), content=1, format="PARQUET", rows=2, size=path.stat().st_size)
    data = LiveFile(path="alive", content=0, format="PARQUET", rows=1, size=1)
    store = ObjectStore({})
    assert survey._dangling(store, Reading(current=[delete, data])) == ((str(path),), 0)
    pq.write_table(pa.table({"file_path": ["gone-1", "alive"], "pos": [0, 0]}), path)
    assert survey._dangling(store, Reading(current=[delete, data])) == ((), 0)


def test_a_file_listed_twice_is_found(lake: Lake) -> None:
    twice = shapes.create(lake[1], "twice", pa.table({"id": pa.array([1], pa.int64())}))
    path = local(twice.location()) / "data" / "x.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int64())}), path)
    twice.add_files([f"file://{path}"])
    twice.add_files([f"file://{path}"], check_duplicate_files=False)
    _, findings = seen(lake, "twice")
    assert [finding.rule for finding in findings] == ["SRC-017"]


def test_metadata_level_reads_nothing_but_the_metadata_file(lake: Lake) -> None:
    table = shapes.plain(lake[1])
    lose_manifest_list(table)
    foreign, findings = seen(lake, "plain", "metadata")
    assert findings == ()
    assert foreign.facts is not None
    assert foreign.facts.manifests is None
    assert foreign.facts.totals.rows == 100


def test_many_files_are_compared_by_one_listing(lake: Lake) -> None:
    """Past a number of files the folder is listed; what is missing there is still asked for one by one."""
    table = shapes.partitioned(lake[1])
    table.append(shapes.rows(200, 60))
    lose_data(table)

    class Counting(ObjectStore):
        asked = 0

        def size(self, location: str) -> int | None:
            self.asked += 1
            return super().size(location)

    from icebridge_provider.catalogs.survey import survey

    store = Counting({})
    loaded = lake[0].load(TableIdentifier(catalog="src", namespace=("lake",), name="partitioned"))
    assert loaded is not None
    facts, evidence = survey(loaded, store, "files")
    assert facts.history_files > 32
    assert store.asked == 1
    assert len(evidence.missing) == 1


def test_deletion_vectors_count_apart_from_delete_files() -> None:
    from icebridge_provider.catalogs.manifests import LiveFile, totals_of

    def file(content: int, kind: str, size: int, vector: int = 0) -> LiveFile:
        return LiveFile(path="p", content=content, format=kind, rows=3, size=size, vector_size=vector)

    files = [file(0, "PARQUET", 10), file(1, "PARQUET", 20), file(2, "PARQUET", 40), file(1, "PUFFIN", 999, 7)]
    assert totals_of(files) == FileTotals(
        data_files=1, data_bytes=10, rows=3, position_delete_files=1, equality_delete_files=1, deletion_vectors=1,
        delete_bytes=67, delete_rows=9, formats=("PARQUET", "PUFFIN"),
    )  # fmt: skip


def test_format_one_with_manifests_in_the_snapshot_is_read(lake: Lake) -> None:
    """Format version 1 allows a snapshot without a manifest list, naming its manifests itself."""
    table = shapes.format_one(lake[1])
    snapshot = table.current_snapshot()
    assert snapshot is not None
    paths = [manifest.manifest_path for manifest in snapshot.manifests(table.io)]
    metadata = json.loads(local(table.metadata_location).read_text())
    inline = {**metadata["snapshots"][-1], "manifests": paths}
    del inline["manifest-list"]
    reading = read_table(ObjectStore({}), {**metadata, "snapshots": [inline]})
    assert reading.totals().rows == 60
    assert reading.bad == []


def test_rules_have_distinct_ids_and_blocking_ones_come_first(lake: Lake) -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    table = shapes.broken_summary(lake[1])
    lose_data(table)
    _, findings = seen(lake, "broken_summary")
    assert [finding.severity for finding in findings] == [Severity.BLOCKING, Severity.WARNING]
