"""Catalog ``system`` of the local workspace: enabled by an admin, read by who was granted it, filled by what ran."""

from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk.errors import PermissionDenied

from tests.support.databricks import Workspace
from tests.support.databricks_runs import Programs
from tests.support.sql_estate import WAREHOUSE, Estate, Refused, estate

LINEAGE = (
    "SELECT entity_type, entity_id, source_table_full_name, source_type, target_table_full_name, target_type,"
    " created_by, entity_metadata FROM system.access.table_lineage WHERE statement_id = :id OR entity_run_id = :id"
    " ORDER BY source_table_full_name"
)


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    found = estate(databricks, tmp_path_factory.mktemp("system"))
    found.sql("CREATE TABLE {main}.sales.copy (id BIGINT, city STRING) USING ICEBERG")
    return found


def granted(made: Estate, *schemas: str) -> str:
    """Somebody who may read enabled schemas of ``system``."""
    sdk, name = made.workspace.sdk(), made.workspace.principal(f"auditor-{made.mark}-{'-'.join(schemas)}")
    metastore = sdk.metastores.summary().metastore_id or ""
    for schema in schemas:
        sdk.system_schemas.enable(metastore, schema)
        made.sql(f"GRANT USE SCHEMA, SELECT ON SCHEMA system.{schema} TO `{name}`")
    return name


def refused(made: Estate, statement: str, principal: str = "admin") -> str:
    with pytest.raises(Refused) as caught:
        made.sql(statement, principal)
    return caught.value.message


def consume(made: Estate, statement: str, **more: Any) -> str:
    text = statement.format(main=made.main, lake=made.lake)
    return made.workspace.consume(text, **more)


def test_a_schema_of_system_is_there_when_enabled_and_read_when_granted(made: Estate) -> None:
    sdk = made.workspace.sdk()
    metastore = sdk.metastores.summary().metastore_id or ""
    sdk.system_schemas.disable(metastore, "access")
    text = "SELECT count(*) FROM system.access.table_lineage"
    assert "[TABLE_OR_VIEW_NOT_FOUND]" in refused(made, text)
    assert {one.schema: one.state for one in sdk.system_schemas.list(metastore)}["access"] == "AVAILABLE"
    with pytest.raises(PermissionDenied):
        made.workspace.sdk(made.workspace.principal("nobody-system")).system_schemas.enable(metastore, "access")
    sdk.system_schemas.enable(metastore, "access")
    assert {one.schema: one.state for one in sdk.system_schemas.list(metastore)}["access"] == "ENABLE_COMPLETED"
    assert "USE SCHEMA" in refused(made, text), "the admin may grant it and must"
    assert made.sql(text, granted(made, "access"))[0][0].isdigit()


def test_other_schemas_of_system_stay_closed_and_information_schema_stays_open(made: Estate) -> None:
    nobody = made.workspace.principal("nobody-system")
    granted(made, "query")
    assert "USE SCHEMA" in refused(made, "SELECT * FROM system.query.history", nobody)
    assert made.sql("SELECT count(*) FROM system.information_schema.tables", nobody) == [["0"]]


def test_lineage_is_what_a_statement_read_and_wrote(made: Estate) -> None:
    auditor = granted(made, "access")
    answer = made.answer(
        "INSERT INTO {main}.sales.copy SELECT o.id, f.city FROM {lake}.sales.orders o"
        " JOIN {lake}.sales.few f USING (id)"
    )
    rows = made.sql(LINEAGE, auditor, id=answer.statement_id or "")
    target = [f"{made.main}.sales.copy", "TABLE"]
    assert [row[:7] for row in rows] == [
        [None, None, f"{made.lake}.sales.{name}", "TABLE", *target, "admin"] for name in ("few", "orders")
    ]
    read = made.answer("SELECT count(*) FROM {lake}.sales.few").statement_id or ""
    assert [row[2:6] for row in made.sql(LINEAGE, auditor, id=read)] == [
        [f"{made.lake}.sales.few", "TABLE", None, None]
    ]
    failed = made.answer("SELECT no_such_column FROM {lake}.sales.few").statement_id or ""
    assert made.sql(LINEAGE, auditor, id=failed) == []


def test_a_view_is_named_itself_and_tells_its_tables_when_it_is_made(made: Estate) -> None:
    auditor = granted(made, "access")
    made_view = made.answer("CREATE VIEW {main}.sales.seen AS SELECT * FROM {lake}.sales.few").statement_id or ""
    assert [row[2:6] for row in made.sql(LINEAGE, auditor, id=made_view)] == [
        [f"{made.lake}.sales.few", "TABLE", f"{made.main}.sales.seen", "VIEW"]
    ]
    read = made.answer("SELECT * FROM {main}.sales.seen").statement_id or ""
    assert [row[2:4] for row in made.sql(LINEAGE, auditor, id=read)] == [[f"{made.main}.sales.seen", "VIEW"]]


def test_entities_are_named_a_program_is_a_job(made: Estate) -> None:
    auditor = granted(made, "access")
    dashboard = consume(
        made, "SELECT * FROM {lake}.sales.few", entity_type="DASHBOARD_V3", entity_id="d-1", run_id="r-1"
    )
    [row] = made.sql(LINEAGE, auditor, id=dashboard)
    assert row[:2] == ["DASHBOARD_V3", "d-1"]
    assert '"dashboard_id":"d-1"' in row[7]
    start = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
    text = f"spark.sql('INSERT INTO {made.main}.sales.copy SELECT id, city FROM {made.lake}.sales.few')"
    run = Programs(made.workspace).run(start + text)
    [row] = made.sql(LINEAGE, auditor, id=str(run.run_id))
    assert row[:2] == ["JOB", str(run.job_id)]
    assert row[2] == f"{made.lake}.sales.few"


def test_the_history_holds_what_the_api_ran_with_who_and_from_where(made: Estate) -> None:
    auditor = granted(made, "query")
    notebook = consume(made, "SELECT 41", entity_type="NOTEBOOK", entity_id="n-7", ago_seconds=7200)
    plain = made.answer("SELECT nothing_here", auditor).statement_id or ""
    text = (
        "SELECT statement_text, execution_status, executed_by, compute.warehouse_id, query_source.notebook_id,"
        " start_time < current_timestamp() - INTERVAL 1 HOUR FROM system.query.history WHERE statement_id = :id"
    )
    assert made.sql(text, auditor, id=notebook) == [["SELECT 41", "FINISHED", "admin", WAREHOUSE, "n-7", "true"]]
    assert made.sql(text, auditor, id=plain) == [["SELECT nothing_here", "FAILED", auditor, WAREHOUSE, None, "false"]]


def test_the_text_of_a_view_is_for_its_owner(made: Estate) -> None:
    reader = made.workspace.principal(f"viewer-{made.mark}")
    made.sql("CREATE VIEW {main}.sales.texts AS SELECT 7 AS x")
    for kind, name in (("USE CATALOG", "CATALOG {main}"), ("USE SCHEMA", "SCHEMA {main}.sales")):
        made.sql(f"GRANT {kind} ON {name} TO `{reader}`")
    made.sql(f"GRANT SELECT ON VIEW {{main}}.sales.texts TO `{reader}`")
    text = "SELECT view_definition FROM system.information_schema.views WHERE table_name = 'texts'"
    text += f" AND table_catalog = '{made.main}'"
    assert made.sql(text) == [["SELECT 7 AS x"]]
    assert made.sql(text, reader) == [[None]]
