"""Plans over a workspace that refuses: what would fail in the run is said before, with the statement that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from icebridge_provider.catalogs.check import check_connection
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.exceptions import ConfigurationError, PreflightFailed
from icebridge_provider.model.event import Actor
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, MigrationRequest
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.build import Prospect
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.assess import assess_inventory
from icebridge_provider.steps.inventory import read_inventory
from icebridge_provider.steps.plan import make_plan
from tests.support import tables as shapes
from tests.support.databricks import Workspace
from tests.support.land import LOSSES, NOW, READS, WRITES, Land

WAREHOUSE = "0123456789abcdef"
ORDINARY = {"PRE-010", "PRE-011", "PRE-020"}  # a foreign source is read-only, and was just written
EMPTY = {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "a", "type": "int", "required": False}]}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one table, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("lake")
    shapes.plain(shapes.open_catalog(folder / "origin", "origin"), "orders")
    return folder


@pytest.fixture
def server(databricks_uc: Workspace) -> Iterator[Workspace]:
    databricks_uc.settings(external_access_enabled=True)
    yield databricks_uc
    databricks_uc.calm()
    databricks_uc.settings(external_access_enabled=True, default_predictive_optimization="ENABLE")


@pytest.fixture
def land(server: Workspace, lake: Path) -> Land:
    return Land(server, lake, ())


@pytest.fixture
def own(server: Workspace, tmp_path: Path) -> Land:
    """One whose lake the test may change."""
    return Land(server, tmp_path)


def blocking(found: Prospect) -> dict[str, Finding]:
    return {item.rule: item for item in found.findings if item.severity is Severity.BLOCKING}


def rules(found: Prospect) -> set[str]:
    return {item.rule for item in found.findings} - ORDINARY


def test_nothing_is_said_of_a_workspace_where_all_is_well(land: Land) -> None:
    found = land.allow().orders()
    assert rules(found) == set()
    assert found.planned is not None
    assert found.planned.method is CopyMethod.DEEP_CLONE
    root = f"file://{land.server.folder.resolve()}/managed"
    assert found.planned.note == f"Stored below {root} (of METASTORE)."


def test_a_closed_metastore_stops_the_plan(land: Land) -> None:
    land.allow().server.settings(external_access_enabled=False)
    found = land.orders()
    metastore = land.server.api("GET", "/metastore_summary")["metastore_id"]
    assert set(blocking(found)) == {"PRE-034"}
    assert f"databricks metastores update {metastore} " in blocking(found)["PRE-034"].remedy


@pytest.mark.parametrize(
    ("reads", "writes", "expected"),
    [
        (READS, tuple(one for one in WRITES if one != "EXTERNAL_USE_SCHEMA"), {"PRE-035"}),
        (READS, ("ALL_PRIVILEGES", "MANAGE"), {"PRE-035"}),
        (READS, tuple(one for one in WRITES if one != "CREATE_TABLE"), {"PRE-039"}),
        (("USE_CATALOG", "BROWSE"), WRITES, {"PRE-040", "PRE-041"}),
        (READS, ("USE_SCHEMA",), {"PRE-035", "PRE-039"}),
    ],
)
def test_what_is_granted_as_told_is_missed_no_more(
    land: Land, reads: tuple[str, ...], writes: tuple[str, ...], expected: set[str]
) -> None:
    found = land.allow(reads, writes).orders()
    assert set(blocking(found)) == expected
    for item in blocking(found).values():
        land.run(item.remedy)
    assert blocking(land.orders()) == {}


def test_what_stands_on_single_tables_nobody_tells_without_a_warehouse(land: Land) -> None:
    found = land.allow(reads=("USE_CATALOG", "USE_SCHEMA", "SELECT")).orders()
    assert rules(found) == {"PRE-048"}
    assert "has MANAGE on it" in found.findings[-1].message


def test_who_copies_reads_and_who_moves_readers_manages(land: Land) -> None:
    land.mover = f"mover-{land.bot}"
    land.allow(reads=("USE_CATALOG", "USE_SCHEMA", "SELECT"))
    land.grant("catalog", land.lake, land.mover, "USE_CATALOG", "USE_SCHEMA", "MANAGE")
    assert rules(land.orders()) == set()
    land.mover, land.bot = land.bot, land.mover
    land.grant("catalog", land.main, land.bot, "USE_CATALOG", *WRITES)
    land.client = Client("managed", land.server.url, Login(token=land.server.token(land.bot)))
    [open_] = [item for item in land.orders().findings if item.rule == "PRE-048"]
    assert f"whether {land.bot} has SELECT on it; whether {land.mover} has MANAGE on it" in open_.message


def test_all_privileges_on_the_catalog_are_enough_but_for_two(land: Land) -> None:
    land.grant("catalog", land.lake, land.bot, "ALL_PRIVILEGES", "MANAGE")
    land.grant("catalog", land.main, land.bot, "ALL_PRIVILEGES")
    assert set(blocking(land.orders())) == {"PRE-035"}


def test_rights_of_a_group_count(land: Land) -> None:
    land.server.principal(land.bot, groups=(f"g-{land.bot}",))
    land.bot, bot = f"g-{land.bot}", land.bot
    land.allow()
    land.bot = bot
    assert rules(land.orders()) == set()


def test_a_group_that_the_copier_may_be_in_leaves_it_open(land: Land) -> None:
    land.allow(reads=("USE_CATALOG", "USE_SCHEMA", "MANAGE"))
    land.grant("catalog", land.lake, "readers", "SELECT")
    [open_] = [item for item in land.orders().findings if item.rule == "PRE-048"]
    assert f"whether {land.bot} has SELECT on it" in open_.message


def test_a_new_schema_takes_rights_on_the_catalog(land: Land) -> None:
    land.allow()
    found = land.orders(mapping=("prefix:lake.=fresh.",))
    assert set(blocking(found)) == {"PRE-035", "PRE-039"}
    for item in blocking(found).values():
        land.run(item.remedy)
    assert blocking(land.orders(mapping=("prefix:lake.=fresh.",))) == {}


def test_a_schema_without_storage_is_refused_and_one_with_it_is_named(land: Land) -> None:
    server, root = land.allow().server, land.server.api("GET", "/metastore_summary")["storage_root"]
    server.settings(storage_root="")
    try:
        found = land.orders()
        assert set(blocking(found)) == {"PRE-036"}
        with pytest.raises(AssertionError, match="Metastore storage root URL does not exist"):
            server.order("POST", "/iceberg-tables", {"full_name": f"{land.main}.lake.t", "schema": EMPTY})
    finally:
        server.settings(storage_root=root)


def test_a_full_schema_is_refused_for_as_many_as_do_not_fit(own: Land) -> None:
    shapes.plain(own.native, "zebras")
    own.server.order("POST", f"/refresh/{own.lake}")
    own.allow().server.settings(quotas=[["table-quota", "TABLE", "SCHEMA", 1]])
    try:
        found = own.judged()
        own.server.fail(403, path="resource-quotas", error_code="PERMISSION_DENIED")
        counted = own.judged()
    finally:
        own.server.settings(quotas=[["table-quota", "TABLE", "SCHEMA", 10_000]])
    assert {name: set(blocking(one)) for name, one in found.items()} == {"orders": set(), "zebras": {"PRE-038"}}
    assert (
        "has 0 of at most 1 tables, and this plan brings 1 more than fit"
        in blocking(found["zebras"])["PRE-038"].message
    )
    assert not any(blocking(one) for one in counted.values()), "without the service's word the usual limit holds"


def test_guarded_tables_are_not_cloned_and_the_copier_is_warned(land: Land) -> None:
    land.allow().server.order("POST", "/functions", {
        "full_name": f"{land.main}.lake.hide", "parameters": [["x", "string"]], "body_sql": "x",
        "return_type": "STRING",
    })  # fmt: skip
    change = {"masks": {"name": [f"{land.main}.lake.hide"]}}
    land.server.order("PATCH", f"/tables/{land.lake}.lake.orders", change)
    found = land.orders()
    assert found.planned is not None
    assert (found.planned.method, rules(found)) == (CopyMethod.INSERT_SELECT, {"PRE-043"})
    assert f"mask {land.main}.lake.hide on column name" in found.findings[-1].message
    assert set(blocking(land.orders(method="deep_clone"))) == {"PRE-042"}


def test_a_policy_of_the_schema_guards_its_tables(land: Land) -> None:
    land.allow().server.order("POST", "/functions", {
        "full_name": f"{land.main}.lake.only", "parameters": [], "body_sql": "true", "return_type": "BOOLEAN",
    })  # fmt: skip
    policy = {
        "name": "rows", "on_securable_type": "SCHEMA", "on_securable_fullname": f"{land.lake}.lake",
        "for_securable_type": "TABLE", "policy_type": "POLICY_TYPE_ROW_FILTER", "to_principals": ["account users"],
        "row_filter": {"function_name": f"{land.main}.lake.only"},
    }  # fmt: skip
    land.server.api("POST", "/policies", policy)
    found = land.orders()
    assert found.planned is not None
    assert (found.planned.method, rules(found)) == (CopyMethod.INSERT_SELECT, {"PRE-043"})
    land.server.api("DELETE", f"/policies/SCHEMA/{land.lake}.lake/rows")
    land.server.api("POST", "/policies", {**policy, "except_principals": [land.bot]})
    exempt = land.orders()
    assert exempt.planned is not None
    assert (exempt.planned.method, rules(exempt)) == (CopyMethod.INSERT_SELECT, set())


def test_predictive_optimization_is_told_and_switched_on_when_asked(land: Land) -> None:
    land.allow().server.settings(default_predictive_optimization="DISABLE")
    found = land.orders()
    assert found.planned is not None
    assert (found.planned.method, rules(found)) == (CopyMethod.INSERT_SELECT, {"PRE-047"})
    assert set(blocking(land.orders(method="deep_clone"))) == {"PRE-046"}
    wished = land.orders(enables_optimization=True)
    assert wished.planned is not None
    assert (wished.planned.method, rules(wished)) == (CopyMethod.DEEP_CLONE, set())
    _, target = land.catalogs(enables_optimization=True)
    checks = {row["check"]: row for row in check_connection(target)}
    assert "the first copy switches it on" in checks["predictive optimization"]["message"]
    target.create_namespace(("lake",))
    target.create_namespace(("lake",))
    schema = land.server.api("GET", f"/schemas/{land.main}.lake")
    assert schema["effective_predictive_optimization_flag"] == {"value": "ENABLE"}
    asked = [one for one in land.server.requests(f"schemas/{land.main}.lake") if one["method"] == "PATCH"]
    assert len(asked) == 1
    assert {row["check"]: row["outcome"] for row in check_connection(target)}["predictive optimization"] == "passed"


def test_switching_it_on_without_the_right_names_it(land: Land) -> None:
    land.allow(writes=("USE_SCHEMA", "CREATE_TABLE")).server.settings(default_predictive_optimization="DISABLE")
    _, target = land.catalogs(enables_optimization=True)
    with pytest.raises(ConfigurationError, match="MANAGE") as caught:
        target.create_namespace(("lake",))
    assert caught.value.code == "IB-241"


def test_what_the_schema_hands_down_to_strangers_is_said(land: Land) -> None:
    land.allow()
    land.grant("schema", f"{land.main}.lake", "eve", "SELECT")
    [found] = [item for item in land.orders().findings if item.rule == "PRE-045"]
    assert f"eve would read new tables of {land.main}.lake by SELECT on schema {land.main}.lake" in found.message
    land.grant("catalog", land.lake, "eve", "USE_CATALOG", "USE_SCHEMA", "SELECT")
    assert "PRE-045" not in rules(land.orders())


def test_a_stale_entry_is_told_and_a_wrong_summary_stops_the_table(own: Land) -> None:
    shapes.broken_summary(own.native)
    own.server.order("POST", f"/refresh/{own.lake}")
    own.native.load_table("lake.orders").append(shapes.rows(500, 3))
    found = own.allow().judged()
    assert rules(found["orders"]) == {"PRE-049"}
    assert set(blocking(found["broken_summary"])) == {"SRC-008"}


def test_a_schema_that_is_not_shown_is_refused_by_name(own: Land) -> None:
    own.native.create_namespace("vault")
    own.native.create_table("vault.gold", shapes.rows(0, 1).schema)
    own.native.create_namespace(("lake", "deep"))
    own.native.create_table(("lake", "deep", "pearl"), shapes.rows(0, 1).schema)
    found = own.allow().judged()
    assert {name: set(blocking(one)) for name, one in found.items()} == {
        "orders": set(), "gold": {"SRC-021"}, "pearl": {"SRC-021"},
    }  # fmt: skip
    assert "REFRESH FOREIGN CATALOG" in blocking(found["gold"])["SRC-021"].remedy
    assert "one level only" in blocking(found["pearl"])["SRC-021"].remedy


def test_a_workspace_that_does_not_tell_is_no_workspace_that_refuses(land: Land) -> None:
    land.allow()
    quiet = "metastore_summary|effective-permissions|resource-quotas"
    land.server.fail(403, path=quiet, times=-1, error_code="PERMISSION_DENIED")
    found = land.orders()
    land.server.calm()
    assert blocking(found) == {}
    [open_] = [item for item in found.findings if item.rule == "PRE-048"]
    for said in ("external data access", "EXTERNAL USE SCHEMA", "has USE CATALOG, USE SCHEMA, SELECT on it"):
        assert said in open_.message
    assert "PRE-048" not in rules(land.orders())


def test_an_assessment_judges_as_a_plan_does(land: Land) -> None:
    land.allow().server.settings(default_predictive_optimization="DISABLE")
    source, target = land.catalogs()
    document = assess_inventory(read_inventory(source, inventory_id="i"), source, target, Settings(), NOW)
    [table] = document["tables"]
    assert (table["method"], document["counts"]["broken"]) == ("insert_select", 0)
    assert "PRE-047" in {item["rule"] for item in document["findings"]}


def test_a_rule_that_somebody_knows_better_does_not_stop_the_plan(land: Land, tmp_path: Path) -> None:
    land.allow().server.settings(external_access_enabled=False)
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.migrate()
    request = MigrationRequest(source_conn_id="foreign", target_conn_id="managed", accept_losses=LOSSES)

    def plan(text: str) -> MigrationPlan:
        settings = Settings(advisory_rules=text)
        return make_plan(*land.catalogs(), ledger, request, settings, Actor(who="ada"), NOW, "p1")

    with pytest.raises(PreflightFailed, match="external data access"):
        plan("")
    assert [item.rule for item in plan("PRE-034").findings if item.rule == "PRE-034"] == ["PRE-034"]


def test_the_number_of_requests_does_not_grow_with_the_tables(server: Workspace, tmp_path: Path) -> None:
    counts = {}
    for tables in (1, 200):
        land = Land(server, tmp_path / str(tables), ())
        first = shapes.without_snapshots(land.native, "t000")
        for number in range(1, tables):
            land.native.register_table(f"lake.t{number:03d}", first.metadata_location)
        server.order("POST", f"/refresh/{land.lake}")
        land.allow()
        server.forget_requests()
        assert len(land.judged()) == tables
        paths = [one["path"] for one in server.requests() if "/admin" not in one["path"]]
        counts[tables] = len(paths)
        lists = [path for path in paths if "/unity-catalog/tables" in path]
        assert len(lists) == 4 + 3 * (tables // 51), "pages of 50; the target's schema is empty"
    assert counts[1] <= 32
    assert counts[200] == counts[1] + 3 * 3


def test_a_warehouse_tells_what_stands_on_single_tables(databricks: Workspace, tmp_path: Path) -> None:
    databricks.settings(external_access_enabled=True)
    land = Land(databricks, tmp_path, ("orders", "open")).allow(reads=("USE_CATALOG", "USE_SCHEMA"))
    land.grant("table", f"{land.lake}.lake.open", land.bot, "SELECT", "MANAGE")
    land.grant("table", f"{land.lake}.lake.orders", land.bot, "MODIFY")
    found = land.judged(warehouse_id=WAREHOUSE)
    assert {name: set(blocking(one)) for name, one in found.items()} == {
        "open": set(), "orders": {"PRE-040", "PRE-041"}
    }  # fmt: skip
    for item in blocking(found["orders"]).values():
        land.run(item.remedy)
    land.grant("schema", f"{land.main}.lake", "eve", "SELECT")
    for name in (land.lake, f"{land.lake}.lake"):
        land.server.api("PATCH", f"/{'schemas' if '.' in name else 'catalogs'}/{name}", {"owner": land.bot})
    exposed = land.judged(warehouse_id=WAREHOUSE)
    assert {name: set(blocking(one)) for name, one in exposed.items()} == {"open": {"PRE-044"}, "orders": {"PRE-044"}}
    land.grant("catalog", land.lake, "eve", "USE_CATALOG", "USE_SCHEMA")
    land.run(blocking(exposed["open"])["PRE-044"].message)
    again = land.judged(warehouse_id=WAREHOUSE)
    assert {name: set(blocking(one)) for name, one in again.items()} == {"open": set(), "orders": {"PRE-044"}}
