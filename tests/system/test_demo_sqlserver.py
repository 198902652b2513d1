"""The demo of the SQL Server bridge, as a stranger runs it."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from icebridge_provider.demo.sqlserver.countries import COUNTRIES, ITS_PURCHASES
from icebridge_provider.demo.sqlserver.events import ASKED, FORGET
from icebridge_provider.demo.sqlserver.files import MOST_DELETED, QUERIES

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "mssql"


@pytest.fixture(scope="module")
def told(home: Path) -> subprocess.CompletedProcess[str]:
    given = ["demo", "--stack", "mssql", "--home", str(home), "--scale", "0.01"]
    command = [sys.executable, "-m", "icebridge_provider.cli.main", *given]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1500)


def tables(told: subprocess.CompletedProcess[str]) -> list[list[list[str]]]:
    """The cells of every table that it printed, in order of telling."""
    blocks = re.split(r"┏", told.stdout)[1:]
    rows = [re.findall(r"^│(.*)│$", block, re.MULTILINE) for block in blocks]
    return [[[cell.strip() for cell in row.split("│")] for row in block] for block in rows]


def statuses(cells: list[list[str]]) -> dict[str, str]:
    return {row[0]: row[3] for row in cells}


def test_it_all_comes_out_as_it_should(told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr[-4000:]


def test_every_query_of_every_country_lies_in_the_volume_as_the_database_counts_it(
    told: subprocess.CompletedProcess[str],
) -> None:
    found = {(row[0], row[1]): row for row in tables(told)[0]}
    assert found.keys() == {(country.code, query) for country in COUNTRIES for query in QUERIES}
    for row in found.values():
        rows, theirs, _, total, control = row[2:7]
        assert (rows, total) == (theirs, control)
        assert int(rows.replace(",", "")) > 0
    isolation = {country: row[9] for (country, query), row in found.items() if query == "products"}
    assert isolation == {"BR": "snapshot", "CL": "fuzzy", "CO": "snapshot"}
    assert found["BR", "purchases"][9] == "fuzzy", "each range sees a state of its own"
    assert all(int(found[country.code, "purchases"][7]) > 1 for country in COUNTRIES), "read in ranges"


def test_the_triggerer_starts_the_sync_by_itself(told: subprocess.CompletedProcess[str]) -> None:
    assert "the triggerer saw events" in told.stdout
    assert "triggered icebridge_databricks_to_mssql over REST" not in told.stdout


def test_events_end_as_they_should_and_a_second_delivery_changes_nothing(
    told: subprocess.CompletedProcess[str],
) -> None:
    expected = {asked.event_id: asked.status for asked in ASKED}
    of_events = [cells for cells in tables(told) if {row[0] for row in cells} == expected.keys()]
    assert [len(cells) for cells in of_events] == [len(ASKED), len(ASKED), 2 * len(ASKED)]
    assert statuses(of_events[0]) == dict.fromkeys(expected, "pending")
    assert (
        statuses(of_events[1])
        == statuses(of_events[2][: len(ASKED)])
        == statuses(of_events[2][len(ASKED) :])
        == expected
    )
    affected = {row[0]: row[5] for row in of_events[1]}
    assert affected["new-prices"] == "13"
    assert affected[FORGET] == str(len(ITS_PURCHASES))
    assert "Nothing changed:" in told.stdout


def test_a_person_is_asked_before_more_rows_go_than_the_limit_allows(told: subprocess.CompletedProcess[str]) -> None:
    assert len(ITS_PURCHASES) > MOST_DELETED
    assert re.search(rf"May event {FORGET} delete {len(ITS_PURCHASES)} rows", told.stdout)
    assert told.stdout.count("Answering over REST: Approve") == 1, "released once, not at the second delivery again"


def test_no_secret_lies_in_the_ledger_or_the_logs(home: Path, told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0
    with sqlite3.connect(home / "airflow" / "icebridge" / "ledger.db") as connection:
        dumped = "\n".join(connection.iterdump())
    logs = "".join(path.read_text(errors="replace") for path in (home / "airflow" / "logs").rglob("*.log"))
    assert len(logs) > 1000
    assert not re.search(r"dapi[0-9a-f]{8}|(Aa|Pb)1!", dumped + logs + told.stdout)
