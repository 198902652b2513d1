"""Unity Catalog's Iceberg REST endpoint, by pyiceberg as it is: its gates, and that both sides stay in step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyiceberg.exceptions import ForbiddenError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from tests.support.databricks import Workspace
from tests.support.sql_estate import ORDERS, Estate, estate, rows


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    found = estate(databricks, tmp_path_factory.mktemp("iceberg-rest"))
    found.sql("GRANT EXTERNAL USE SCHEMA ON SCHEMA {main}.sales TO admin")
    found.sql("CREATE TABLE {main}.sales.orders USING ICEBERG AS SELECT * FROM {lake}.sales.orders")
    return found


def test_reads_and_writes_are_seen_on_both_sides(made: Estate) -> None:
    catalog = made.rest()
    table = catalog.create_table("sales.outside", ORDERS, properties={"a": "b"})
    table.append(rows(4))
    assert made.sql("SELECT count(*) FROM {main}.sales.outside") == [["4"]]
    made.sql("DELETE FROM {main}.sales.outside WHERE id = 1")
    assert catalog.load_table("sales.outside").scan().to_arrow().num_rows == 3
    with table.refresh().transaction() as change:
        change.set_properties({"a": "c"})
    assert ["a", "c"] in made.sql("SHOW TBLPROPERTIES {main}.sales.outside")
    assert ("sales", "outside") in catalog.list_tables("sales")
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table("sales.outside", ORDERS)
    catalog.drop_table("sales.outside")
    assert made.sql("SHOW TABLES IN {main}.sales LIKE 'outside'") == []


def test_what_sql_writes_is_read_outside(made: Estate) -> None:
    table = made.rest().load_table("sales.orders")
    assert sorted(table.scan().to_arrow().column("id").to_pylist()) == [1, 2, 3]
    assert made.rest().namespace_exists("sales")
    assert not made.rest().table_exists("sales.absent")


def test_every_gate(made: Estate) -> None:
    someone = made.workspace.principal("outside")
    steps: list[tuple[str, Callable[[], object]]] = [
        ("GRANT USE CATALOG ON CATALOG {main} TO outside", lambda: made.rest(someone)),
        ("GRANT USE SCHEMA ON SCHEMA {main}.sales TO outside", lambda: made.rest(someone).load_table("sales.orders")),
        (
            "GRANT EXTERNAL USE SCHEMA ON CATALOG {main} TO outside",
            lambda: made.rest(someone).load_table("sales.orders"),
        ),
    ]
    for grant, act in steps:
        with pytest.raises(ForbiddenError):
            act()
        made.sql(grant)
    with pytest.raises(NoSuchTableError):
        made.rest(someone).load_table("sales.orders")
    made.sql("GRANT SELECT ON TABLE {main}.sales.orders TO outside")
    table = made.rest(someone).load_table("sales.orders")
    assert table.scan().to_arrow().num_rows == 3
    with pytest.raises(ForbiddenError):
        table.append(rows(1))
    with pytest.raises(ForbiddenError):
        made.rest(someone).create_table("sales.mine", ORDERS)
    made.workspace.settings(external_access_enabled=False)
    try:
        with pytest.raises(ForbiddenError, match="External data access"):
            made.rest(someone)
    finally:
        made.workspace.settings(external_access_enabled=True)


def test_all_privileges_do_not_open_it(made: Estate) -> None:
    someone = made.workspace.principal("everything")
    made.sql("GRANT ALL PRIVILEGES ON CATALOG {main} TO everything")
    assert made.sql("SELECT count(*) FROM {main}.sales.orders", someone) == [["3"]]
    with pytest.raises(ForbiddenError, match="EXTERNAL USE SCHEMA"):
        made.rest(someone).load_table("sales.orders")


def test_foreign_tables_and_views_stay_inside(made: Estate) -> None:
    made.sql("CREATE VIEW {main}.sales.seen AS SELECT 1 AS x")
    with pytest.raises(ForbiddenError, match="outside"):
        made.rest().load_table("sales.seen")
    made.sql("GRANT EXTERNAL USE SCHEMA ON SCHEMA {lake}.sales TO admin")
    path = f"/api/2.1/unity-catalog/iceberg-rest/v1/catalogs/{made.lake}/namespaces/sales/tables/orders"
    assert made.http("GET", path).status_code == 403


def test_places_are_not_the_clients_to_choose(made: Estate) -> None:
    path = f"/api/2.1/unity-catalog/iceberg-rest/v1/catalogs/{made.main}/namespaces/sales/tables"
    schema = Schema(NestedField(1, "id", LongType())).model_dump(mode="json")
    for more in ({"location": "file:///tmp/x"}, {"properties": {"write.metadata.path": "file:///tmp/x"}}):
        answer = made.http("POST", path, json={"name": "placed", "schema": schema, **more})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "BadRequestException"


def test_a_stranger_gets_401_in_the_specs_shape(made: Estate) -> None:
    import httpx

    url = f"{made.workspace.url}/api/2.1/unity-catalog/iceberg-rest/v1/config?warehouse={made.main}"
    answer = httpx.get(url, headers={"Authorization": "Bearer none"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == 401
    assert httpx.get(f"{made.workspace.url}/internal/iceberg/{made.main}/v1/config").status_code == 401
