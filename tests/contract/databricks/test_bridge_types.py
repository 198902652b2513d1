"""Every SQL Server type by its edges, all the way round: SQL Server → Parquet in a Volume → table → SQL Server."""

from __future__ import annotations

from pathlib import Path

from databricks.sdk.service.catalog import VolumeType

from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.mssql.target import SqlServerTarget
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Work
from icebridge_provider.model.extraction import Extraction
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.extract import ExtractionSite, extract
from icebridge_provider.stores.volume import VolumeStore
from tests.contract.mssql.test_type_round_trip import TYPES, database  # noqa: F401 - a fixture
from tests.contract.mssql.test_way_back import differing
from tests.support.bridge_databricks import DatabricksWorld
from tests.support.bridge_mssql import login_of
from tests.support.databricks import Workspace
from tests.support.mssql import SqlServer, mssql  # noqa: F401 - a fixture
from tests.support.mssql_reading import reader, run


def test_every_type_comes_back_as_it_was(
    databricks: Workspace,
    mssql: SqlServer,  # noqa: F811 - a fixture
    database: str,  # noqa: F811 - a fixture
    tmp_path: Path,
) -> None:
    world = DatabricksWorld(databricks, tmp_path)
    databricks.sdk().volumes.create(world.catalog, "events", "raw", VolumeType.MANAGED)
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.migrate()
    store = VolumeStore(Client("databricks", databricks.url, Login(token=databricks.token("admin"))))
    root = f"/Volumes/{world.catalog}/events/raw"
    site = ExtractionSite(reader=lambda _: reader(mssql, database), store=store, root=root, ledger=ledger)
    columns = [f"c{place}" for place in range(len(TYPES))]
    listed = ", ".join(f"[{kind}] AS {name}" for kind, name in zip(TYPES, columns, strict=True))
    statement = f"SELECT n, {listed} FROM dbo.edges"
    manifest = extract(site, Extraction(job_id="j", country="co", query="q", statement=statement, digest="d"))
    world.run(
        f"CREATE TABLE {world.origin}.edges USING ICEBERG AS"
        f" SELECT * FROM read_files('{root}/co/q/part-*.parquet', format => 'parquet')"
    )
    declared = ", ".join(f"{name} {kind} NULL" for kind, name in zip(TYPES, columns, strict=True))
    run(mssql, database, f"CREATE TABLE dbo.returned (n int NOT NULL PRIMARY KEY, {declared})")
    target = SqlServerTarget(login_of(mssql, database))
    target.prepare()
    table = target.table("dbo.returned")
    source = f"{world.origin}.edges"
    event = BridgeEvent(event_id="r", operation="INSERT", source_table=source, target_table=table.path, attempt=1)
    rows = world.source.read(source, world.source.pin(source), ["n", *columns], {})
    settled = target.apply(Work(event=event, table=table, columns=("n", *columns), keys=("n",)), rows)
    target.close()
    assert (settled.status, settled.rows_affected) == (EventStatus.COMPLETED, manifest.rows)
    with mssql.pymssql(database) as connection, connection.cursor() as cursor:
        for kind, name in zip(TYPES, columns, strict=True):
            assert differing(cursor, kind, ("edges", kind), ("returned", name)) == [], kind
