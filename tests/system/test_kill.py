"""kill -9 of a worker in the middle of a copy, then of scheduler and triggerer; everything restarted goes on."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from icebridge_provider.demo.components import USER, Components
from icebridge_provider.demo.rest import AirflowClient
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status
from tests.system import lakes

pytestmark = pytest.mark.system
FILES, KILLED_AFTER, PLAN = 1200, 700, "killed"
# A dead worker is noticed by its missing heartbeat; the default of 300 s is for busy clusters.
PATIENCE = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER": "True",
    "AIRFLOW__ICEBRIDGE__LEASE_SECONDS": "10",
}


def test_killed_components_lose_nothing_and_copy_nothing_twice(tmp_path: Path) -> None:
    source = lakes.table_of_many_files(tmp_path, "events", FILES)
    before = multiset(source.load_table("shop.events"))
    home = lakes.airflow(tmp_path, PATIENCE)
    deadly = {**home.environment, "ICEBRIDGE_CRASH": f"copy.file.after#{KILLED_AFTER}"}
    with Components(home) as components:
        components.start("api-server", "dag-processor", "triggerer")
        components.start("scheduler", environment=deadly)
        components.wait_until_healthy()
        client = AirflowClient(home.url, USER, home.password)
        run = trigger(client)
        copied = wait_for_dead_worker(tmp_path)
        components.kill("scheduler")
        components.kill("triggerer")
        components.start("scheduler", "triggerer")
        states = list(client.watch("icebridge_migrate", run, 600))
    assert states[-1] == "success"
    rows = status(SqlLedger(f"sqlite:///{home.folder}/icebridge/ledger.db"), PLAN)
    assert [row["state"] for row in rows] == ["cut over"]
    moved = lakes.catalog_of(tmp_path / lakes.TARGET, lakes.TARGET).load_table("shop.events")
    assert multiset(moved) == before
    again = [path for path, modified in copied.items() if path.stat().st_mtime_ns != modified]
    assert again == []


def trigger(client: AirflowClient) -> str:
    deadline = time.monotonic() + 120
    while not client.has_dag("icebridge_migrate"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    conf = {"source_conn_id": lakes.SOURCE, "target_conn_id": lakes.TARGET, "approval": "none", "plan_id": PLAN}
    return client.trigger("icebridge_migrate", conf)


def wait_for_dead_worker(folder: Path, seconds: float = 240) -> dict[Path, int]:
    """Return the data files that were whole when the worker died: there for two seconds and no more coming."""
    deadline = time.monotonic() + seconds
    last: dict[Path, int] = {}
    while time.monotonic() < deadline:
        time.sleep(2)
        found = {
            path: path.stat().st_mtime_ns for path in (folder / lakes.TARGET / "warehouse").rglob("copy-*.parquet")
        }
        if found and found == last:
            assert KILLED_AFTER - 100 < len(found) < FILES
            return found
        last = found
    raise AssertionError("no worker started copying")


def multiset(table: object) -> Counter[tuple[int, str]]:
    """Rows read file by file, not by the code under test."""
    counted: Counter[tuple[int, str]] = Counter()
    for task in table.scan().plan_files():  # type: ignore[attr-defined]
        read = pq.read_table(task.file.file_path.removeprefix("file://"), partitioning=None)
        counted.update(zip(read["id"].to_pylist(), read["name"].to_pylist(), strict=True))
    return counted
