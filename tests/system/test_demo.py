"""README's first command, as a stranger runs it: twice in one folder."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.demo import lake
from icebridge_provider.demo.main import PLAN, SOURCE, TARGET
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(home: Path) -> subprocess.CompletedProcess[str]:
    return run_demo(home)


def run_demo(home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "icebridge_provider.cli.main", "demo", "--home", str(home), "--scale", "0.01"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


def catalogs(home: Path) -> tuple[IcebergCatalog, IcebergCatalog]:
    return (
        IcebergCatalog(SOURCE, lake.properties(home / "foreign")),
        IcebergCatalog(TARGET, lake.properties(home / "managed")),
    )


def names(catalog: IcebergCatalog) -> Iterator[str]:
    for namespace in catalog.namespaces():
        for table in catalog.tables(namespace):
            yield table.path


def heads(catalog: IcebergCatalog) -> dict[str, tuple[str, int | None]]:
    found = {}
    for namespace in catalog.namespaces():
        for table in catalog.tables(namespace):
            loaded = catalog.load(table)
            assert loaded is not None
            found[table.path] = (loaded.metadata_location, loaded.current_snapshot_id)
    return found


def test_every_healthy_table_moves_and_the_broken_one_is_refused(
    home: Path, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stdout[-4000:] + first.stderr[-4000:]
    ledger = SqlLedger(f"sqlite:///{home}/airflow/icebridge/ledger.db")
    rows = {row["source"]: row for row in status(ledger, PLAN)}
    broken = rows.pop(f"{SOURCE}.{lake.BROKEN}")
    assert broken["state"] == "refused"
    assert any(finding["remedy"] for finding in broken["findings"])
    assert {row["state"] for row in rows.values()} == {"cut over"}
    assert len(rows) == 10
    source, target = catalogs(home)
    moved = set(names(target))
    assert {"flights.flights", "flights.airlines", "flights.airlines_legacy", "tpch.lineitem"} <= moved
    assert not any("__icebridge_" in name for name in moved)
    left = set(names(source))
    assert lake.BROKEN in left
    assert all("__archived_" in name for name in left - {lake.BROKEN})


def test_it_tells_of_the_collision_the_refusal_and_where_to_look(first: subprocess.CompletedProcess[str]) -> None:
    for part in ("IB-310", "legacy.broken_trips", "certificates", "Where to look", "Approve"):
        assert part in first.stdout


def test_history_and_deletes_survive(home: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0
    source, target = catalogs(home)
    flights = target.native.load_table(("flights", "flights"))
    assert len(flights.snapshots()) == 4
    assert "first_quarter" in flights.refs()
    archived = next(name for name in names(source) if name.startswith("tpch.lineitem__archived"))
    before = source.native.load_table(tuple(archived.split(".")))
    after = target.native.load_table(("tpch", "lineitem"))
    assert [s.snapshot_id for s in after.snapshots()] == [s.snapshot_id for s in before.snapshots()]
    assert after.scan().count() == before.scan().count()
    assert sum(len(task.delete_files) for task in after.scan().plan_files()) > 0


def test_a_second_run_changes_nothing_and_says_so(home: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0
    source, target = catalogs(home)
    before = (heads(source), heads(target))
    files = {path: path.stat().st_mtime_ns for path in (home / "managed" / "warehouse").rglob("*") if path.is_file()}
    second = run_demo(home)
    assert second.returncode == 0, second.stdout[-4000:] + second.stderr[-4000:]
    assert "Nothing changed" in second.stdout
    assert (heads(source), heads(target)) == before
    after = {path: path.stat().st_mtime_ns for path in (home / "managed" / "warehouse").rglob("*") if path.is_file()}
    assert after == files


def test_no_secret_lies_in_the_ledger_or_the_logs(home: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0
    secrets = (home / "airflow" / "secrets.json").read_text().split('"')[3::4]
    assert len(secrets) == 3
    with sqlite3.connect(home / "airflow" / "icebridge" / "ledger.db") as connection:
        dumped = "\n".join(connection.iterdump())
    logs = "".join(path.read_text(errors="replace") for path in (home / "airflow" / "logs").rglob("*.log"))
    assert len(logs) > 1000
    for secret in secrets:
        assert secret not in dumped
        assert secret not in logs
