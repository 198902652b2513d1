"""The one catalog adapter: SQL, REST, Glue and Hive catalogs through pyiceberg."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from icebridge_provider.catalogs import entries, locations, refusals
from icebridge_provider.catalogs.faults import Attempt, error_for, host_of, said, translated
from icebridge_provider.catalogs.native import kind_of, open_native
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.redaction import scrubbed
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.retry import transient

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as NativeCatalog

    from icebridge_provider.stores.object_store import ObjectStore

T = TypeVar("T")
_READ = "list and read its namespaces and tables"


def catalog_from(name: str, properties: Mapping[str, Any], read_only: bool = False) -> IcebergCatalog:
    """Return the catalog that a connection describes; nothing is contacted yet.

    ``read_only`` in the properties holds too.

    :raises ConfigurationError: IB-203 when the properties describe no catalog that IceBridge speaks to.
    """
    given = dict(properties)
    asked = str(given.pop("read_only", given.pop("read-only", ""))).lower()
    return IcebergCatalog(name, given, read_only or asked in {"true", "1", "yes", "on"})


class IcebergCatalog:
    """:class:`icebridge_provider.ports.Catalog` over pyiceberg.

    Connects at the first use. Safe for several threads. Reads are retried; a change whose answer was lost is looked
    for before it is tried again.

    :param name: connection id.
    :param properties: pyiceberg's catalog properties; ``catalog-name`` is the name inside an SQL catalog's database,
        ``location`` the folder for new tables of a REST catalog that does not tell one.
    :param read_only: refuse every change (IB-207).
    """

    def __init__(self, name: str, properties: Mapping[str, Any], read_only: bool = False) -> None:
        self._name = name
        self._properties = dict(properties)
        self._read_only = read_only
        self._lock = threading.Lock()
        self._bases: dict[tuple[str, ...], str] = {}
        self.kind = kind_of(name, properties)
        self.host = host_of(str(properties.get("uri", ""))) or self.kind

    def __repr__(self) -> str:
        return f"IcebergCatalog({self._name!r}, {self.kind} at {self.host})"

    @property
    def name(self) -> str:
        """Connection id."""
        return self._name

    @property
    def native(self) -> NativeCatalog:
        """The pyiceberg catalog, opened at the first use."""
        with self._lock:
            return self._native

    @cached_property
    def _native(self) -> NativeCatalog:
        attempt = self._attempt("open a connection", "connect and read the catalog's configuration")

        def opened() -> NativeCatalog:
            with translated(attempt):
                return open_native(self._name, self._properties, read_only=self._read_only)

        return transient(opened)

    def hidden(self, namespace: tuple[str, ...]) -> list[TableIdentifier]:  # noqa: ARG002 - the port's signature
        """None: what a catalog leaves out nobody else knows."""
        return []

    def hidden_namespaces(self) -> list[tuple[str, ...]]:
        """None: what a catalog leaves out nobody else knows."""
        return []

    @property
    def access(self) -> None:
        """None: who may read is for the storage and the catalog's server to say."""
        return None

    def writable(self) -> bool:
        """Whether this connection may change the catalog."""
        return not self._read_only

    def store(self) -> ObjectStore:
        """Files of this catalog's tables."""
        return self._store

    @cached_property
    def _store(self) -> ObjectStore:
        from icebridge_provider.stores.object_store import ObjectStore

        return ObjectStore(entries.io_only({**self._properties, **self.native.properties}))

    # Reading

    def namespaces(self) -> list[tuple[str, ...]]:
        """All namespaces, nested ones too, by name."""
        found: list[tuple[str, ...]] = []
        waiting = self._children(())
        while waiting:
            namespace = waiting.pop()
            found.append(namespace)
            if self.kind in {"sql", "rest"}:  # Glue and Hive have one level
                waiting.extend(child for child in self._children(namespace) if len(child) > len(namespace))
        return sorted(set(found))

    def _children(self, parent: tuple[str, ...]) -> list[tuple[str, ...]]:
        shown = f"list the namespaces below {'.'.join(parent)}" if parent else "list namespaces"
        try:
            listed = self._read(shown, lambda: self.native.list_namespaces(parent))
        except ConfigurationError as error:
            # Servers without nested namespaces refuse the question; the top level must answer.
            if parent and error.code in {"IB-210", "IB-212"}:
                return []
            raise
        return [tuple(namespace) for namespace in listed]

    def tables(self, namespace: tuple[str, ...]) -> list[TableIdentifier]:
        """Tables of one namespace, by name, views left out; none for a namespace that is not there."""
        try:
            listed = self._read(f"list the tables of {'.'.join(namespace)}", lambda: self.native.list_tables(namespace))
        except ConfigurationError as error:
            if error.code == "IB-212":
                return []
            raise
        names = sorted(identifier[-1] for identifier in listed)
        return [TableIdentifier(catalog=self._name, namespace=namespace, name=name) for name in names]

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        """Read the entry and its metadata file; None when the catalog has no such entry.

        :raises IceBridgeError: IB-204 when the entry is there but its metadata cannot be read.
        """
        entry = self._entry(table)
        if entry is None:
            return None
        return LoadedTable(
            identifier=table,
            metadata_location=entry.metadata_location,
            metadata=self._metadata(table, entry),
            io_properties=entry.io_properties,
        )

    def _entry(self, table: TableIdentifier) -> entries.Entry | None:
        from pydantic import ValidationError

        def found() -> entries.Entry | None:
            return entries.find_entry(self.native, table)

        try:
            return self._read(
                f"load {table.path}", found, keep=(entries.MetadataGone, FileNotFoundError, ValidationError)
            )
        except (entries.MetadataGone, FileNotFoundError, ValidationError) as error:
            raise entries.unreadable(table, "", said(error)) from None

    def _metadata(self, table: TableIdentifier, entry: entries.Entry) -> Mapping[str, Any]:
        """Read the file itself: it keeps every field, also those pyiceberg does not know."""
        location = entry.metadata_location
        try:
            data = self._read(f"read {location}", lambda: self._file(entry), right=f"read files of {table.path}",
                              keep=(FileNotFoundError,))  # fmt: skip
        except FileNotFoundError:
            if entry.metadata is not None:
                return entry.metadata
            raise entries.unreadable(table, location, "the file is not there") from None
        except ConfigurationError:
            if entry.metadata is not None:
                return entry.metadata
            raise
        return entries.parse_metadata(table, location, data)

    def _file(self, entry: entries.Entry) -> bytes:
        from icebridge_provider.stores.object_store import ObjectStore

        shared = self.store()
        if entry.io_properties == entries.io_only({**self._properties, **self.native.properties}):
            return shared.read(entry.metadata_location)
        return ObjectStore(entry.io_properties).read(entry.metadata_location)  # credentials vended for this table

    # Where new tables go

    def location_for(self, table: TableIdentifier, suffix: str) -> str:
        """Folder this catalog would give the table, made unique by ``suffix``.

        Below the namespace's own ``location`` where it has one, else below the warehouse.

        :raises ConfigurationError: IB-205 when the catalog tells neither.
        """
        own = self._namespace_location(table.namespace)
        if own:
            return locations.table_folder(own, (), table.name, suffix)
        return locations.table_folder(self._base(), table.namespace, table.name, suffix)

    def _base(self) -> str:
        known = {**self._properties, **self.native.properties}
        for key in ("location", "warehouse", "default-base-location"):
            if locations.is_path(str(known.get(key, ""))):
                return str(known[key])
        raise refusals.no_folder(self._name)

    def _namespace_location(self, namespace: tuple[str, ...]) -> str:
        if namespace not in self._bases:
            try:
                found = self._read(
                    "read namespace properties", lambda: self.native.load_namespace_properties(namespace)
                )
            except ConfigurationError as error:
                if error.code not in {"IB-210", "IB-212"}:
                    raise
                found = {}
            self._bases[namespace] = str(found.get("location", ""))
        return self._bases[namespace]

    # Changing

    def create_namespace(self, namespace: tuple[str, ...]) -> None:
        """Create it and its parents; an existing one is success."""
        self._refuse_if_read_only(f"create namespace {'.'.join(namespace)}")
        self._refuse_dotted(namespace)
        for depth in range(1, len(namespace) + 1):
            part = namespace[:depth]
            attempt = self._attempt(f"create namespace {'.'.join(part)}", "create namespaces")
            self._change(
                attempt,
                lambda part=part: self.native.create_namespace_if_not_exists(part),  # type: ignore[misc]
                lambda part=part: self.native.namespace_exists(part),  # type: ignore[misc]
            )

    def register(self, table: TableIdentifier, metadata_location: str) -> None:
        """Point a new entry at an existing metadata file; an entry at that very file is success.

        :raises IceBridgeError: IB-206 when another table has the name.
        """
        self._refuse_if_read_only(f"register {table.path}")
        attempt = self._attempt(f"register {table.path}", f"create tables in {'.'.join(table.namespace)}")

        def there() -> bool:
            entry = self._entry(table)
            if entry is not None and entry.metadata_location != metadata_location:
                raise refusals.taken(table)
            return entry is not None

        if not there():
            if self.kind == "sql":  # the others look themselves; here a broken entry would be made
                self._refuse_missing(table, metadata_location)
            self._change(
                attempt,
                lambda: self.native.register_table((*table.namespace, table.name), metadata_location),
                there,
            )

    def rename(self, table: TableIdentifier, name: str) -> None:
        """Give the entry another name in its namespace.

        :raises IceBridgeError: IB-206 when the new name is taken, IB-208 when there is no such table.
        """
        self._refuse_if_read_only(f"rename {table.path}")
        new = table.named(name)
        before = self._entry(table)
        if before is None:
            raise refusals.gone(table)
        if self._entry(new) is not None:
            raise refusals.taken(new)
        attempt = self._attempt(f"rename {table.path} to {name}", f"rename tables in {'.'.join(table.namespace)}")
        old_path, new_path = (*table.namespace, table.name), (*new.namespace, new.name)
        self._change(
            attempt,
            lambda: self.native.rename_table(old_path, new_path),
            lambda: self._renamed(table, new, before.metadata_location),
        )

    def _renamed(self, old: TableIdentifier, new: TableIdentifier, metadata_location: str) -> bool:
        """Look at both names after a rename whose answer is unknown, and end one that was left half done.

        Glue renames by creating the new entry and dropping the old one: both are there when that was interrupted.
        """
        left, arrived = self._entry(old), self._entry(new)
        if arrived is None:
            if left is None:
                raise refusals.gone(old)
            return False
        if arrived.metadata_location != metadata_location:
            raise refusals.taken(new)
        if left is not None and left.metadata_location == metadata_location:
            self.drop_entry(old)
        return True

    def drop_entry(self, table: TableIdentifier) -> None:
        """Forget the entry; files stay. A missing one is success."""
        self._refuse_if_read_only(f"drop the entry {table.path}")
        attempt = self._attempt(f"drop the entry {table.path}", f"drop tables in {'.'.join(table.namespace)}")
        self._change(
            attempt,
            lambda: self.native.drop_table((*table.namespace, table.name)),
            lambda: not self._exists(table),
        )

    def set_properties(self, table: TableIdentifier, properties: Mapping[str, str]) -> None:
        """Commit table properties; nothing is committed when all are set already.

        :raises IceBridgeError: IB-208 when there is no such table.
        """
        self._refuse_if_read_only(f"set properties of {table.path}")
        attempt = self._attempt(f"set properties of {table.path}", f"change tables in {'.'.join(table.namespace)}")
        wanted = dict(properties)

        def there() -> bool:
            loaded = self.load(table)
            if loaded is None:
                raise refusals.gone(table)
            return all(loaded.properties.get(key) == value for key, value in wanted.items())

        def commit() -> None:
            native = self.native.load_table((*table.namespace, table.name))
            native.transaction().set_properties(wanted).commit_transaction()

        if not there():
            self._change(attempt, commit, there)

    # How calls are made

    def _read(self, what: str, call: Callable[[], T], right: str = _READ, keep: tuple[type[Exception], ...] = ()) -> T:
        attempt = self._attempt(what, right)
        self.native  # noqa: B018 - opened here, so that opening is not tried three times three times

        def once() -> T:
            try:
                return call()
            except Exception as error:
                if isinstance(error, (IceBridgeError, *keep)):
                    raise
                raise self._read_error(error, attempt) from None

        return transient(once)

    def _read_error(self, error: Exception, attempt: Attempt) -> IceBridgeError:
        if type(error).__name__ in {"NoSuchNamespaceError", "NoSuchTableError"}:
            return ConfigurationError(
                "IB-212",
                f"Catalog {self._name!r} has no such namespace: {said(error)}.",
                remedy=f"See what is there: airflow icebridge inventory {self._name}",
                catalog=self._name,
            )
        return error_for(error, attempt)

    def _change(self, attempt: Attempt, act: Callable[[], object], done: Callable[[], bool]) -> None:
        """Make a change; whatever the driver raises, look whether it was made before failing or trying again."""
        self.native  # noqa: B018 - see _read

        def once() -> None:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - drivers raise anything
                if looked():
                    return
                raise error_for(error, attempt) from None

        def looked() -> bool:
            try:
                return done()
            except TransientError as error:
                raise refusals.unknown_outcome(error, attempt.what) from None

        transient(once)

    def _exists(self, table: TableIdentifier) -> bool:
        try:
            return self._entry(table) is not None
        except ConfigurationError as error:
            if error.code == "IB-204":
                return True
            raise

    def _attempt(self, what: str, right: str) -> Attempt:
        return Attempt(catalog=self._name, host=self.host, what=scrubbed(what), right=right)

    # Refusals

    def _refuse_if_read_only(self, what: str) -> None:
        if self._read_only:
            raise refusals.read_only(self._name, what)

    def _refuse_missing(self, table: TableIdentifier, metadata_location: str) -> None:
        read = f"read {metadata_location}"
        try:
            self._read(read, lambda: self.store().read(metadata_location), keep=(FileNotFoundError,))
        except FileNotFoundError:
            raise entries.unreadable(table, metadata_location, "the file is not there") from None

    def _refuse_dotted(self, namespace: tuple[str, ...]) -> None:
        if self.kind == "sql" and any("." in part for part in namespace):
            raise refusals.dotted(self._name, namespace)
