"""Who uses tables, asked of a local workspace: what ran is found, what may not be seen is named as not known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.consumers import HISTORY, LINEAGE, VIEWS, UnityConsumers, why_not_kept
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.model.consumer import Bundle, Consumer, Knowledge, Known
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.steps.consumers import DAGS, brief, consumers_of
from tests.support.databricks import Workspace
from tests.support.sql_estate import WAREHOUSE, Estate, estate

FEW, ORDERS = (TableIdentifier(catalog="lake", namespace=("sales",), name=name) for name in ("few", "Orders"))
SEEN, TOLD = "ann", "auditor"


@dataclass(frozen=True, kw_only=True)
class Used:
    """An estate whose tables were used: by a dashboard, a job, a person, a view whose text nobody else may see."""

    estate: Estate

    def catalog(self, principal: str, warehouse: str = WAREHOUSE) -> UnityCatalog:
        workspace = self.estate.workspace
        client = Client("lake", workspace.url, Login(token=workspace.token(principal)))
        return UnityCatalog("lake", client, self.estate.lake, warehouse_id=warehouse)

    def use(self, statement: str, **more: str | int) -> None:
        text = statement.format(main=self.estate.main, lake=self.estate.lake)
        self.estate.workspace.consume(text, **more)

    def name(self, table: str) -> str:
        return f"{self.estate.lake}.sales.{table}"


@pytest.fixture(scope="module")
def used(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Used:
    made = Used(estate=estate(databricks, tmp_path_factory.mktemp("used")))
    world, sdk = made.estate, databricks.sdk()
    metastore = sdk.metastores.summary().metastore_id or ""
    for schema in ("access", "query"):
        sdk.system_schemas.enable(metastore, schema)
        databricks.principal(TOLD)
        world.sql(f"GRANT USE SCHEMA, SELECT ON SCHEMA system.{schema} TO `{TOLD}`")
    world.sql(f"GRANT USE CATALOG, BROWSE ON CATALOG {{main}} TO `{TOLD}`")
    made.use("SELECT * FROM {lake}.sales.few", entity_type="DASHBOARD_V3", entity_id="d-1")
    made.use("SELECT * FROM {lake}.sales.few", entity_type="DASHBOARD_V3", entity_id="d-1")
    made.use(
        "CREATE TABLE {main}.sales.made USING ICEBERG AS SELECT id FROM {lake}.sales.orders",
        entity_type="JOB", entity_id="77", run_id="770", ago_seconds=3 * 86400,
    )  # fmt: skip
    made.use("SELECT count(*) FROM {lake}.sales.orders", entity_type="NOTEBOOK", entity_id="n", ago_seconds=40 * 86400)
    made.use("CREATE VIEW {main}.sales.seen AS SELECT * FROM `{lake}` . `sales`.`Orders`")
    return made


def kinds(knowledge: Knowledge) -> set[tuple[str, str, str, str]]:
    return {(one.table.rpartition(".")[2], one.kind, one.id, one.how) for one in knowledge.consumers}


def of_table(found: tuple[Consumer, ...], table: str, kind: str) -> list[Consumer]:
    return [one for one in found if one.table.endswith(f".{table}") and one.kind == kind]


def test_lineage_names_what_read_when_and_in_whose_name(used: Used) -> None:
    found = UnityConsumers(used.catalog(TOLD)).lineage([FEW, ORDERS], 30)
    assert (found.known, found.reason) == (Known.ASKED, "")
    assert kinds(found) == {
        ("few", "dashboard", "d-1", "reads"),
        ("orders", "job", "77", "reads"),
        ("orders", "view", f"{used.estate.main}.sales.seen", "reads"),
    }
    [dashboard] = of_table(found.consumers, "few", "dashboard")
    assert (dashboard.times, dashboard.who, dashboard.own) == (2, "admin", False)
    [job] = of_table(found.consumers, "orders", "job")
    assert job.last_seen < dashboard.last_seen
    assert UnityConsumers(used.catalog(TOLD)).lineage([ORDERS], 60).consumers != found.consumers, "days count"


def test_the_history_is_searched_by_name_however_it_is_written(used: Used) -> None:
    found = UnityConsumers(used.catalog(TOLD)).history([ORDERS], 30)
    assert found.known is Known.ASKED
    told = {(one.kind, one.id, one.how) for one in found.consumers}
    assert {("job", "77", "mentions"), ("statement", "browser", "mentions")} <= told, "the view's text has backticks"
    assert not of_table(found.consumers, "few", "dashboard")


def test_views_whose_text_is_hidden_are_counted_not_passed_over(used: Used) -> None:
    found = UnityConsumers(used.catalog(TOLD)).views([ORDERS], 30)
    assert found.known is Known.PARTLY
    assert (found.consumers, found.unreadable >= 1) == ((), True)
    assert "1 views whose text is not shown" in found.reason
    owner = UnityConsumers(used.catalog("admin")).views([ORDERS], 30)
    assert ("orders", "view", f"{used.estate.main}.sales.seen", "reads") in kinds(owner)


def test_who_may_not_read_the_records_is_told_so_with_the_grant(used: Used) -> None:
    nobody = used.estate.workspace.principal("nobody`s", service=False)
    asked = UnityConsumers(used.catalog(nobody))
    for found, schema in ((asked.lineage([FEW], 30), "access"), (asked.history([FEW], 30), "query")):
        assert (found.known, found.consumers) == (Known.NOT_PERMITTED, ())
        assert found.remedy == f"GRANT USE SCHEMA, SELECT ON SCHEMA `system`.`{schema}` TO `nobody``s`"
    assert brief(used.catalog(nobody), [FEW]).startswith("not known: ")


def test_a_schema_that_is_not_enabled_and_a_missing_warehouse_are_not_available(used: Used) -> None:
    sdk = used.estate.workspace.sdk()
    metastore = sdk.metastores.summary().metastore_id or ""
    sdk.system_schemas.disable(metastore, "query")
    try:
        found = UnityConsumers(used.catalog(TOLD)).history([FEW], 30)
    finally:
        sdk.system_schemas.enable(metastore, "query")
        used.estate.sql(f"GRANT USE SCHEMA, SELECT ON SCHEMA system.query TO `{TOLD}`")
    assert found.known is Known.NOT_AVAILABLE
    assert "system-schemas enable" in found.remedy
    without = UnityConsumers(used.catalog(TOLD, warehouse="")).lineage([FEW], 30)
    assert (without.known, "warehouse_id" in without.remedy) == (Known.NOT_AVAILABLE, True)


def test_the_report_joins_what_several_sources_tell_and_says_new_names(used: Used, tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(f"x = 1\nQUERY = 'SELECT * FROM {used.estate.lake}.sales.few'\n")
    gone = Bundle(name="git", folder=None, problem="it cannot be opened here (OSError)")
    bundles = [Bundle(name="dags", folder=tmp_path), gone]
    new = {FEW: "main.sales.few"}
    used.estate.workspace.forget_requests()
    report = consumers_of(used.catalog(TOLD), [FEW, ORDERS], bundles, 30, new)
    [dashboard] = of_table(report.consumers, "few", "dashboard")
    assert (dashboard.sources, dashboard.how, dashboard.new_name) == ((LINEAGE, HISTORY), "reads", "main.sales.few")
    [file] = of_table(report.consumers, "few", "dag file")
    assert file.id == "dags:etl.py:2"
    known = {one.source: one.known for one in report.knowledge}
    assert known == {LINEAGE: Known.ASKED, HISTORY: Known.ASKED, VIEWS: Known.PARTLY, DAGS: Known.PARTLY}
    assert (report.complete, {one.source for one in report.unknown}) == (False, {VIEWS, DAGS})
    started = [one for one in used.estate.workspace.requests() if one["path"].rstrip("/").endswith("/statements")]
    assert len(started) == 3, "one statement a source, however many tables"


def test_the_line_for_the_approval_counts_by_kind(used: Used) -> None:
    assert brief(used.catalog(TOLD), [FEW, ORDERS], 30) == "1 dashboard, 1 job, 1 view in the lineage of 30 days"


def test_a_foreign_catalogs_name_is_not_kept_and_the_reason_is_asked(used: Used) -> None:
    why, later = why_not_kept(used.catalog("admin"))
    assert "over a connection of type GLUE" in why
    assert f"ALTER CATALOG `{used.estate.lake}` DROP CONNECTION FORCE" in later
