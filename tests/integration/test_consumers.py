"""``consumers`` on the command line: a local workspace, real DAG bundles, a kept plan; what is not known fails it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.model.plan import MigrationPlan
from tests.support.airflow_cli import BUNDLES, OURS, connection, environment
from tests.support.cli import icebridge
from tests.support.databricks import Workspace, databricks  # noqa: F401 - a fixture
from tests.support.databricks_estate import CLUSTER, LOSSES, WAREHOUSE, Estate, simple_lake

pytestmark = pytest.mark.airflow
PLAN = "used"


@pytest.fixture(scope="module")
def estate(airflow_cli_home: Path, databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:  # noqa: F811
    made = Estate(server=databricks, folder=tmp_path_factory.mktemp("used"), mark="used")
    simple_lake(made.folder, ("trips", "fares"))
    made.federate()
    dags = made.folder / "dags"
    dags.mkdir()
    (dags / "etl.py").write_text(f"# nothing here\nSQL = 'SELECT * FROM {made.lake}.lake.trips'\n")
    with environment(**connections(made), **{BUNDLES: json.dumps([*OURS, local("etl", dags)])}):
        made.plan(PLAN, "lake.*")
        yield made


def local(name: str, folder: Path) -> dict[str, Any]:
    classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return {"name": name, "classpath": classpath, "kwargs": {"path": str(folder)}}


def connections(made: Estate) -> dict[str, str]:
    shared = {
        "host": "127.0.0.1",
        "schema": "http",
        "port": made.server.port,
        "password": made.server.token(made.copier),
    }
    source = {"catalog": made.lake, "origin_conn_id": "origin"}  # no warehouse: the target's is asked
    runs = {"cluster": CLUSTER, "volume": f"{made.main}.icebridge.jobs"}
    target = {"catalog": made.main, "warehouse_id": WAREHOUSE, **runs}
    return {
        "AIRFLOW_CONN_FOREIGN": connection("databricks", **shared, extra=source),
        "AIRFLOW_CONN_MANAGED": connection("databricks", **shared, extra=target),
        "AIRFLOW_CONN_ORIGIN": connection("icebridge_catalog", extra={**made.origin, "read_only": True}),
        "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(made.folder / "ledger.db")),
    }


def allow(made: Estate, *schemas: str) -> None:
    """Let the copier read schemas of ``system``."""
    sdk = made.server.sdk()
    for schema in schemas:
        sdk.system_schemas.enable(sdk.metastores.summary().metastore_id or "", schema)
        made.grant("SCHEMA", f"system.{schema}", made.copier, "USE_SCHEMA", "SELECT")


def use(made: Estate, statement: str, kind: str, identifier: str, principal: str = "admin") -> None:
    text = statement.format(lake=made.lake, main=made.main)
    made.server.consume(text, principal, entity_type=kind, entity_id=identifier)


@pytest.fixture(scope="module")
def told(estate: Estate) -> dict[str, Any]:
    """What the command says before the history may be read."""
    made = estate
    allow(made, "access")
    reader = made.reader("ann", "lake.trips")
    use(made, "SELECT count(*) FROM {lake}.lake.trips", "DASHBOARD_V3", "d-9", reader)
    use(made, "SELECT count(*) FROM {lake}.lake.trips", "JOB", "11", made.copier)
    said = icebridge("consumers", "--plan", PLAN, "--json")
    assert said.code == 1, said.err
    return dict(said.json)


def test_each_consumer_has_its_old_and_new_name(told: dict[str, Any], estate: Estate) -> None:
    old, new = f"{estate.lake}.lake.trips", f"{estate.main}.lake.trips"
    found = {(one["kind"], one["id"]): one for one in told["consumers"]}
    assert set(found) == {("dashboard", "d-9"), ("job", "11"), ("dag file", "etl:etl.py:2")}
    assert {(one["table"], one["new_name"]) for one in found.values()} == {(old, new)}
    dashboard = found["dashboard", "d-9"]
    assert (dashboard["who"], dashboard["how"], dashboard["sources"]) == ("ann", "reads", ["lineage"])
    assert dashboard["last_seen"].startswith("20")
    assert told["tables"] == {old: new, f"{estate.lake}.lake.fares": f"{estate.main}.lake.fares"}


def test_our_own_runs_are_marked_and_not_counted(told: dict[str, Any]) -> None:
    assert {one["id"] for one in told["consumers"] if one["own"]} == {"11"}
    assert told["counts"] == {"dag file": 1, "dashboard": 1}


def test_what_may_not_be_asked_is_named_with_its_remedy_and_fails_the_command(
    told: dict[str, Any], estate: Estate
) -> None:
    assert told["complete"] is False
    sources = {one["source"]: one for one in told["sources"]}
    assert sources["lineage"]["known"] == sources["DAG files"]["known"] == "asked"
    history = sources["query history"]
    assert history["known"] in {"not permitted", "not available"}
    shown = icebridge("consumers", "--plan", PLAN)
    assert f"NOT KNOWN: query history ({history['known']})." in shown.out
    assert history["remedy"] in shown.out
    assert f"{estate.copier} (IceBridge)" in shown.out
    allow(estate, "query")
    said = icebridge("consumers", "lake.fares", "--plan", PLAN)
    assert "Consumers of 1 tables in 90 days: none." in said.out
    assert "Every source was asked for all it has." in said.out
    assert "query history: asked" in said.out
    assert said.code == 0, "all is known"


def test_without_a_plan_tables_are_looked_for_and_names_stay_open(estate: Estate) -> None:
    found = icebridge("consumers", "lake.trips", "--source", "foreign", "--json").json
    assert found["tables"] == {f"{estate.lake}.lake.trips": ""}
    assert {one["known"] for one in found["sources"] if one["source"] == "lineage"} == {"not available"}, "no warehouse"
    assert icebridge("consumers", "lake.tripps", "--source", "foreign", "--json").refusal == "IB-230"
    assert icebridge("consumers", "--json").refusal == "IB-271"
    assert icebridge("consumers", "--plan", PLAN, "--days", "0", "--json").refusal == "IB-272"


def test_a_foreign_catalogs_name_cannot_be_kept_and_the_plan_says_why(estate: Estate) -> None:
    ends = ("plan", "--source", "foreign", "--target", "managed", "--accept-losses", *LOSSES)
    said = icebridge(*ends, "--consumer-names", "keep", "--dry-run", "--json")
    assert said.refusal == "IB-270", said.out
    assert "a connection of a type that is not shown to this principal" in said.json["error"]["message"]
    estate.grant("CONNECTION", f"hms_{estate.mark}", estate.copier, "USE_CONNECTION")
    said = icebridge(*ends, "--consumer-names", "keep", "--dry-run", "--json")
    assert "a connection of type HIVE_METASTORE" in said.json["error"]["message"]
    assert f"ALTER CATALOG `{estate.lake}` DROP CONNECTION FORCE" in said.json["error"]["remedy"]


def test_who_approves_sees_the_counts(told: dict[str, Any], estate: Estate) -> None:
    from icebridge_provider.operators.approval import consumers, question

    plan: MigrationPlan = estate.ledger.plan(PLAN)
    line = consumers(plan, [str(table.source) for table in plan.tables])
    assert line == "1 dashboard in the lineage of 90 days"
    certificate = {"tables": [], "writers": {}, "signed": True, "losses": [], "rows": 0, "digest": "d"}
    assert f"* Consumers: {line}. `airflow icebridge consumers --plan {PLAN}`" in question(PLAN, 0, certificate, line)
    assert "Consumers" not in question(PLAN, 0, certificate)
