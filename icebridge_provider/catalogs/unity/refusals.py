"""What the Unity adapter refuses by itself."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.catalogs.unity.listing import Listed
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier


def register(table: TableIdentifier) -> ConfigurationError:
    """Unity Catalog has no call that enters an existing Iceberg metadata file as a managed table."""
    return ConfigurationError(
        "IB-251",
        f"{table} cannot be registered: Unity Catalog takes no existing metadata file as a managed table.",
        remedy="Use deep_clone or insert_select: add method:…=deep_clone to the param mapping.",
        table=str(table),
    )


def foreign(name: str, catalog: str, what: str) -> ConfigurationError:
    """A foreign catalog shows the tables of another one and changes none of them."""
    return ConfigurationError(
        "IB-252",
        f"Connection {name!r} cannot {what}: {catalog} is a foreign catalog, which Databricks only reads.",
        remedy="Change the table in the catalog that it comes from.",
        conn_id=name,
    )


def no_origin(name: str, catalog: str) -> ConfigurationError:
    """Tables of a foreign catalog are read where they come from, never through Databricks.

    Unity Catalog serves no foreign table over Iceberg REST, and its engine may read one without its delete files.
    """
    return ConfigurationError(
        "IB-253",
        f"Connection {name!r} does not say which catalog the tables of the foreign catalog {catalog} come from.",
        remedy=f'Add {{"origin_conn_id": "…"}} to the extra of connection {name!r}: an icebridge_catalog connection '
        "to the catalog behind the federation.",
        conn_id=name,
    )


def not_a_lake(name: str, catalog: str, kind: str) -> ConfigurationError:
    """Shared, system and online catalogs hold nothing that could be migrated."""
    return ConfigurationError(
        "IB-254",
        f"The catalog {catalog} of connection {name!r} is of type {kind or 'unknown'}.",
        remedy="Name a managed or a foreign catalog as catalog in the connection's extra.",
        conn_id=name,
    )


def not_ours(table: TableIdentifier, kind: str) -> ConfigurationError:
    """Something that is no Iceberg table has the name."""
    return ConfigurationError(
        "IB-255",
        f"{table} is {kind}, not a managed Iceberg table.",
        remedy="Rename or drop it, or map the table to another name.",
        table=str(table),
    )


def withheld(table: TableIdentifier, text: str, limits: Sequence[str], listed: Listed | None) -> ConfigurationError:
    """Unity Catalog gives no metadata of a table with filters or masks to readers outside of Databricks."""
    properties = {} if listed is None else listed.info.get("properties") or {}
    return ConfigurationError(
        "IB-637",
        f"{table} is not read from outside of Databricks while this limits its readers: {', '.join(limits)} ({text}).",
        remedy="To prove or to plan with it, take these off: the cut-over puts those of the source on the copy by "
        "itself. If a cut-over or a rollback left them on the copy, see who can read it, take that away first.",
        table=str(table),
        limits=len(limits),
        plan_id=properties.get("icebridge.plan-id", ""),
        source=properties.get("icebridge.source", ""),
    )
