"""Statements that the engine runs and that change tables: CREATE, INSERT, MERGE, UPDATE, DELETE, ALTER, DEEP CLONE."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from tests.peers.databricks import answers
from tests.peers.databricks.iceberg_store import RESERVED
from tests.peers.databricks.model import ColumnRow, Securable, TableRow
from tests.peers.databricks.sql_commands import Command
from tests.peers.databricks.sql_errors import SqlError, unsupported
from tests.peers.databricks.sql_lexer import literal_of, quoted, spliced
from tests.peers.databricks.sql_query import Reading, end_of, parsed, policed
from tests.peers.databricks.sql_result import Result, of

if TYPE_CHECKING:
    from tests.peers.databricks.gateway import Gateway

Name = tuple[str, str, str]
_REFUSED_TYPES = re.compile(r"\b(uuid|fixed\[\d+\]|time)\b")
_CLUSTERING = ("delta.enableDeletionVectors", "delta.enableRowTracking")


def create(reading: Reading, text: str, tree: exp.Create, parameters: Any, tag: str) -> Result:
    """CREATE TABLE (also AS SELECT) and CREATE VIEW."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    name = reading.full_name(part.name for part in target.parts)
    replace, lenient = bool(tree.args.get("replace")), bool(tree.args.get("exists"))
    kind = str(tree.args.get("kind")).upper()
    if kind == "VIEW":
        return _create_view(reading, text, tree, name, replace=replace, lenient=lenient)
    if kind != "TABLE":
        raise unsupported(f"CREATE {kind} is not served by this workspace.")
    if _there(reading, name, replace=replace, lenient=lenient, privilege="CREATE_TABLE"):
        return of([])
    options = _options(tree)
    if options.get("format", "delta") != "iceberg":
        return _record_delta(reading, text, tree, target, name, options, parameters)
    clustered = _check_iceberg(tree, options)
    reading.gateway.needs(name[0])
    made = reading.rewritten(text, tree, target)
    for part in clustered:
        made = made.replace(part, "")
    _create_on_engine(reading, name, made, parameters, tag, comment=options.get("comment", ""))
    return _affected(reading.gateway, name) if tree.expression else of([])


def _there(reading: Reading, name: Name, *, replace: bool, lenient: bool, privilege: str) -> bool:
    """Check the right to create; whether there is nothing to do because the table is there already."""
    world, full_name = reading.gateway.world, ".".join(name)
    catalog = world.catalog(name[0])
    known = world.state.tables.get(full_name)
    world.require(reading.reader, privilege, "SCHEMA", ".".join(name[:2]))
    if catalog.catalog_type != "MANAGED_CATALOG":
        raise read_only(full_name, "CREATE TABLE")
    if known is not None and lenient:
        return True
    if known is not None and not replace:
        raise SqlError(
            "TABLE_OR_VIEW_ALREADY_EXISTS",
            "42P07",
            f"Cannot create table or view `{name[1]}`.`{name[2]}` because it already exists. Choose a different name,"
            " drop or replace the existing object, or add the IF NOT EXISTS clause to tolerate pre-existing objects.",
        )
    if known is not None:
        world.require_manager(reading.reader, "TABLE", full_name)
    return False


def _options(tree: exp.Create) -> dict[str, Any]:
    found: dict[str, Any] = {"properties": {}, "partitions": [], "clusters": None}
    holder = tree.args.get("properties")
    for one in holder.expressions if holder else ():
        if isinstance(one, exp.FileFormatProperty):
            found["format"] = one.this.name.lower()
        elif isinstance(one, exp.LocationProperty):
            found["location"] = one.this.name
        elif isinstance(one, exp.PartitionedByProperty):
            found["partitions"] = (
                list(one.this.expressions) if isinstance(one.this, exp.Schema | exp.Tuple) else [one.this]
            )
        elif isinstance(one, exp.SchemaCommentProperty):
            found["comment"] = one.this.name
        elif isinstance(one, exp.ClusteredByProperty | exp.Cluster) or type(one).__name__ in {
            "ClusterProperty",
            "ClusterByProperty",
        }:
            found["clusters"] = one
        elif type(one) is exp.Property:
            found["properties"][one.name] = one.args["value"].name
    return found


def _check_iceberg(tree: exp.Create, options: dict[str, Any]) -> list[str]:
    """Refuse what managed Iceberg refuses; gives parts of the text that only Databricks understands."""
    if "location" in options:
        raise not_supported("LOCATION cannot be specified for a managed Iceberg table.")
    for one in options["partitions"]:
        if not isinstance(one, exp.Identifier | exp.Column | exp.ColumnDef):
            raise not_supported(f"Partitioning by expressions is not supported: {one.sql('databricks')}")
    for key in options["properties"]:
        if key in RESERVED:
            raise not_supported(f"Table property {key} cannot be set on a managed Iceberg table.")
    for one in tree.find_all(exp.ColumnConstraint):
        if not isinstance(one.kind, exp.NotNullColumnConstraint | exp.CommentColumnConstraint):
            raise not_supported(f"Column constraint is not supported: {one.sql('databricks')}")
    if options["clusters"] is None:
        return []
    if any(options["properties"].get(key, "").lower() != "false" for key in _CLUSTERING):
        raise unsupported(
            "Clustering on a managed Iceberg table needs deletion vectors and row tracking disabled.",
            "MANAGED_ICEBERG_ATTEMPTED_TO_ENABLE_CLUSTERING_WITHOUT_DISABLING_DVS_OR_ROW_TRACKING",
        )
    raise unsupported("CLUSTER BY is not served by this workspace; PARTITIONED BY (column) is what it comes to.")


def not_supported(what: str) -> SqlError:
    """Refused for managed Iceberg."""
    return unsupported(what, "MANAGED_ICEBERG_OPERATION_NOT_SUPPORTED")


def read_only(full_name: str, what: str) -> SqlError:
    """Foreign tables are read only."""
    shown = ".".join(f"`{part}`" for part in full_name.split("."))
    return unsupported(
        f"The feature is not supported: Table {shown} does not support {what}: foreign tables are read-only.",
        "UNSUPPORTED_FEATURE.TABLE_OPERATION",
    )


def _create_on_engine(reading: Reading, name: Name, text: str, parameters: Any, tag: str, comment: str = "") -> None:
    """Run it, then enter the table into Unity Catalog, with the caller as owner."""
    world, full_name = reading.gateway.world, ".".join(name)
    known = world.state.tables.get(full_name)
    with world.lock:
        if known is None:
            world._within_quota("TABLE", full_name)
    reading.gateway.execute(text, parameters, tag)
    row = world.adopt(full_name, known.owner if known else reading.reader)
    reading.writes.append(end_of(row))
    row.comment = comment or row.properties.get("comment", row.comment)


def _record_delta(
    reading: Reading,
    text: str,
    tree: exp.Create,
    target: exp.Table,
    name: Name,
    options: dict[str, Any],
    parameters: Any,
) -> Result:
    """Without USING ICEBERG it is a Delta table; this workspace keeps its entry, not its data."""
    world = reading.gateway.world
    if tree.expression:
        query = tree.expression.sql(dialect="databricks")
        schema = reading.gateway.execute(
            f"SELECT * FROM ({reading.rewritten(query, parsed(query))}) LIMIT 0", parameters
        )
        columns = schema.columns
    else:
        listed = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        columns = [(one.name, one.kind.sql("databricks")) for one in listed if isinstance(one, exp.ColumnDef)]
    with world.lock:
        if ".".join(name) in world.state.tables:
            world.drop_table(".".join(name))
        world.create_table(
            ".".join(name), reading.reader, columns=_rows(columns), properties=options["properties"],
            data_source_format=options.get("format", "delta").upper(), comment=options.get("comment", ""),
            table_type="EXTERNAL" if "location" in options else "MANAGED", kind="TABLE_DELTA",
            storage_location=options.get("location", world.new_location(name[0], name[1])),
        )  # fmt: skip
    reading.writes.append((".".join(name), "TABLE"))
    return of([])


def _rows(columns: list[tuple[str, str]]) -> list[ColumnRow]:
    return [
        ColumnRow(name=column, type_text=kind.lower(), type_name=kind.split("(")[0].split("<")[0], position=position)
        for position, (column, kind) in enumerate(columns)
    ]


def _create_view(reading: Reading, text: str, tree: exp.Create, name: Name, *, replace: bool, lenient: bool) -> Result:
    world = reading.gateway.world
    if _there(reading, name, replace=replace, lenient=lenient, privilege="CREATE_TABLE"):
        return of([])
    query = tree.expression.sql(dialect="databricks")
    position = text.lower().find(" as ")
    definition = text[position + 4 :].rstrip("; \n") if position >= 0 else query
    schema = reading.gateway.execute(f"SELECT * FROM ({reading.rewritten(definition, parsed(definition))}) LIMIT 0")
    with world.lock:
        if ".".join(name) in world.state.tables:
            world.drop_table(".".join(name))
        world.create_table(
            ".".join(name), reading.reader, columns=_rows(schema.columns), table_type="VIEW", kind="TABLE_VIEW",
            data_source_format="UNKNOWN_DATA_SOURCE_FORMAT", view_definition=_settled(reading, definition),
        )  # fmt: skip
    reading.writes.append((".".join(name), "VIEW"))
    return of([])


def _settled(reading: Reading, definition: str) -> str:
    """A view keeps full names: it must not depend on the session of whoever reads it."""
    changes = []
    for node in parsed(definition).find_all(exp.Table):
        if not isinstance(node.this, exp.Func) and len(node.parts) == 2:
            start = node.parts[0].meta["start"]
            changes.append((start, start, quoted(reading.catalog) + "."))
    return spliced(definition, changes)


# DEEP CLONE


def clone(reading: Reading, command: Command) -> Result:
    """A managed Iceberg table with the rows, schema, partition columns, comment and properties of another."""
    gateway, world = reading.gateway, reading.gateway.world
    name, source = reading.full_name(command.name), reading.full_name(command.source)
    if command.how == "SHALLOW":
        raise unsupported(
            "Shallow clone is not supported for Iceberg tables.", "MANAGED_ICEBERG_OPERATION_NOT_SUPPORTED"
        )
    if command.location:
        raise not_supported("LOCATION cannot be specified for a managed Iceberg table.")
    if command.properties:
        raise not_supported("TBLPROPERTIES cannot be overridden when cloning to a managed Iceberg table.")
    row = reading.authorised(source, "SELECT")
    if policed(gateway, row):
        raise unsupported(
            f"Clone is not supported on tables with row filters or column masks: {row.full_name}",
            "UNSUPPORTED_FEATURE.TABLE_OPERATION",
        )
    if _there(reading, name, replace=command.replace, lenient=command.lenient, privilege="CREATE_TABLE"):
        return of([])
    schema = Securable("SCHEMA", ".".join(name[:2]))
    flag = answers.predictive_optimization(world, schema)["effective_predictive_optimization_flag"]
    if flag["value"] != "ENABLE":
        raise not_supported(
            f"Cloning to a managed Iceberg table needs predictive optimization enabled on {schema.name}."
        )
    return _cloned(reading, command, name, source, row)


def _cloned(reading: Reading, command: Command, name: Name, source: Name, row: TableRow) -> Result:
    from pyiceberg.table import StaticTable

    gateway = reading.gateway
    readable = reading.readable(source)
    table = StaticTable.from_metadata(row.metadata_location)
    refused = _REFUSED_TYPES.search(" ".join(str(one.field_type) for one in table.schema().fields))
    if refused:
        raise unsupported(
            f"Iceberg type {refused.group()} is not supported in a managed Iceberg table.", "UNSUPPORTED_DATATYPE"
        )
    gateway.needs(name[0])
    verb = "CREATE OR REPLACE TABLE" if command.replace else "CREATE TABLE"
    columns = [
        table.schema().find_column_name(one.source_id)
        for one in table.spec().fields
        if str(one.transform) == "identity"
    ]
    if len(columns) < len(table.spec().fields):
        raise not_supported(f"Cannot clone partition transforms to a managed Iceberg table: {_transforms(table)}")
    parts = f" PARTITIONED BY ({', '.join(quoted(str(one)) for one in columns)})" if columns else ""
    kept = {key: value for key, value in table.properties.items() if key not in RESERVED and key != "owner"}
    listed = ", ".join(f"{literal_of(key)} = {literal_of(value)}" for key, value in kept.items())
    properties = f" TBLPROPERTIES ({listed})" if kept else ""
    version = f" VERSION AS OF {command.version}" if command.version is not None else ""
    if command.timestamp is not None:
        version = f" TIMESTAMP AS OF {literal_of(command.timestamp)}"
    text = f"{verb} {quoted(*name)} USING ICEBERG{parts}{properties} AS SELECT * FROM {readable}{version}"
    _create_on_engine(reading, name, text, (), "", comment=row.comment)
    _copy_comments(reading, name, table)
    return _clone_metrics(gateway, name)


def _transforms(table: Any) -> str:
    return ", ".join(
        f"{one.transform}({table.schema().find_column_name(one.source_id)})" for one in table.spec().fields
    )


def _copy_comments(reading: Reading, name: Name, table: Any) -> None:
    """A query loses comments of columns, a clone does not."""
    for one in table.schema().fields:
        if one.doc:
            column = f"ALTER TABLE {quoted(*name)} ALTER COLUMN {quoted(one.name)} COMMENT {literal_of(one.doc)}"
            reading.gateway.execute(column)


def _clone_metrics(gateway: Gateway, name: Name) -> Result:
    summary = _summary(gateway, name)
    files, size = int(summary.get("total-data-files", 0)), int(summary.get("total-files-size", 0))
    return of(
        [(size, files, 0, files, 0, size)],
        source_table_size="BIGINT", source_num_of_files="BIGINT", num_removed_files="BIGINT",
        num_copied_files="BIGINT", removed_files_size="BIGINT", copied_files_size="BIGINT",
    )  # fmt: skip


def _summary(gateway: Gateway, name: Name) -> dict[str, str]:
    snapshot = gateway.world.iceberg(name[0]).load_table(name[1:]).current_snapshot()
    return dict(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}


def _affected(gateway: Gateway, name: Name) -> Result:
    rows = int(_summary(gateway, name).get("added-records", 0))
    return of([(rows, rows)], num_affected_rows="BIGINT", num_inserted_rows="BIGINT")


# DML


def writable(reading: Reading, name: Name, *privileges: str, what: str) -> TableRow:
    """The table's row, if the reader may write to it and it can be written at all."""
    row = reading.authorised(name, privileges[0])
    for privilege in privileges[1:]:
        reading.authorised(name, privilege)
    if row.table_type == "FOREIGN":
        raise read_only(row.full_name, what)
    if not reading.gateway.world.is_managed_iceberg(row):
        raise unsupported(
            f"This workspace keeps no data of {row.table_type} {row.data_source_format} tables: {row.full_name}"
        )
    return row


def insert(reading: Reading, text: str, tree: exp.Insert, parameters: Any, tag: str) -> Result:
    """INSERT INTO and INSERT OVERWRITE."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if not isinstance(target, exp.Table):
        raise unsupported("INSERT into a directory is not served by this workspace.")
    return _write(reading, text, tree, target, parameters, tag, ("MODIFY",), "INSERT")


def change(reading: Reading, text: str, tree: exp.Expression, parameters: Any, tag: str) -> Result:
    """UPDATE, DELETE and MERGE: they read what they change."""
    name = reading.full_name(part.name for part in tree.this.parts)
    what = type(tree).__name__.upper()
    row = writable(reading, name, "MODIFY", "SELECT", what=what)
    if policed(reading.gateway, row):
        raise unsupported(f"{what} on a table with row filters or column masks is not served by this workspace.")
    return _write(reading, text, tree, tree.this, parameters, tag, ("MODIFY", "SELECT"), what)


def _write(
    reading: Reading, text: str, tree: exp.Expression, target: exp.Table, parameters: Any, tag: str,
    privileges: tuple[str, ...], what: str,
) -> Result:  # fmt: skip
    name = reading.full_name(part.name for part in target.parts)
    reading.writes.append(end_of(writable(reading, name, *privileges, what=what)))
    gateway = reading.gateway
    gateway.needs(name[0])
    before = _snapshot_id(gateway, name)
    gateway.execute(reading.rewritten(text, tree, target), parameters, tag)
    changed = before != _snapshot_id(gateway, name)
    if what == "INSERT":
        return (
            _affected(gateway, name)
            if changed
            else of([(0, 0)], num_affected_rows="BIGINT", num_inserted_rows="BIGINT")
        )
    return of([(_changed_rows(gateway, name, what) if changed else 0,)], num_affected_rows="BIGINT")


def _changed_rows(gateway: Gateway, name: Name, what: str) -> int | None:
    """Rows a DELETE took away; the engine does not tell how many an UPDATE or MERGE met."""
    said = _summary(gateway, name)
    return int(said.get("deleted-records", 0)) - int(said.get("added-records", 0)) if what == "DELETE" else None


def _snapshot_id(gateway: Gateway, name: Name) -> int | None:
    snapshot = gateway.world.iceberg(name[0]).load_table(name[1:]).current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def alter(reading: Reading, text: str, tree: exp.Alter, parameters: Any, tag: str) -> Result:
    """ALTER TABLE … ADD, DROP, RENAME and ALTER COLUMN."""
    name = reading.full_name(part.name for part in tree.this.parts)
    writable(reading, name, "MODIFY", what="ALTER TABLE")
    allowed = (exp.ColumnDef, exp.Drop, exp.RenameColumn, exp.AlterColumn, exp.AddPartition)
    if not all(isinstance(one, allowed) for one in tree.args.get("actions") or ()):
        raise unsupported("This ALTER TABLE is not served by this workspace.")
    reading.gateway.needs(name[0])
    return reading.gateway.execute(reading.rewritten(text, tree, tree.this), parameters, tag)


RUNNERS: dict[type, Callable[..., Result]] = {
    exp.Create: create,
    exp.Insert: insert,
    exp.Update: change,
    exp.Delete: change,
    exp.Merge: change,
    exp.Alter: alter,
}
