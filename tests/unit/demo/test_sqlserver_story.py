"""What the demo of the SQL Server bridge says before it starts anything: its files are read as a person's would be."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path

import pytest

from icebridge_provider.demo.sqlserver import countries, events, files
from icebridge_provider.demo.sqlserver.countries import COLOMBIA, COUNTRIES, HOUSEHOLD_TO_FORGET
from icebridge_provider.demo.sqlserver.events import ASKED, FORGET
from icebridge_provider.demo.stand_in import begin_anew
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.extraction import plan_jobs
from icebridge_provider.specs.extraction import read_folder
from icebridge_provider.specs.permissions import read_permissions
from icebridge_provider.specs.syncs import read_syncs


def products() -> list[list[object]]:
    return [list(countries._product(number, COLOMBIA)) for number in range(1, countries.PRODUCTS + 1)]


def test_every_query_becomes_a_job_of_every_country(tmp_path: Path) -> None:
    files.write_extraction(tmp_path)
    folder = read_folder(tmp_path)
    jobs = plan_jobs(folder.queries, folder.countries)
    assert {(job.country, job.query) for job in jobs} == {
        (country.code, query) for country in COUNTRIES for query in files.QUERIES
    }
    by_name = {job.name: job for job in jobs}
    purchases = by_name["CO/purchases"]
    assert purchases.database == "KWP_Colombia"
    assert "[J_AtosCompra_CO]" in purchases.statement
    assert "factor_rw1 as factor_rw" in purchases.statement
    assert "CO" in purchases.values.values(), "the country is bound"
    assert by_name["CL/purchases"].digest != purchases.digest


def test_the_sync_may_do_what_the_story_needs_and_no_more(tmp_path: Path) -> None:
    path = files.write_sync(tmp_path)
    (sync,) = read_syncs(path, {})
    rights = read_permissions(Path(sync.permissions_file)).rights(sync.user)
    assert rights is not None
    limits = {grant.table: grant.max_delete_rows for grant in rights.grants}
    for asked in ASKED:
        over = asked.operation == "DELETE" and asked.rows > limits[asked.target]
        assert over == (asked.event_id == FORGET)
    assert limits[events.HOUSEHOLD] == 0


def test_the_rows_that_the_story_counts_are_there() -> None:
    brand = next(asked.filters["marca"] for asked in ASKED if "marca" in asked.filters)
    prices = next(asked for asked in ASKED if asked.event_id == "new-prices")
    assert sum(row[3] == brand for row in products()[:40]) == prices.rows
    assert not any(row[3] == brand for row in products()[:2]), "what is discontinued has no new price"
    chance = random.Random(COLOMBIA.code)
    acts = [countries._purchase(number, 30, chance) for number in range(1, 201)]
    forgotten = [act for act in acts if act[1] == HOUSEHOLD_TO_FORGET]
    assert len(forgotten) == next(asked.rows for asked in ASKED if asked.event_id == FORGET)
    assert min(act[3] for act in forgotten) >= datetime.fromisoformat(files.FROM_DATE), "all of them are extracted"
    assert min(act[3] for act in acts) < datetime.fromisoformat(files.FROM_DATE), "the date leaves something out"


def test_literals_are_written_as_t_sql_reads_them() -> None:
    at = datetime(2025, 1, 2, 3, 4, 5, 678000)  # noqa: DTZ001
    rows = [(1, "O'Neil", None, True, 3999 / 1024, at), (2, "", None, False, 0.0, at.replace(microsecond=1))]
    expected = (
        "INSERT INTO dbo.t VALUES (1, N'O''Neil', NULL, 1, 3.9052734375000000e+00, '2025-01-02T03:04:05.678'),"
        " (2, N'', NULL, 0, 0.0000000000000000e+00, '2025-01-02T03:04:05.000001')"
    )
    assert list(countries._inserts("t", rows)) == [expected]


def test_a_folder_that_is_not_the_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="IB-755"):
        begin_anew(tmp_path, "mark")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_folder_of_an_earlier_run_is_emptied(tmp_path: Path) -> None:
    begin_anew(tmp_path / "demo", "mark")
    (tmp_path / "demo" / "old").mkdir()
    begin_anew(tmp_path / "demo", "mark")
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["mark"]
