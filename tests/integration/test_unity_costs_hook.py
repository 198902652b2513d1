"""What the target's connection says of prices and progress reaches plans and sites."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from icebridge_provider.engines.databricks.jobs_table import JobsTable
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.rates import rates_for
from icebridge_provider.hooks.site import site_for
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from tests.support.airflow_cli import connection, environment

pytestmark = pytest.mark.airflow
CLUSTER = {"spark_version": "17.3.x-scala2.13", "node_type_id": "m5d.xlarge", "num_workers": 2}


def databricks(**extra: object) -> str:
    return connection("databricks", host="dbc-1.cloud.databricks.com", password="token-of-a-test", extra=extra)


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[dict[str, str]]:
    file = tmp_path / "ledger.db"
    SqlLedger(f"sqlite:///{file}").migrate()
    made = {
        "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(file)),
        "AIRFLOW_CONN_LAKE": databricks(catalog="lake"),
        "AIRFLOW_CONN_MAIN": databricks(catalog="main", cluster=CLUSTER, rates={"price_per_dbu": 0.11}),
    }
    with environment(**made):
        yield made


def test_a_plan_is_priced_by_the_cluster_of_its_target(connections: dict[str, str]) -> None:
    found = rates_for(Settings(currency="EUR"), "main").cluster
    assert found is not None
    assert (found.nodes, found.price_per_dbu, found.node_per_hour, found.photon) == (3, 0.11, 0.226, True)
    other = rates_for(Settings(), "main", {"num_workers": 8, "photon": False}).cluster
    assert other is not None
    assert (other.nodes, other.photon) == (9, False)
    assert rates_for(Settings(currency="EUR"), "nowhere") == Settings(currency="EUR").rates()


def test_a_rate_that_cannot_be_is_refused_when_the_plan_is_made(connections: dict[str, str]) -> None:
    wrong = databricks(catalog="main", cluster=CLUSTER, rates={"dbu": 1})
    with environment(AIRFLOW_CONN_MAIN=wrong), pytest.raises(ConfigurationError, match="IB-466"):
        rates_for(Settings(), "main")


def test_progress_goes_where_the_target_says(connections: dict[str, str]) -> None:
    assert site_for("lake", "main").jobs_table is None
    with environment(AIRFLOW_CONN_MAIN=databricks(catalog="main", jobs_table="ops.m.jobs")):
        found = site_for("lake", "main").jobs_table
    assert isinstance(found, JobsTable)
    assert found.name == "ops.m.jobs"


def test_a_name_that_is_none_stops_no_rollback(connections: dict[str, str]) -> None:
    extra = json.loads(connections["AIRFLOW_CONN_MAIN"])["extra"]
    with environment(AIRFLOW_CONN_MAIN=databricks(**{**extra, "jobs_table": "jobs", "cluster": "{"})):
        assert site_for("lake", "main").jobs_table is not None
