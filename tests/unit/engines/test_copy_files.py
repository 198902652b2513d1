"""``copy_files``: the new table stands alone and is the old one, history and all."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from icebridge_provider.demo.position_deletes import commit_position_deletes
from icebridge_provider.exceptions import ConfigurationError, LimitExceeded, PreflightFailed
from tests.support import tables
from tests.support.copying import PLAN, CopyLake, content, duckdb_content, local
from tests.support.manifest_edit import edit_manifest

READABLE_BY_DUCKDB = sorted(set(tables.HEALTHY) - {"evolved"})  # old names in old files: ids are not its business


@pytest.mark.parametrize("shape", sorted(tables.HEALTHY))
def test_every_snapshot_reads_the_same_after_the_source_is_gone(lake: CopyLake, shape: str) -> None:
    old = tables.HEALTHY[shape](lake.native)
    before = {snapshot.snapshot_id: content(old, snapshot.snapshot_id) for snapshot in old.metadata.snapshots}
    job = lake.job(shape)
    result = lake.run(job)
    shutil.rmtree(local(old.location()))
    new = lake.copied(job)
    assert {snapshot.snapshot_id: content(new, snapshot.snapshot_id) for snapshot in new.metadata.snapshots} == before
    assert result.target_snapshot_id == result.snapshot_id == job.snapshot_id
    assert str(lake.folder / "source") not in json.dumps(lake.target.load(job.staged).metadata["snapshots"])


@pytest.mark.parametrize("shape", READABLE_BY_DUCKDB)
def test_an_independent_reader_sees_the_same_rows(lake: CopyLake, shape: str) -> None:
    old = tables.HEALTHY[shape](lake.native)
    before = duckdb_content(old) if old.current_snapshot() else []
    job = lake.job(shape)
    lake.run(job)
    new = lake.copied(job)
    assert (duckdb_content(new) if new.current_snapshot() else []) == before


@pytest.mark.parametrize("shape", sorted(tables.HEALTHY))
def test_ids_history_specs_orders_refs_and_properties_are_kept(lake: CopyLake, shape: str) -> None:
    tables.HEALTHY[shape](lake.native)
    job = lake.job(shape)
    lake.run(job)
    old, new = lake.source.load(job.source).metadata, lake.target.load(job.staged).metadata
    moved = {"location", "table-uuid", "metadata-log", "properties", "snapshots"}
    assert {k: v for k, v in new.items() if k not in moved} == {k: v for k, v in old.items() if k not in moved}
    without_list = [{k: v for k, v in item.items() if k != "manifest-list"} for item in new.get("snapshots", [])]
    assert without_list == [
        {k: v for k, v in item.items() if k != "manifest-list"} for item in old.get("snapshots", [])
    ]
    kept = {key: value for key, value in new["properties"].items() if not key.startswith("icebridge.")}
    assert kept == old["properties"]
    assert new["metadata-log"] == []
    assert new["table-uuid"] != old["table-uuid"]


def test_the_target_says_where_it_comes_from(lake: CopyLake) -> None:
    tables.plain(lake.native)
    job = lake.job("plain")
    lake.run(job, "abc")
    found = lake.target.load(job.staged).properties
    assert {key: value for key, value in found.items() if key.startswith("icebridge.")} == {
        "icebridge.plan-id": PLAN,
        "icebridge.source": "foreign.lake.plain",
        "icebridge.source-uuid": lake.source.load(job.source).metadata["table-uuid"],
        "icebridge.source-snapshot-id": str(job.snapshot_id),
        "icebridge.source-metadata-location": job.metadata_location,
        "icebridge.method": "copy_files",
        "icebridge.token": "abc",
        "icebridge.state": "staged",
    }


def test_properties_that_point_at_the_old_folder_go_and_planned_ones_come(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    table.transaction().set_properties({"write.data.path": f"{table.location()}/elsewhere"}).commit_transaction()
    lake.properties = {"owner": "new owner", "extra": "1"}
    job = lake.job("plain")
    lake.run(job)
    found = lake.target.load(job.staged).properties
    assert "write.data.path" not in found
    assert (found["owner"], found["extra"]) == ("new owner", "1")


def test_files_outside_the_location_get_places_of_their_own(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    folder = lake.folder / "elsewhere"
    for number in (1, 2):  # one file name in two folders
        place = folder / str(number)
        table.transaction().set_properties({"write.data.path": f"file:{place}"}).commit_transaction()
        table.append(tables.rows(1000 * number, 10))
    same = folder / "same"
    before = content(table)
    job = lake.job("plain")
    lake.run(job)
    shutil.rmtree(folder)
    shutil.rmtree(local(table.location()))
    new = lake.copied(job)
    paths = [task.file.file_path for task in new.scan().plan_files()]
    assert content(new) == before
    assert not same.exists()
    assert len(set(paths)) == 3
    assert sum("/outside/" in path for path in paths) == 2


def test_one_file_by_two_spellings_is_one_file(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    plain = local(table.location())
    table.transaction().set_properties({"write.data.path": f"{plain}/data"}).commit_transaction()  # bare path
    table.append(tables.rows(500, 5))
    job = lake.job("plain")
    lake.run(job)
    new = lake.copied(job)
    paths = [task.file.file_path for task in new.scan().plan_files()]
    assert all(path.startswith(job.location + "/data/") for path in paths)
    assert content(new) == content(table)


def test_deleted_files_that_no_snapshot_needs_are_not_copied(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    first = next(iter(table.scan().plan_files())).file.file_path
    table.overwrite(tables.rows(7, 3))
    table.maintenance.expire_snapshots().by_id(table.metadata.snapshots[0].snapshot_id).commit()
    local(first).unlink()
    table = table.refresh()
    job = lake.job("plain")
    lake.run(job)
    new = lake.copied(job)
    assert content(new) == content(table)
    assert len(list(local(job.location).rglob("*.parquet"))) == 1


def test_statistics_files_come_along(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    metadata = json.loads(local(table.metadata_location).read_text())
    for key, name in (("statistics", "stats.puffin"), ("partition-statistics", "parts.parquet")):
        local(f"{table.location()}/metadata/{name}").write_bytes(b"PFA1 " + name.encode())
        metadata[key] = [
            {
                "snapshot-id": metadata["current-snapshot-id"],
                "statistics-path": f"{table.location()}/metadata/{name}",
                "file-size-in-bytes": 5 + len(name),
                "file-footer-size-in-bytes": 3,
                "blob-metadata": [],
            }
        ]
    local(table.metadata_location).write_text(json.dumps(metadata))
    job = lake.job("plain")
    lake.run(job)
    new = lake.target.load(job.staged).metadata
    assert new["statistics"][0]["statistics-path"] == f"{job.location}/metadata/stats.puffin"
    assert local(new["statistics"][0]["statistics-path"]).read_bytes() == b"PFA1 stats.puffin"
    assert local(new["partition-statistics"][0]["statistics-path"]).read_bytes() == b"PFA1 parts.parquet"


def test_a_missing_file_is_named(lake: CopyLake) -> None:
    table = tables.missing_file(lake.native)
    with pytest.raises(PreflightFailed) as caught:
        lake.run(lake.job("missing_file"))
    assert caught.value.code == "IB-410"
    assert str(caught.value.facts["file"]).startswith(table.location())
    assert lake.target.load(lake.job("missing_file").staged) is None


def test_a_cut_file_is_named_with_both_lengths(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    path = local(next(iter(table.scan().plan_files())).file.file_path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PreflightFailed) as caught:
        lake.run(lake.job("plain"))
    assert (caught.value.code, caught.value.facts["size"], caught.value.facts["expected"]) == ("IB-411", size - 1, size)


def test_a_broken_manifest_is_named(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    path = local(table.current_snapshot().manifests(table.io)[0].manifest_path)
    data = bytearray(path.read_bytes())
    data[-30] ^= 0xFF
    path.write_bytes(bytes(data[:-5]))
    with pytest.raises(PreflightFailed) as caught:
        lake.run(lake.job("plain"))
    assert caught.value.code == "IB-412"
    assert caught.value.facts["file"] == f"file://{path}"


def test_too_little_space_is_told_before_anything_is_copied(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    manifest = table.current_snapshot().manifests(table.io)[0]
    edit_manifest(local(manifest.manifest_path), lambda entry: entry["data_file"].update(file_size_in_bytes=1 << 50))
    with pytest.raises(LimitExceeded) as caught:
        lake.run(lake.job("plain"))
    assert caught.value.code == "IB-420"
    assert caught.value.facts["needed"] == 1 << 50
    assert 0 < int(str(caught.value.facts["free"])) < 1 << 50
    assert not list(local(lake.job("plain").location).rglob("*.parquet"))


def test_a_name_that_others_hold_is_left_alone(lake: CopyLake) -> None:
    tables.plain(lake.native)
    job = lake.job("plain")
    lake.target.native.create_namespace("new")
    theirs = lake.target.native.create_table((*job.staged.namespace, job.staged.name), tables.rows(0, 1).schema)
    with pytest.raises(ConfigurationError) as caught:
        lake.run(job)
    assert caught.value.code == "IB-414"
    assert lake.target.load(job.staged).metadata_location == theirs.metadata_location


@pytest.mark.parametrize("inside", ["", "/data", "/.."])
def test_a_new_location_in_or_around_the_old_one_is_refused(lake: CopyLake, inside: str) -> None:
    table = tables.plain(lake.native)
    location = table.location().rpartition("/")[0] if inside == "/.." else table.location() + inside
    with pytest.raises(ConfigurationError) as caught:
        lake.run(replace(lake.job("plain"), location=location))
    assert caught.value.code == "IB-416"


def test_the_source_folder_is_never_written(lake: CopyLake) -> None:
    table = tables.position_deletes(lake.native)
    folder = lake.folder / "source" / "warehouse"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    lake.run(lake.job("deletes"))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert table.current_snapshot() is not None


def test_position_deletes_hold_the_new_paths_and_exact_bounds(lake: CopyLake) -> None:
    old = tables.position_deletes(lake.native)
    job = lake.job("deletes")
    lake.run(job)
    new = lake.copied(job)
    files = {task.file.file_path for task in new.scan().plan_files()}
    deletes = {delete.file_path: delete for task in new.scan().plan_files() for delete in task.delete_files}
    assert deletes
    for path, delete in deletes.items():
        rows = pq.read_table(local(path))
        named = rows["file_path"].to_pylist()
        assert set(named) <= files
        assert delete.file_size_in_bytes == local(path).stat().st_size
        assert delete.lower_bounds[2147483546].decode() == min(named)
        assert delete.upper_bounds[2147483546].decode() == max(named)
        assert [field.metadata[b"PARQUET:field_id"] for field in rows.schema] == [b"2147483546", b"2147483545"]
        assert sorted(zip(named, rows["pos"].to_pylist(), strict=True)) == list(
            zip(named, rows["pos"].to_pylist(), strict=True)
        )
    assert content(new) == content(old)


def test_manifest_lists_tell_the_true_length_of_every_manifest(lake: CopyLake) -> None:
    tables.dangling_deletes(lake.native)
    job = lake.job("dangling")
    lake.run(job)
    new = lake.copied(job)
    lengths = [
        (manifest.manifest_length, local(manifest.manifest_path).stat().st_size)
        for snapshot in new.metadata.snapshots
        for manifest in snapshot.manifests(new.io)
    ]
    assert len(lengths) > 10
    assert all(told == true for told, true in lengths)


@pytest.mark.parametrize("codec", ["zstd", "bzip2"])
def test_manifests_of_every_codec_are_rewritten_and_proven(lake: CopyLake, codec: str) -> None:
    table = tables.create(lake.native, codec, tables.rows(0, 1), properties={"write.avro.compression-codec": codec})
    table.append(tables.rows(0, 20))
    commit_position_deletes(table, {task.file.file_path: [1, 5] for task in table.scan().plan_files()})
    job = lake.job(codec)
    checks, differences = lake.proof(codec, job, lake.run(job))
    assert all(check.passed for check in checks), differences
    assert content(lake.copied(job)) == content(table.refresh())


def test_snapshots_of_version_one_without_a_manifest_list(lake: CopyLake) -> None:
    """The oldest writers named the manifests in the metadata file itself."""
    table = tables.format_one(lake.native)
    path = local(table.metadata_location)
    metadata = json.loads(path.read_text())
    for snapshot, old in zip(metadata["snapshots"], table.metadata.snapshots, strict=True):
        del snapshot["manifest-list"]
        snapshot["manifests"] = [manifest.manifest_path for manifest in old.manifests(table.io)]
    path.write_text(json.dumps(metadata))
    job = lake.job("format_one")
    result = lake.run(job)
    found = [place for item in lake.target.load(job.staged).metadata["snapshots"] for place in item["manifests"]]
    assert all(place.startswith(job.location) and local(place).is_file() for place in found)
    assert (result.rows, result.files_copied) == (60, 4)
    checks, differences = lake.proof("format_one", job, result)
    assert all(check.passed for check in checks), differences
    assert {check.name: check.source for check in checks}["manifest entries"] == "4"


def test_metadata_that_is_compressed_is_read(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    path = local(table.metadata_location)
    packed = path.with_name("00009-x.gz.metadata.json")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    job = replace(lake.job("plain"), metadata_location=f"file://{packed}")
    lake.run(job)
    assert content(lake.copied(job)) == content(table)


def test_the_new_table_can_be_written(lake: CopyLake) -> None:
    tables.evolved_schema(lake.native)
    job = lake.job("evolved")
    lake.run(job)
    new = lake.copied(job)
    count = len(content(new))
    new.append(new.scan().to_arrow().slice(0, 4))
    again = lake.copied(job)
    assert len(content(again)) == count + 4
    assert again.current_snapshot().manifest_list.startswith(job.location)
