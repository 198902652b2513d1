"""Whole DAG runs in this process: real Airflow tasks, real tables, connections only in the environment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import tables
from tests.support.dag_runs import Lakes, Ran, lakes, load_dags, run

pytestmark = pytest.mark.airflow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dags(airflow_cli_home: Path) -> dict[str, Any]:
    return load_dags()


@pytest.fixture
def lake(airflow_cli_home: Path, tmp_path: Path) -> Iterator[Lakes]:
    with lakes(tmp_path, allow_unapproved_cutover="True", purge_grace_days="0") as made:
        yield made


def migrate(dags: dict[str, Any], lake: Lakes, **more: Any) -> Ran:
    return run(dags["icebridge_migrate"], lake.request(**more))


def test_a_migration_its_repetition_and_its_rollback(dags: dict[str, Any], lake: Lakes) -> None:
    tables.partitioned(lake.source, "a")
    tables.position_deletes(lake.source, "b")
    tables.missing_file(lake.source, "broken")
    rows = {name: lake.source.load_table(f"lake.{name}").scan().count() for name in "ab"}
    ran = migrate(dags, lake)
    assert ran.state == "success", ran
    assert ran.tasks["wave.copy"] == ["success", "success"]
    assert ran.tasks["wave.approve"] == ["skipped"]
    assert ran.tasks["canary"] == ran.tasks["rest"] == ["skipped"]
    assert lake.states("p1") == {"lake.a": "cut over", "lake.b": "cut over", "lake.broken": "refused"}
    assert any(finding["remedy"] for finding in lake.rows("p1")["lake.broken"]["findings"])
    assert lake.names("dst") == ["a", "b"]
    assert "broken" in lake.names("src")
    assert all("__archived_" in name for name in lake.names("src") if name != "broken")
    assert {name: lake.target.load_table(f"lake.{name}").scan().count() for name in "ab"} == rows

    before = (lake.files("src"), lake.files("dst"))
    again = migrate(dags, lake)
    assert again.state == "success", again
    assert (lake.files("src"), lake.files("dst")) == before
    assert again.tasks["wave.copy"] == ["skipped"]

    back = run(dags["icebridge_rollback"], {"plan_id": "p1", "tables": ["src.lake.a"]})
    assert back.state == "success", back
    assert lake.states("p1")["lake.a"] == "rolled back"
    assert "a" in lake.names("src")
    assert "b" not in lake.names("src")


def test_a_bad_copy_turns_the_run_red_and_the_others_go_over(dags: dict[str, Any], lake: Lakes) -> None:
    from tests.integration.test_operators import each, plan

    for name in ("a", "b"):
        tables.plain(lake.source, name)
    plan()
    each("CopyTablesOperator")
    lake.change_a_byte("b", "p1")
    ran = migrate(dags, lake)
    assert ran.state == "failed"
    assert sorted(ran.tasks["wave.validate"]) == ["failed", "success"]
    assert ran.tries["wave.validate"] == [1, 1], "a difference is not tried again"
    assert ran.tasks["wave.verdict"] == ["failed"]
    states = lake.states("p1")
    assert states["lake.a"] == "cut over"
    assert states["lake.b"] != "cut over"
    assert "b" in lake.names("src")


def test_a_refused_plan_ends_red_at_once(dags: dict[str, Any], lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    ran = migrate(dags, lake, tables=["lake.nothing*"])
    assert ran.state == "failed"
    assert ran.tasks["plan"] == ["failed"]
    assert ran.tries["plan"] == [1]
    assert "success" not in {state for states in ran.tasks.values() for state in states}
    assert max(number for numbers in ran.tries.values() for number in numbers) <= 1
    assert lake.files("dst") == {}


def test_several_waves_go_the_other_way(dags: dict[str, Any], lake: Lakes) -> None:
    """The runs of the waves need a scheduler; each wave's own DAG is run here by hand."""
    from tests.integration.test_operators import plan

    for name in "abcd":
        tables.plain(lake.source, name)
    made = plan(options={"wave_tables": "2", "canary_tables": "1"})
    assert made["waves"] > 1
    for wave in range(made["waves"]):
        ran = run(dags["icebridge_migrate_wave"], {"plan_id": "p1", "wave": wave})
        assert ran.state == "success", ran
        over = [state for state in lake.states("p1").values() if state == "cut over"]
        assert len(over) < 4 or wave == made["waves"] - 1
    assert set(lake.states("p1").values()) == {"cut over"}


def test_sync_takes_every_open_plan(dags: dict[str, Any], lake: Lakes) -> None:
    from tests.integration.test_operators import each, plan, proven

    for name in "ab":
        tables.plain(lake.source, name)
        plan(plan_id=f"plan-{name}", tables=[f"lake.{name}"])
        proven(f"plan-{name}")
        lake.source.load_table(f"lake.{name}").append(tables.rows(700, 3))
    ran = run(dags["icebridge_sync"], {})
    assert ran.state == "success", ran
    for name in "ab":
        state = lake.ledger.state(f"plan-{name}", f"src.lake.{name}")
        assert state.copy["source_snapshot_id"] == lake.source.load_table(f"lake.{name}").metadata.current_snapshot_id
        assert each("SyncTablesOperator", f"plan-{name}")["done"][f"src.lake.{name}"]["rounds"] == 0


def test_inventory_writes_the_assessment(dags: dict[str, Any], lake: Lakes, tmp_path: Path) -> None:
    tables.plain(lake.source, "a")
    page = tmp_path / "out" / "assessment.html"
    before = lake.files("src")
    ran = run(dags["icebridge_inventory"], {"conn_id": "src", "path": str(page)})
    assert ran.state == "success", ran
    assert "lake.a" in page.read_text()
    assert lake.files("src") == before


def test_airflow_dags_test_on_the_command_line(airflow_cli_home: Path, lake: Lakes) -> None:
    """A shell, connections given as ``AIRFLOW_CONN_…`` only, tables that no code here knows."""
    import pyarrow as pa

    lake.source.create_namespace("sales")
    odd = pa.table({"Größe": [1.5, None], "when": pa.array([0, 1], pa.timestamp("us", "UTC"))})
    lake.source.create_table("sales.Ünïcode", odd.schema).append(odd)
    conf = json.dumps(lake.request(tables=["sales.*"], plan_id="shell"))
    command = [str(Path(sys.executable).parent / "airflow"), "dags", "test", "icebridge_migrate", "-c", conf]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    assert {row["state"] for row in lake.rows("shell").values()} == {"cut over"}
    assert lake.target.load_table("sales.Ünïcode").scan().to_arrow().sort_by("when").equals(odd)
