"""Reads schemas and tables of one catalog from Unity Catalog's REST interface, with bounded requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path

FOREIGN, MANAGED = "FOREIGN", "MANAGED"
_FORMATS = {FOREIGN: frozenset({"ICEBERG", "DELTA_UNIFORM_ICEBERG"}), MANAGED: frozenset({"ICEBERG"})}
_MANAGED_KINDS = frozenset({"TABLE_DELTA_ICEBERG_MANAGED", "TABLE_ICEBERG_UNIFORM_MANAGED"})
OWN_SCHEMA = "information_schema"
_SEE = "USE CATALOG on the catalog and USE SCHEMA, or BROWSE, on what is in it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One row of a table list, in the service's own words; ``browse_only``: its name may be seen, its rows not."""

    name: str
    table_type: str = ""
    format: str = ""
    kind: str = ""
    table_id: str = ""
    browse_only: bool = False
    info: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def is_iceberg(self, table_type: str) -> bool:
        """Whether this is an Iceberg table of the given type (``MANAGED``, ``FOREIGN``).

        The format alone does not tell: foreign Iceberg shows as either of two formats, and a managed table of the
        second one is Delta that can be read as Iceberg (databricks-sdk 0.156: DataSourceFormat, SecurableKind).
        Of a table that may only be browsed the format is not told: it counts, and reading it says what is missing.
        """
        if self.table_type != table_type:
            return False
        if self.browse_only and not self.format:
            return True
        kinds = self.kind in _MANAGED_KINDS if table_type == MANAGED else "ICEBERG" in self.kind
        return kinds or self.format in _FORMATS[table_type]


class Listing:
    """Lists of one Unity catalog."""

    def __init__(self, workspace: Workspace, catalog: str) -> None:
        self._workspace = workspace
        self._catalog = catalog

    def catalog_type(self) -> str:
        """``MANAGED_CATALOG``, ``FOREIGN_CATALOG`` or another of Unity Catalog's."""
        found = self._workspace.get(
            f"read catalog {self._catalog}",
            f"{UNITY}/catalogs/{in_path(self._catalog)}",
            {"include_browse": "true"},
            right=f"USE CATALOG on {self._catalog}",
        )
        return str(found.get("catalog_type", ""))

    def schemas(self) -> list[str]:
        """Names of the schemas that the principal may see."""
        query = {"catalog_name": self._catalog, "include_browse": "true"}
        what = f"list the schemas of {self._catalog}"
        found = self._workspace.pages(what, f"{UNITY}/schemas", "schemas", query, right=_SEE)
        return sorted(str(item["name"]) for item in found if item["name"] != OWN_SCHEMA)

    def has_schema(self, schema: str) -> bool:
        """Whether there is such a schema for the principal."""
        path = f"{UNITY}/schemas/{in_path(f'{self._catalog}.{schema}')}"
        return self._workspace.find(f"look for schema {self._catalog}.{schema}", path, right=_SEE) is not None

    def tables(self, schema: str, *, columns: bool = False) -> Iterator[Listed]:
        """Everything in a schema that the principal may see, views too.

        :param columns: tell the columns too, their masks with them.
        """
        query = {
            "catalog_name": self._catalog,
            "schema_name": schema,
            "omit_columns": "false" if columns else "true",
            "omit_properties": "true",
            "include_browse": "true",
        }
        what = f"list the tables of {self._catalog}.{schema}"
        for item in self._workspace.pages(what, f"{UNITY}/tables", "tables", query, right=_SEE):
            yield _listed(item)

    def table(self, full_name: str) -> Listed | None:
        """One table with all that is known of it (``info``), None when there is none for the principal."""
        path = f"{UNITY}/tables/{in_path(full_name)}"
        found = self._workspace.find(f"look for table {full_name}", path, {"include_browse": "true"}, right=_SEE)
        return None if found is None else _listed(found)


def _listed(item: dict[str, Any]) -> Listed:
    return Listed(
        name=str(item["name"]),
        table_type=str(item.get("table_type", "")),
        format=str(item.get("data_source_format", "")),
        kind=str((item.get("securable_kind_manifest") or {}).get("securable_kind", "")),
        table_id=str(item.get("table_id", "")),
        browse_only=bool(item.get("browse_only", False)),
        info=item,
    )
