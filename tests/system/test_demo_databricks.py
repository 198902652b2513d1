"""The demo on a local Databricks workspace, as a stranger runs it."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from icebridge_provider.demo.databricks.lakes import BROKEN, BY_MONTH, GLUE, HMS, STALE, UNSEEN
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "databricks"


@pytest.fixture(scope="module")
def told(home: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "icebridge_provider.cli.main",
        "demo",
        "--stack",
        "databricks",
        "--home",
        str(home),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1500)


def states(home: Path, plan_id: str) -> dict[str, str]:
    ledger = SqlLedger(f"sqlite:///{home}/airflow/icebridge/ledger.db")
    return {row["source"].removeprefix(f"{plan_id}."): row["state"] for row in status(ledger, plan_id)}


def readers(told: subprocess.CompletedProcess[str]) -> list[dict[tuple[str, str], tuple[str, str]]]:
    """What the demo's tables say: who gets what of the foreign and of the managed table, in order of telling."""
    found = []
    for block in re.split(r"┏", told.stdout)[1:]:
        rows = re.findall(r"^│ (\S+) +│ (\S+) +│ (.+?) +│ (.+?) +│$", block, re.MULTILINE)
        found.append({(table, who): (old, new) for table, who, old, new in rows})
    return found


def test_every_table_comes_out_as_it_should(home: Path, told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-4000:]
    glue, hms = states(home, GLUE), states(home, HMS)
    assert {name for name, state in glue.items() if state == "refused"} == {BY_MONTH, UNSEEN}
    assert {name for name, state in hms.items() if state == "refused"} == {BROKEN, STALE}
    assert {"shop.customers", "shop.wide", "shop.deep", "open.airports", "open.airlines"} <= glue.keys()
    assert {*glue.values(), *hms.values()} == {"cut over", "refused"}


def test_the_same_people_read_the_same_rows_of_the_new_tables_only(told: subprocess.CompletedProcess[str]) -> None:
    before, after, back, again = readers(told)[:4]
    masked = ("shop.customers", "ada")
    assert before[masked] == ("400 rows", "refused")
    assert after[masked] == ("refused", "400 rows"), "the row filter went with the table"
    for key, (old, new) in before.items():
        assert new == "refused"
        assert after[key] == ("refused", old), key
    assert back["flights.flights", "ben"] == before["flights.flights", "ben"]
    assert again == after


def test_what_a_person_must_decide_is_said_with_the_statement_to_run(told: subprocess.CompletedProcess[str]) -> None:
    assert "REVOKE SELECT ON SCHEMA" in told.stdout
    assert "IB-631" in told.stdout


def test_no_token_lies_in_the_ledger_or_the_logs(home: Path, told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0
    with sqlite3.connect(home / "airflow" / "icebridge" / "ledger.db") as connection:
        dumped = "\n".join(connection.iterdump())
    logs = "".join(path.read_text(errors="replace") for path in (home / "airflow" / "logs").rglob("*.log"))
    assert len(logs) > 1000
    assert not re.search(r"dapi[0-9a-f]{8}", dumped + logs + told.stdout)
