"""The catalog behind a foreign one, by the names that Unity Catalog gives its tables."""

from __future__ import annotations

import threading

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.table import LoadedTable

_Names = dict[tuple[str, str], list[TableIdentifier]]


class Origin:
    """Finds tables of another catalog by names in lower case, which is how Unity Catalog shows them.

    Two tables whose names differ only in case are found by their exact names only: which of them Unity Catalog shows
    cannot be told.
    """

    def __init__(self, catalog: IcebergCatalog) -> None:
        self.catalog = catalog
        self._names: _Names = {}
        self._lock = threading.Lock()

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        """Load a table by its exact name, else by the only one that differs in case alone."""
        exact = TableIdentifier(catalog=self.catalog.name, namespace=table.namespace, name=table.name)
        known = self._known(exact)
        if known is not None:
            loaded = self.catalog.load(known)
            if loaded is not None:
                return loaded
        return self.catalog.load(exact) or self._load_listed(exact)

    def _load_listed(self, table: TableIdentifier) -> LoadedTable | None:
        """List the catalog's names anew: once for all tables of a schema, as long as they are found in it."""
        with self._lock:
            self._names |= self._listed(table.namespace[0].casefold())
        known = self._known(table)
        return None if known is None else self.catalog.load(known)

    def _known(self, table: TableIdentifier) -> TableIdentifier | None:
        """The table meant, from what was listed before; None where that is nothing, or not one."""
        found = self._names.get((table.namespace[0].casefold(), table.name.casefold()), [])
        return found[0] if len(found) == 1 else None

    def _listed(self, schema: str) -> _Names:
        found: _Names = {}
        for namespace in self.catalog.namespaces():
            if len(namespace) == 1 and namespace[0].casefold() == schema:
                for table in self.catalog.tables(namespace):
                    found.setdefault((schema, table.name.casefold()), []).append(table)
        return found
