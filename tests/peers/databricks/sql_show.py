"""SHOW and DESCRIBE: what the catalog tells whoever may know."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Callable

from tests.peers.databricks import privileges, sql_run
from tests.peers.databricks.model import Securable, TableRow
from tests.peers.databricks.sql_commands import Command
from tests.peers.databricks.sql_errors import no_table, unsupported
from tests.peers.databricks.sql_names import enter, name_of, row_of
from tests.peers.databricks.sql_query import Reading
from tests.peers.databricks.sql_result import Result, of


def _show_grants(reading: Reading, command: Command) -> Result:
    world, name = reading.gateway.world, name_of(reading, command)
    row_of(world, command.on, name)
    securable = Securable(command.on, name)
    found = privileges.standings(world.state, securable)
    if not privileges.may_manage(world.state, securable, reading.reader):
        world.row(command.on, name, reading.reader, browse=True)
        mine = privileges.identities_of(world.state, reading.reader)
        found = [one for one in found if one.principal in mine]
    rows = [
        (
            one.principal,
            one.privilege.replace("_", " "),
            one.inherited_from_type or command.on,
            one.inherited_from_name or name,
        )
        for one in found
        if command.principal in {"", one.principal}
    ]
    return of(rows, Principal="STRING", ActionType="STRING", ObjectType="STRING", ObjectKey="STRING")


def _show_properties(reading: Reading, command: Command) -> Result:
    row = _looked_at(reading, command)
    found = sorted(row.properties.items())
    if command.key:
        missing = f"Table {row.full_name} does not have property: {command.key}"
        found = [(command.key, row.properties.get(command.key, missing))]
    return of(found, key="STRING", value="STRING")


def _looked_at(reading: Reading, command: Command) -> TableRow:
    """A table whose metadata the reader may see."""
    world, name = reading.gateway.world, reading.full_name(command.name)
    row: TableRow = row_of(world, "TABLE", ".".join(name))
    enter(world, reading.reader, row)
    if not world.sees(reading.reader, "TABLE", row.full_name, browse=True):
        raise no_table(name)
    return row


def _show_catalogs(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    names = [name for name in sorted(world.state.catalogs) if world.sees(reading.reader, "CATALOG", name, browse=True)]
    return of([(name,) for name in names if _like(name, command.like)], catalog="STRING")


def _show_schemas(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    catalog = command.name[0].lower() if command.name else reading.catalog
    world.require(reading.reader, "USE_CATALOG", "CATALOG", catalog)
    rows = [row for row in list(world.state.schemas.values()) if row.catalog == catalog]
    names = sorted(row.name for row in rows if world.sees(reading.reader, "SCHEMA", row.full_name, browse=True))
    return of([(name,) for name in names if _like(name, command.like)], databaseName="STRING")


def _show_tables(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    where = name_of(reading, command) if command.name else f"{reading.catalog}.{reading.schema or 'default'}"
    world.schema(where)
    world.require(reading.reader, "USE_SCHEMA", "SCHEMA", where)
    catalog, _, schema = where.partition(".")
    rows = [row for row in world.tables_seen(reading.reader, catalog) if row.schema == schema]
    found = [(schema, row.name, False) for row in rows if _like(row.name, command.like)]
    return of(found, database="STRING", tableName="STRING", isTemporary="BOOLEAN")


def _like(name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatch(name, one.strip().lower()) for one in pattern.split("|"))


def _show_columns(reading: Reading, command: Command) -> Result:
    return of([(column.name,) for column in _looked_at(reading, command).columns], col_name="STRING")


def _describe(reading: Reading, command: Command) -> Result:
    row = _looked_at(reading, command)
    rows = [(column.name, column.type_text, column.comment or None) for column in row.columns]
    parts = sorted(
        (column for column in row.columns if column.partition_index is not None),
        key=lambda one: one.partition_index or 0,
    )
    if parts:
        rows += [("# Partition Information", "", ""), ("# col_name", "data_type", "comment")]
        rows += [(column.name, column.type_text, column.comment or None) for column in parts]
    if command.extended:
        properties = ",".join(f"{key}={value}" for key, value in sorted(row.properties.items()))
        more = {
            "Catalog": row.catalog, "Database": row.schema, "Table": row.name, "Owner": row.owner,
            "Type": row.table_type, "Comment": row.comment, "Location": row.storage_location,
            "Provider": row.data_source_format.lower(), "Table Properties": f"[{properties}]",
        }  # fmt: skip
        rows += [
            ("", "", ""),
            ("# Detailed Table Information", "", ""),
            *((key, value, "") for key, value in more.items()),
        ]
    return of(rows, col_name="STRING", data_type="STRING", comment="STRING")


def _detail(reading: Reading, command: Command) -> Result:
    row = _looked_at(reading, command)
    world = reading.gateway.world
    summary = (
        sql_run._summary(reading.gateway, (row.catalog, row.schema, row.name)) if world.is_managed_iceberg(row) else {}
    )
    files, size = int(summary.get("total-data-files", 0)), int(summary.get("total-files-size", 0))
    columns = [column.name for column in row.columns if column.partition_index is not None]
    values = (
        row.data_source_format.lower(),
        row.id,
        row.full_name,
        row.comment or None,
        row.storage_location,
        columns,
        files,
        size,
    )
    return of(
        [values], format="STRING", id="STRING", name="STRING", description="STRING", location="STRING",
        partitionColumns="ARRAY<STRING>", numFiles="BIGINT", sizeInBytes="BIGINT",
    )  # fmt: skip


def _history(reading: Reading, command: Command) -> Result:
    """Commits, newest first. Versions count from 0, as the platform's own log counts."""
    world = reading.gateway.world
    row = reading.authorised(reading.full_name(command.name), "SELECT")
    if not world.is_managed_iceberg(row):
        raise unsupported(f"DESCRIBE HISTORY is not supported on {row.full_name}: it is no managed table.")
    table = world.iceberg(row.catalog).load_table((row.schema, row.name))
    rows = []
    for version, one in enumerate(table.metadata.snapshots):
        when = datetime.datetime.fromtimestamp(one.timestamp_ms / 1000, datetime.UTC)
        said = dict(one.summary.additional_properties) if one.summary else {}
        operation = "WRITE" if one.summary and one.summary.operation.value == "append" else "DELETE"
        rows.append((version, when, None, None, operation, [], sorted(said.items())))
    found = rows[::-1][: command.limit] if command.limit is not None else rows[::-1]
    return of(
        found, version="BIGINT", timestamp="TIMESTAMP", userId="STRING", userName="STRING", operation="STRING",
        operationParameters="MAP<STRING, STRING>", operationMetrics="MAP<STRING, STRING>",
    )  # fmt: skip


SHOWN: dict[str, Callable[[Reading, Command], Result]] = {
    "show_grants": _show_grants,
    "show_properties": _show_properties,
    "show_catalogs": _show_catalogs,
    "show_schemas": _show_schemas,
    "show_tables": _show_tables,
    "show_columns": _show_columns,
    "describe": _describe,
    "detail": _detail,
    "history": _history,
}
