"""The byte proof holds for a true copy and names every kind of damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icebridge_provider.model.codec import to_json
from icebridge_provider.model.job import CopyResult, JobSpec
from tests.support import tables
from tests.support.copying import PLAN, CopyLake, local
from tests.support.manifest_edit import edit_manifest


@pytest.mark.parametrize("shape", sorted(tables.HEALTHY))
def test_a_true_copy_passes(lake: CopyLake, shape: str) -> None:
    tables.HEALTHY[shape](lake.native)
    job = lake.job(shape)
    checks, differences = lake.proof(shape, job, lake.run(job))
    assert differences == ()
    assert {"metadata", "catalog entry", "files", "bytes"} <= {check.name for check in checks}
    assert all(check.passed for check in checks)


def test_what_was_proven_is_kept_in_the_ledger(lake: CopyLake) -> None:
    tables.history(lake.native)
    job = lake.job("history")
    result = lake.run(job)
    lake.proof("history", job, result)
    found = lake.ledger.document("files", f"{PLAN}/{job.source}")
    assert found is not None
    assert (found["files"], found["bytes"], found["passed"]) == (result.files_copied, result.bytes_copied, True)


class Damage:
    """What the damaging functions get: the copied table's files."""

    def __init__(self, lake: CopyLake, job: JobSpec, result: CopyResult) -> None:
        self.lake, self.job, self.result = lake, job, result
        self.table = lake.copied(job)
        self.tasks = sorted(self.table.scan().plan_files(), key=lambda task: task.file.file_path)

    @property
    def data_file(self) -> Path:
        return local(self.tasks[0].file.file_path)

    @property
    def delete_file(self) -> Path:
        return local(min(delete.file_path for task in self.tasks for delete in task.delete_files))

    def manifest(self, content: int = 0) -> Path:
        found = self.table.current_snapshot().manifests(self.table.io)
        return local(next(item.manifest_path for item in found if int(item.content) == content))

    @property
    def manifest_list(self) -> Path:
        return local(self.table.current_snapshot().manifest_list)

    @property
    def metadata(self) -> Path:
        return local(self.result.metadata_location)


def _one_bit(damage: Damage) -> Path:
    path = damage.data_file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return path


def _swapped_files(damage: Damage) -> Path:
    one, other = (local(task.file.file_path) for task in damage.tasks[:2])
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return one


def _cut(damage: Damage) -> Path:
    path = damage.data_file
    path.write_bytes(path.read_bytes()[:-4])
    return path


def _lost(damage: Damage) -> Path:
    damage.data_file.unlink()
    return damage.data_file


def _rewrite_deletes(damage: Damage, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Path:
    path = damage.delete_file
    rows = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(rows.to_pylist()), schema=rows.schema), path, store_schema=False)
    return path


def _lost_delete(damage: Damage) -> Path:
    return _rewrite_deletes(damage, lambda rows: rows[:-1])


def _moved_delete(damage: Damage) -> Path:
    return _rewrite_deletes(damage, lambda rows: [{**row, "pos": row["pos"] + 1} for row in rows])


def _old_path(damage: Damage) -> Path:
    old = damage.lake.native.load_table(("lake", "deletes")).location()
    return _rewrite_deletes(
        damage, lambda rows: [{**row, "file_path": row["file_path"].replace(damage.job.location, old)} for row in rows]
    )


def _wrong_bounds(damage: Damage) -> Path:
    paths: list[str] = []

    def change(entry: dict[str, Any]) -> None:
        paths.append(entry["data_file"]["file_path"])
        for bound in entry["data_file"]["lower_bounds"]:
            if bound["key"] == 2147483546:
                bound["value"] += b"z"

    edit_manifest(damage.manifest(1), change)
    return local(paths[0])


def _entry(content: int = 0, **changes: Any) -> Callable[[Damage], Path]:
    def change(damage: Damage) -> Path:
        edit_manifest(damage.manifest(content), lambda entry: entry["data_file"].update(changes))
        return damage.manifest(content)

    return change


def _sequence_number(damage: Damage) -> Path:
    edit_manifest(damage.manifest(), lambda entry: entry.update(sequence_number=99))
    return damage.manifest()


def _lost_entry(damage: Damage) -> Path:
    path = damage.manifest_list
    kept: list[bytes] = []
    edit_manifest(path, lambda record: kept.append(record["manifest_path"]))
    edit_manifest(path, lambda record: record.update(manifest_path=kept[0]))
    return path


def _wrong_length(damage: Damage) -> Path:
    edit_manifest(damage.manifest_list, lambda record: record.update(manifest_length=record["manifest_length"] + 1))
    return damage.manifest()


def _json(change: Callable[[dict[str, Any]], None]) -> Callable[[Damage], Path]:
    def apply(damage: Damage) -> Path:
        found = json.loads(damage.metadata.read_text())
        change(found)
        damage.metadata.write_text(json.dumps(found))
        return damage.metadata

    return apply


DAMAGE: dict[str, tuple[Callable[[Damage], Path], str]] = {
    "one bit": (_one_bit, "bytes"),
    "swapped files": (_swapped_files, "files"),
    "cut file": (_cut, "files"),
    "lost file": (_lost, "files"),
    "lost delete": (_lost_delete, "position deletes"),
    "moved delete": (_moved_delete, "position deletes"),
    "delete of the old file": (_old_path, "position deletes"),
    "bounds that hide deletes": (_wrong_bounds, "position deletes"),
    "record count": (_entry(record_count=1), "manifest entries"),
    "value counts": (_entry(value_counts=None), "manifest entries"),
    "delete record count": (_entry(1, record_count=1), "manifest entries"),
    "referenced file": (_entry(1, split_offsets=None), "manifest entries"),
    "sequence number": (_sequence_number, "manifest entries"),
    "lost entry": (_lost_entry, "manifest lists"),
    "manifest length": (_wrong_length, "manifest lists"),
    "schema": (_json(lambda found: found["schemas"][0]["fields"].pop()), "metadata"),
    "field id": (_json(lambda found: found["schemas"][0]["fields"][0].update(id=77)), "metadata"),
    "lost snapshot": (_json(lambda found: found["snapshots"].pop(0)), "metadata"),
    "snapshot summary": (_json(lambda found: found["snapshots"][0]["summary"].update(x="y")), "metadata"),
    "ref": (_json(lambda found: found["refs"].clear()), "metadata"),
    "property": (_json(lambda found: found["properties"].update(owner="me")), "metadata"),
}


@pytest.mark.parametrize("kind", sorted(DAMAGE))
def test_damage_is_caught_and_named(lake: CopyLake, kind: str) -> None:
    table = tables.position_deletes(lake.native)
    table.transaction().set_properties({"owner": "tests"}).commit_transaction()
    job = lake.job("deletes")
    damage = Damage(lake, job, lake.run(job))
    change, expected = DAMAGE[kind]
    damaged = change(damage)
    checks, differences = lake.proof("deletes", job, damage.result)
    assert expected in {check.name for check in checks if not check.passed}
    named = {(found["check"], found["file"]) for found in differences}
    assert (expected, f"file://{damaged}") in named
    assert all(" differences; " in check.detail for check in checks if not check.passed)


def test_a_lost_delete_says_which_row_would_come_back(lake: CopyLake) -> None:
    tables.position_deletes(lake.native)
    job = lake.job("deletes")
    damage = Damage(lake, job, lake.run(job))
    last = pq.read_table(damage.delete_file).to_pylist()[-1]
    _lost_delete(damage)
    _, differences = lake.proof("deletes", job, damage.result)
    found = [item for item in differences if "come back" in item["what"]]
    assert len(found) == 1
    assert found[0]["what"] == "1 deleted rows would come back"
    assert last["file_path"] in found[0]["source"]
    assert str(last["pos"]) in found[0]["source"]


def test_a_source_file_that_changed_meanwhile_is_caught(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    job = lake.job("plain")
    result = lake.run(job)
    path = local(next(iter(table.scan().plan_files())).file.file_path)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    checks, _ = lake.proof("plain", job, result)
    assert [check.name for check in checks if not check.passed] == ["bytes"]


def test_a_staged_entry_that_somebody_moved_is_caught(lake: CopyLake) -> None:
    tables.plain(lake.native)
    job = lake.job("plain")
    result = lake.run(job)
    lake.copied(job).append(tables.rows(0, 1))
    checks, _ = lake.proof("plain", job, result)
    assert [check.name for check in checks if not check.passed] == ["catalog entry"]


def test_the_verdict_is_plain_json(lake: CopyLake) -> None:
    tables.plain(lake.native)
    job = lake.job("plain")
    checks, differences = lake.proof("plain", job, lake.run(job))
    assert json.loads(json.dumps([to_json(checks), differences]))[0][0]["name"] == "metadata"
