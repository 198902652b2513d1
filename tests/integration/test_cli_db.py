"""``db``: migrate, backup, restore, rebuild through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tables
from tests.support.airflow_cli import connection, environment
from tests.support.cli import icebridge

pytestmark = pytest.mark.airflow


def ledger_at(path: Path) -> str:
    return connection("icebridge_ledger", schema=str(path))


@pytest.fixture
def names(airflow_cli_home: Path, tmp_path: Path) -> dict[str, str]:
    made = tables.open_catalog(tmp_path / "src")
    tables.plain(made, "first")
    (tmp_path / "dst").mkdir()
    return {
        f"AIRFLOW_CONN_{name.upper()}": connection(
            "icebridge_catalog", extra=tables.catalog_properties(tmp_path / name)
        )
        for name in ("src", "dst")
    }


def test_a_ledger_is_backed_up_restored_and_rebuilt(names: dict[str, str], tmp_path: Path) -> None:
    file = str(tmp_path / "backup.jsonl")
    with environment(AIRFLOW_CONN_ICEBRIDGE_LEDGER=ledger_at(tmp_path / "one.db"), **names):
        assert icebridge("status", "--json").refusal == "IB-111"
        assert icebridge("db", "migrate").code == 0
        icebridge("plan", "--source", "src", "--target", "dst", "--plan-id", "p1")
        assert icebridge("retry", "p1", "--here").code == 0
        before = icebridge("status", "p1", "--json").json["tables"]
        assert icebridge("db", "backup", file, "--json").json["rows"] > 5
        assert icebridge("db", "backup", "/nowhere/b.jsonl", "--json").refusal == "IB-118"
    with environment(AIRFLOW_CONN_ICEBRIDGE_LEDGER=ledger_at(tmp_path / "two.db"), **names):
        restored = icebridge("db", "restore", file, "--json")
        assert (restored.code, restored.json["intact"]) == (0, True)
        assert icebridge("status", "p1", "--json").json["tables"] == before
    Path(file).write_text(Path(file).read_text().replace("copy", "kopy", 1))
    with environment(AIRFLOW_CONN_ICEBRIDGE_LEDGER=ledger_at(tmp_path / "three.db"), **names):
        assert icebridge("db", "restore", file, "--json").refusal == "IB-116"
        assert icebridge("db", "rebuild", "dst", "--json").json == {"tables": 1}
