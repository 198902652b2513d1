"""An inventory does not mind ten thousand tables; how long it takes is for tests/bench."""

from __future__ import annotations

from pathlib import Path

from icebridge_provider.catalogs.iceberg import catalog_from
from icebridge_provider.steps.inventory import read_inventory
from tests.support import many_tables


def test_ten_thousand_tables_from_metadata_alone(tmp_path: Path) -> None:
    properties = many_tables.build(tmp_path, 10_000, bare=True)
    found = read_inventory(catalog_from("source", properties), inspect="metadata")
    assert len(found.tables) == 10_000
    assert found.problems == ()
    assert found.findings == ()
    assert {table.facts.totals.rows for table in found.tables if table.facts} == {60}
