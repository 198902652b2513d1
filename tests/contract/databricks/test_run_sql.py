"""Programs of runs and the workspace's engine: Spark's session as a cluster gives it, under the run's own rights."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from databricks.sdk.service.catalog import PermissionsChange, Privilege

from tests.support.databricks import Workspace
from tests.support.databricks_runs import Programs

ANN = "ann.sql@example.com"
START = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.appName('x').getOrCreate()\n"


@pytest.fixture(scope="module")
def catalog(databricks: Workspace) -> str:
    sdk = databricks.sdk()
    databricks.token(ANN)
    sdk.catalogs.create("jobs_sql")
    sdk.schemas.create("s", "jobs_sql")
    change = PermissionsChange(principal=ANN, add=[Privilege.USE_CATALOG, Privilege.USE_SCHEMA])
    sdk.grants.update("catalog", "jobs_sql", changes=[change])
    return "jobs_sql"


def printed(server: Workspace, source: str, *parameters: str, principal: str = "admin", **more: Any) -> str:
    """What a program prints; a failed one fails the test."""
    programs = Programs(server, principal)
    run = programs.wait(
        programs.submit(programs.body(programs.task(START + source, parameters=list(parameters), **more))), 90
    )
    output = programs.output(run)
    assert output.error is None, output.error_trace
    return output.logs or ""


def test_a_program_creates_fills_and_reads_a_managed_iceberg_table(databricks: Workspace, catalog: str) -> None:
    said = printed(
        databricks,
        "import sys, json, datetime\n"
        "name = sys.argv[1]\n"
        "spark.sql(f'CREATE TABLE {name} (id BIGINT, s STRING, d DATE, n DECIMAL(10,2)) USING ICEBERG')\n"
        "spark.sql(f\"INSERT INTO {name} VALUES (1, 'a', DATE'2024-01-02', 1.50), (2, NULL, NULL, NULL)\")\n"
        "frame = spark.sql(f'SELECT * FROM {name} WHERE id >= :least ORDER BY id', args={'least': 1})\n"
        "print(frame.columns, frame.dtypes, frame.count())\n"
        "row = frame.first()\n"
        "print(row.s, row['d'], row.n, type(row).__name__, frame.collect()[1].s)\n"
        "print(spark.table(name).count())\n",
        f"{catalog}.s.made",
    )
    assert said.splitlines() == [
        "['id', 's', 'd', 'n'] [('id', 'bigint'), ('s', 'string'), ('d', 'date'), ('n', 'decimal(10,2)')] 2",
        "a 2024-01-02 1.50 Row None",
        "2",
    ]
    assert databricks.sdk().tables.get(f"{catalog}.s.made").data_source_format.value == "ICEBERG"


def test_a_program_is_refused_what_its_principal_may_not(databricks: Workspace, catalog: str) -> None:
    printed(databricks, f"spark.sql('CREATE TABLE {catalog}.s.hidden (id INT) USING ICEBERG')")
    source = (
        "from pyspark.errors import AnalysisException, PySparkException\n"
        f"read, make = 'SELECT * FROM {catalog}.s.hidden', 'CREATE TABLE {catalog}.s.mine (i INT) USING ICEBERG'\n"
        "for text in (read, make, 'SELECT 1 1 1'):\n"
        "    try:\n"
        "        spark.sql(text).collect()\n"
        "    except PySparkException as error:\n"
        "        print(type(error).__name__, error.getCondition(), error.getSqlState(), str(error).count('['))\n"
    )
    assert printed(databricks, source, principal=ANN).splitlines() == [
        "AnalysisException TABLE_OR_VIEW_NOT_FOUND 42P01 1",
        "AnalysisException INSUFFICIENT_PERMISSIONS 42501 1",
        "ParseException PARSE_SYNTAX_ERROR 42601 1",
    ]
    databricks.sdk().grants.update(
        "table", f"{catalog}.s.hidden", changes=[PermissionsChange(principal=ANN, add=[Privilege.SELECT])]
    )
    assert printed(databricks, source, principal=ANN).splitlines()[0].startswith("AnalysisException INSUFFICIENT")


def test_use_stays_for_the_session(databricks: Workspace, catalog: str) -> None:
    source = (
        "spark.sql('CREATE TABLE jobs_sql.s.short USING ICEBERG AS SELECT 7 AS n')\n"
        "spark.sql('USE CATALOG jobs_sql')\nspark.sql('USE SCHEMA s')\n"
        "print(spark.sql('SELECT n FROM short').first().n)"
    )
    assert printed(databricks, source) == "7\n"


def test_a_cluster_without_unity_catalog_sees_no_table_of_it(databricks: Workspace, catalog: str) -> None:
    source = "try:\n    spark.sql('SELECT 1')\nexcept Exception as error:\n    print(error)"
    assert printed(databricks, source, cluster={"data_security_mode": "NONE"}).startswith("[UC_NOT_ENABLED]")


def test_settings_of_the_cluster_are_settings_of_the_session(databricks: Workspace, catalog: str) -> None:
    sdk = databricks.sdk()
    sdk.secrets.create_scope("conf")
    sdk.secrets.put_secret("conf", "key", string_value="s3cr3t-value")
    cluster = {"spark_conf": {"my.key": "{{secrets/conf/key}}", "spark.sql.ansi.enabled": "true"}}
    source = "print(len(spark.conf.get('my.key')), spark.conf.get('my.key'), spark.conf.get('none', 'default'))"
    assert printed(databricks, source, cluster=cluster) == "12 [REDACTED] default\n"


def test_what_the_local_session_lacks_is_refused_by_name(databricks: Workspace, catalog: str) -> None:
    source = "try:\n    spark.read\nexcept NotImplementedError as error:\n    print(error)"
    assert "SparkSession.read in the local workspace" in printed(databricks, source)


def test_a_run_goes_on_when_its_users_credential_expires(databricks: Workspace, catalog: str) -> None:
    programs = Programs(databricks, "brief@example.com")
    task = programs.task(START + "import time\ntime.sleep(2)\nprint(spark.sql('SELECT 41 + 1 AS n').first().n)")
    run_id = programs.submit(programs.body(task))
    programs.until(run_id, lambda run: run.tasks[0].state.life_cycle_state.value == "RUNNING")
    databricks.expire("brief@example.com")
    watcher = Programs(databricks)
    assert watcher.output(watcher.wait(run_id, 60)).logs == "42\n"


def test_the_run_s_own_credential_ends_with_it(databricks: Workspace, catalog: str) -> None:
    source = (
        "import json\nwire = spark._wire\nprint(json.dumps([wire._url, wire._credential]))\n"
        "print(spark.sql('SELECT 1 AS one').first().one)"
    )
    import httpx

    url, credential = json.loads(printed(databricks, source).splitlines()[0])
    headers = {"Authorization": f"Bearer {credential}"}
    assert httpx.post(f"{url}/internal/runs/sql", json={"statement": "SELECT 1"}, headers=headers).status_code == 401


def wait_for_statements(server: Workspace, run_id: int, number: int) -> None:
    """Until so many statements of a run are on the engine."""
    limit = time.monotonic() + 60
    while [run["statements"] for run in server.order("GET", "/runs") if run["run_id"] == run_id] != [number]:
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_cancelled_run_leaves_no_statement_behind(databricks: Workspace, catalog: str) -> None:
    printed(databricks, f"spark.sql('CREATE TABLE {catalog}.s.late (n BIGINT) USING ICEBERG')")
    programs = Programs(databricks)
    slow = "SELECT count(*) FROM range(4000000000) WHERE id % 7 = 3"
    task = programs.task(START + f"spark.sql('INSERT INTO {catalog}.s.late {slow}')")
    run_id = programs.submit(programs.body(task))
    wait_for_statements(databricks, run_id, 1)
    programs.sdk.jobs.cancel_run(run_id)
    assert programs.wait(run_id).state.result_state.value == "CANCELED"
    wait_for_statements(databricks, run_id, 0)
    assert printed(databricks, f"print(spark.sql('SELECT count(*) AS n FROM {catalog}.s.late').first().n)") == "0\n"
