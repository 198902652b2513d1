"""Foreign catalogs: copies of another catalog's metadata, brought in step only at creation and by REFRESH."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from sqlalchemy import text

from tests.peers.databricks.columns import columns_of
from tests.peers.databricks.errors import ApiError, absent
from tests.peers.databricks.model import CatalogRow, SchemaRow, TableRow, now_ms

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from tests.peers.databricks.world import World

# Which format and kind a foreign Iceberg table shows by the kind of its connection.
SHOWN = {
    "HIVE_METASTORE": ("DELTA_UNIFORM_ICEBERG", "TABLE_DELTA_UNIFORM_ICEBERG_FOREIGN_HIVE_METASTORE_EXTERNAL"),
    "GLUE": ("ICEBERG", "TABLE_DELTA_UNIFORM_ICEBERG_FOREIGN_HIVE_METASTORE_EXTERNAL"),
    "SNOWFLAKE": ("ICEBERG", "TABLE_DELTA_UNIFORM_ICEBERG_FOREIGN_SNOWFLAKE"),
}
_NAMES = "SELECT catalog_name FROM iceberg_namespace_properties UNION SELECT catalog_name FROM iceberg_tables"


def open_origin(name: str, options: Mapping[str, str]) -> Catalog:
    """The catalog a connection leads to. ``catalog-name`` is its name at home; a database with one needs none."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.catalog.sql import SqlCatalog

    given = {key: value for key, value in options.items() if key != "catalog-name"}
    found = load_catalog(options.get("catalog-name", name), **given)
    if isinstance(found, SqlCatalog) and "catalog-name" not in options:
        with found.engine.connect() as connection:
            names = [row[0] for row in connection.execute(text(_NAMES))]
        return load_catalog(names[0], **given) if len(names) == 1 else found
    return found


def refresh(world: World, full_name: str) -> int:
    """Read the origin again for ``c``, ``c.s`` or ``c.s.t``; gone tables and schemas go, new ones come."""
    name, *rest = full_name.split(".")
    row = world.catalog(name)
    if not row.foreign:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"'{name}' is not a foreign catalog.")
    origin = world.iceberg(name)
    if len(rest) == 2:
        world.schema(f"{name}.{rest[0]}")
        return int(_refresh_one(world, row, origin, rest[0], rest[1]))
    if rest:
        schema = world.schema(full_name)
        return _refresh_schema(world, row, origin, schema)
    return _refresh_catalog(world, row, origin)


def _refresh_catalog(world: World, row: CatalogRow, origin: Catalog) -> int:
    found = {levels[0].lower(): tuple(levels) for levels in origin.list_namespaces() if len(levels) == 1}
    with world.lock:
        for schema in [one for one in world.state.schemas.values() if one.catalog == row.name and one.origin]:
            if schema.name not in found:
                _forget_schema(world, schema)
        for name, levels in found.items():
            if f"{row.name}.{name}" not in world.state.schemas:
                fresh = SchemaRow(name=name, catalog=row.name, owner=row.owner, origin=levels)
                world.keep("SCHEMA", fresh)
    schemas = [one for one in list(world.state.schemas.values()) if one.catalog == row.name and one.origin]
    return sum(_refresh_schema(world, row, origin, schema) for schema in schemas)


def _refresh_schema(world: World, row: CatalogRow, origin: Catalog, schema: SchemaRow) -> int:
    try:
        found = {identifier[-1].lower(): tuple(identifier) for identifier in origin.list_tables(schema.origin)}
    except NoSuchNamespaceError:
        _forget_schema(world, schema)
        return 0
    for gone in [t for t in list(world.state.tables.values()) if t.schema_name == schema.full_name and t.origin]:
        if gone.name not in found:
            world.forget("TABLE", gone.full_name)
    return sum(_read(world, row, origin, schema, identifier) for identifier in found.values())


def _refresh_one(world: World, row: CatalogRow, origin: Catalog, schema_name: str, name: str) -> bool:
    schema = world.schema(f"{row.name}.{schema_name}")
    known = world.state.tables.get(f"{schema.full_name}.{name}")
    identifiers = [known.origin] if known else [tuple(i) for i in origin.list_tables(schema.origin)]
    for identifier in identifiers:
        if identifier[-1].lower() == name:
            return _read(world, row, origin, schema, identifier)
    raise absent("TABLE", f"{schema.full_name}.{name}")


def _read(world: World, row: CatalogRow, origin: Catalog, schema: SchemaRow, identifier: tuple[str, ...]) -> bool:
    full_name = f"{schema.full_name}.{identifier[-1].lower()}"
    try:
        table = origin.load_table(identifier)
    except NoSuchTableError:
        if full_name in world.state.tables:
            world.forget("TABLE", full_name)
        return False
    except (OSError, ValueError):  # its metadata cannot be read: what was known stays
        return full_name in world.state.tables
    with world.lock:
        known = world.state.tables.get(full_name) or _new(world, row, schema, identifier)
        known.columns = columns_of(table.schema(), table.spec(), known.columns)
        known.properties = dict(table.properties)
        known.storage_location, known.metadata_location = table.location(), table.metadata_location
        known.updated_at = now_ms()
    return True


def _new(world: World, row: CatalogRow, schema: SchemaRow, identifier: tuple[str, ...]) -> TableRow:
    kind = world.state.connections[row.connection_name].connection_type
    shown, securable_kind = SHOWN.get(kind, SHOWN["GLUE"])
    return world.create_table(
        f"{schema.full_name}.{identifier[-1]}",
        row.owner,
        table_type="FOREIGN",
        data_source_format=shown,
        kind=securable_kind,
        origin=identifier,
    )


def _forget_schema(world: World, schema: SchemaRow) -> None:
    for kind in ("TABLE", "VOLUME", "FUNCTION"):
        for name in [one for one in world.state.rows(kind) if one.startswith(f"{schema.full_name}.")]:
            world.forget(kind, name)
    world.forget("SCHEMA", schema.full_name)
