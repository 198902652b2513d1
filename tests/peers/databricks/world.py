"""The state of the workspace and the rules that every door to it (REST, SQL, Iceberg REST, jobs) shares."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.peers.databricks import privileges
from tests.peers.databricks.errors import ApiError, absent, denied, invalid, present
from tests.peers.databricks.model import (
    ADMIN,
    ALL_USERS,
    CatalogRow,
    PrincipalRow,
    SchemaRow,
    Securable,
    State,
    TableRow,
    VolumeRow,
    WarehouseRow,
    fresh_id,
    now_ms,
)
from tests.peers.databricks.people import People

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from tests.peers.databricks.spark_server import SparkServer

METASTORE_ADMINS = "metastore admins"
_NAME = re.compile(r"[^\x00-\x20\x7f./]{1,255}")
# (quota, kind counted, kind of the parent) -> limit; after Databricks' page "Resource limits".
QUOTAS = {
    ("catalog-quota", "CATALOG", "METASTORE"): 1000,
    ("table-quota", "TABLE", "METASTORE"): 1_000_000,
    ("schema-quota", "SCHEMA", "CATALOG"): 10_000,
    ("table-quota", "TABLE", "SCHEMA"): 10_000,
    ("volume-quota", "VOLUME", "SCHEMA"): 10_000,
    ("function-quota", "FUNCTION", "SCHEMA"): 10_000,
}


class World(People):
    """One workspace with its metastore; every change goes through here under :attr:`lock`."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(State())
        self.folder, self.url = folder.resolve(), url
        self.admin_token = f"admin-{secrets.token_hex(16)}"
        self.internal_token = f"internal-{secrets.token_hex(16)}"
        self.workspace_id = "1000000000000001"
        self.page_size = 50
        self.quotas = dict(QUOTAS)
        self.default_predictive_optimization = "ENABLE"
        self._iceberg: dict[str, Catalog] = {}
        self._opening = threading.Lock()
        self.spark: SparkServer | None = None
        self._begin()

    def _begin(self) -> None:
        state = self.state
        state.metastore.owner = METASTORE_ADMINS
        state.metastore.storage_root = f"file://{self.folder}/managed"
        state.principals[ADMIN] = PrincipalRow(name=ADMIN, workspace_admin=True)
        state.groups |= {METASTORE_ADMINS: {ADMIN}, "admins": {ADMIN}, "users": set()}
        state.grants[Securable("METASTORE", state.metastore.id)] = {}
        state.warehouses["0123456789abcdef"] = WarehouseRow(id="0123456789abcdef", name="Serverless Starter")
        self.add_catalog(CatalogRow(name="system", catalog_type="SYSTEM_CATALOG", owner="System user"))
        state.grants[Securable("CATALOG", "system")] = {ALL_USERS: {"USE_CATALOG"}}
        state.grants[Securable("SCHEMA", "system.information_schema")] = {ALL_USERS: {"USE_SCHEMA", "SELECT"}}

    # Finding

    def row(self, kind: str, full_name: str, principal: str = "", *, browse: bool = False) -> Any:
        """Find a securable; one the principal may not see is reported as not existing."""
        name = full_name.lower() if kind != "METASTORE" else full_name
        found = self.state.rows(kind).get(name)
        if found is None or (principal and not self.sees(principal, kind, name, browse=browse)):
            raise absent(kind, full_name)
        return found

    def catalog(self, name: str, principal: str = "") -> CatalogRow:
        """Find a catalog or answer 404 CATALOG_DOES_NOT_EXIST."""
        return self.row("CATALOG", name, principal)

    def schema(self, full_name: str, principal: str = "") -> SchemaRow:
        """Find a schema or answer 404 SCHEMA_DOES_NOT_EXIST (or CATALOG_DOES_NOT_EXIST)."""
        self.catalog(full_name.partition(".")[0])
        return self.row("SCHEMA", full_name, principal)

    def table(self, full_name: str, principal: str = "") -> TableRow:
        """Find a table or answer 404 for the first part of the name that does not exist."""
        parts = full_name.split(".")
        if len(parts) != 3:
            raise invalid(f"'{full_name}' is not a valid name: catalog.schema.table is wanted")
        self.schema(".".join(parts[:2]))
        return self.row("TABLE", full_name, principal)

    def sees(self, principal: str, kind: str, full_name: str, *, browse: bool = False) -> bool:
        """Whether a principal may know that a securable exists."""
        return privileges.can_see(self.state, Securable(kind, full_name.lower()), principal, browse=browse)

    def tables_seen(self, principal: str, catalog: str = "", *, browse: bool = False) -> list[TableRow]:
        """Every table of a catalog (or of all) that a principal may see, by name."""
        with self.lock:
            names = sorted(self.state.tables)
            wanted = [name for name in names if not catalog or name.startswith(f"{catalog.lower()}.")]
            return [self.state.tables[n] for n in wanted if self.sees(principal, "TABLE", n, browse=browse)]

    # Privileges

    def effective(self, principal: str, kind: str, full_name: str) -> set[str]:
        """Privileges a principal holds on a securable, from wherever."""
        return privileges.effective(self.state, Securable(kind, full_name.lower()), principal)

    def require(self, principal: str, privilege: str, securable_type: str, full_name: str) -> None:
        """403 PERMISSION_DENIED naming the first privilege that is missing; 404 for what is not there or not seen."""
        kind, privilege = securable_type.upper(), privilege.upper().replace(" ", "_")
        self.row(kind, full_name)
        securable = Securable(kind, full_name.lower() if kind != "METASTORE" else full_name)
        lack = privileges.missing(self.state, securable, principal, privilege)
        if lack is None:
            return
        if lack[1] == securable and kind == "TABLE" and not self.sees(principal, kind, full_name, browse=True):
            raise absent(kind, full_name)
        raise denied(lack[0], *lack[1])

    def require_manager(self, principal: str, securable_type: str, full_name: str) -> None:
        """403 unless the principal owns it or its parents, has MANAGE on it or is the metastore admin."""
        kind = securable_type.upper()
        self.row(kind, full_name)
        if privileges.may_manage(self.state, Securable(kind, full_name.lower()), principal):
            return
        if not self.sees(principal, kind, full_name, browse=True):
            raise absent(kind, full_name)
        raise denied("MANAGE", kind, full_name)

    # Making and changing

    def add_catalog(self, row: CatalogRow) -> CatalogRow:
        """Keep a new catalog with its information_schema."""
        with self.lock:
            self._keep("CATALOG", row)
            self._keep("SCHEMA", SchemaRow(name="information_schema", catalog=row.name, owner="System user"))
            return row

    def create_schema(self, full_name: str, owner: str, **more: Any) -> SchemaRow:
        """Make a schema in a managed catalog; its Iceberg namespace comes with it."""
        catalog, _, name = full_name.lower().partition(".")
        with self.lock:
            self._writable(self.catalog(catalog), "create a schema in")
            row = self._keep("SCHEMA", SchemaRow(name=name, catalog=catalog, owner=owner, **more))
            self.iceberg(catalog).create_namespace_if_not_exists((name,))
            return row

    def drop_schema(self, full_name: str) -> None:
        """Drop an empty schema (or one emptied before)."""
        with self.lock:
            row = self.schema(full_name)
            self._writable(self.catalog(row.catalog), "drop a schema of")
            for kind in ("TABLE", "VOLUME", "FUNCTION"):
                if any(name.startswith(f"{row.full_name}.") for name in self.state.rows(kind)):
                    raise ApiError(400, "SCHEMA_NOT_EMPTY", f"Schema '{row.full_name}' is not empty.")
            self.iceberg(row.catalog).drop_namespace((row.name,))
            self.forget("SCHEMA", row.full_name)

    def create_table(self, full_name: str, owner: str, **more: Any) -> TableRow:
        """Record a table that is not Iceberg (a view, a Delta table, …); Iceberg tables come by :meth:`adopt`."""
        catalog, schema, name = full_name.lower().split(".", 2)
        with self.lock:
            self.schema(f"{catalog}.{schema}")
            row = TableRow(name=name, catalog=catalog, schema=schema, owner=owner, created_by=owner, **more)
            return self._keep("TABLE", row)

    def adopt(self, full_name: str, owner: str, table: Table | None = None, **more: Any) -> TableRow:
        """Record a managed Iceberg table just created, or bring its row in step after a commit."""
        from tests.peers.databricks.columns import columns_of

        catalog, schema, name = full_name.lower().split(".", 2)
        found = table or self.iceberg(catalog).load_table((schema, name))
        with self.lock:
            row = self.state.tables.get(full_name.lower())
            if row is None:
                row = self.create_table(full_name, owner, kind="TABLE_ICEBERG_UNIFORM_MANAGED", **more)
            row.columns = columns_of(found.schema(), found.spec(), row.columns)
            row.properties = {**found.properties}
            row.storage_location, row.metadata_location = found.location(), found.metadata_location
            row.updated_at = now_ms()
            return row

    def create_iceberg(
        self, full_name: str, owner: str, schema: Schema, *, spec: PartitionSpec | None = None, **properties: str
    ) -> TableRow:
        """Make a managed Iceberg table and record it."""
        from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC

        catalog, parent, name = full_name.lower().split(".", 2)
        location = self.new_location(catalog, parent)
        with self.lock:
            self.require_free("TABLE", full_name)
            self._writable(self.catalog(catalog), "create a table in")
            table = self.iceberg(catalog).create_table(
                (parent, name), schema, location, spec or UNPARTITIONED_PARTITION_SPEC, properties=properties
            )
            return self.adopt(full_name, owner, table)

    def require_free(self, kind: str, full_name: str) -> None:
        """Refuse a name that is taken, is no name, or for which the quota leaves no room."""
        name = full_name.lower()
        _check_name(kind, name.rpartition(".")[2])
        if name in self.state.rows(kind):
            raise present(kind, name)
        self._within_quota(kind, name)

    def drop_table(self, full_name: str) -> None:
        """Drop a table; a managed one's files stay (they are kept for some days for UNDROP)."""
        with self.lock:
            row = self.table(full_name)
            self._writable(self.catalog(row.catalog), "drop a table of")
            if self.is_managed_iceberg(row):
                self.iceberg(row.catalog).drop_table((row.schema, row.name))
            self.forget("TABLE", row.full_name)

    def rename_table(self, full_name: str, new_full_name: str) -> TableRow:
        """Rename a table inside its schema; grants, tags, masks and files stay with it."""
        with self.lock:
            row = self.table(full_name)
            self._writable(self.catalog(row.catalog), "rename a table of")
            catalog, schema, name = new_full_name.lower().split(".", 2)
            if (catalog, schema) != (row.catalog, row.schema):
                raise invalid("Cannot rename a table across schemas.")
            if new_full_name.lower() in self.state.tables:
                raise present("TABLE", new_full_name)
            _check_name("TABLE", name)
            if self.is_managed_iceberg(row):
                self.iceberg(catalog).rename_table((schema, row.name), (schema, name))
            self._rekey("TABLE", row.full_name, new_full_name.lower())
            row.name, row.updated_at = name, now_ms()
            return row

    def set_table_properties(self, full_name: str, updates: Mapping[str, str], removals: tuple[str, ...] = ()) -> None:
        """Commit properties to the table (and its row)."""
        with self.lock:
            row = self.table(full_name)
            self._writable(self.catalog(row.catalog), "change a table of")
            if self.is_managed_iceberg(row):
                table = self.iceberg(row.catalog).load_table((row.schema, row.name))
                with table.transaction() as change:
                    change.set_properties(dict(updates))
                    change.remove_properties(*[key for key in removals if key in table.properties])
                self.adopt(row.full_name, row.owner, table)
            else:
                row.properties = {k: v for k, v in {**row.properties, **updates}.items() if k not in removals}

    def create_volume(self, full_name: str, owner: str, **more: Any) -> VolumeRow:
        """Make a volume with its folder."""
        catalog, schema, name = full_name.lower().split(".", 2)
        with self.lock:
            self.schema(f"{catalog}.{schema}")
            row = VolumeRow(name=name, catalog=catalog, schema=schema, owner=owner, created_by=owner, **more)
            row.folder = row.storage_location.removeprefix("file://") or f"{self.folder}/volumes/{row.id}"
            row.storage_location = row.storage_location or f"file://{row.folder}"
            Path(row.folder).mkdir(parents=True, exist_ok=True)
            return self._keep("VOLUME", row)

    def keep(self, kind: str, row: Any) -> Any:
        """Keep a new row of any other kind."""
        with self.lock:
            return self._keep(kind, row)

    def forget(self, kind: str, full_name: str) -> None:
        """Remove a row with its grants and policies."""
        with self.lock:
            self.state.rows(kind).pop(full_name)
            gone = Securable(kind, full_name)
            self.state.grants.pop(gone, None)
            self.state.policies = [policy for policy in self.state.policies if policy.on != gone]

    def _keep(self, kind: str, row: Any) -> Any:
        _check_name(kind, row.name)
        row.name = row.name.lower()
        self.require_free(kind, row.full_name)
        self.state.rows(kind)[row.full_name] = row
        return row

    def _rekey(self, kind: str, old: str, new: str) -> None:
        rows = self.state.rows(kind)
        rows[new] = rows.pop(old)
        before, after = Securable(kind, old), Securable(kind, new)
        if before in self.state.grants:
            self.state.grants[after] = self.state.grants.pop(before)
        for policy in self.state.policies:
            policy.on = after if policy.on == before else policy.on

    def _within_quota(self, kind: str, full_name: str) -> None:
        catalog, schema = full_name.partition(".")[0], full_name.rpartition(".")[0]
        parents = {"METASTORE": "", "CATALOG": catalog, "SCHEMA": schema}
        for (quota, counted, parent), limit in self.quotas.items():
            if counted == kind and parent in parents and self.count(kind, parent, parents[parent]) >= limit:
                where = f"{parent.title()} {parents[parent]}".strip()
                text = f"Cannot create 1 {kind.title()}(s) in {where} (estimated count: {limit}, limit: {limit})."
                raise ApiError(403, "QUOTA_EXCEEDED", f"{text} Quota: {quota}.")

    def count(self, kind: str, parent: str, parent_name: str) -> int:
        """How many securables of a kind stand under a parent."""
        rows = self.state.rows(kind)
        return len(rows) if parent == "METASTORE" else sum(name.startswith(f"{parent_name}.") for name in list(rows))

    @staticmethod
    def _writable(catalog: CatalogRow, action: str) -> None:
        if catalog.catalog_type != "MANAGED_CATALOG":
            raise ApiError(403, "PERMISSION_DENIED", f"Cannot {action} {catalog.catalog_type} '{catalog.name}'.")

    # Iceberg behind it

    @staticmethod
    def is_managed_iceberg(row: TableRow) -> bool:
        """Whether the table is a managed Iceberg table."""
        return row.table_type == "MANAGED" and row.data_source_format == "ICEBERG"

    def new_location(self, catalog: str, schema: str) -> str:
        """Choose where a new managed table lives, as Unity Catalog does: by ids, never by name."""
        row, parent = self.catalog(catalog), self.schema(f"{catalog}.{schema}")
        metastore = self.state.metastore.storage_root
        root = parent.storage_root or row.storage_root or (f"{metastore}/{row.name}" if metastore else "")
        if not root:
            text = "Metastore storage root URL does not exist. Please provide a storage location for the catalog"
            raise ApiError(
                400, "INVALID_STATE", f"{text} (for example 'CREATE CATALOG c MANAGED LOCATION <location>')."
            )
        return f"{root.rstrip('/')}/__unitystorage/schemas/{parent.id}/tables/{fresh_id()}"

    def iceberg(self, catalog_name: str) -> Catalog:
        """The pyiceberg catalog behind a managed catalog, or a foreign catalog's origin."""
        row = self.catalog(catalog_name)
        with self._opening:
            if row.name not in self._iceberg:
                self._iceberg[row.name] = self._open(row)
            return self._iceberg[row.name]

    def _open(self, row: CatalogRow) -> Catalog:
        from pyiceberg.catalog.sql import SqlCatalog

        from tests.peers.databricks.foreign import open_origin

        if row.foreign:
            return open_origin(row.name, self.state.connections[row.connection_name].options)
        folder = self.folder / "managed" / row.name
        folder.mkdir(parents=True, exist_ok=True)
        return SqlCatalog(row.name, uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")

    def refresh_foreign(self, full_name: str) -> int:
        """Bring a foreign catalog, schema or table in step with its origin; gives the number of tables seen."""
        from tests.peers.databricks.foreign import refresh

        return refresh(self, full_name.lower())


def _check_name(kind: str, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise invalid(f"Invalid input: RPC Create{kind.title()} Field name: name {name!r} is not a valid name")
