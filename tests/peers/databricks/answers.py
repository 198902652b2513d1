"""Rows as the API shows them. Keys without a value are left out, as the service does."""

from __future__ import annotations

from typing import Any

from tests.peers.databricks import privileges
from tests.peers.databricks.model import (
    CatalogRow,
    ColumnRow,
    ConnectionRow,
    CredentialRow,
    FunctionRow,
    LocationRow,
    PolicyRow,
    Row,
    SchemaRow,
    Securable,
    TableRow,
    VolumeRow,
)
from tests.peers.databricks.world import World

PEOPLE = ("owner", "created_by", "updated_by")
_SECRET = ("secret", "password", "token", "credential", "access-key", "private")
READABLE = ("HAS_DIRECT_EXTERNAL_ENGINE_READ_SUPPORT", "HAS_DIRECT_EXTERNAL_ENGINE_WRITE_SUPPORT")
_BROWSED = {"name", "catalog_name", "schema_name", "full_name", "table_type", "metastore_id", "comment"}


def catalog(world: World, row: CatalogRow) -> dict[str, Any]:
    """CatalogInfo."""
    managed = row.catalog_type == "MANAGED_CATALOG"
    metastore = world.state.metastore.storage_root
    root = row.storage_root or (f"{metastore}/{row.name}" if managed and metastore else "")
    return _told(
        _common(world, row)
        | {
            "full_name": row.name,
            "catalog_type": row.catalog_type,
            "connection_name": row.connection_name,
            "options": shown_options(row.options),
            "storage_root": row.storage_root,
            "storage_location": f"{root}/__unitystorage/catalogs/{row.id}" if root else "",
            "isolation_mode": row.isolation_mode,
            "securable_type": "CATALOG",
            **predictive_optimization(world, Securable("CATALOG", row.name)),
        }
    )


def schema(world: World, row: SchemaRow) -> dict[str, Any]:
    """SchemaInfo."""
    return _told(
        _common(world, row)
        | {
            "full_name": row.full_name,
            "catalog_name": row.catalog,
            "catalog_type": world.state.catalogs[row.catalog].catalog_type,
            "schema_id": row.id,
            "storage_root": row.storage_root,
            **predictive_optimization(world, Securable("SCHEMA", row.full_name)),
        }
    )


def table(
    world: World, row: TableRow, *, columns: bool = True, properties: bool = True, people: bool = True,
    capabilities: bool = False, browse_only: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """TableInfo; a principal that may only browse gets the names."""
    found = _common(world, row) | _placed(row) | _about_table(world, row)
    found["columns"] = [_column(one) for one in row.columns] if columns else []
    found["securable_kind_manifest"] = manifest(row, capabilities=capabilities)
    if not properties:
        found.pop("properties")
    if not people:
        found = {key: value for key, value in found.items() if key not in PEOPLE}
    if browse_only:
        found = {key: value for key, value in found.items() if key in _BROWSED} | {"browse_only": True}
    return _told(found)


def _about_table(world: World, row: TableRow) -> dict[str, Any]:
    policed = row.row_filter
    return {
        "table_type": row.table_type,
        "data_source_format": "" if row.table_type == "VIEW" else row.data_source_format,
        "storage_location": row.storage_location,
        "view_definition": row.view_definition,
        "table_id": row.id,
        "row_filter": {"function_name": policed.function_name, "input_column_names": [*policed.columns]}
        if policed
        else None,
        **(predictive_optimization(world, Securable("TABLE", row.full_name)) if row.table_type == "MANAGED" else {}),
    }


def summary(row: TableRow, *, capabilities: bool = False) -> dict[str, Any]:
    """TableSummary."""
    shown = manifest(row, capabilities=capabilities)
    return _told({"full_name": row.full_name, "table_type": row.table_type, "securable_kind_manifest": shown})


def manifest(row: TableRow, *, capabilities: bool) -> dict[str, Any]:
    """What kind of table it is; on request what external engines may do with it."""
    kinds = {"VIEW": "TABLE_VIEW", "EXTERNAL": "TABLE_EXTERNAL", "MANAGED": "TABLE_STANDARD"}
    open_to = READABLE if row.table_type == "MANAGED" and row.data_source_format == "ICEBERG" else ()
    return _told(
        {
            "securable_type": "TABLE",
            "securable_kind": row.kind or kinds.get(row.table_type, "TABLE_STANDARD"),
            "assignable_privileges": sorted(privileges.APPLICABLE["TABLE"]) if capabilities else [],
            "capabilities": [*open_to] if capabilities and not row.policed else [],
        }
    )


def _column(row: ColumnRow) -> dict[str, Any]:
    mask = row.mask
    return _told(
        {
            "name": row.name,
            "type_text": row.type_text,
            "type_name": row.type_name,
            "type_json": row.type_json,
            "position": row.position,
            "nullable": row.nullable,
            "comment": row.comment,
            "partition_index": row.partition_index,
            "type_precision": row.precision,
            "type_scale": row.scale,
            "mask": _told({"function_name": mask.function_name, "using_column_names": [*mask.columns]})
            if mask
            else None,
        }
    )


def volume(world: World, row: VolumeRow) -> dict[str, Any]:
    """VolumeInfo."""
    found = _common(world, row) | _placed(row)
    found |= {"volume_id": row.id, "volume_type": row.volume_type, "storage_location": row.storage_location}
    return _told({key: value for key, value in found.items() if key != "properties"})


def function(world: World, row: FunctionRow) -> dict[str, Any]:
    """FunctionInfo."""
    parameters = [
        {"name": name, "type_text": kind, "type_name": _type_name(kind), "position": position}
        for position, (name, kind) in enumerate(row.parameters)
    ]
    found = _common(world, row) | _placed(row)
    found.pop("properties")
    return _told(
        found
        | {
            "function_id": row.id,
            "input_params": {"parameters": parameters} if parameters else None,
            "data_type": _type_name(row.return_type),
            "full_data_type": row.return_type,
            "routine_body": "SQL",
            "routine_definition": row.body_sql,
            "specific_name": row.name,
            "parameter_style": "S",
            "security_type": "DEFINER",
            "sql_data_access": "CONTAINS_SQL",
            "is_deterministic": True,
        }
    )


def connection(world: World, row: ConnectionRow) -> dict[str, Any]:
    """ConnectionInfo; nothing secret comes back."""
    return _told(
        _common(world, row)
        | {
            "full_name": row.name,
            "connection_id": row.id,
            "connection_type": row.connection_type,
            "options": shown_options(row.options),
            "securable_type": "CONNECTION",
        }
    )


def credential(world: World, row: CredentialRow) -> dict[str, Any]:
    """StorageCredentialInfo."""
    found = _common(world, row)
    found.pop("properties")
    return _told(
        found
        | {
            "id": row.id,
            "full_name": row.name,
            "aws_iam_role": {"role_arn": row.role_arn} if row.role_arn else None,
            "read_only": row.read_only,
            "isolation_mode": "ISOLATION_MODE_OPEN",
        }
    )


def location(world: World, row: LocationRow) -> dict[str, Any]:
    """ExternalLocationInfo."""
    found = _common(world, row)
    found.pop("properties")
    credential_row = world.state.credentials[row.credential_name]
    return _told(
        found
        | {
            "url": row.url,
            "credential_name": row.credential_name,
            "credential_id": credential_row.id,
            "read_only": row.read_only,
            "isolation_mode": "ISOLATION_MODE_OPEN",
        }
    )


def policy(row: PolicyRow) -> dict[str, Any]:
    """PolicyInfo."""
    using = [{"alias": one} for one in row.using]
    shape: dict[str, Any] = {
        "GRANT": {"grant": {"privileges": [*row.privileges]}},
        "DENY": {"deny": {"privileges": [*row.privileges]}},
        "ROW_FILTER": {"row_filter": _told({"function_name": row.function_name, "using": using})},
        "COLUMN_MASK": {
            "column_mask": _told({"function_name": row.function_name, "on_column": row.on_column, "using": using})
        },
    }[row.type]
    return _told(
        {
            "id": row.id,
            "name": row.name,
            "policy_type": f"POLICY_TYPE_{row.type}",
            "on_securable_type": row.on.kind,
            "on_securable_fullname": row.on.name,
            "for_securable_type": row.for_type,
            "to_principals": [*row.to],
            "except_principals": [*row.excepted],
            "when_condition": row.when,
            "match_columns": [{"alias": alias, "condition": condition} for alias, condition in row.match_columns],
            "comment": row.comment,
            "created_at": row.created_at,
            "created_by": row.created_by,
            **shape,
        }
    )


def predictive_optimization(world: World, securable: Securable) -> dict[str, Any]:
    """The setting of a securable and the one in force, with the ancestor it comes from."""
    steps = privileges.lineage(securable)
    own = world.state.rows(securable.kind)[securable.name].predictive_optimization
    for step in steps:
        value = world.state.rows(step.kind)[step.name].predictive_optimization
        if value != "INHERIT":
            source = {} if step == securable else {"inherited_from_type": step.kind, "inherited_from_name": step.name}
            flag = {"value": value, **source}
            break
    else:
        flag = {"value": world.default_predictive_optimization}
    return {"enable_predictive_optimization": own, "effective_predictive_optimization_flag": flag}


def shown_options(options: dict[str, str]) -> dict[str, str]:
    """Options without those that may be secret."""
    return {key: value for key, value in options.items() if not any(word in key.lower() for word in _SECRET)}


def _common(world: World, row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "owner": row.owner,
        "comment": row.comment,
        "properties": row.properties,
        "metastore_id": world.state.metastore.id,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
    }


def _placed(row: Any) -> dict[str, Any]:
    return {"full_name": row.full_name, "catalog_name": row.catalog, "schema_name": row.schema}


def _type_name(text: str) -> str:
    base = text.partition("(")[0].partition("<")[0].strip().lower()
    return {"bigint": "LONG", "smallint": "SHORT", "tinyint": "BYTE", "integer": "INT"}.get(base, base.upper())


def _told(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}
