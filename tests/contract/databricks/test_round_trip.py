"""Every SQL Server type by its edges: SQL Server → Parquet in a volume → Databricks table → SQL Server, equal."""

from __future__ import annotations

from pathlib import Path

from databricks.sdk.service.catalog import VolumeType

from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.databricks.row_source import WorkspaceRowSource
from icebridge_provider.engines.mssql.target import SqlServerTarget
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Work
from icebridge_provider.model.extraction import Extraction
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.extract import ExtractionSite, extract
from icebridge_provider.stores.volume import VolumeStore
from tests.contract.mssql.test_type_round_trip import MOST, TYPES, database  # noqa: F401 - a fixture
from tests.contract.mssql.test_way_back import differing
from tests.support.bridge_databricks import statements
from tests.support.bridge_mssql import login_of
from tests.support.databricks import Workspace
from tests.support.mssql import SqlServer, mssql  # noqa: F401 - a fixture
from tests.support.mssql_reading import reader, run

PLAIN = {declared: f"c{number:02d}" for number, declared in enumerate(TYPES)}
NAMES = ("n", *PLAIN.values())


def test_what_left_sql_server_comes_back_equal(
    databricks: Workspace,
    mssql: SqlServer,  # noqa: F811
    database: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = landed(databricks, mssql, database, tmp_path)
    table = "edges.raw.t"
    listed = ", ".join(NAMES)
    near = statements(databricks)
    near.run(
        "make a table of the files",
        f"CREATE TABLE {table} USING ICEBERG AS SELECT {listed} FROM read_files('{folder}', format => 'parquet')",
    )
    source = WorkspaceRowSource(near)
    rows = source.read(table, source.pin(table), NAMES, {})
    columns = ", ".join(f"{PLAIN[declared]} {declared} NULL" for declared in TYPES)
    run(mssql, database, f"CREATE TABLE dbo.returned (n int NOT NULL PRIMARY KEY, {columns})")
    target = SqlServerTarget(login_of(mssql, database))
    try:
        target.prepare()
        event = BridgeEvent(
            event_id="returned", operation="INSERT", source_table=table, target_table="dbo.returned", attempt=1
        )
        settled = target.apply(Work(event=event, table=target.table("dbo.returned"), columns=NAMES, keys=("n",)), rows)
    finally:
        target.close()
    assert (settled.status, settled.rows_affected) == (EventStatus.COMPLETED, MOST + 1)
    with mssql.pymssql(database) as connection, connection.cursor() as cursor:
        wrong = {
            declared: found
            for declared, name in PLAIN.items()
            if (found := differing(cursor, declared, ("edges", declared), ("returned", name)))
        }
    assert wrong == {}


def landed(databricks: Workspace, server: SqlServer, database: str, folder: Path) -> str:  # noqa: F811
    """Extract the table of all edges into a volume; gives the folder."""
    sdk = databricks.sdk()
    sdk.catalogs.create("edges")
    sdk.schemas.create("raw", "edges")
    sdk.volumes.create("edges", "raw", "v", VolumeType.MANAGED)
    ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
    ledger.migrate()
    store = VolumeStore(Client("databricks", databricks.url, Login(token=databricks.token("admin"))))
    site = ExtractionSite(
        reader=lambda _: reader(server, database), store=store, root="/Volumes/edges/raw/v", ledger=ledger
    )
    listed = ", ".join(["n", *(f"[{declared}] AS {name}" for declared, name in PLAIN.items())])
    wanted = Extraction(
        job_id="j", country="all", query="edges", statement=f"SELECT {listed} FROM dbo.edges", digest="d"
    )
    assert extract(site, wanted).rows == MOST + 1
    return "/Volumes/edges/raw/v/all/edges"
