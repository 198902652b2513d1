"""Planning 10,000 tables: out of an inventory that the ledger keeps, into a plan that the ledger keeps."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from icebridge_provider.catalogs.iceberg import catalog_from
from icebridge_provider.model.event import Actor
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.csvio import read_selection, write_selection
from icebridge_provider.planning.render import plan_table
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.inventory import save_inventory
from icebridge_provider.steps.plan import load_plan_file, make_plan, save_plan_file
from tests.support import inventories
from tests.support import tables as shapes


def main(fast: bool) -> None:
    count = 200 if fast else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = catalog_from("src", shapes.catalog_properties(folder / "source"))
        target = catalog_from("dst", {**shapes.catalog_properties(folder / "target"), "location": "s3://new/lake"})
        shapes.open_catalog(folder / "target", "dst")
        ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
        ledger.migrate()
        save_inventory(ledger, inventories.many(count))
        now = datetime.now(UTC)

        def plan(request: MigrationRequest, plan_id: str) -> MigrationPlan:
            return make_plan(source, target, ledger, request, Settings(), Actor(), now, plan_id, "inv")

        request = MigrationRequest(source_conn_id="src", target_conn_id="dst")
        made = timed("planning", 10.0, lambda: plan(request, "first"))
        assert len(made.tables) == count - count // 100, len(made.tables)
        assert len(made.waves) == (1 if fast else 51), len(made.waves)
        text = write_selection(made)
        globs, rules = timed("planning_csv_read", 2.0, lambda: read_selection(text))
        mapped = MigrationRequest(source_conn_id="src", target_conn_id="dst", mapping=(*rules, "prefix:ns=lake"))
        renamed = timed("planning_mapped", 10.0, lambda: plan(mapped, "second"))
        assert renamed.tables[0].target.path.startswith("lake"), renamed.tables[0]
        chosen = MigrationRequest(source_conn_id="src", target_conn_id="dst", tables=globs, mapping=rules)
        again = timed("planning_from_csv", 10.0, lambda: plan(chosen, "third"))
        assert len(again.tables) == len(globs)
        save_plan_file(made, folder / "plan.json")
        timed("planning_file_read", 5.0, lambda: load_plan_file(folder / "plan.json"))
        timed("planning_render", 1.0, lambda: plan_table(made))


def timed(name: str, goal: float, act: Callable[[], Any]) -> Any:
    started, cpu = time.perf_counter(), time.process_time()
    result = act()
    show(f"{name}_seconds", time.perf_counter() - started, goal)
    show(f"{name}_cpu_seconds", time.process_time() - cpu, goal)
    return result


def show(name: str, value: float, goal: float) -> None:
    line = {"name": name, "value": round(value, 3), "unit": "s", "goal": goal, "holds": value <= goal}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main("--fast" in sys.argv)
