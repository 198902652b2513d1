"""From the name in a command to the securable it means."""

from __future__ import annotations

from typing import Any

from tests.peers.databricks.errors import ApiError, absent
from tests.peers.databricks.model import TableRow
from tests.peers.databricks.sql_commands import Command
from tests.peers.databricks.sql_errors import from_api, no_table
from tests.peers.databricks.sql_query import Reading
from tests.peers.databricks.world import World


def name_of(reading: Reading, command: Command) -> str:
    """The securable's full name, short names completed."""
    parts = [part.lower() for part in command.name]
    if command.on in {"TABLE", "FUNCTION", "VOLUME", "COLUMN"}:
        return ".".join(reading.full_name(parts))
    if command.on == "SCHEMA" and len(parts) == 1:
        if not reading.catalog:
            raise from_api(absent("SCHEMA", parts[0]))
        return f"{reading.catalog}.{parts[0]}"
    if command.on == "METASTORE":
        return reading.gateway.world.state.metastore.id
    return ".".join(parts)


def row_of(world: World, kind: str, name: str) -> Any:
    try:
        return world.table(name) if kind == "TABLE" else world.row(kind, name)
    except ApiError as error:
        if error.status == 404 and kind == "TABLE":
            raise no_table(name.split(".")) from None
        raise


def enter(world: World, principal: str, row: TableRow) -> None:
    """USE CATALOG and USE SCHEMA: nobody does anything with a table without them."""
    world.require(principal, "USE_CATALOG", "CATALOG", row.catalog)
    world.require(principal, "USE_SCHEMA", "SCHEMA", row.schema_name)
