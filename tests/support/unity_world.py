"""A small estate in a local workspace: a managed catalog, a foreign one over a real catalog, people, policies."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from databricks.sdk.service.catalog import (
    AwsIamRoleRequest,
    ColumnMaskOptions,
    ConnectionType,
    EntityTagAssignment,
    FunctionArgument,
    MatchColumn,
    PermissionsChange,
    PolicyInfo,
    PolicyType,
    Privilege,
    RowFilterOptions,
    SecurableType,
    VolumeType,
)
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from tests.support.databricks import Workspace

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "City", StringType(), doc="where"),
    NestedField(3, "amount", DecimalType(12, 2)),
    NestedField(4, "at", TimestamptzType()),
)
WIDE = Schema(
    NestedField(1, "id", UUIDType(), required=True),
    NestedField(2, "t", TimeType()),
    NestedField(3, "local", TimestampType()),
    NestedField(4, "days", ListType(5, DateType(), element_required=False)),
    NestedField(6, "pairs", MapType(7, StringType(), 8, LongType(), value_required=False)),
    NestedField(9, "deep", StructType(NestedField(10, "a", LongType()), NestedField(11, "B", StringType()))),
    NestedField(12, "at", TimestamptzType()),
)
DAILY = PartitionSpec(PartitionField(12, 1000, DayTransform(), "at_day"))


@dataclass
class Estate:
    """Names of what was made; every estate has its own, so that tests can share a workspace."""

    workspace: Workspace
    mark: str
    origin: Catalog

    @property
    def main(self) -> str:
        return f"main_{self.mark}"

    @property
    def fed(self) -> str:
        return f"fed_{self.mark}"

    def grant(self, kind: str, name: str, principal: str, *privileges: str, by: str = "admin") -> None:
        change = PermissionsChange(principal=principal, add=[Privilege(one) for one in privileges])
        self.workspace.sdk(by).grants.update(kind, name, changes=[change])

    def revoke(self, kind: str, name: str, principal: str, *privileges: str) -> None:
        change = PermissionsChange(principal=principal, remove=[Privilege(one) for one in privileges])
        self.workspace.sdk().grants.update(kind, name, changes=[change])

    def reader(self, table: str, principal: str | None = None) -> str:
        """Someone who may read one table."""
        found = self.workspace.principal(principal or f"reader-{uuid.uuid4().hex[:6]}")
        catalog, schema, _ = table.split(".")
        self.grant("CATALOG", catalog, found, "USE_CATALOG")
        self.grant("SCHEMA", f"{catalog}.{schema}", found, "USE_SCHEMA")
        self.grant("TABLE", table, found, "SELECT")
        return found


def estate(workspace: Workspace, folder: Path) -> Estate:
    """Make it: ``main.sales.{orders,plain,delta,seen}``, ``fed.lake.{events,wide}``."""
    mark = uuid.uuid4().hex[:8]
    options = {"type": "sql", "uri": f"sqlite:///{folder}/{mark}.db", "warehouse": f"file://{folder}/{mark}"}
    origin = load_catalog("origin", **options)
    origin.create_namespace("Lake")
    origin.create_table(("Lake", "Events"), SCHEMA)
    origin.create_table(("Lake", "wide"), WIDE, partition_spec=DAILY)
    made = Estate(workspace, mark, origin)
    _managed(made)
    client = workspace.sdk()
    client.connections.create(f"hms_{mark}", ConnectionType.HIVE_METASTORE, {**options, "s3.secret-access-key": "x"})
    client.catalogs.create(made.fed, connection_name=f"hms_{mark}", options={"authorized_paths": f"file://{folder}"})
    return made


def _managed(made: Estate) -> None:
    client, main = made.workspace.sdk(), made.main
    client.catalogs.create(main, comment="managed", properties={"team": "a"})
    client.schemas.create("sales", main, comment="orders and more")
    for name in ("orders", "plain"):
        order = {
            "full_name": f"{main}.sales.{name}",
            "schema": SCHEMA.model_dump(mode="json"),
            "properties": {"a": "b"},
        }
        made.workspace.order("POST", "/iceberg-tables", order)
    rows = {
        "delta": {"data_source_format": "DELTA", "columns": [["id", "bigint"]]},
        "seen": {"table_type": "VIEW", "view_definition": "SELECT 1", "columns": [["x", "int"]]},
    }
    for name, row in rows.items():
        made.workspace.order("POST", "/tables", {"full_name": f"{main}.sales.{name}", **row})


def guard(made: Estate) -> None:
    """A row filter and a mask on ``orders``, policies on the schema, tags, a volume, a location."""
    workspace, client, main = made.workspace, made.workspace.sdk(), made.main
    for name, kind in (("only_mine", "BOOLEAN"), ("hidden", "STRING")):
        body = {
            "full_name": f"{main}.sales.{name}",
            "parameters": [["x", "string"]],
            "body_sql": "x",
            "return_type": kind,
        }
        workspace.order("POST", "/functions", body)
    change = {"row_filter": [f"{main}.sales.only_mine", "City"], "masks": {"City": [f"{main}.sales.hidden"]}}
    workspace.order("PATCH", f"/tables/{main}.sales.orders", change)
    client.volumes.create(main, "sales", "files", VolumeType.MANAGED, comment="files")
    client.storage_credentials.create(
        f"role_{made.mark}", aws_iam_role=AwsIamRoleRequest(role_arn="arn:aws:iam::1:role/x")
    )
    client.external_locations.create(f"lake_{made.mark}", f"s3://bucket/{made.mark}", f"role_{made.mark}")
    tag = EntityTagAssignment(entity_name=f"{main}.sales.orders", tag_key="pii", entity_type="tables", tag_value="high")
    client.entity_tag_assignments.create(tag)
    client.entity_tag_assignments.create(
        EntityTagAssignment(entity_name=f"{main}.sales.orders.City", tag_key="place", entity_type="columns")
    )
    _policies(made)


def _policies(made: Estate) -> None:
    schema, policies = f"{made.main}.sales", made.workspace.sdk().policies
    filtered = RowFilterOptions(function_name=f"{schema}.only_mine", using=[FunctionArgument(alias="c")])
    masked = ColumnMaskOptions(function_name=f"{schema}.hidden", on_column="c")
    for name, kind, more in (
        ("rows", PolicyType.POLICY_TYPE_ROW_FILTER, {"row_filter": filtered}),
        ("columns", PolicyType.POLICY_TYPE_COLUMN_MASK, {"column_mask": masked}),
    ):
        policies.create_policy(
            PolicyInfo(
                name=name,
                on_securable_type=SecurableType.SCHEMA,
                on_securable_fullname=schema,
                for_securable_type=SecurableType.TABLE,
                policy_type=kind,
                to_principals=["account users"],
                except_principals=["admins"],
                when_condition="has_tag('pii')",
                match_columns=[MatchColumn(alias="c", condition="has_tag('place')")],
                **more,
            )
        )
