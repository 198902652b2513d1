"""Links on task instances, as Airflow's own REST interface shows them, and the page that they lead to."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from icebridge_provider.model.identifier import TableIdentifier
from tests.support import tables
from tests.support.airflow_cli import BUNDLES, environment
from tests.support.dag_runs import Lakes, context, lakes

pytestmark = pytest.mark.airflow
REPORT, RUN, CATALOG = "Validation report", "Databricks run", "Catalog page"


@pytest.fixture(scope="module")
def lake(airflow_cli_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakes]:
    with lakes(tmp_path_factory.mktemp("links"), allow_unapproved_cutover="True") as made:
        for name in ("a", "b"):
            tables.plain(made.source, name)
        yield made


@pytest.fixture(scope="module")
def server(lake: Lakes) -> Iterator[TestClient]:
    from icebridge_provider.plugins.api import app as plugin_app

    plugin_app._configured_ledger.cache_clear()
    with environment(_AIRFLOW_PROCESS_CONTEXT="server"):
        from airflow.api_fastapi.app import create_app, get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        app = create_app("all")
        bearer = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="x", role="ADMIN"))
        yield TestClient(app, headers={"Authorization": f"Bearer {bearer}"})


DAG = """
from airflow.sdk import DAG
from icebridge_provider.operators.plan import PlanOperator
from icebridge_provider.operators.tables import CopyTablesOperator, ValidateTablesOperator

with DAG("links", schedule=None) as dag:
    plan = PlanOperator(task_id="plan", source_conn_id="src", target_conn_id="dst", plan_id="p1", approval="none")
    names = [{"tables": "src.lake.a"}, {"tables": "src.lake.b"}]
    copy = CopyTablesOperator.partial(task_id="copy", plan_id="p1").expand_kwargs(names)
    plan >> copy >> ValidateTablesOperator(task_id="validate", plan_id="p1")
"""


@pytest.fixture(scope="module")
def ran(lake: Lakes) -> str:
    """A run of a small DAG with a mapped task; gives its id."""
    from airflow.dag_processing.dagbag import DagBag

    folder = lake.folder / "dags"
    folder.mkdir()
    (folder / "links.py").write_text(DAG)
    kind = "airflow.dag_processing.bundles.local.LocalDagBundle"
    with environment(**{BUNDLES: json.dumps([{"name": "links", "classpath": kind, "kwargs": {"path": str(folder)}}])}):
        dag = DagBag(str(folder), bundle_path=folder, bundle_name="links").dags["links"]
        done = dag.test()
    assert str(done.state) == "success"
    return str(done.run_id)


def links(server: TestClient, run_id: str, task: str, map_index: int = -1) -> dict[str, Any]:
    address = f"/api/v2/dags/links/dagRuns/{run_id}/taskInstances/{task}/links"
    answer = server.get(address, params={"map_index": map_index})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["extra_links"])


def test_the_interface_shows_the_links_of_a_task(server: TestClient, ran: str) -> None:
    found = links(server, ran, "validate")
    assert set(found) == {REPORT, CATALOG}
    assert found[REPORT] == "https://airflow.example/icebridge/reports?plan=p1"
    assert not found[CATALOG], "this target has no pages"


def test_a_mapped_task_has_links_of_its_own(server: TestClient, ran: str) -> None:
    assert links(server, ran, "copy", 1) == {RUN: None, CATALOG: None}


def test_the_report_link_leads_to_the_verdicts(server: TestClient, ran: str) -> None:
    place = urlsplit(links(server, ran, "validate")[REPORT])
    page = server.get(f"{place.path}?{place.query}")
    assert page.status_code == 200
    assert page.text.count("<td>src.lake.a</td>") > 1
    assert "FAILED" not in page.text
    only = server.get("/icebridge/reports", params={"plan": "p1", "table": "src.lake.b"})
    assert ("src.lake.b" in only.text, "src.lake.a" in only.text) == (True, False)


def test_pages_of_a_catalog_are_of_what_all_tables_share(server: TestClient) -> None:
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog
    from icebridge_provider.catalogs.unity.workspace import Login, Workspace
    from icebridge_provider.operators.links import catalog_page

    class Site:
        target = UnityCatalog("managed", Workspace("managed", "https://dbc.example", Login(token="x")), "main")

    def page(*names: str) -> str:
        parts = [name.split(".") for name in names]
        tables = [TableIdentifier(catalog="managed", namespace=(space,), name=name) for space, name in parts]
        return catalog_page(Site(), tables)  # type: ignore[arg-type]  # all that is looked at

    assert page("sales.orders") == "https://dbc.example/explore/data/main/sales/orders"
    assert page("sales.a", "sales.b") == "https://dbc.example/explore/data/main/sales"
    assert page("sales.a", "ops.a") == "https://dbc.example/explore/data/main"
    assert page("sales.a?c").endswith("main/sales/a%3Fc")
    assert page() == ""


def test_openlineage_is_told_what_was_copied(lake: Lakes, ran: str) -> None:
    from icebridge_provider.operators.tables import CopyTablesOperator

    operator = CopyTablesOperator(task_id="copy", plan_id="p1")
    operator.execute(context())
    assert {(item.source.name, item.target.name) for item in operator.moved} == {
        ("lake.a", "lake.a__icebridge_p1"), ("lake.b", "lake.b__icebridge_p1"),
    }  # fmt: skip
    assert {item.source.namespace for item in operator.moved} == {"icebridge://src"}
    told = operator.get_openlineage_facets_on_complete(None)
    if importlib.util.find_spec("openlineage") is None:
        assert told is None, "without its provider nothing is told, and nothing breaks"
    else:
        assert {item.name for item in told.inputs} == {"lake.a", "lake.b"}
        assert all(item.outputFacets["outputStatistics"].rowCount == 100 for item in told.outputs)


def test_tables_of_unity_catalog_are_named_as_airflows_own_operators_do(server: TestClient) -> None:
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog
    from icebridge_provider.catalogs.unity.workspace import Login, Workspace
    from icebridge_provider.operators.lineage import dataset_of

    catalog = UnityCatalog("managed", Workspace("managed", "https://dbc.example", Login(token="x")), "main")
    found = dataset_of(catalog, TableIdentifier(catalog="managed", namespace=("sales",), name="Orders"))
    assert (found.namespace, found.name) == ("databricks://dbc.example", "main.sales.orders")
