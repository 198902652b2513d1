"""Validation: whatever was damaged on the way is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.validate import validate_table
from tests.support import tables as shapes
from tests.support.migration import PLAN, Migration

STAGED = "t__icebridge_p1"


def _data_file(m: Migration) -> Path:
    tasks = m.target.native.load_table(("lake", STAGED)).scan().plan_files()
    return Path(sorted(task.file.file_path for task in tasks)[0].removeprefix("file://"))


def _rewrite(m: Migration, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of one data file of the copy, as a bad disk or a wrong writer would."""
    path = _data_file(m)
    table = pq.ParquetFile(path).read()
    pq.write_table(change(table).cast(table.schema), path)


def _cell(table: pa.Table) -> pa.Table:
    ids = table["id"].to_pylist()
    ids[3] += 100_000
    return table.set_column(0, table.schema.field(0), pa.array(ids, pa.int64()))


def _swap(table: pa.Table) -> pa.Table:
    ids = table["id"].to_pylist()
    ids[3], ids[4] = ids[4], ids[3]
    return table.set_column(0, table.schema.field(0), pa.array(ids, pa.int64()))


def _lose(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 5), table.slice(6)])


def _twice(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(5, 1)])


def _lose_one_double_one(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 5), table.slice(6), table.slice(0, 1)])


def _null_for_empty(table: pa.Table) -> pa.Table:
    names = pc.if_else(pc.equal(table["name"], ""), pa.scalar(None, pa.string()), table["name"])
    return table.set_column(1, table.schema.field(1), names)


DAMAGE = [
    (_cell, "changed", "id"),
    (_swap, "changed", "id"),
    (_lose_one_double_one, "lost", ""),
    (_null_for_empty, "changed", "name"),
]


def _fails(m: Migration) -> ValidationFailed:
    with pytest.raises(ValidationFailed, match="IB-603") as caught:
        validate_table(m.site, m.plan, m.table)
    assert m.state.state is State.COPIED
    assert m.state.problem
    assert m.events(Step.VALIDATE, Outcome.DONE) == []
    return caught.value


@pytest.mark.parametrize(("damage", "kind", "column"), DAMAGE)
def test_a_damaged_row_of_a_rewritten_table_is_named(
    tmp_path: Path, damage: Callable[[pa.Table], pa.Table], kind: str, column: str
) -> None:
    m = Migration(tmp_path, method="insert_select").copied()
    _rewrite(m, damage)
    text = str(_fails(m))
    assert kind in text
    assert column in text


@pytest.mark.parametrize("damage", [_lose, _twice])
def test_a_file_with_another_number_of_rows_is_named(tmp_path: Path, damage: Callable[[pa.Table], pa.Table]) -> None:
    m = Migration(tmp_path, method="insert_select").copied()
    path = _data_file(m)
    _rewrite(m, damage)
    with pytest.raises(ValidationFailed, match=f"IB-505.*{path.name}"):
        validate_table(m.site, m.plan, m.table)
    assert m.state.state is State.COPIED


def _commit_loss(table: Table) -> None:
    table.delete("id = 5")


def _commit_twice(table: Table) -> None:
    table.append(shapes.rows(5, 1))


def _commit_phantom(table: Table) -> None:
    table.append(shapes.rows(777, 1))


@pytest.mark.parametrize(
    ("damage", "kind"), [(_commit_loss, "lost"), (_commit_twice, "duplicated"), (_commit_phantom, "phantom")]
)
def test_a_row_too_few_or_too_many_is_named(tmp_path: Path, damage: Callable[[Table], None], kind: str) -> None:
    m = Migration(tmp_path, method="insert_select").copied()
    damage(m.target.native.load_table(("lake", STAGED)))
    assert f"kind {kind}" in str(_fails(m))


def test_one_changed_byte_of_a_copied_file_is_named(tmp_path: Path) -> None:
    m = Migration(tmp_path).copied()
    path = _data_file(m)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert path.name in str(_fails(m))


def test_a_lost_delete_file_is_named(tmp_path: Path) -> None:
    m = Migration(tmp_path, shapes.position_deletes).copied()
    deletes = sorted((m.folder / "target").rglob("*-deletes.parquet"))
    deletes[0].unlink()
    assert deletes[0].name in str(_fails(m))


def test_a_delete_that_lost_a_position_is_named(tmp_path: Path) -> None:
    m = Migration(tmp_path, shapes.position_deletes).copied()
    path = sorted((m.folder / "target").rglob("*-deletes.parquet"))[0]
    table = pq.ParquetFile(path).read()
    pq.write_table(table.slice(1), path)
    assert path.name in str(_fails(m))


def test_the_failed_report_is_kept(tmp_path: Path) -> None:
    m = Migration(tmp_path, method="insert_select").copied()
    _commit_loss(m.target.native.load_table(("lake", STAGED)))
    _fails(m)
    report = m.ledger.document("report", f"{PLAN}/src.lake.t")
    assert report is not None
    assert [check["name"] for check in report["checks"] if not check["passed"]]
    assert report["differences"][0]["kind"] == "lost"


def test_a_copy_that_is_gone_is_named(tmp_path: Path) -> None:
    m = Migration(tmp_path, method="insert_select").copied()
    m.target.drop_entry(m.table.staged)
    with pytest.raises(ValidationFailed, match=f"IB-604.*{STAGED}"):
        validate_table(m.site, m.plan, m.table)


def test_what_is_not_copied_cannot_be_proven(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    with pytest.raises(ConfigurationError, match="IB-602"):
        validate_table(m.site, m.plan, m.table)


def test_a_proven_table_is_not_proven_again(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated()
    first = m.state.validation
    assert validate_table(m.site, m.plan, m.table) == {**first, "already": True}
    assert len(m.events(Step.VALIDATE, Outcome.DONE)) == 1


@pytest.mark.parametrize("method", ["copy_files", "insert_select"])
def test_it_proves_against_the_copied_snapshot_whatever_came_since(tmp_path: Path, method: str) -> None:
    m = Migration(tmp_path, method=method).copied()
    pinned = m.state.copy["source_snapshot_id"]
    m.append()
    found = validate_table(m.site, m.plan, m.table)
    assert found["source_snapshot_id"] == pinned
    assert found["rows"] == 100


def test_after_damage_a_rollback_and_a_new_copy_mend_it(tmp_path: Path) -> None:
    m = Migration(tmp_path).copied()
    _data_file(m).write_bytes(b"nothing")
    _fails(m)
    rollback_table(m.site, m.plan, m.table)
    assert m.validated().state.state is State.VALIDATED
    assert m.rows("target", STAGED) == m.rows("source", "t")
