"""Differences are named by row and column, and values stay hidden unless asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from icebridge_provider.engines.fingerprint.drilldown import differing_rows
from icebridge_provider.engines.fingerprint.reader import fingerprint
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.stores.object_store import ObjectStore
from icebridge_provider.validation import differing_buckets
from tests.support import tables
from tests.support.hashing import loaded


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return tables.open_catalog(tmp_path / "lake")


def make(catalog: Catalog, name: str, rows: list[dict[str, Any]], *, identified: bool = False) -> Table:
    content = pa.Table.from_pylist(rows, tables.rows(0, 1).schema)
    table = tables.create(catalog, name, content)
    if identified:
        with table.update_schema(allow_incompatible_changes=True) as schema:
            schema.update_column("id", required=True)
            schema.set_identifier_fields("id")
        content = content.cast(table.schema().as_arrow())
    table.append(content)
    return table


def differences(source: Table, target: Table, **options: Any) -> tuple[dict[str, Any], ...]:
    store = ObjectStore({})
    left, right = loaded(source), loaded(target)
    buckets = differing_buckets(fingerprint(left, store, None), fingerprint(right, store, None))
    return differing_rows(left, store, None, right, store, None, buckets, **options)


def pair(catalog: Catalog, change: Any, *, identified: bool = False) -> tuple[Table, Table]:
    rows = tables.rows(0, 400).to_pylist()
    source = make(catalog, "source", rows, identified=identified)
    changed = [dict(row) for row in rows]
    change(changed)
    return source, make(catalog, "target", changed, identified=identified)


def test_equal_tables_have_no_differences(catalog: Catalog) -> None:
    assert differences(*pair(catalog, lambda rows: rows.reverse())) == ()


@pytest.mark.parametrize("named_by", ["identifier", "key", "hash"])
def test_a_changed_cell_is_named(catalog: Catalog, named_by: str) -> None:
    source, target = pair(catalog, lambda rows: rows[78].update(name="secret"), identified=named_by == "identifier")
    (found,) = differences(source, target, key=("id",) if named_by == "key" else ())
    assert (found["kind"], found["columns"]) == ("changed", ["name"])
    assert found["key"] == ({} if named_by == "hash" else {"id": "78"})
    assert (found["source"]["row"], found["target"]["row"]) == (78, 78)
    assert found["source"]["file"].endswith(".parquet")
    assert len(found["row"]) == 32
    assert "secret" not in json.dumps(found), "values are hidden unless asked for"


def test_values_are_shown_when_asked_for(catalog: Catalog) -> None:
    (found,) = differences(*pair(catalog, lambda rows: rows[78].update(name=None)), key=("id",), show_values=True)
    assert found["values"] == {"name": {"source": "", "target": "NULL"}}
    assert set(found["values"]) == {"name"}


def test_swapped_values_name_both_rows(catalog: Catalog) -> None:
    def swap(rows: list[dict[str, Any]]) -> None:
        rows[10]["name"], rows[12]["name"] = rows[12]["name"], rows[10]["name"]

    for key in ((), ("id",)):
        with_key = differences(*pair(tables_in(catalog, str(len(key))), swap), key=key)
        assert [found["kind"] for found in with_key] == ["changed", "changed"]
        assert {tuple(found["columns"]) for found in with_key} == {("name",)}
        assert {found["source"]["row"] for found in with_key} == {10, 12}


def tables_in(catalog: Catalog, name: str) -> Catalog:
    """A second catalog beside the first, for a second pair of tables."""
    root = Path(catalog.properties["warehouse"].removeprefix("file://")).parent
    return tables.open_catalog(root / name)


def test_lost_duplicated_and_phantom_rows(catalog: Catalog) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows.append(dict(rows[3]))
        rows.append(dict(rows[3]))
        rows.append({**rows[5], "id": 999, "name": "new", "amount": None, "day": None})
        del rows[200]

    found = differences(*pair(catalog, change), key=("id",))
    by_kind = {item["kind"]: item for item in found}
    assert set(by_kind) == {"lost", "duplicated", "phantom"}
    assert by_kind["lost"]["key"] == {"id": "200"}
    assert (by_kind["duplicated"]["key"], by_kind["duplicated"]["copies"]) == ({"id": "3"}, 2)
    assert by_kind["phantom"]["key"] == {"id": "999"}
    assert "source" not in by_kind["phantom"]


def test_the_list_is_bounded(catalog: Catalog) -> None:
    found = differences(*pair(catalog, lambda rows: [row.update(name="x") for row in rows]), key=("id",), limit=7)
    assert len(found) == 7
    assert {item["kind"] for item in found} == {"changed"}


def test_other_columns_are_named_instead_of_rows(catalog: Catalog) -> None:
    source = tables.plain(catalog, "source")
    target = tables.plain(catalog, "target")
    with target.update_schema() as schema:
        schema.rename_column("name", "title")
    (found,) = differences(source, target)
    assert (found["kind"], found["columns"]) == ("columns", ["name", "title"])


def test_a_key_that_is_no_column_is_refused(catalog: Catalog) -> None:
    source, target = pair(catalog, lambda rows: rows[0].update(name="x"))
    with pytest.raises(ConfigurationError, match=r"IB-509.*'nope'"):
        differences(source, target, key=("nope",))


def test_composite_text_keys(catalog: Catalog) -> None:
    (found,) = differences(*pair(catalog, lambda rows: rows[78].update(amount=None)), key=("name", "id"))
    assert found["key"] == {"name": "", "id": "78"}
    assert (found["kind"], found["columns"]) == ("changed", ["amount"])


def test_identifier_fields_of_the_schema_are_the_key(catalog: Catalog) -> None:
    source, target = pair(catalog, lambda rows: rows.pop(3), identified=True)
    assert isinstance(source.schema(), Schema)
    assert source.schema().identifier_field_names() == {"id"}
    (found,) = differences(source, target, key=("name",))
    assert (found["kind"], found["key"]) == ("lost", {"id": "3"})
