"""One catalog of Unity Catalog, managed or foreign, as a :class:`icebridge_provider.ports.Catalog`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from icebridge_provider.catalogs import refusals as shared
from icebridge_provider.catalogs.faults import Attempt
from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity import refusals
from icebridge_provider.catalogs.unity.access import UnityAccess
from icebridge_provider.catalogs.unity.faults import denied
from icebridge_provider.catalogs.unity.listing import FOREIGN, MANAGED, Listed, Listing
from icebridge_provider.catalogs.unity.names import fits, parts_of, schema_of
from icebridge_provider.catalogs.unity.optimization import switch_on
from icebridge_provider.catalogs.unity.origin import Origin
from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.catalogs.unity.visibility import Visibility, hidden_names, hidden_schemas, visibility_of
from icebridge_provider.catalogs.unity.workspace import ICEBERG_REST, UNITY, Workspace
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import FileStore
from icebridge_provider.retry import transient
from icebridge_provider.sql import databricks as sql
from icebridge_provider.sql.identifiers import quoted

CLOCKS_APART_MS = 60_000
_KINDS = {"MANAGED_CATALOG": "unity", "INTERNAL_CATALOG": "unity", "FOREIGN_CATALOG": "unity-foreign"}


class UnityCatalog:
    """:class:`icebridge_provider.ports.Catalog` over Unity Catalog.

    Names come from its REST interface, metadata from its Iceberg REST endpoint (managed tables) or from the catalog
    that a foreign one federates (``origin``), changes are SQL on a warehouse. Connects at the first use, safe for
    several threads. After a change whose answer was lost it looks whether the change was made.

    :param name: connection id.
    :param catalog: name of the Unity catalog.
    :param warehouse_id: SQL warehouse for changes; without one the catalog can be read only.
    :param origin: the catalog behind a foreign one: same namespaces and names, letters' case apart.
    :param read_only: refuse every change (IB-207).
    :param enables_optimization: switch predictive optimization on in the schemas where tables are made.
    """

    def __init__(
        self,
        name: str,
        workspace: Workspace,
        catalog: str,
        *,
        warehouse_id: str = "",
        origin: IcebergCatalog | None = None,
        read_only: bool = False,
        enables_optimization: bool = False,
    ) -> None:
        self._name = name
        self.workspace = workspace
        self.catalog = catalog
        self.origin = origin
        self._source = None if origin is None else Origin(origin)
        self._read_only = read_only
        self.enables_optimization = enables_optimization
        self.managed_location = ""  # where schemas made here keep their tables; empty: where the catalog does
        self._listing = Listing(workspace, catalog)
        self.statements = Statements(workspace, warehouse_id)
        self._access = UnityAccess(name, workspace, self.full_name, self.statements, read_only=read_only)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"UnityCatalog({self._name!r}, {self.catalog} at {self.workspace.host})"

    @property
    def name(self) -> str:
        """Connection id."""
        return self._name

    @property
    def host(self) -> str:
        """Host of the workspace, for messages."""
        return self.workspace.host

    @property
    def kind(self) -> str:
        """``unity`` or ``unity-foreign``; asks the workspace at the first use.

        :raises ConfigurationError: IB-254 for shared, system and online catalogs.
        """
        with self._lock:
            return self._kind

    @cached_property
    def _kind(self) -> str:
        found = self._listing.catalog_type()
        if found not in _KINDS:
            raise refusals.not_a_lake(self._name, self.catalog, found)
        return _KINDS[found]

    @property
    def is_foreign(self) -> bool:
        """Whether its tables live in another catalog."""
        return self.kind == "unity-foreign"

    def writable(self) -> bool:
        """Whether this connection may change tables; a foreign catalog's never."""
        return not self._read_only and not self.is_foreign

    @property
    def access(self) -> UnityAccess:
        """Privileges of its tables; those of foreign tables can be changed too, they are Unity Catalog's own."""
        return self._access

    # Names

    def full_name(self, table: TableIdentifier) -> str:
        """``catalog.schema.table`` as the REST interface spells it; not for SQL.

        :raises ConfigurationError: IB-250 for a name that Unity Catalog cannot hold.
        """
        return ".".join(self.parts(table))

    def sql_name(self, table: TableIdentifier) -> str:
        """The quoted name for SQL."""
        return quoted(*self.parts(table))

    def parts(self, table: TableIdentifier) -> tuple[str, str, str]:
        """Catalog, schema and table name."""
        return parts_of(self.catalog, table)

    # Reading

    def namespaces(self) -> list[tuple[str, ...]]:
        """Schemas that the principal may see, by name."""
        return [(schema,) for schema in self._listing.schemas()]

    def tables(self, namespace: tuple[str, ...]) -> list[TableIdentifier]:
        """Iceberg tables of one schema that the principal may see, by name; the rest is in :meth:`others`."""
        wanted = FOREIGN if self.is_foreign else MANAGED
        return [self._ident(namespace, item.name) for item in self.listed(namespace) if item.is_iceberg(wanted)]

    def others(self, namespace: tuple[str, ...]) -> list[Listed]:
        """Views and tables of other formats, which :meth:`tables` leaves out."""
        wanted = FOREIGN if self.is_foreign else MANAGED
        return [item for item in self.listed(namespace) if not item.is_iceberg(wanted)]

    def listed(self, namespace: tuple[str, ...]) -> list[Listed]:
        """Everything in a schema, by name; nothing for a schema that is not there."""
        if not fits(namespace):
            return []
        try:
            return sorted(self._listing.tables(namespace[0]), key=lambda item: item.name)
        except IceBridgeError as error:
            if error.code == "IB-243":
                return []
            raise

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        """Read the entry and its metadata; None when the catalog has no such Iceberg table.

        A foreign table is read from its own catalog, never through Databricks: see :func:`refusals.no_origin`.

        :raises IceBridgeError: IB-204 when the entry is there but its metadata cannot be read.
        """
        if not fits(table.namespace, table.name):
            return None
        found = self._origin().load(table) if self.is_foreign else self._load_managed(table)
        if found is None:
            return None
        return LoadedTable(
            identifier=table,
            metadata_location=found.metadata_location,
            metadata=found.metadata,
            io_properties=found.io_properties,
        )

    def _load_managed(self, table: TableIdentifier) -> LoadedTable | None:
        _, schema, name = self.parts(table)
        try:
            return self.workspace.renewing(lambda: self._inner.load(self._ident((schema,), name)))
        except ConfigurationError as error:
            if error.code != "IB-202":
                raise
            limits = self._access.limits_on(table)
            if limits:
                raise refusals.withheld(table, error.message, limits, self.look(table)) from None
            right = f"EXTERNAL USE SCHEMA on {self.catalog}.{schema} and SELECT on {self.full_name(table)}"
            what = f"read {self.full_name(table)} over Iceberg REST"
            attempt = Attempt(catalog=self._name, host=self.host, what=what, right=right)
            raise denied(error.message, attempt) from None

    def _origin(self) -> Origin:
        if self._source is None:
            raise refusals.no_origin(self._name, self.catalog)
        return self._source

    @property
    def _inner(self) -> IcebergCatalog:
        with self._lock:
            return self._rest

    @cached_property
    def _rest(self) -> IcebergCatalog:
        """The Iceberg REST endpoint, signed in with the workspace's own credential."""
        properties: dict[str, Any] = {
            "type": "rest",
            "uri": f"{self.workspace.url}{ICEBERG_REST}",
            "warehouse": self.catalog,
            "auth": {
                "type": "custom",
                "impl": "icebridge_provider.catalogs.unity.auth.WorkspaceAuth",
                "custom": {"headers": self.workspace.headers},
            },
        }
        return IcebergCatalog(self._name, properties, read_only=True)

    def location_for(self, table: TableIdentifier, suffix: str) -> str:  # noqa: ARG002 - the port's signature
        """Empty: Unity Catalog chooses the folder of a managed table, and takes none for it."""
        self.parts(table)
        return ""

    def store(self) -> FileStore:
        """Files of this catalog's tables; of managed ones only with a table's own ``io_properties``."""
        return self._origin().catalog.store() if self.is_foreign else self._inner.store()

    # Changing

    def create_namespace(self, namespace: tuple[str, ...]) -> None:
        """Create a schema; an existing one is success. Then switch predictive optimization on, if that is asked for."""
        schema = schema_of(namespace)
        what = f"create schema {self.catalog}.{schema}"
        self._refuse_unless_writable(what)
        if not self._listing.has_schema(schema):
            self._create(schema, what)
        if self.enables_optimization:
            switch_on(self.workspace, f"{self.catalog}.{schema}")

    def _create(self, schema: str, what: str) -> None:
        body = {"name": schema, "catalog_name": self.catalog}
        right = f"CREATE SCHEMA on {self.catalog}"
        if self.managed_location:
            body["storage_root"] = f"{self.managed_location.rstrip('/')}/{schema}"
            right = f"{right}, and CREATE MANAGED STORAGE on the external location of {self.managed_location}"
        self._change(
            what,
            lambda: self.workspace.send(what, "POST", f"{UNITY}/schemas", body, right),
            lambda: self._listing.has_schema(schema),
        )

    def register(self, table: TableIdentifier, metadata_location: str) -> None:
        """Refused by name: Unity Catalog enters no existing metadata file.

        :raises ConfigurationError: IB-251.
        """
        self._refuse_unless_writable(f"register {metadata_location}")
        raise refusals.register(table)

    def rename(self, table: TableIdentifier, name: str) -> None:
        """Give the table another name in its schema.

        :raises IceBridgeError: IB-206 when the new name is taken, IB-208 when there is no such table.
        """
        what = f"rename {self.full_name(table)} to {name}"
        self._refuse_unless_writable(what)
        new = table.named(name)
        before, there = self.look(table), self.look(new)
        if before is None:
            raise shared.gone(table)
        if there is not None:
            raise shared.taken(new)
        statement = sql.rename_table(self.parts(table), self.parts(new)[-1])
        self._change(
            what,
            lambda: self.statements.run(what, statement, right=f"MANAGE on {self.full_name(table)}"),
            lambda: self._renamed(table, new, before.table_id),
        )

    def _renamed(self, old: TableIdentifier, new: TableIdentifier, table_id: str) -> bool:
        arrived = self.look(new)
        if arrived is None:
            if self.look(old) is None:
                raise shared.gone(old)
            return False
        if arrived.table_id != table_id:
            raise shared.taken(new)
        return True

    def drop_entry(self, table: TableIdentifier) -> None:
        """Drop the table; a missing one is success. Unity Catalog deletes its files itself, after its retention.

        :raises ConfigurationError: IB-255 for what is no managed Iceberg table.
        """
        what = f"drop {self.full_name(table)}"
        self._refuse_unless_writable(what)
        there = self.look(table)
        if there is None:
            return
        if not there.is_iceberg(MANAGED):
            raise refusals.not_ours(table, f"{there.table_type} {there.format}".strip())
        self._change(
            what,
            lambda: self.statements.run(
                what, sql.drop_table(self.parts(table)), right=f"MANAGE on {self.full_name(table)}"
            ),
            lambda: getattr(self.look(table), "table_id", "") != there.table_id,
        )

    def set_properties(self, table: TableIdentifier, properties: Mapping[str, str]) -> None:
        """Set table properties; nothing is sent when all are set already.

        :raises IceBridgeError: IB-208 when there is no such table.
        """
        what = f"set properties of {self.full_name(table)}"
        self._refuse_unless_writable(what)
        wanted = dict(properties)

        def there() -> bool:
            loaded = self.load(table)
            if loaded is None:
                raise shared.gone(table)
            return all(loaded.properties.get(key) == value for key, value in wanted.items())

        if there():
            return
        statement = sql.set_properties(self.parts(table), wanted)
        right = f"MODIFY on {self.full_name(table)}"
        self._change(what, lambda: self.statements.run(what, statement, right=right), there)

    def look(self, table: TableIdentifier) -> Listed | None:
        """What Unity Catalog has under a name, whatever it is; one request, no metadata is read."""
        return self._listing.table(self.full_name(table)) if fits(table.namespace, table.name) else None

    def _change(self, what: str, act: Callable[[], object], done: Callable[[], bool]) -> None:
        """Make a change; whatever goes wrong, look whether it was made before failing or trying again."""

        def once() -> None:
            try:
                act()
            except IceBridgeError:
                if looked():
                    return
                raise

        def looked() -> bool:
            try:
                return done()
            except TransientError as error:
                raise shared.unknown_outcome(error, what) from None

        transient(once)

    def _refuse_unless_writable(self, what: str) -> None:
        if self._read_only:
            raise shared.read_only(self._name, what)
        if self.is_foreign:
            raise refusals.foreign(self._name, self.catalog, what)

    # Foreign tables

    def foreign_is_stale(self, table: TableIdentifier) -> bool:
        """Whether Unity Catalog may have read a foreign table's entry before the source's last write.

        Its copy of a foreign table's metadata grows old by itself. True unless it was read clearly later than the
        last write, so that clocks that are apart cost one :meth:`refresh` and nothing else.
        """
        there, loaded = self.look(table), self.load(table)
        if there is None or loaded is None:
            return True
        written = int(loaded.metadata.get("last-updated-ms") or 0)
        return int(there.info.get("updated_at") or 0) < written + CLOCKS_APART_MS

    def refresh(self, table: TableIdentifier) -> None:
        """Make Unity Catalog read a foreign table's entry again; one it does not know yet is brought in."""
        full_name, parts = self.full_name(table), self.parts(table)
        what = f"refresh {full_name}"
        if self.look(table) is None:
            statement = sql.refresh_foreign("SCHEMA", parts[:2])
        else:
            statement = sql.refresh_foreign("TABLE", parts)
        transient(lambda: self.statements.run(what, statement, right=f"MANAGE on {full_name}"))

    def visibility(self, namespace: tuple[str, ...]) -> Visibility:
        """What this principal sees of one schema, by every way there is to ask."""
        return visibility_of(self, namespace)

    def hidden(self, namespace: tuple[str, ...]) -> list[TableIdentifier]:
        """Tables of the origin that a foreign catalog does not show this principal; none for a managed one."""
        return [self._ident(namespace, name) for name in hidden_names(self, namespace)]

    def hidden_namespaces(self) -> list[tuple[str, ...]]:
        """Namespaces of the origin that a foreign catalog does not show this principal; none for a managed one."""
        return hidden_schemas(self)

    def _ident(self, namespace: tuple[str, ...], name: str) -> TableIdentifier:
        return TableIdentifier(catalog=self._name, namespace=namespace, name=name)
