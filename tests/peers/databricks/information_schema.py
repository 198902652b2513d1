"""``information_schema``: what a principal may see of the catalog, as rows. Nobody is told that he sees less."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

from tests.peers.databricks import privileges
from tests.peers.databricks.model import Securable, TableRow
from tests.peers.databricks.sql_result import Result, of
from tests.peers.databricks.world import World

_STRING, _TIME, _INT = "STRING", "TIMESTAMP", "INT"
View = tuple[dict[str, str], Callable[[World, str], Iterator[tuple[Any, ...]]]]


def view(world: World, principal: str, catalog: str, _schema: str, name: str) -> Result | None:
    """Rows of one view: of every catalog in ``system``, else of the catalog it stands in; None if there is none."""
    found = _VIEWS.get(name)
    world.catalog(catalog)
    if found is None:
        return None
    columns, rows = found
    if name == "catalogs" or catalog == "system":
        return of(list(rows(world, principal)), **columns)
    place = next(at for at, column in enumerate(columns) if column in {"table_catalog", "catalog_name"})
    return of([row for row in rows(world, principal) if row[place] == catalog], **columns)


def _time(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _catalogs(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    for row in list(world.state.catalogs.values()):
        if world.sees(principal, "CATALOG", row.name, browse=True):
            yield (row.name, row.owner, row.comment or None, _time(row.created_at), row.created_by,
                   _time(row.updated_at), row.updated_by)  # fmt: skip


def _schemata(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    for row in list(world.state.schemas.values()):
        if world.sees(principal, "SCHEMA", row.full_name, browse=True):
            yield (row.catalog, row.name, row.owner, row.comment or None, _time(row.created_at), row.created_by,
                   _time(row.updated_at), row.updated_by)  # fmt: skip


def _tables(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    for row in _seen(world, principal):
        yield (row.catalog, row.schema, row.name, row.table_type, "YES" if row.table_type == "MANAGED" else "NO", "NO",
               row.owner, row.comment or None, _time(row.created_at), row.created_by, _time(row.updated_at),
               row.updated_by, row.data_source_format, None, row.storage_location or None)  # fmt: skip


def _seen(world: World, principal: str) -> list[TableRow]:
    return world.tables_seen(principal, browse=True)


def _columns(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    for row in _seen(world, principal):
        for one in row.columns:
            yield (row.catalog, row.schema, row.name, one.name, one.position, None, "YES" if one.nullable else "NO",
                   one.type_text, one.type_name, one.comment or None, one.partition_index)  # fmt: skip


def _views(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    """The text of a view only for who owns it, itself or by a group: others find none."""
    mine = privileges.identities_of(world.state, principal)
    for row in _seen(world, principal):
        if row.table_type == "VIEW":
            text = row.view_definition if row.owner in mine else None
            yield row.catalog, row.schema, row.name, text, "NONE", "NO", "NO"


def _table_privileges(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    """Grants with where they are inherited from; who does not manage a table sees only his own."""
    mine = privileges.identities_of(world.state, principal)
    for row in _seen(world, principal):
        securable = Securable("TABLE", row.full_name)
        everything = privileges.may_manage(world.state, securable, principal)
        for one in privileges.standings(world.state, securable):
            if everything or one.principal in mine:
                yield (row.owner, one.principal, row.catalog, row.schema, row.name, one.privilege, "NO",
                       one.inherited_from_type or "NONE")  # fmt: skip


def _row_filters(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    """Only of tables the caller may SELECT: otherwise nothing, and no error. Policies are not in it."""
    for row in _readable(world, principal):
        if row.row_filter:
            yield (
                row.catalog,
                row.schema,
                row.name,
                *row.row_filter.function_name.split("."),
                ",".join(row.row_filter.columns),
            )


def _column_masks(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    for row in _readable(world, principal):
        for one in row.columns:
            if one.mask:
                using = ",".join(one.mask.columns)
                yield row.catalog, row.schema, row.name, one.name, *one.mask.function_name.split("."), using


def _readable(world: World, principal: str) -> list[TableRow]:
    return [
        row
        for row in world.tables_seen(principal)
        if privileges.missing(world.state, Securable("TABLE", row.full_name), principal, "SELECT") is None
    ]


def _table_tags(world: World, principal: str) -> Iterator[tuple[Any, ...]]:
    for row in _seen(world, principal):
        for key, value in sorted(row.tags.items()):
            yield row.catalog, row.schema, row.name, key, value


_TABLE = {"table_catalog": _STRING, "table_schema": _STRING, "table_name": _STRING}
_STAMPS = {"created": _TIME, "created_by": _STRING, "last_altered": _TIME, "last_altered_by": _STRING}
_VIEWS: dict[str, View] = {
    "catalogs": ({"catalog_name": _STRING, "catalog_owner": _STRING, "comment": _STRING, **_STAMPS}, _catalogs),
    "schemata": (
        {"catalog_name": _STRING, "schema_name": _STRING, "schema_owner": _STRING, "comment": _STRING, **_STAMPS},
        _schemata,
    ),
    "tables": (
        {
            **_TABLE, "table_type": _STRING, "is_insertable_into": _STRING, "commit_action": _STRING,
            "table_owner": _STRING, "comment": _STRING, **_STAMPS, "data_source_format": _STRING,
            "storage_sub_directory": _STRING, "storage_path": _STRING,
        },
        _tables,
    ),
    "columns": (
        {
            **_TABLE, "column_name": _STRING, "ordinal_position": _INT, "column_default": _STRING,
            "is_nullable": _STRING, "full_data_type": _STRING, "data_type": _STRING, "comment": _STRING,
            "partition_index": _INT,
        },
        _columns,
    ),
    "views": (
        {
            **_TABLE, "view_definition": _STRING, "check_option": _STRING, "is_updatable": _STRING,
            "is_insertable_into": _STRING,
        },
        _views,
    ),
    "table_privileges": (
        {
            "grantor": _STRING, "grantee": _STRING, **_TABLE, "privilege_type": _STRING, "is_grantable": _STRING,
            "inherited_from": _STRING,
        },
        _table_privileges,
    ),
    "row_filters": (
        {
            **_TABLE, "filter_catalog": _STRING, "filter_schema": _STRING, "filter_name": _STRING,
            "target_columns": _STRING,
        },
        _row_filters,
    ),
    "column_masks": (
        {
            **_TABLE, "column_name": _STRING, "mask_catalog": _STRING, "mask_schema": _STRING, "mask_name": _STRING,
            "using_columns": _STRING,
        },
        _column_masks,
    ),
    "table_tags": (
        {
            "catalog_name": _STRING, "schema_name": _STRING, "table_name": _STRING, "tag_name": _STRING,
            "tag_value": _STRING,
        },
        _table_tags,
    ),
}  # fmt: skip
