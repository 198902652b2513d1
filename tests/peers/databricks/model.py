"""What a workspace knows: plain rows without behaviour, importable everywhere."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ADMIN = "admin"
ALL_USERS = "account users"


def now_ms() -> int:
    """Milliseconds since 1970, as every time in the API."""
    return int(time.time() * 1000)


def fresh_id() -> str:
    """Give a new identifier."""
    return str(uuid.uuid4())


class Securable(NamedTuple):
    """Something privileges stand on: ``("TABLE", "c.s.t")``."""

    kind: str
    name: str


@dataclass(kw_only=True)
class Row:
    """What every securable has."""

    name: str
    owner: str = ADMIN
    comment: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=fresh_id)
    created_at: int = field(default_factory=now_ms)
    created_by: str = ADMIN
    updated_at: int = field(default_factory=now_ms)
    updated_by: str = ADMIN


@dataclass(kw_only=True)
class MetastoreRow(Row):
    """The metastore; its owner (a principal or a group) is the metastore admin."""

    name: str = "local"
    external_access_enabled: bool = False
    storage_root: str = ""


@dataclass(kw_only=True)
class CatalogRow(Row):
    """A catalog; ``flags`` are faults on order, as ``deletes_ignored``."""

    catalog_type: str = "MANAGED_CATALOG"
    connection_name: str = ""
    options: dict[str, str] = field(default_factory=dict)
    storage_root: str = ""
    predictive_optimization: str = "INHERIT"
    isolation_mode: str = "OPEN"
    flags: dict[str, Any] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return self.name

    @property
    def foreign(self) -> bool:
        return self.catalog_type == "FOREIGN_CATALOG"


@dataclass(kw_only=True)
class SchemaRow(Row):
    """A schema; ``origin`` is the namespace in the foreign catalog."""

    catalog: str
    storage_root: str = ""
    predictive_optimization: str = "INHERIT"
    origin: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.catalog}.{self.name}"


@dataclass(kw_only=True)
class ChildRow(Row):
    """What lives in a schema."""

    catalog: str
    schema: str

    @property
    def full_name(self) -> str:
        return f"{self.catalog}.{self.schema}.{self.name}"

    @property
    def schema_name(self) -> str:
        return f"{self.catalog}.{self.schema}"


@dataclass(frozen=True, kw_only=True)
class Policing:
    """A function set as row filter or column mask, and the columns (or constants) it is given."""

    function_name: str
    columns: tuple[str, ...] = ()


@dataclass(kw_only=True)
class ColumnRow:
    """A column with its type in Databricks' words."""

    name: str
    type_text: str
    type_name: str
    type_json: str = ""
    position: int = 0
    nullable: bool = True
    comment: str = ""
    partition_index: int | None = None
    precision: int = 0
    scale: int = 0
    mask: Policing | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class TableRow(ChildRow):
    """A table or view.

    For foreign tables ``metadata_location`` is what the last refresh saw and ``origin`` their identifier at home.
    """

    table_type: str = "MANAGED"
    data_source_format: str = "ICEBERG"
    columns: list[ColumnRow] = field(default_factory=list)
    storage_location: str = ""
    metadata_location: str = ""
    view_definition: str = ""
    row_filter: Policing | None = None
    predictive_optimization: str = "INHERIT"
    kind: str = ""
    origin: tuple[str, ...] = ()

    @property
    def policed(self) -> bool:
        """Whether a row filter or mask stands on the table itself (ABAC policies not counted)."""
        return self.row_filter is not None or any(column.mask for column in self.columns)


@dataclass(kw_only=True)
class VolumeRow(ChildRow):
    """A volume; ``folder`` is where its files are on this machine."""

    volume_type: str = "MANAGED"
    storage_location: str = ""
    folder: str = ""


@dataclass(kw_only=True)
class FunctionRow(ChildRow):
    """A SQL function: ``parameters`` are (name, type) pairs, ``body_sql`` one expression over them."""

    parameters: list[tuple[str, str]] = field(default_factory=list)
    body_sql: str = ""
    return_type: str = "BOOLEAN"


@dataclass(kw_only=True)
class ConnectionRow(Row):
    """A connection; ``options`` are pyiceberg catalog properties."""

    connection_type: str = "HIVE_METASTORE"
    options: dict[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return self.name


@dataclass(kw_only=True)
class CredentialRow(Row):
    """A storage credential."""

    role_arn: str = ""
    read_only: bool = False

    @property
    def full_name(self) -> str:
        return self.name


@dataclass(kw_only=True)
class LocationRow(Row):
    """An external location."""

    url: str
    credential_name: str
    read_only: bool = False

    @property
    def full_name(self) -> str:
        return self.name


@dataclass(kw_only=True)
class PolicyRow:
    """An attribute-based policy: ``type`` is GRANT, DENY, ROW_FILTER or COLUMN_MASK."""

    name: str
    type: str
    on: Securable
    for_type: str = "TABLE"
    to: tuple[str, ...] = ()
    excepted: tuple[str, ...] = ()
    privileges: tuple[str, ...] = ()
    function_name: str = ""
    on_column: str = ""
    using: tuple[str, ...] = ()
    when: str = ""
    match_columns: tuple[tuple[str, str], ...] = ()
    comment: str = ""
    id: str = field(default_factory=fresh_id)
    created_at: int = field(default_factory=now_ms)
    created_by: str = ADMIN


@dataclass(kw_only=True)
class PrincipalRow:
    """A user or a service principal."""

    name: str
    id: str = field(default_factory=fresh_id)
    service: bool = False
    workspace_admin: bool = False


@dataclass(kw_only=True)
class Bearer:
    """A credential given out: whose it is and until when (seconds since 1970)."""

    principal: str
    expires_at: float = float("inf")

    @property
    def expired(self) -> bool:
        return time.time() >= self.expires_at


@dataclass(kw_only=True)
class ClientRow:
    """An OAuth secret of a service principal, and how long the bearers last that it gives."""

    principal: str
    secret: str
    lifetime_seconds: float = 3600


@dataclass(kw_only=True)
class WarehouseRow:
    """A SQL warehouse."""

    id: str
    name: str
    state: str = "RUNNING"
    serverless: bool = True


@dataclass(kw_only=True)
class State:
    """Everything a workspace knows; names are lower case, dictionaries are keyed by full name."""

    metastore: MetastoreRow = field(default_factory=MetastoreRow)
    principals: dict[str, PrincipalRow] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    catalogs: dict[str, CatalogRow] = field(default_factory=dict)
    schemas: dict[str, SchemaRow] = field(default_factory=dict)
    tables: dict[str, TableRow] = field(default_factory=dict)
    volumes: dict[str, VolumeRow] = field(default_factory=dict)
    functions: dict[str, FunctionRow] = field(default_factory=dict)
    connections: dict[str, ConnectionRow] = field(default_factory=dict)
    credentials: dict[str, CredentialRow] = field(default_factory=dict)
    locations: dict[str, LocationRow] = field(default_factory=dict)
    grants: dict[Securable, dict[str, set[str]]] = field(default_factory=dict)
    policies: list[PolicyRow] = field(default_factory=list)
    warehouses: dict[str, WarehouseRow] = field(default_factory=dict)

    def rows(self, kind: str) -> dict[str, Any]:
        """All rows of one kind of securable."""
        return {
            "CATALOG": self.catalogs,
            "SCHEMA": self.schemas,
            "TABLE": self.tables,
            "VOLUME": self.volumes,
            "FUNCTION": self.functions,
            "CONNECTION": self.connections,
            "STORAGE_CREDENTIAL": self.credentials,
            "EXTERNAL_LOCATION": self.locations,
            "METASTORE": {self.metastore.id: self.metastore},
        }[kind]
