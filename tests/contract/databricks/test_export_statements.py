"""The statements of an export, on the stand-in's engine: what stands in the files, what is replaced, what is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from icebridge_provider.model.snowflake import FileColumn, ListedFile, Statement
from icebridge_provider.planning.snowflake.manifest import is_data, make_manifest
from icebridge_provider.planning.snowflake.types import way_of
from icebridge_provider.sql import snowflake_export as sql
from icebridge_provider.sql.identifiers import quoted
from icebridge_provider.sql.snowflake_fingerprint import of_files, sums
from tests.support.exports import COLUMNS, ODD, ROWS, Exports
from tests.support.snowflake_sums import sums_of
from tests.support.sql_estate import Refused


@pytest.fixture(autouse=True)
def parts(exports: Exports) -> Iterator[None]:
    """Three files an export."""
    exports.server.order("PATCH", "/exports", {"files": 3})
    yield
    exports.server.order("PATCH", "/exports", {"files": 1})
    exports.server.order("DELETE", "/exports/faults")


def run(exports: Exports, text: str | Statement) -> list[tuple[Any, ...]]:
    statement = Statement(text=text) if isinstance(text, str) else text
    return list(exports.runner().run("try it", statement).rows)


def carried(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """Rows as the files have them: instants as microseconds, nested values as JSON."""
    names = [item.name for item in COLUMNS]
    found = []
    for row in rows:
        made = dict(zip(names, row, strict=True))
        instant = made["at"]
        made["at"] = None if instant is None else round(instant.timestamp() * 10**6)
        made["st"] = None if made["st"] is None else json.dumps(made["st"], separators=(",", ":"))
        found.append(made)
    return found


def test_every_value_is_in_the_files_and_the_manifest_tells_them(exports: Exports) -> None:
    work = exports.work("whole")
    names = [item.file_name for item in work.columns]
    assert run(exports, sql.export(work)) == []
    listed = exports.files(work.location)
    assert sorted(name.split("_")[1] for name in listed if name.startswith("_")) == ["SUCCESS", "committed", "started"]
    counted = [(name, size, rows) for name, size, rows in run(exports, sql.exported_files(work.location))]
    assert len(counted) == 3
    assert {name: size for name, size, _ in counted} == {name: listed[name] for name in listed if is_data(name)}
    found = exports.table(work.location)
    assert found.schema.field("at").type == pa.int64()
    assert found.schema.field("ntz").type == pa.timestamp("us")
    expected = [dict(zip(names, row.values(), strict=True)) for row in carried(ROWS)]
    assert sorted(found.to_pylist(), key=lambda row: row["id"]) == expected
    answer = exports.runner().run("read its columns", Statement(text=sql.exported_columns(work.location)))
    columns = [FileColumn(name=name, type=kind) for name, kind in zip(answer.columns, answer.types, strict=True)]
    (fingerprint,) = run(exports, of_files(sql.files(work.location), work.columns))
    scales = {item.file_name: 2 if item.source == "price" else 0 for item in work.columns}
    assert sums(fingerprint) == sums_of(expected, scales)
    files = [ListedFile(name=name, size=size) for name, size in listed.items()]
    manifest = make_manifest(work, "lake.sales.kinds", counted, files, columns, sums(fingerprint), "now")
    assert (manifest.rows, len(manifest.files)) == (3, 3)


def test_bound_values_have_their_types_and_the_limit_holds(exports: Exports) -> None:
    where = f"`id` >= :first AND (`day` < :day OR {quoted(ODD)} = :text)"
    values = {"first": 2, "day": date(2000, 1, 1), "text": "it's; -- :x"}
    work = exports.work("where", where=where, values=values)
    run(exports, sql.export(work))
    assert exports.table(work.location).column("id").to_pylist() == [3]
    limited = exports.work("limit", limit=2)
    run(exports, sql.export(limited))
    assert exports.table(limited.location).num_rows == 2


def test_an_export_replaces_what_the_folder_held(exports: Exports) -> None:
    work = exports.work("again")
    exports.put(f"{work.location}/part-stale.parquet", b"PAR1")
    run(exports, sql.export(work))
    first = set(exports.files(work.location))
    run(exports, sql.export(work))
    second = set(exports.files(work.location))
    assert "part-stale.parquet" not in first
    assert first & second == {"_SUCCESS"}
    assert exports.table(work.location).num_rows == len(ROWS)


def test_no_rows_are_a_file_without_rows(exports: Exports) -> None:
    work = exports.work("none", where="`id` > :n", values={"n": 99})
    run(exports, sql.export(work))
    assert run(exports, sql.exported_files(work.location)) == []
    assert exports.table(work.location).num_rows == 0
    answer = exports.runner().run("read its columns", Statement(text=sql.exported_columns(work.location)))
    assert answer.columns == tuple(item.file_name for item in work.columns)
    assert all(way_of(kind) for kind in answer.types)


def test_parts_of_a_write_that_did_not_end_are_not_seen(exports: Exports) -> None:
    """Databricks' directory commit: ``_started_`` without ``_committed_`` hides a write's parts from its readers."""
    work = exports.work("half")
    fault = {"kind": "half", "files": 2, "message": "executor lost", "error_code": "INTERNAL_ERROR"}
    exports.server.order("POST", "/exports/faults", [fault])
    with pytest.raises(Refused, match="executor lost"):
        exports.estate.sql(sql.export(work).text)
    left = exports.files(work.location)
    assert len([name for name in left if is_data(name)]) == 2
    assert "_SUCCESS" not in left
    with pytest.raises(Refused, match="UNABLE_TO_INFER_SCHEMA"):
        exports.estate.sql(sql.exported_files(work.location))
    run(exports, sql.export(work))
    assert not set(left) & set(exports.files(work.location))
    assert sum(rows for _, _, rows in run(exports, sql.exported_files(work.location))) == len(ROWS)


def test_volumes_take_files_too(exports: Exports) -> None:
    made = exports.estate
    body = {"catalog_name": made.main, "schema_name": "sales", "name": "files", "volume_type": "MANAGED"}
    exports.server.api("POST", "/volumes", body)
    path = f"/Volumes/{made.main}/sales/files/x"
    assert made.sql(sql.write_probe(path)) == []
    assert made.sql(sql.read_probe(path)) == [["1"]]
    with pytest.raises(Refused, match="USE CATALOG"):
        made.sql(sql.write_probe(path), exports.exporter)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("INSERT OVERWRITE DIRECTORY '{root}/x' USING CSV SELECT 1", "USING PARQUET"),
        ("INSERT OVERWRITE LOCAL DIRECTORY '{root}/x' USING PARQUET SELECT 1", "LOCAL"),
        ("INSERT OVERWRITE DIRECTORY '/tmp/x' USING PARQUET SELECT 1", "Path is not served"),
        ("INSERT OVERWRITE DIRECTORY '{root}/x' USING PARQUET SELECT 1 FROM no.such.table", "TABLE_OR_VIEW_NOT_FOUND"),
        ("INSERT OVERWRITE DIRECTORY '{root}/x' USING PARQUET DELETE FROM t", "PARSE_SYNTAX_ERROR"),
        ("SELECT * FROM parquet.`{root}/nothing`", "PATH_NOT_FOUND"),
        ("COPY INTO '{root}/x' FROM (SELECT 1) FILEFORMAT = PARQUET OVERWRITE = TRUE", "PARSE_SYNTAX_ERROR"),
    ],
)
def test_what_databricks_refuses(exports: Exports, text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        exports.estate.sql(text.replace("{root}", exports.root))
