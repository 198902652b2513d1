"""Commands carried out: everything in SQL that concerns Unity Catalog and not the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.peers.databricks import sql_run, sql_show
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.grants_api import Grants
from tests.peers.databricks.iceberg_store import RESERVED
from tests.peers.databricks.model import ColumnRow, FunctionRow, Policing, Securable, TableRow
from tests.peers.databricks.sql_commands import Command
from tests.peers.databricks.sql_errors import SqlError, unsupported
from tests.peers.databricks.sql_names import enter, name_of, row_of
from tests.peers.databricks.sql_query import Reading
from tests.peers.databricks.sql_result import Result, of


def act(reading: Reading, command: Command) -> Result:
    """Carry out a command with the reader's rights."""
    return _ACTIONS[command.kind](reading, command)


def _managed(reading: Reading, command: Command, what: str = "") -> tuple[str, Any]:
    """The row, if the reader manages it: its owner, an owner above it, MANAGE, the metastore admin."""
    world, name = reading.gateway.world, name_of(reading, command)
    kind = "TABLE" if command.on == "COLUMN" else command.on
    row = row_of(world, kind, name)
    if kind == "TABLE":
        enter(world, reading.reader, row)
    world.require_manager(reading.reader, kind, name)
    if what and isinstance(row, TableRow) and row.table_type == "FOREIGN":
        raise sql_run.read_only(name, what)
    return name, row


# Schemas, tables, functions


def _create_schema(reading: Reading, command: Command) -> Result:
    world, name = reading.gateway.world, name_of(reading, command)
    catalog = name.partition(".")[0]
    world.require(reading.reader, "CREATE_SCHEMA", "CATALOG", catalog)
    with world.lock:
        if name in world.state.schemas:
            if command.lenient:
                return of([])
            raise SqlError(
                "SCHEMA_ALREADY_EXISTS", "42P06", f"Cannot create schema `{name}` because it already exists."
            )
        more = {"comment": command.comment, "properties": command.properties, "storage_root": command.location}
        world.create_schema(name, reading.reader, **more)
    return of([])


def _drop(reading: Reading, command: Command) -> Result:
    world, name = reading.gateway.world, name_of(reading, command)
    with world.lock:
        try:
            _, row = _managed(reading, command)
        except (ApiError, SqlError) as error:
            gone = getattr(error, "status", 0) == 404 or getattr(error, "error_class", "") == "TABLE_OR_VIEW_NOT_FOUND"
            if gone and command.lenient:
                return of([])
            raise
        if command.on == "SCHEMA":
            for table in [one for one in world.state.tables if command.cascade and one.startswith(f"{name}.")]:
                world.drop_table(table)
            world.drop_schema(name)
        elif command.on == "FUNCTION":
            world.forget("FUNCTION", name)
        else:
            _check_view(row, command.view, "DROP")
            if row.table_type == "FOREIGN":
                raise sql_run.read_only(name, "DROP TABLE")
            world.drop_table(name)
    return of([])


def _check_view(row: TableRow, view: bool, what: str) -> None:
    if view != (row.table_type == "VIEW"):
        expected, seen = ("VIEW", "TABLE") if view else ("TABLE", "VIEW")
        text = f"'{row.full_name}' is a {seen}. Use {what} {seen} instead."
        raise SqlError(f"WRONG_COMMAND_FOR_OBJECT_TYPE.EXPECT_{expected}", "42809", text)


def _rename(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    with world.lock:
        name, row = _managed(reading, command, "ALTER TABLE RENAME")
        _check_view(row, command.view, "ALTER")
        catalog, schema, _ = name.split(".")
        target = [part.lower() for part in command.to]
        if len(target) == 1:
            target = [catalog, schema, *target]
        elif len(target) == 2:
            target = [catalog, *target]
        if target[:-1] != [catalog, schema]:
            raise unsupported(f"Cannot rename {name} to {'.'.join(target)}: a table stays in its catalog and schema.")
        world.require(reading.reader, "CREATE_TABLE", "SCHEMA", f"{catalog}.{schema}")
        world.rename_table(name, ".".join(target))
    return of([])


def _create_function(reading: Reading, command: Command) -> Result:
    world, name = reading.gateway.world, name_of(reading, command)
    catalog, schema, short = name.split(".")
    world.require(reading.reader, "CREATE_FUNCTION", "SCHEMA", f"{catalog}.{schema}")
    with world.lock:
        if name in world.state.functions:
            if command.lenient:
                return of([])
            if not command.replace:
                raise SqlError(
                    "ROUTINE_ALREADY_EXISTS", "42723", f"Cannot create the function `{name}`: it already exists."
                )
            world.forget("FUNCTION", name)
        row = FunctionRow(
            name=short, catalog=catalog, schema=schema, owner=reading.reader, parameters=command.parameters,
            body_sql=command.body, return_type=command.returns,
        )  # fmt: skip
        world.keep("FUNCTION", row)
    return of([])


# ALTER


def _properties(reading: Reading, command: Command) -> Result:
    world, name = reading.gateway.world, name_of(reading, command)
    with world.lock:
        row = row_of(world, "TABLE", name)
        world.require(reading.reader, "MODIFY", "TABLE", name)
        if row.table_type == "FOREIGN":
            raise sql_run.read_only(name, "ALTER TABLE SET TBLPROPERTIES")
        for key in (*command.set, *command.unset):
            if key in RESERVED:
                raise sql_run.not_supported(f"Table property {key} cannot be set on a managed Iceberg table.")
        unknown = [key for key in command.unset if key not in row.properties]
        if unknown and not command.lenient:
            text = f"Cannot unset the property {unknown[0]} of table {name}: it does not exist."
            raise SqlError("UNSET_NONEXISTENT_PROPERTIES", "42K0J", text)
        world.set_table_properties(name, command.set, command.unset)
    return of([])


def _owner(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    with world.lock:
        _, row = _managed(reading, command)
        world.require_known(command.principal)
        row.owner = command.principal
    return of([])


def _predictive_optimization(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    with world.lock:
        _, row = _managed(reading, command)
        row.predictive_optimization = command.mode
    return of([])


def _comment(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    with world.lock:
        name = name_of(reading, command)
        row = row_of(world, command.on, name)
        if command.on == "TABLE":
            world.require(reading.reader, "MODIFY", "TABLE", name)
            if row.table_type == "FOREIGN":
                raise sql_run.read_only(name, "COMMENT")
        else:
            world.require_manager(reading.reader, command.on, name)
        row.comment = command.text
    return of([])


def _column_comment(reading: Reading, command: Command) -> Result:
    world, name = reading.gateway.world, name_of(reading, command)
    row = sql_run.writable(reading, tuple(name.split(".")), "MODIFY", what="COMMENT ON COLUMN")  # type: ignore[arg-type]
    column = _column(row, command.column)
    with world.lock:
        table = world.iceberg(row.catalog).load_table((row.schema, row.name))
        with table.update_schema() as update:
            update.update_column(column.name, doc=command.text)
        world.adopt(name, row.owner, table)
    return of([])


def _column(row: TableRow, name: str) -> ColumnRow:
    for column in row.columns:
        if column.name.lower() == name.lower():
            return column
    text = f"A column with name `{name}` cannot be resolved in {row.full_name}."
    raise SqlError("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703", text)


def _tags(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    with world.lock:
        name, row = name_of(reading, command), None
        row = row_of(world, command.on, name)
        if "APPLY_TAG" not in world.effective(reading.reader, command.on, name):
            world.require_manager(reading.reader, command.on, name)
        tags = _column(row, command.column).tags if command.column else row.tags
        tags.update(command.set)
        for key in command.unset:
            tags.pop(key, None)
    return of([])


def _row_filter(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    with world.lock:
        name, row = _managed(reading, command)
        row.row_filter = _policing(reading, row, command, name, 0) if command.function else None
    return of([])


def _mask(reading: Reading, command: Command) -> Result:
    world = reading.gateway.world
    with world.lock:
        name, row = _managed(reading, command)
        column = _column(row, command.column)
        column.mask = _policing(reading, row, command, name, 1) if command.function else None
    return of([])


def _policing(reading: Reading, row: TableRow, command: Command, name: str, given: int) -> Policing:
    """The function must be there, be the caller's to run, and take as many arguments as it is given."""
    world = reading.gateway.world
    function = ".".join(reading.full_name(command.function))
    world.require(reading.reader, "EXECUTE", "FUNCTION", function)
    found: FunctionRow = world.row("FUNCTION", function)
    columns = {column.name.lower() for column in row.columns}
    for one in command.columns:
        if one.lower() not in columns and one[:1] not in {"'", '"'} and not one[:1].isdigit():
            raise SqlError("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703", f"{name} has no column {one}.")
    if len(found.parameters) != len(command.columns) + given:
        text = f"{function} takes {len(found.parameters)} arguments, {len(command.columns) + given} are given."
        raise SqlError("WRONG_NUM_ARGS.WITHOUT_SUGGESTION", "42605", text)
    return Policing(function_name=function, columns=tuple(command.columns))


# Privileges


def _grant(reading: Reading, command: Command) -> Result:
    return _granted(reading, command, "add")


def _revoke(reading: Reading, command: Command) -> Result:
    return _granted(reading, command, "remove")


def _granted(reading: Reading, command: Command, how: str) -> Result:
    world, name = reading.gateway.world, name_of(reading, command)
    row_of(world, command.on, name)
    wanted = ["ALL_PRIVILEGES" if one == "ALL" else one for one in command.privileges]
    try:
        Grants(world).apply(
            reading.reader, Securable(command.on, name), [{"principal": command.principal, how: wanted}]
        )
    except ApiError as error:
        if error.error_code == "PRINCIPAL_DOES_NOT_EXIST":
            raise SqlError("PRINCIPAL_DOES_NOT_EXIST", "42704", error.message) from None
        raise
    return of([])


# The rest


def _refresh_foreign(reading: Reading, command: Command) -> Result:
    """Read the origin again. Who may: whoever uses it and owns or manages it, or the catalog's owner."""
    world, name = reading.gateway.world, name_of(reading, command)
    world.require(reading.reader, "USE_CATALOG", "CATALOG", name.partition(".")[0])
    world.refresh_foreign(name)
    return of([])


def _refresh(reading: Reading, command: Command) -> Result:
    reading.authorised(reading.full_name(command.name), "SELECT")
    return of([])


def _use(reading: Reading, command: Command) -> Result:
    world, parts = reading.gateway.world, [part.lower() for part in command.name]
    if command.on == "CATALOG":
        world.require(reading.reader, "USE_CATALOG", "CATALOG", parts[0])
        return Result(session=(parts[0], "default"))
    full = name_of(reading, command)
    world.schema(full)
    world.require(reading.reader, "USE_SCHEMA", "SCHEMA", full)
    return Result(session=(full.partition(".")[0], full.partition(".")[2]))


_ACTIONS: dict[str, Callable[[Reading, Command], Result]] = {
    **sql_show.SHOWN,
    "clone": sql_run.clone, "create_schema": _create_schema, "create_function": _create_function, "drop": _drop,
    "rename": _rename, "owner": _owner, "properties": _properties, "predictive_optimization": _predictive_optimization,
    "comment": _comment, "column_comment": _column_comment, "tags": _tags, "row_filter": _row_filter, "mask": _mask,
    "grant": _grant, "revoke": _revoke,
    "refresh_foreign": _refresh_foreign, "refresh": _refresh, "use": _use,
}  # fmt: skip
