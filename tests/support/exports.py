"""A local Databricks workspace that exports to an S3 server: tables, a bucket, and someone who may do just that."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databricks.sdk.service.catalog import AwsIamRoleRequest, PermissionsChange, Privilege

from icebridge_provider.catalogs.unity.external_locations import ExternalLocations
from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.databricks.exporting import WorkspaceRunner
from icebridge_provider.model.snowflake import Export, SourceColumn, Statement
from icebridge_provider.planning.snowflake.schema import fit_columns
from icebridge_provider.sql import snowflake_export as sql
from tests.support.databricks import Workspace
from tests.support.s3 import BUCKET, s3_server
from tests.support.sql_estate import WAREHOUSE, Estate, estate

ODD = 'odd "näme" `q` %s'
KINDS = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("ntz", pa.timestamp("us")),
        pa.field("day", pa.date32()),
        pa.field("price", pa.decimal128(10, 2)),
        pa.field("f", pa.float64()),
        pa.field("b", pa.binary()),
        pa.field("ok", pa.bool_()),
        pa.field(ODD, pa.string()),
        pa.field("st", pa.struct([pa.field("a", pa.int32()), pa.field("b", pa.string())])),
    ]
)
ROWS: list[list[Any]] = [
    [1, dt.datetime(2024, 1, 2, 3, 4, 5, 123456, dt.UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
     dt.date(2024, 1, 2), Decimal("-0.05"), 1.5, b"\x00\xff", True, "ü", {"a": 1, "b": None}],
    [2, None, None, None, Decimal("10.10"), -2.25, None, False, None, None],
    [3, dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC), dt.datetime(2024, 2, 29),  # noqa: DTZ001
     dt.date(1, 1, 1), None, None, b"", None, "", {"a": None, "b": "x"}],
]  # fmt: skip
TYPES = ("bigint", "timestamp", "timestamp_ntz", "date", "decimal(10,2)", "double", "binary", "boolean", "string",
         "struct<a:int,b:string>")  # fmt: skip
COLUMNS = [SourceColumn(name=name, type=kind) for name, kind in zip(KINDS.names, TYPES, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Exports:
    """Tables ``sales.kinds`` (``ROWS``) and ``sales.orders`` of the foreign catalog, a folder of the bucket."""

    estate: Estate
    s3: dict[str, str]
    exporter: str

    @property
    def server(self) -> Workspace:
        return self.estate.workspace

    @property
    def root(self) -> str:
        return f"s3://{BUCKET}/{self.estate.mark}"

    @property
    def location(self) -> str:
        """Name of the external location over ``root``."""
        return f"location_{self.estate.mark}"

    def client(self, principal: str = "") -> Client:
        return Client("prod", self.server.url, Login(token=self.server.token(principal or self.exporter)))

    def runner(self, principal: str = "") -> WorkspaceRunner:
        return WorkspaceRunner(Statements(self.client(principal), WAREHOUSE))

    def locations(self, principal: str = "") -> ExternalLocations:
        return ExternalLocations(self.client(principal))

    def work(self, folder: str, **more: Any) -> Export:
        """An export of ``sales.kinds``."""
        source = (self.estate.lake, "sales", "kinds")
        columns = fit_columns(COLUMNS, None).columns
        return Export(run_id="r", source=source, location=f"{self.root}/{folder}", columns=columns, **more)

    def one_row(self, folder: str) -> Statement:
        return Statement(text=sql.write_probe(f"{self.root}/{folder}"))

    def grant(self, *privileges: str, principal: str = "", location: str = "", take: bool = False) -> None:
        """Grant, or take, privileges on an external location, spelled as REST spells them."""
        given = [Privilege(one) for one in privileges]
        change = PermissionsChange(principal=principal or self.exporter, **{"remove" if take else "add": given})
        self.server.sdk().grants.update("external_location", location or self.location, changes=[change])

    def made_location(self, name: str, folder: str, *, read_only: bool = False) -> str:
        """Another external location, beside the one over ``root``."""
        url = f"s3://{BUCKET}/{self.estate.mark}-{folder}"
        self.server.sdk().external_locations.create(name, url, f"credential_{self.estate.mark}", read_only=read_only)
        return url

    # The bucket

    def store(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.s3["s3.endpoint"], aws_access_key_id=self.s3["s3.access-key-id"],
            aws_secret_access_key=self.s3["s3.secret-access-key"], region_name=self.s3["s3.region"],
        )  # fmt: skip

    def files(self, location: str) -> dict[str, int]:
        """Bytes by name of what a folder holds."""
        prefix = location.removeprefix(f"s3://{BUCKET}/") + "/"
        listed = self.store().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {one["Key"].removeprefix(prefix): one["Size"] for one in listed}

    def put(self, location: str, data: bytes) -> None:
        self.store().put_object(Bucket=BUCKET, Key=location.removeprefix(f"s3://{BUCKET}/"), Body=data)

    def table(self, location: str) -> pa.Table:
        """Rows of the Parquet files in a folder, by another reader than the engine."""
        prefix = location.removeprefix(f"s3://{BUCKET}/")
        names = [name for name in self.files(location) if name.startswith("part-")]
        bodies = [self.store().get_object(Bucket=BUCKET, Key=f"{prefix}/{name}")["Body"].read() for name in names]
        return pa.concat_tables([pq.read_table(io.BytesIO(body)) for body in bodies])


@pytest.fixture(scope="session")
def exports(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    """One for the session; the workspace is not left with a storage that is gone."""
    with s3_server() as s3:
        made = estate(databricks, tmp_path_factory.mktemp("exports"))
        table = made.origin.create_table(("sales", "kinds"), KINDS)
        rows = [dict(zip(KINDS.names, row, strict=True)) for row in ROWS]
        table.append(pa.Table.from_pylist(rows, KINDS))
        made.refresh()
        name = databricks.principal(f"exporter-{made.mark}", service=True)
        found = Exports(estate=made, s3=s3, exporter=name)
        keys = {"access_key": s3["s3.access-key-id"], "secret_key": s3["s3.secret-access-key"]}
        databricks.order("PATCH", "/exports", {"s3": {"endpoint": s3["s3.endpoint"], **keys}})
        admin = databricks.sdk()
        role = AwsIamRoleRequest(role_arn="arn:aws:iam::123456789012:role/exports")
        admin.storage_credentials.create(f"credential_{made.mark}", aws_iam_role=role)
        admin.external_locations.create(found.location, found.root, f"credential_{made.mark}")
        found.grant("WRITE_FILES", "READ_FILES")
        for privilege in ("USE_CATALOG", "USE_SCHEMA", "SELECT"):
            change = PermissionsChange(principal=name, add=[Privilege(privilege)])
            admin.grants.update("catalog", made.lake, changes=[change])
        yield found
