"""Inventory, inspection and assessment of 10,000 tables on local files."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from icebridge_provider.catalogs.iceberg import catalog_from
from icebridge_provider.steps.assess import assess, render_assessment
from icebridge_provider.steps.inventory import read_inventory
from tests.support import many_tables


def main(fast: bool) -> None:
    count = 100 if fast else 10_000
    with tempfile.TemporaryDirectory() as folder:
        properties = many_tables.build(Path(folder), count)
        for level, goal in (("metadata", 3.0), ("manifests", 10.0), ("files", 12.0)):
            catalog = catalog_from("source", properties)
            started, cpu = time.perf_counter(), time.process_time()
            inventory = read_inventory(catalog, inspect=level)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            assert len(inventory.tables) == count, len(inventory.tables)
            assert not inventory.findings, inventory.findings[0]
            show(f"inventory_{level}_ms_per_table", seconds * 1000 / count, "ms", goal)
            show(f"inventory_{level}_cpu_ms_per_table", cpu * 1000 / count, "ms", goal)
        started = time.perf_counter()
        page = render_assessment(assess(inventory))
        show("assessment_ms_per_table", (time.perf_counter() - started) * 1000 / count, "ms", 1.0)
        show("assessment_kb_per_table", len(page) / 1000 / count, "kB", 2.0 if not fast else 3.0)


def show(name: str, value: float, unit: str, goal: float) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "holds": value <= goal}))


if __name__ == "__main__":
    main("--fast" in sys.argv)
