"""Unity Catalog's REST through the unmodified SDK: pages, foreign catalogs that lag behind, quotas, logins, faults."""

from __future__ import annotations

import time

import httpx
import pytest
from databricks.sdk.errors import (
    BadRequest,
    DatabricksError,
    InternalError,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)

from tests.support.databricks import Workspace
from tests.support.unity_world import SCHEMA, Estate, estate


@pytest.fixture(scope="module")
def made(databricks_uc: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return estate(databricks_uc, tmp_path_factory.mktemp("origin"))


def test_a_page_may_be_empty_and_not_the_last(made: Estate) -> None:
    workspace, main = made.workspace, made.main
    for number in range(7):
        body = {"full_name": f"{main}.sales.z{number}", "data_source_format": "DELTA", "columns": []}
        workspace.order("POST", "/tables", body)
    reader = made.reader(f"{main}.sales.z6")
    workspace.settings(page_size=2)
    workspace.forget_requests()
    try:
        first = workspace.api("GET", f"/tables?catalog_name={main}&schema_name=sales&max_results=0", principal=reader)
        assert set(first) == {"next_page_token"}
        found = [one.name for one in workspace.sdk(reader).tables.list(main, "sales")]
    finally:
        workspace.settings(page_size=50)
    assert found == ["z6"]
    assert len(workspace.requests("/unity-catalog/tables")) == 1 + 6
    assert [one.full_name for one in workspace.sdk().tables.list_summaries(main, table_name_pattern="z%")] == [
        f"{main}.sales.z{number}" for number in range(7)
    ]


def test_foreign_catalogs_lag_until_refreshed(made: Estate) -> None:
    client, table = made.workspace.sdk(), ("Lake", "Late")
    made.origin.create_table(table, SCHEMA)
    with pytest.raises(NotFound):
        client.tables.get(f"{made.fed}.lake.late")
    made.workspace.order("POST", f"/refresh/{made.fed}.lake")
    found = client.tables.get(f"{made.fed}.lake.late")
    assert (found.table_type and found.table_type.value, found.name) == ("FOREIGN", "late")
    made.grant("TABLE", f"{made.fed}.lake.late", "account users", "SELECT")
    made.origin.drop_table(table)
    assert client.tables.exists(f"{made.fed}.lake.late").table_exists
    made.workspace.order("POST", f"/refresh/{made.fed}")
    assert not client.tables.exists(f"{made.fed}.lake.late").table_exists
    made.origin.create_table(table, SCHEMA)
    made.workspace.order("POST", f"/refresh/{made.fed}.lake")
    assert not client.grants.get("TABLE", f"{made.fed}.lake.late").privilege_assignments  # went with the table


def test_formats_differ_by_connection(made: Estate) -> None:
    workspace, mark = made.workspace, made.mark
    folder = str(made.origin.properties["warehouse"])
    options = {**made.origin.properties, "type": "sql", "warehouse": folder}
    workspace.connection(f"glue_{mark}", options, "GLUE")
    workspace.sdk().catalogs.create(f"glue_{mark}", connection_name=f"glue_{mark}")
    formats = {}
    for catalog in (made.fed, f"glue_{mark}"):
        found = workspace.sdk().tables.get(f"{catalog}.lake.events")
        assert found.data_source_format is not None
        formats[catalog] = found.data_source_format.value
    assert formats == {made.fed: "DELTA_UNIFORM_ICEBERG", f"glue_{mark}": "ICEBERG"}


def test_names_do_not_care_for_case(made: Estate) -> None:
    assert made.workspace.sdk().tables.get(f"{made.main.upper()}.Sales.PLAIN").full_name == f"{made.main}.sales.plain"
    with pytest.raises(BadRequest, match="already exists"):
        made.workspace.sdk().schemas.create("SALES", made.main)


def test_a_full_schema_takes_no_more(made: Estate) -> None:
    workspace, main = made.workspace, made.main
    workspace.sdk().schemas.create("full", main)
    workspace.settings(quotas=[["table-quota", "TABLE", "SCHEMA", 1]])
    try:
        body = {"schema": SCHEMA.model_dump(mode="json")}
        workspace.order("POST", "/iceberg-tables", {**body, "full_name": f"{main}.full.a"})
        told = workspace.admin.post("/iceberg-tables", json={**body, "full_name": f"{main}.full.b"})
        assert told.json()["error_code"] == "QUOTA_EXCEEDED"
        quota = workspace.sdk().resource_quotas.get_quota("SCHEMA", f"{main}.full", "table-quota").quota_info
        assert quota is not None
        assert (quota.quota_count, quota.quota_limit) == (1, 1)
    finally:
        workspace.settings(quotas=[["table-quota", "TABLE", "SCHEMA", 10_000]])


def test_dropping(made: Estate) -> None:
    client, main = made.workspace.sdk(), made.main
    client.schemas.create("brief", main)
    body = {"full_name": f"{main}.brief.t", "schema": SCHEMA.model_dump(mode="json")}
    made.workspace.order("POST", "/iceberg-tables", body)
    with pytest.raises(BadRequest, match="is not empty"):
        client.schemas.delete(f"{main}.brief")
    client.tables.delete(f"{main}.brief.t")
    with pytest.raises(NotFound):
        client.tables.delete(f"{main}.brief.t")
    client.schemas.delete(f"{main}.brief")
    with pytest.raises(NotFound, match="Schema"):
        client.tables.get(f"{main}.brief.t")


def test_external_access_is_the_metastore_admins(made: Estate) -> None:
    workspace = made.workspace
    metastore = str(workspace.sdk().metastores.current().metastore_id)
    workspace.settings(external_access_enabled=False)
    with pytest.raises(PermissionDenied, match="not an admin"):
        workspace.sdk("someone").metastores.update(metastore, external_access_enabled=True)
    workspace.sdk().metastores.update(metastore, external_access_enabled=True)
    assert workspace.sdk("someone").metastores.summary().external_access_enabled is True
    workspace.settings(external_access_enabled=False)


class TestLogin:
    def test_oauth_for_machines_and_its_end(self, databricks_uc: Workspace) -> None:
        databricks_uc.principal("robot", service=True, groups=("admins",))
        client_id, secret = databricks_uc.client("robot", lifetime_seconds=900)
        client = databricks_uc.sdk(client_id=client_id, client_secret=secret)
        me = client.current_user.me()
        assert (me.user_name, [group.display for group in me.groups or []]) == ("robot", ["admins"])
        databricks_uc.expire("robot")
        with pytest.raises(Unauthenticated, match="expired"):
            client.current_user.me()

    def test_a_wrong_secret(self, databricks_uc: Workspace) -> None:
        client_id, _ = databricks_uc.client("robot")
        with pytest.raises(ValueError, match="Client authentication failed"):
            databricks_uc.sdk(client_id=client_id, client_secret="no").current_user.me()

    def test_bearers(self, databricks_uc: Workspace) -> None:
        with pytest.raises(Unauthenticated, match="Invalid access token"):
            databricks_uc.sdk(token="dapi0").current_user.me()
        brief = databricks_uc.token("brief", lifetime_seconds=0.2)
        assert databricks_uc.sdk(token=brief).current_user.me().user_name == "brief"
        time.sleep(0.2)
        with pytest.raises(Unauthenticated, match="expired"):
            databricks_uc.sdk(token=brief).current_user.me()

    def test_the_admin_routes_want_their_own(self, databricks_uc: Workspace) -> None:
        databricks_uc.principal("someone")
        bearer = {"Authorization": f"Bearer {databricks_uc.token('admin')}"}
        assert httpx.get(f"{databricks_uc.url}/admin/requests", headers=bearer).status_code == 401


class TestFaults:
    def test_a_busy_service_says_when_to_come_again(self, made: Estate) -> None:
        made.workspace.forget_requests()
        made.workspace.fail(429, "/catalogs/", retry_after=1, times=2)
        started = time.monotonic()
        assert made.workspace.sdk().catalogs.get(made.main).name == made.main
        assert time.monotonic() - started >= 2
        assert [one["status"] for one in made.workspace.requests("/catalogs/")] == [429, 429, 200]

    def test_limits_of_patience(self, made: Estate) -> None:
        made.workspace.fail(429, "/catalogs/", times=-1, retry_after=1)
        with pytest.raises(TimeoutError):
            made.workspace.sdk(retry_timeout_seconds=2).catalogs.get(made.main)
        made.workspace.calm()
        made.workspace.fail(500, "/catalogs/")
        with pytest.raises(InternalError):
            made.workspace.sdk().catalogs.get(made.main)

    def test_a_lost_answer_was_work_done(self, made: Estate) -> None:
        """The SDK itself sends the request again, so the caller is told of its own success as a conflict."""
        made.workspace.fail("lost", "/schemas", "POST")
        with pytest.raises(BadRequest, match="already exists"):
            made.workspace.sdk().schemas.create("lost", made.main)
        assert made.workspace.sdk().schemas.get(f"{made.main}.lost").name == "lost"

    def test_a_cut_connection_did_nothing(self, made: Estate) -> None:
        made.workspace.forget_requests()
        made.workspace.fail("cut", "/schemas", "POST", times=1)
        assert made.workspace.sdk().schemas.create("cut", made.main).name == "cut"
        assert [one["status"] for one in made.workspace.requests("/schemas")] == [0, 200]

    def test_a_share_of_requests_after_some(self, made: Estate) -> None:
        made.workspace.forget_requests()
        made.workspace.fail(500, "/catalogs/", rate=0.5, times=-1, skip=2)
        outcomes = []
        for _ in range(30):
            try:
                made.workspace.sdk().catalogs.get(made.main)
                outcomes.append(200)
            except DatabricksError:
                outcomes.append(500)
        made.workspace.calm()
        assert outcomes[:2] == [200, 200]
        assert 5 < outcomes.count(500) < 25
        assert [one["status"] for one in made.workspace.requests("/catalogs/")] == outcomes

    def test_delay(self, made: Estate) -> None:
        made.workspace.fail("delay", "/catalogs/", seconds=0.5)
        started = time.monotonic()
        made.workspace.sdk().catalogs.get(made.main)
        assert time.monotonic() - started >= 0.5

    def test_an_unknown_order_is_refused(self, made: Estate) -> None:
        assert made.workspace.admin.post("/faults", json=[{"fault": "flood"}]).status_code == 400
        assert made.workspace.admin.post("/faults", json=[{"fault": 503, "colour": 1}]).status_code == 400
