"""Operators and the command of the extraction; the SQL Server is the local one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from tests.support.airflow_cli import connection, environment
from tests.support.cli import icebridge
from tests.support.dag_runs import context

pytestmark = pytest.mark.airflow
QUERIES = {
    "purchases": "SELECT id, {factor}, {flg_scanner} FROM {purchases_table} WHERE country = '{country_code}'",
    "recent": "SELECT id, bought FROM {purchases_table} WHERE bought >= '{from_date}' AND id > {least_id}",
}
COMMON = "flg_scanner: flg_scanner\nfactor: factor_rw1 as factor_rw\nfrom_date: '2026-01-01'\nleast_id: 0\n"
COUNTRY = "country_code: {code}\ntables:\n  purchases_table: J_AtosCompra_{code}\n"


@pytest.fixture
def folder(airflow_cli_home: Path, tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "extraction"
    (made / "queries").mkdir(parents=True)
    (made / "config").mkdir()
    for name, text in QUERIES.items():
        (made / "queries" / f"{name}.sql").write_text(text)
    (made / "config" / "common_params.yaml").write_text(COMMON)
    for country, code in (("Colombia", "CO"), ("Peru", "PE")):
        (made / "config" / f"{country}.yaml").write_text(COUNTRY.format(code=code))
    with environment(
        AIRFLOW__ICEBRIDGE__EXTRACTION_FOLDER=str(made),
        AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("icebridge_ledger", schema=str(tmp_path / "ledger.db")),
    ):
        assert icebridge("db", "migrate").code == 0
        yield made


def plan(run_id: str = "manual", **more: Any) -> list[dict[str, Any]]:
    from icebridge_provider.operators.extract import PlanExtractionOperator

    jobs: list[dict[str, Any]] = PlanExtractionOperator(task_id="plan", **more).execute(context(run_id))
    return jobs


def job(**given: Any) -> Any:
    from icebridge_provider.operators.extract import SqlServerToVolumeOperator

    return SqlServerToVolumeOperator(task_id="extract", **given)


def test_there_is_a_job_for_each_query_and_country(folder: Path) -> None:
    jobs = plan()
    assert [item["caption"] for item in jobs] == [
        "Colombia/purchases", "Colombia/recent", "Peru/purchases", "Peru/recent",
    ]  # fmt: skip
    assert len({item["job_id"] for item in jobs}) == 1
    assert len({item["digest"] for item in jobs}) == 4
    assert json.loads(json.dumps(jobs)) == jobs


def test_the_jobs_of_a_run_keep_their_id_and_another_run_has_another(folder: Path) -> None:
    assert plan("a") == plan("a")
    assert plan("a")[0]["job_id"] != plan("b")[0]["job_id"]


def test_globs_choose_and_forms_give_json_texts(folder: Path) -> None:
    jobs = plan(queries='["pur*"]', countries="Peru", folder=str(folder), parameters="")
    assert [item["caption"] for item in jobs] == ["Peru/purchases"]


def test_each_task_finds_the_job_that_was_planned_for_it(folder: Path) -> None:
    """Parameters that only some queries use are handed only to those: alone, the others would refuse them."""
    jobs = plan(parameters='{"from_date": "2026-06-01"}')
    assert [item["parameters"] for item in jobs] == [{}, {"from_date": "2026-06-01"}] * 2
    for given in jobs:
        found = job(**given)._job(context())
        assert (found.digest, found.job_id, found.name) == (given["digest"], given["job_id"], given["caption"])
    assert jobs[1]["digest"] != plan()[1]["digest"]


def test_a_query_that_changed_after_it_was_planned_is_not_run(folder: Path) -> None:
    given = plan()[0]
    (folder / "queries" / "purchases.sql").write_text(QUERIES["purchases"] + " AND id > 5")
    with pytest.raises(ConfigurationError, match=r"IB-890.*Colombia/purchases"):
        job(**given)._job(context())


@pytest.mark.parametrize("given", ["{", "[]", "5"])
def test_parameters_that_are_no_object_are_refused(folder: Path, given: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-891"):
        plan(parameters=given)


def test_the_command_lists_the_jobs_without_a_database(folder: Path) -> None:
    said = icebridge("extract", "--dry-run", "--countries", "Peru", "--param", "least_id=7", "--json")
    (purchases, recent) = said.json["jobs"]
    assert (purchases["job"], recent["job"]) == ("Peru/purchases", "Peru/recent")
    assert recent["parameters"]["least_id"] == "7"
    assert icebridge("extract", str(folder), "--dry-run", "--queries", "sales", "--json").refusal == "IB-806"
    assert icebridge("extract", "--dry-run", "--param", "least_id", "--json").refusal == "IB-892"


def test_the_command_starts_the_dag_unless_it_is_told_to_do_it_here(folder: Path) -> None:
    assert icebridge("extract", "--json").refusal in {"IB-740", "IB-741"}  # Airflow does not know it, or it is paused
    assert icebridge("extract", "--here", "--json").refusal == "IB-883"
