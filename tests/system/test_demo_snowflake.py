"""The demo of the share with Snowflake, as a stranger runs it."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from icebridge_provider.demo.snowflake.estate import PASSWORD, TABLES
from icebridge_provider.demo.snowflake.story import POC_PREFIX, POC_ROWS

pytestmark = pytest.mark.system
COMPARISONS = 4
NAMES = [".".join(table.target()) for table in TABLES]
WEATHER, PLANES, FLIGHTS = NAMES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "snowflake"


@pytest.fixture(scope="module")
def told(home: Path) -> subprocess.CompletedProcess[str]:
    given = ["demo", "--stack", "snowflake", "--home", str(home), "--scale", "0.02"]
    command = [sys.executable, "-m", "icebridge_provider.cli.main", *given]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1500)


@pytest.fixture(scope="module")
def grids(told: subprocess.CompletedProcess[str]) -> list[list[list[str]]]:
    """The cells of every table that it printed, in order of telling."""
    blocks = told.stdout.split("┏")[1:]
    rows = [re.findall(r"^│(.*)│$", block, re.MULTILINE) for block in blocks]
    return [[[cell.strip() for cell in row.split("│")] for row in block] for block in rows]


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def test_it_all_comes_out_as_it_should(told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr[-4000:]


def test_every_row_of_three_tables_is_as_plain_queries_say_after_every_run(grids: list[list[list[str]]]) -> None:
    compared = grids[:COMPARISONS]
    for cells in compared:
        assert [(row[0], row[1]) for row in cells] == [
            (name, table.mode) for name, table in zip(NAMES, TABLES, strict=True)
        ]
        for row in cells:
            expected, held, missing, extra = map(number, row[2:6])
            assert expected == held > 0
            assert missing == extra == 0
            assert row[7] == row[8]
            assert row[9] == "same"


def test_a_second_time_changes_nothing_and_new_days_are_added(grids: list[list[list[str]]]) -> None:
    first, again, second, third = ({row[0]: row[3:9] for row in cells} for cells in grids[:COMPARISONS])
    assert first == again, "the same run id"
    assert second == third, "the same days by another run id"
    assert number(second[WEATHER][0]) > number(first[WEATHER][0])
    assert number(second[FLIGHTS][0]) > number(first[FLIGHTS][0])
    assert second[FLIGHTS][-1] != first[FLIGHTS][-1], "corrections arrived"
    assert number(second[PLANES][0]) < number(first[PLANES][0]), "old planes are gone"


def test_the_engines_own_histories_say_that_nothing_was_written_twice(told: subprocess.CompletedProcess[str]) -> None:
    assert "0 exports in Databricks, 0 writing statements in Snowflake" in told.stdout


def test_a_proof_of_concept_is_small_and_says_so(told: subprocess.CompletedProcess[str]) -> None:
    name = ".".join(TABLES[2].target(POC_PREFIX))
    assert re.search(rf"{re.escape(name)}: {POC_ROWS:,} rows; its comment says: .*LIMITED", told.stdout)
    assert f"-> {name} (append) LIMITED: at most {POC_ROWS} rows" in told.stdout, "the grid says it as well"


def test_no_table_of_a_try_is_left(told: subprocess.CompletedProcess[str]) -> None:
    in_the_end = re.search(r"Tables of ANALYTICS\.NEW_YORK in the end: (.*)", told.stdout)
    assert in_the_end is not None
    assert in_the_end[1].split(", ") == ["FLIGHTS", "ICEBRIDGE_LOADS", "PLANES", "POC_FLIGHTS", "WEATHER"]


def test_the_history_of_runs_has_them_all(grids: list[list[list[str]]]) -> None:
    history = grids[COMPARISONS]
    assert len(grids) == COMPARISONS + 1
    assert [row[1] for row in history] == ["SUCCESS"] * 4
    assert sorted(number(row[2]) for row in history) == [1, 2, 3, 3]
    assert sum("at most 1000 rows" in row[5] for row in history) == 1
    assert len({row[0] for row in history}) == 4, "the run that was cleared is one run"


def test_no_secret_lies_in_the_ledger_or_the_logs(home: Path, told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0
    with sqlite3.connect(home / "airflow" / "icebridge" / "ledger.db") as connection:
        dumped = "\n".join(connection.iterdump())
    with sqlite3.connect(home / "airflow" / "airflow.db") as connection:
        (handed,) = ("\n".join(map(str, connection.execute("SELECT * FROM xcom"))),)
    logs = "".join(path.read_text(errors="replace") for path in (home / "airflow" / "logs").rglob("*.log"))
    assert len(logs) > 1000
    assert len(handed) > 1000
    assert not re.search(rf"dapi[0-9a-f]{{8}}|{re.escape(PASSWORD)}", dumped + handed + logs + told.stdout)
