"""The proof by SQL and the catch-up by partitions, end to end with the real steps on a workspace with its engine."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, UUIDType

from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.exceptions import IceBridgeError, TransientError, ValidationFailed
from icebridge_provider.model.settings import Settings
from icebridge_provider.steps.compare_remotely import comparison_of, start_comparison
from icebridge_provider.steps.target_reader import FILES, read_copy
from tests.support import tables as shapes
from tests.support.databricks import Workspace
from tests.support.databricks_proof import Proof
from tests.support.sql_estate import WAREHOUSE

DAY = dt.date(2024, 2, 29)


def rows(region: str | None, first: int, count: int = 3, day: dt.date | None = DAY) -> list[dict[str, Any]]:
    return [{"id": n, "Region": region, "day": day, "name": f"n{n}"} for n in range(first, first + count)]


@pytest.fixture
def proof(databricks: Workspace, tmp_path: Path) -> Proof:
    return Proof(databricks, tmp_path)


def append(made: Proof, *given: dict[str, Any]) -> None:
    table = made.native.load_table("lake.t")
    table.append(pa.Table.from_pylist(list(given), table.schema().as_arrow()))


def programs(made: Proof) -> list[str]:
    """Programs of the runs of this migration, by name."""
    mine = [run["run_id"] for run in made.server.order("GET", "/runs") if run["creator_user_name"] == made.copier]
    runs = [made.server.sdk(made.copier).jobs.get_run(run_id) for run_id in mine]
    files = [run.tasks[0].spark_python_task.python_file for run in runs if run.tasks and run.tasks[0].spark_python_task]
    return sorted(file.rpartition("/")[2].rpartition("-")[0] for file in files)


def compared(made: Proof, generation: int = 0) -> dict[str, Any]:
    """What the cluster says of source and copy."""
    run_id = start_comparison(made.site, made.plan, [made.table], generation)
    assert start_comparison(made.site, made.plan, [made.table], generation) == run_id
    found: dict[str, Any] = made.until_over(
        lambda: comparison_of(made.site, made.plan, [made.table], run_id, generation)
    )
    return found


def test_changed_partitions_are_caught_up_and_the_copy_is_proven_by_sql(proof: Proof) -> None:
    made = proof
    made.by_region([*rows("eu", 0), *rows("it's", 10), *rows(None, 20), *rows("us", 30), *rows("us", 40, day=None)])
    made.federate().copied()
    first = made.proven()
    assert first["readers"] == {"source": "the table's files", "target": "SQL warehouse 0123456789abcdef"}
    before = made.sql("SELECT count(*) FROM {staged}")
    append(made, *rows("it's", 100, 2), *rows(None, 110, 1), *rows("new", 120, 1), *rows("us", 130, 1, day=None))
    made.native.load_table("lake.t").delete("Region = 'eu'")
    assert made.synced()["moved"] is True
    assert programs(made) == ["bulk_copy", "incremental_sync"]
    assert [before, made.sql("SELECT count(*) FROM {staged}")] == [[["15"]], [["17"]]]
    assert made.proven()["rows"] == 17
    report = made.ledger.document("report", f"p1/{made.table.source}")
    assert report is not None and report["readers"]["target"].startswith("SQL warehouse")
    [found] = compared(made).values()
    assert (found["state"], found["source_rows"], found["target_rows"]) == ("same", 17, 17)
    made.sql("DELETE FROM {staged} WHERE id = 100")
    with pytest.raises(ValidationFailed, match=r"IB-553.*17 rows in the source, 16 in the copy"):
        compared(made, generation=1)


def test_what_partitions_cannot_tell_is_copied_anew(proof: Proof, caplog: pytest.LogCaptureFixture) -> None:
    made = proof
    shapes.plain(made.native, "t")
    made.federate().copied()
    made.proven()
    made.native.load_table("lake.t").append(shapes.rows(1000, 5))
    with caplog.at_level("INFO"):
        made.synced()
    assert programs(made) == ["bulk_copy", "bulk_copy"]
    assert "not every changed file belongs to a partition" in caplog.text
    assert made.proven()["rows"] == 105


def test_a_copier_that_reads_masked_values_is_refused_naming_the_mask(proof: Proof) -> None:
    made = proof
    made.by_region(rows("eu", 0))
    made.federate()
    function = {
        "full_name": f"{made.main}.lake.hidden",
        "parameters": [["x", "string"]],
        "body_sql": "CASE WHEN is_account_group_member('exempt') THEN x ELSE '***' END",
        "return_type": "STRING",
    }
    made.server.order("POST", "/functions", function)
    made.server.order("PATCH", f"/tables/{made.lake}.lake.t", {"masks": {"name": [f"{made.main}.lake.hidden"]}})
    made.grant("catalog", made.lake, "MANAGE")
    made.copied()
    with pytest.raises(ValidationFailed, match="IB-603") as caught:
        made.proven()
    assert f"mask {made.main}.lake.hidden of column name" in str(caught.value)
    assert "column name" in str(caught.value)


def test_a_protected_copy_is_not_proven(proof: Proof) -> None:
    made = proof
    made.by_region(rows("eu", 0))
    made.federate().copied()
    made.server.order("POST", "/functions", {
        "full_name": f"{made.main}.lake.mine", "parameters": [["x", "string"]], "body_sql": "x = 'us'",
        "return_type": "BOOLEAN",
    })  # fmt: skip
    change = {"row_filter": [f"{made.main}.lake.mine", "Region"]}
    made.server.order("PATCH", f"/tables/{made.main}.lake.t__icebridge_p1", change)
    with pytest.raises(IceBridgeError, match=r"IB-637.*row filter .*lake\.mine"):
        made.proven()
    assert made.state.state.value == "copied"


def test_a_lost_row_is_named_whoever_reads(proof: Proof) -> None:
    made = proof
    made.by_region([*rows("eu", 0), *rows("us", 10)])
    made.federate().copied()
    made.sql("DELETE FROM {staged} WHERE id = 11")
    with pytest.raises(ValidationFailed, match="IB-603") as caught:
        made.proven()
    assert "kind lost" in str(caught.value)
    made.settings = replace(Settings(), target_reader="files")
    with pytest.raises(ValidationFailed, match="IB-603"):
        made.proven()


def test_a_copy_that_is_written_while_sql_reads_it_is_read_again_later(proof: Proof) -> None:
    made = proof
    made.by_region(rows("eu", 0))
    made.federate().copied()
    run = made.target.statements.run

    class Meddled(Statements):
        """Somebody writes to the copy before the answer is there."""

        def run(self, *asked: Any, **more: Any) -> Any:
            found = run(*asked, **more)
            made.sql("INSERT INTO {staged} SELECT * FROM {staged} WHERE id = 1")
            return found

    made.target.statements = Meddled(made.target.workspace, WAREHOUSE)
    with pytest.raises(TransientError, match="IB-551"):
        made.proven()
    assert (made.state.state.value, made.state.failures) == ("copied", {})


def test_a_type_that_sql_has_not_is_read_from_the_files_and_the_report_says_so(proof: Proof) -> None:
    made = proof
    made.by_region(rows("eu", 0))
    made.federate()
    made.grant("catalog", made.main, "SELECT")
    schema = Schema(NestedField(1, "id", UUIDType())).model_dump(mode="json")
    full_name = f"{made.main}.lake.t__icebridge_p1"
    made.server.order("POST", "/iceberg-tables", {"full_name": full_name, "schema": schema, "properties": {}})
    reading = read_copy(made.site, made.table)
    assert (reading.reader, reading.found.rows) == (FILES, 0)
    assert reading.reason == "column id has the type uuid, which Databricks SQL has not"
    assert reading.readers() == {"source": FILES, "target": FILES, "why": reading.reason}


def test_sql_without_a_warehouse_is_refused(proof: Proof) -> None:
    made = proof
    made.by_region(rows("eu", 0))
    made.federate().copied()
    made.target.statements.warehouse_id = ""
    made.settings = replace(Settings(), target_reader="sql")
    with pytest.raises(IceBridgeError, match="IB-550"):
        made.proven()
    made.settings = Settings()
    assert made.proven()["readers"]["target"] == "the table's files"
    assert json.dumps(made.state.validation["readers"])
