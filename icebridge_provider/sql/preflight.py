"""What pre-flight asks a warehouse, and the statements that it proposes to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from icebridge_provider.sql.identifiers import quoted

Securable = Literal["CATALOG", "SCHEMA", "TABLE", "EXTERNAL LOCATION"]


def table_privileges() -> str:
    """Who may read or manage each table of schema ``:schema`` in catalog ``:catalog``, as far as the caller is shown.

    Whoever does not own or manage a table is shown its own grants there, and no error (Databricks:
    INFORMATION_SCHEMA.TABLE_PRIVILEGES).
    """
    return (
        "SELECT table_name, grantee, privilege_type FROM `system`.`information_schema`.`table_privileges`"
        " WHERE table_catalog = :catalog AND table_schema = :schema"
        " AND replace(upper(privilege_type), ' ', '_') IN ('SELECT', 'MANAGE', 'ALL_PRIVILEGES')"
    )


def grant(privileges: Sequence[str], securable: Securable, parts: Sequence[str], principal: str) -> str:
    """Grant privileges, spelled as REST spells them (``USE_SCHEMA``), on one securable."""
    listed = ", ".join(privilege.replace("_", " ") for privilege in privileges)
    return f"GRANT {listed} ON {securable} {quoted(*parts)} TO {quoted(principal)}"


def create_schema_at(parts: Sequence[str]) -> str:
    """Create a schema with a managed location of its own; the person fills in where."""
    return f"CREATE SCHEMA {quoted(*parts)} MANAGED LOCATION 's3://…'"
