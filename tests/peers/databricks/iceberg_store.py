"""The Iceberg tables behind one catalog of Unity Catalog, as the requests of the Iceberg REST protocol see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.without_deletes import without_deletes
from tests.peers.rest_catalog import Lake, Refusal

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from tests.peers.databricks.model import TableRow
    from tests.peers.databricks.world import World

# What external clients may not set: Unity Catalog chooses where data and metadata are.
RESERVED = ("write.metadata.path", "write.data.path", "write.metadata.previous-versions-max")


class Store(Lake):
    """Rights are the callers' business; rows of the workspace are kept in step with every commit."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.row = world, world.catalog(name)

    @property
    def catalog(self) -> Catalog:  # type: ignore[override]
        return self.world.iceberg(self.row.name)

    def full_name(self, levels: tuple[str, ...], name: str = "") -> str:
        if len(levels) != 1:
            raise Refusal(404, "NoSuchNamespaceException", f"Namespace does not exist: {'.'.join(levels)}")
        return ".".join(part.lower() for part in (self.row.name, *levels, *([name] if name else [])))

    def found(self, levels: tuple[str, ...], name: str) -> TableRow:
        try:
            return self.world.table(self.full_name(levels, name))
        except ApiError as error:
            raise Refusal(404, "NoSuchTableException", f"Table does not exist: {error.message}") from None

    def _path(self, levels: tuple[str, ...], name: str) -> tuple[str, ...]:
        return tuple(part.lower() for part in (*levels, name))

    # Namespaces

    def list_namespaces(self, parent: tuple[str, ...]) -> list[list[str]]:
        if parent:
            return []
        return sorted([row.name] for row in self.world.state.schemas.values() if row.catalog == self.row.name)

    def namespace(self, levels: tuple[str, ...]) -> dict[str, Any]:
        try:
            row = self.world.schema(self.full_name(levels))
        except ApiError as error:
            raise Refusal(404, "NoSuchNamespaceException", f"Namespace does not exist: {error.message}") from None
        return {"namespace": [row.name], "properties": {"owner": row.owner, **row.properties}}

    # Tables

    def list_tables(self, levels: tuple[str, ...]) -> list[dict[str, Any]]:
        self.namespace(levels)
        prefix = self.full_name(levels) + "."
        rows = [row for name, row in sorted(self.world.state.tables.items()) if name.startswith(prefix)]
        shown = [row for row in rows if row.table_type == "FOREIGN" or self.world.is_managed_iceberg(row)]
        return [{"namespace": list(levels), "name": row.name} for row in shown]

    def load(self, levels: tuple[str, ...], name: str) -> dict[str, Any]:
        """A managed table as it is; a foreign one as the last refresh saw it."""
        if not self.row.foreign:
            return super().load(self._levels(levels), name)
        return self._foreign(self.found(levels, name))

    def _foreign(self, row: TableRow) -> dict[str, Any]:
        path = Path(row.metadata_location.removeprefix("file://").removeprefix("file:"))
        try:
            metadata = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise Refusal(404, "NotFoundException", f"Location does not exist: {error.filename}") from None
        if self.row.flags.get("deletes_ignored"):
            metadata = without_deletes(self.world.folder, metadata)
        return {"metadata-location": row.metadata_location, "metadata": metadata, "config": {}}

    def create(self, levels: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
        self.namespace(levels)
        if body.get("location"):
            raise Refusal(400, "BadRequestException", "Setting the location of a managed table is not allowed.")
        properties = {key: value for key, value in (body.get("properties") or {}).items() if key != "owner"}
        place = self.world.new_location(self.row.name, levels[0].lower())
        return super().create(self._levels(levels), {**body, "location": place, "properties": properties})

    def commit(self, levels: tuple[str, ...], name: str, body: dict[str, Any]) -> dict[str, Any]:
        done = super().commit(self._levels(levels), name, body)
        full_name = self.full_name(levels, name)
        row = self.world.state.tables.get(full_name)
        if row is not None:
            self.world.adopt(full_name, row.owner)
        return done

    @staticmethod
    def _levels(levels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(level.lower() for level in levels)
