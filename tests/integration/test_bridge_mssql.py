"""Both directions under Airflow's own runner, against the local SQL Server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.airflow_cli import connection, environment
from tests.support.bridge_home import BridgeHome, bridge_home
from tests.support.cli import icebridge
from tests.support.dag_runs import context, load_dags, run
from tests.support.mssql import SqlServer, mssql

pytestmark = [pytest.mark.airflow, pytest.mark.postgres]
__all__ = ["mssql"]
ROWS = {"CO": [(1, "10.5000", "Café"), (2, "0.0001", None)], "PE": [(7, "99.9900", "Perú")]}
QUERIES = {
    "purchases": "-- partition: id, 2\nSELECT id, amount, note FROM {database}.dbo.{purchases_table}",
    "large": "SELECT id FROM {database}.dbo.{purchases_table} WHERE amount > {least} AND country = '{country_code}'",
}


@pytest.fixture(scope="module")
def database(mssql: SqlServer) -> str:
    """A database with the purchases of two countries, and a table that events write to."""
    name = mssql.database(allow_snapshot=True)
    with mssql.pymssql(name, autocommit=True) as opened, opened.cursor() as cursor:
        for country, rows in ROWS.items():
            cursor.execute(
                f"CREATE TABLE dbo.Purchases_{country} (id int NOT NULL PRIMARY KEY, amount decimal(12,4) NOT NULL, "
                "note nvarchar(50) NULL, country char(2) NOT NULL)"
            )
            for row in rows:
                cursor.execute(f"INSERT INTO dbo.Purchases_{country} VALUES (%d, %s, %s, %s)", (*row, country))
        cursor.execute("CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, amount decimal(12,4) NULL)")
    return name


def server(mssql: SqlServer, database: str) -> str:
    """The connection as a person would write it."""
    return connection(
        "mssql", host=mssql.host, port=mssql.port, schema=database, login=mssql.user, password=mssql.password,
        extra={"encrypt": "yes", "trust_server_certificate": True},
    )  # fmt: skip


@pytest.fixture
def folder(airflow_cli_home: Path, tmp_path: Path, mssql: SqlServer, database: str) -> Iterator[Path]:
    made = tmp_path / "extraction"
    (made / "queries").mkdir(parents=True)
    (made / "config").mkdir()
    for name, text in QUERIES.items():
        (made / "queries" / f"{name}.sql").write_text(text)
    (made / "config" / "common_params.yaml").write_text(f"database: {database}\nleast: 1\n")
    for code in ROWS:
        text = f"country_code: {code}\ntables:\n  purchases_table: Purchases_{code}\n"
        (made / "config" / f"{code}.yaml").write_text(text)
    with environment(
        AIRFLOW_CONN_ERP=server(mssql, "master"),
        AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("icebridge_ledger", schema=str(tmp_path / "ledger.db")),
    ):
        assert icebridge("db", "migrate").code == 0
        yield made


@pytest.fixture
def home(airflow_cli_home: Path, tmp_path: Path, mssql: SqlServer, database: str) -> Iterator[BridgeHome]:
    """A sync whose events and rows are in SQLite, and whose target is SQL Server."""
    with bridge_home(tmp_path) as made, environment(AIRFLOW_CONN_BRIDGE_TARGET=server(mssql, database)):
        permissions = tmp_path / "permissions.yaml"
        permissions.write_text(permissions.read_text().replace("main.orders", "dbo.orders"))
        yield made


def found(root: Path, job: str) -> list[dict[str, Any]]:
    """Rows of a job by its manifest, whole."""
    manifest = json.loads((root / job / "_manifest.json").read_text())
    rows = [row for part in manifest["parts"] for row in pq.read_table(root / job / part["name"]).to_pylist()]
    assert manifest["rows"] == len(rows)
    return sorted(rows, key=lambda row: row["id"])


def orders(mssql: SqlServer, database: str) -> list[tuple[int, str]]:
    with mssql.pymssql(database) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT id, amount FROM dbo.orders ORDER BY id")
        return [(row[0], str(row[1])) for row in cursor.fetchall()]


def test_a_run_extracts_every_query_for_a_country(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "landing"
    conf = {"source_conn_id": "erp", "folder": str(folder), "location": str(root), "countries": ["CO"]}
    done = run(load_dags()["icebridge_mssql_to_databricks"], {**conf, "parameters": {"least": 2}})
    assert (done.state, done.tasks["extract"]) == ("success", ["success"] * 2)
    expected = [{"id": key, "amount": Decimal(amount), "note": note} for key, amount, note in ROWS["CO"]]
    assert found(root, "CO/purchases") == expected
    assert found(root, "CO/large") == [{"id": 1}]


def test_the_command_extracts_in_its_own_process_and_names_what_failed(folder: Path, tmp_path: Path) -> None:
    ends = ("--source", "erp", "--location", str(tmp_path / "here"), "--here", "--json")
    (folder / "queries" / "large.sql").write_text("SELECT id, {least} AS n, '{country_code}' AS c FROM dbo.Gone")
    said = icebridge("extract", str(folder), *ends)
    problems = {row["job"]: row["problem"] for row in said.json["jobs"]}
    assert (problems["CO/purchases"], problems["PE/purchases"]) == ("", "")
    assert "Gone" in problems["CO/large"]
    assert "Gone" in problems["PE/large"]
    assert said.code == 1
    assert [row["id"] for row in found(tmp_path / "here", "PE/purchases")] == [7]


def test_events_reach_the_server_once_and_one_over_its_limit_is_released(
    home: BridgeHome, mssql: SqlServer, database: str
) -> None:
    from icebridge_provider.operators.events import ApplyBridgeEventsOperator
    from icebridge_provider.operators.release import ReleaseBlockedEventOperator

    def apply() -> dict[str, Any]:
        done: dict[str, Any] = ApplyBridgeEventsOperator(task_id="apply").execute(context())
        return done

    def emit(event_id: str, operation: str) -> None:
        more = () if operation == "INSERT" else ("--keys", "id")
        said = icebridge("events", "emit", operation, "main.fresh", "dbo.orders", *more, "--event-id", event_id)
        assert said.code == 0, said.err

    home.fill(home.side, "fresh", [(number, f"{number}.5") for number in range(1, 4)])
    emit("e1", "INSERT")
    assert apply()["completed"] == 1
    assert orders(mssql, database) == [(1, "1.5000"), (2, "2.5000"), (3, "3.5000")]
    emit("e1", "INSERT")  # delivered twice
    assert apply()["completed"] == 0
    home.fill(home.side, "fresh", [(number, f"{number}.75") for number in range(2, 5)])
    emit("e2", "UPDATE")
    assert apply()["completed"] == 1
    assert orders(mssql, database) == [(1, "1.5000"), (2, "2.7500"), (3, "3.7500")]
    assert home.queue().event("e2").discrepancy == 1
    home.fill(home.side, "fresh", [(number, "") for number in range(1, 4)])
    emit("e3", "DELETE")
    assert apply()["blocked"] == 1
    assert len(orders(mssql, database)) == 3
    asks = ReleaseBlockedEventOperator(task_id="release", event_id="e3")
    asks.show(asks._site(context()), home.queue().event("e3"))
    assert asks.params["rows"] == 3
    assert icebridge("events", "release", "e3", "--rows", "3").code == 0
    assert apply()["completed"] == 1
    assert orders(mssql, database) == []


def test_the_hook_reads_describes_and_answers_the_test_button(
    airflow_cli_home: Path, mssql: SqlServer, database: str
) -> None:
    from icebridge_provider.hooks.mssql import MsSqlBridgeHook

    with environment(AIRFLOW_CONN_ERP=server(mssql, database)):
        hook = MsSqlBridgeHook("erp")
        assert hook.test_connection() == (True, "SQL Server answers.")
        table = hook.table("dbo.Purchases_PE")
        assert (table.keys, table.column("amount").type) == ((("id",),), "decimal(12,4)")
        rows = hook.read("SELECT id, note FROM dbo.Purchases_PE WHERE id = %(id)s", {"id": 7}).read_all()
    assert rows.to_pylist() == [{"id": 7, "note": "Perú"}]
